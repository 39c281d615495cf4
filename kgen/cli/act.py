"""``kgen cancel``, ``kgen retry``, ``kgen delete``: changing a sweep that is on a cluster."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, SweepName, Yes, find_sweep
from kgen.cli.text import count, typed
from kgen.errors import InputError, InterruptedRunError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="Delete the Jobs of a sweep that have not ended; results and ended Jobs stay")(cancel)
    app.command(help="Start failed or missing trials of a sweep anew")(retry)
    app.command(help="Delete a sweep's Jobs and ConfigMaps from the cluster; results stay")(delete)


def cancel(
    sweep: SweepName,
    yes: Yes = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print each deleted Job."""
    from kgen.workflow.act import cancel as cancel_sweep

    api, name = find_sweep(sweep, kubeconfig, context, namespace)
    _ask(f"Delete the unfinished Jobs of sweep/{name} in namespace {api.namespace}?", yes=yes)
    made = cancel_sweep(api, name, again=typed())
    for job in made.deleted:
        print(f"job.batch/{job} deleted")
    print(f"{count(len(made.deleted), 'Job')} deleted" if made.deleted else "nothing was unfinished")


def retry(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="Name of a sweep, or its file; or a single trial")],
    trials: Annotated[list[str] | None, typer.Argument(metavar="TRIAL...", help="Trials, by id or Job")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed")] = False,
    missing: Annotated[bool, typer.Option("--missing", help="All that have no Job and no result")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print each Job."""
    from kgen.cli.submit import Printer
    from kgen.workflow.act import retry as retry_trials
    from kgen.workflow.observe import see_trial

    if trials and (failed or missing):
        found = "trials, and --failed or --missing"
        raise InputError.of("the command line", "TRIAL", found, "either trials, or --failed, --missing or both")
    printer = Printer()
    api, name = find_sweep(sweep, kubeconfig, context, namespace)
    if not trials and not (failed or missing):
        trials, name = [name], see_trial(api, name)[0]
    # Of those that failed and are deleted already, some may be missing then.
    again = typed() + (" --missing" if failed and not missing else "")
    jobs = retry_trials(api, name, printer.event, again=again, trials=trials or (), failed=failed, missing=missing)
    printer.say(f"{count(len(jobs), 'Job')} created" if jobs else "nothing to retry")


def delete(
    sweep: SweepName,
    yes: Yes = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print what is deleted."""
    from kgen.workflow.act import remove_sweep

    api, name = find_sweep(sweep, kubeconfig, context, namespace)
    _ask(f"Delete everything of sweep/{name} in namespace {api.namespace}, but not its results?", yes=yes)
    made = remove_sweep(api, name)
    print(f"sweep/{name} deleted: {count(made.jobs, 'Job')}, {count(made.config_maps, 'ConfigMap')}; results stay")


def _ask(question: str, *, yes: bool) -> None:
    if not yes and sys.stdin.isatty() and sys.stdout.isatty() and not typer.confirm(question):
        raise InterruptedRunError("nothing was changed")
