"""``kgen cancel``, ``kgen retry``, ``kgen delete``: changing a sweep that is on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, SweepName, Yes, find_sweep
from kgen.cli.results import Image, tell
from kgen.cli.text import count, typed
from kgen.errors import InputError, InterruptedRunError

if TYPE_CHECKING:
    from kgen.workflow.act import Holdings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="Delete the Jobs of a sweep that have not ended; results and ended Jobs stay")(cancel)
    app.command(help="Start failed or missing trials of a sweep anew")(retry)
    app.command(help="Delete a sweep's Jobs and ConfigMaps; its results only with --results")(delete)


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
    from kgen.cli.printer import Printer
    from kgen.workflow.named import see_named
    from kgen.workflow.retry import retry as retry_trials

    if trials and (failed or missing):
        found = "trials, and --failed or --missing"
        raise InputError.of("the command line", "TRIAL", found, "either trials, or --failed, --missing or both")
    printer = Printer()
    api, name = find_sweep(sweep, kubeconfig, context, namespace)
    if not trials and not (failed or missing):
        trials, name = [name], see_named(api, name).sweep
    # Of those that failed and are deleted already, some may be missing then.
    again = typed() + (" --missing" if failed and not missing else "")
    jobs = retry_trials(api, name, printer.event, again=again, trials=trials or (), failed=failed, missing=missing)
    printer.say(f"{count(len(jobs), 'Job')} created" if jobs else "nothing to retry")


def delete(
    sweep: SweepName,
    results: Annotated[bool, typer.Option("--results", help="Its results, too: rows, tables, figures")] = False,
    yes: Yes = False,
    image: Image = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say what would be lost, ask, and print what is deleted."""
    from kgen.workflow.act import holdings, remove_sweep
    from kgen.workflow.results import RESULTS_DIR

    if results and not yes and not _can_ask():
        raise InputError.of("the command line", "--results", "nobody to ask", "--yes with it, if they are to be lost")
    api, name = find_sweep(sweep, kubeconfig, context, namespace)
    if not yes and _can_ask():
        lost = holdings(api, name, results=results, image=image, on_event=tell)
        print("\n".join([f"sweep/{name} in namespace {api.namespace}", *_losses(lost, results=results)]))
        _ask("Delete all of this for good?" if results else "Delete everything of it but its results?", yes=yes)
    made = remove_sweep(api, name, results=results, image=image, on_event=tell)
    kept = "results stay" if made.result_files is None else f"{count(made.result_files, 'file')} of results"
    if made.result_files is not None and (copy := Path(RESULTS_DIR, name)).is_dir():
        kept += f"; {copy} here stays, it may be a copy of them"
    print(f"sweep/{name} deleted: {count(made.jobs, 'Job')}, {count(made.config_maps, 'ConfigMap')}; {kept}")


def _losses(lost: Holdings, *, results: bool) -> Iterator[str]:
    """What would be lost, and what is known of the results."""
    if lost.unfinished:
        yield f"  unfinished: {count(lost.unfinished, 'Job')}, {lost.running:,} running; what those have done is lost"
    if lost.ended:
        yield f"  ended: {count(lost.ended, 'Job')}"
    if not lost.location:
        yield "  results: not known where, its file is gone from the cluster; they stay"
        return
    rows = "rows unchecked" if lost.row_files is None else count(lost.row_files, "row file")
    yield f"  results: {rows} in {lost.location}; they {'are lost with everything beside them' if results else 'stay'}"
    if lost.row_files is None and lost.succeeded and not results:
        yield f"  {count(lost.succeeded, 'Complete Job')} are all that says here which trials are done: collect first?"


def _ask(question: str, *, yes: bool) -> None:
    if not yes and _can_ask() and not typer.confirm(question):
        raise InterruptedRunError("nothing was changed")


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
