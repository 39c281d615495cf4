"""``kgen submit``."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, SweepFile, Yes, cluster_command, connect
from kgen.errors import InputError, InterruptedRunError, TrialsFailedError

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.backends.kubernetes.create import Progress, Waiting
    from kgen.workflow.prepare import Prepared


class DryRun(enum.StrEnum):
    """How far a submission goes, in kubectl's words."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Create the sweep's Jobs on a cluster; again = only what is missing or changed")(submit)


def submit(
    file: SweepFile = Path("sweep.yaml"),
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    dry_run: Annotated[
        DryRun, typer.Option("--dry-run", help="client: only render; server: ask the cluster; both create nothing")
    ] = DryRun.NONE,
    yes: Yes = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Stay until all trials have ended")] = False,
    rerun_stale: Annotated[
        bool, typer.Option("--rerun-stale", help="Run again what has a result that another image made")
    ] = False,
    replace_running: Annotated[
        bool, typer.Option("--replace-running", help="Replace running Jobs, too, whose manifests have changed")
    ] = False,
    max_failures: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --wait: stop after this many failed trials, 0 for never; by default after the first five if "
            "they fail for one cause and nothing has succeeded",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Plan, ask, create, and with --wait stay."""
    from kgen.cli import forecast
    from kgen.sweep import load
    from kgen.workflow.prepare import prepare

    spec = load(file)
    if dry_run is DryRun.CLIENT:
        _render_only(file, namespace or "")
        return
    api = connect(kubeconfig, context, namespace, sweep_namespace=spec.kubernetes.namespace)
    prepared = prepare(spec, api, namespace=namespace or "", rerun_stale=rerun_stale, replace_running=replace_running)
    for line in forecast.lines(prepared, api.context):
        print(line)
    print(flush=True)
    from kgen.workflow.submit import needs_yes, refuse

    refuse(prepared, attached=wait)
    if dry_run is DryRun.SERVER:
        for manifest in prepared.shared:
            print(f"configmap/{manifest.name} would be created (server dry run)")
        for trial in prepared.plan.pending:
            print(f"job.batch/{prepared.jobs[trial.id].name} would be created (server dry run)")
        return
    _ask(prepared, needs_yes(prepared), yes=yes)
    if wait:
        _attached(prepared, api, max_failures)
    else:
        _detached(prepared, api)


def _render_only(file: Path, namespace: str) -> None:
    from kgen.sweep import load
    from kgen.workflow.render import render_sweep

    rendered = render_sweep(load(file), namespace=namespace)
    for manifest in rendered.shared:
        print(f"configmap/{manifest.name} would be created (client dry run)")
    for manifest in rendered.jobs:
        print(f"job.batch/{manifest.name} would be created (client dry run)")
    for note in rendered.notes:
        print(f"note: {note}", file=sys.stderr)


def _ask(prepared: Prepared, doubt: str | None, *, yes: bool) -> None:
    """Ask where a person is there; without one go on, unless there is a doubt that only --yes removes."""
    if yes or not (prepared.plan.pending or prepared.shared):
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        if doubt:
            print(doubt)
        if not typer.confirm("Continue?", default=not doubt):
            raise InterruptedRunError("nothing was created")
    elif doubt:
        raise InputError.of(str(prepared.spec.file), "name", doubt, "--yes, if it is")


def _detached(prepared: Prepared, api: Api) -> None:
    from kgen.workflow.submit import submit

    printer = _Printer()
    done = submit(prepared, api, printer.event)
    for name, what in done.config_maps:
        print(f"configmap/{name} {what}")
    printer.end(len(done.created), len(done.unchanged))
    name = prepared.spec.name
    if prepared.plan.pending:
        print(f"next: {cluster_command('get trials', name, api)}, or {cluster_command('wait', name, api)}")


def _attached(prepared: Prepared, api: Api, max_failures: int | None) -> None:
    from kgen.cli.watching import Lines, failures
    from kgen.workflow.submit import submit_attached

    name = prepared.spec.name
    try:
        done = submit_attached(prepared, api, _Printer().event, Lines(), max_failures=max_failures)
    except KeyboardInterrupt:
        held = " and creates what was held back" if prepared.spec.max_parallel is not None else ""
        raise InterruptedRunError(
            f"no longer watching; what was created goes on in namespace {api.namespace}. The same command goes on "
            f"watching{held}, '{cluster_command('cancel', name, api)}' ends it"
        ) from None
    if done.stopped:
        raise TrialsFailedError(f"stopped early: {done.stopped}\n{failures(done.seen)}")
    if not done.succeeded:
        raise TrialsFailedError(failures(done.seen))
    print(f"all {len(done.seen.trials):,} trials of sweep/{name} have succeeded")


class _Printer:
    """Says what is being created: each Job on a line of its own, as kubectl does."""

    def event(self, event: Progress | Waiting) -> None:
        """One more Job, or that a quota is waited for."""
        from kgen.backends.kubernetes.create import Waiting

        if isinstance(event, Waiting):
            print(f"waiting for room in a quota: {event.why}", file=sys.stderr, flush=True)
        else:
            print(f"job.batch/{event.name} {event.outcome}", flush=True)

    def end(self, created: int, unchanged: int) -> None:
        """The sum."""
        others = f", {unchanged:,} were there" if unchanged else ""
        print(f"{created:,} Jobs created{others}" if created or unchanged else "nothing to create")
