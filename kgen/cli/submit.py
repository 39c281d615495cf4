"""``kgen submit``."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, SweepFile, Yes, cluster_command, connect, find_sweep
from kgen.cli.boundary import drop_output
from kgen.cli.in_cluster import InCluster, ServiceAccount
from kgen.cli.text import count, typed
from kgen.errors import InputError, InterruptedRunError, TrialsFailedError

if TYPE_CHECKING:
    from datetime import datetime

    from kgen.backends.kubernetes.api import Api
    from kgen.backends.kubernetes.create import Progress, Waiting
    from kgen.workflow.prepare import Prepared
    from kgen.workflow.submit import Going, Stored


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
    in_cluster: InCluster = False,
    image: Annotated[str, typer.Option("--image", help="With --in-cluster: of the Job; else trainer.image")] = "",
    service_account: ServiceAccount = "",
) -> None:
    """Plan, ask, create, and with --wait stay."""
    from kgen.backends.kubernetes.config import is_in_pod
    from kgen.cli import forecast
    from kgen.sweep import load
    from kgen.workflow.prepare import prepare

    if in_cluster and is_in_pod(kubeconfig, context):
        if file.suffix not in (".yaml", ".yml"):
            _stored(str(file), dry_run, namespace, rerun_stale, replace_running, max_failures)
            return
        in_cluster, wait = False, True  # it is inside already, and has the file
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

    refuse(prepared, attached=wait or in_cluster)
    if dry_run is DryRun.SERVER:
        _server_dry_run(prepared)
        return
    _ask(prepared, needs_yes(prepared), yes=yes)
    if in_cluster:
        flags = [*["--rerun-stale"] * rerun_stale, *["--replace-running"] * replace_running]
        flags += [] if max_failures is None else ["--max-failures", str(max_failures)]
        _by_job(prepared, api, flags, image, service_account, max_failures, wait=wait)
    elif wait:
        _attached(prepared, api, max_failures)
    else:
        _detached(prepared, api)


def _render_only(file: Path, namespace: str) -> None:
    from kgen.sweep import load
    from kgen.workflow.render import render_sweep

    rendered = render_sweep(load(file), namespace=namespace)
    for manifest in rendered.objects():
        kind = "job.batch" if manifest.kind == "Job" else "configmap"
        print(f"{kind}/{manifest.name} created (dry run)")
    for note in rendered.notes:
        print(f"note: {note}")


def _server_dry_run(prepared: Prepared) -> None:
    from kgen.plan import Action

    for manifest in prepared.shared:
        what = "configured" if manifest.name in prepared.stale else "created"
        print(f"configmap/{manifest.name} {what} (server dry run)")
    for manifest in prepared.config_maps:
        print(f"configmap/{manifest.name} created (server dry run)")
    replaced = {manifest.name for manifest in prepared.having(Action.REPLACE)}
    for manifest in prepared.having(*(action for action in Action if action.runs)):
        what = "replaced" if manifest.name in replaced else "created"
        print(f"job.batch/{manifest.name} {what} (server dry run)")


def _ask(prepared: Prepared, doubt: str | None, *, yes: bool) -> None:
    """Ask where a person is there; without one go on, unless there is a doubt that only --yes removes."""
    if yes or not prepared.has_work:
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        if doubt:
            print(f"{doubt}: is it the same sweep?")
        if not typer.confirm("Continue?", default=not doubt):
            raise InterruptedRunError("nothing was created")
    elif doubt:
        raise InputError.of(str(prepared.spec.file), "name", doubt, "--yes, if it is the same sweep; or another name")


def _detached(prepared: Prepared, api: Api) -> None:
    from kgen.workflow.submit import submit

    printer = Printer(prepared)
    done = submit(prepared, api, printer.event, again=typed())
    name = prepared.spec.name
    if done.created or done.unchanged:
        others = f", {len(done.unchanged):,} created by somebody else" if done.unchanged else ""
        printer.say(f"{count(len(done.created), 'Job')} created{others}")
        printer.say(f"next: {cluster_command('get trials', name, api)}, or {cluster_command('wait', name, api)}")
    elif not prepared.has_work:
        printer.say("nothing to do")


def _stored(
    given: str,
    dry_run: DryRun,
    namespace: str | None,
    rerun_stale: bool,
    replace_running: bool,
    max_failures: int | None,
) -> None:
    """What the Job does: the sweep is the one that the cluster holds, and nobody can be asked."""
    from kgen.cli import forecast
    from kgen.workflow.interrupt import sigterm_as_interrupt
    from kgen.workflow.prepare import prepare
    from kgen.workflow.results import stored_sweep
    from kgen.workflow.submit import refuse
    from kgen.workflow.submitting import submitting_since

    if dry_run is not DryRun.NONE:
        raise InputError.of("the command line", "--dry-run", f"{dry_run} of a sweep by its name", "a sweep file")
    with sigterm_as_interrupt():
        api, name = find_sweep(given, None, None, namespace)
        since = submitting_since(api, name)
        prepared = prepare(
            stored_sweep(api, name),
            api,
            namespace=api.namespace,
            rerun_stale=rerun_stale,
            replace_running=replace_running,
            has_file=False,
        )
        for line in forecast.lines(prepared, api.context):
            print(line)
        print(flush=True)
        refuse(prepared)
        _attached(prepared, api, max_failures, since)


def _by_job(
    prepared: Prepared,
    api: Api,
    flags: list[str],
    image: str,
    service_account: str,
    max_failures: int | None,
    *,
    wait: bool,
) -> None:
    """Where no trial is to be created and no Job is at it, there is nothing for one to do but to wait."""
    from kgen.cli.in_cluster import raise_ended, say_submitted, watch
    from kgen.workflow.in_cluster import submit_job
    from kgen.workflow.submitting import at_work

    if not prepared.plan.pending and at_work(api, prepared.spec.name) is None:
        if wait:
            _attached(prepared, api, max_failures)
        else:
            _detached(prepared, api)
        return
    begun = submit_job(
        prepared, api, Printer(prepared).event, flags=flags, image=image, service_account=service_account
    )
    if wait:
        raise_ended(api, begun, watch(api, begun))
    else:
        say_submitted(begun, prepared.spec.name, api)


def _attached(prepared: Prepared, api: Api, max_failures: int | None, since: datetime | None = None) -> None:
    from kgen.cli.watching import Lines, failures, success
    from kgen.workflow.attached import submit_attached

    name = prepared.spec.name
    try:
        done = submit_attached(
            prepared, api, Printer(prepared).event, Lines(), again=typed(), max_failures=max_failures, since=since
        )
    except KeyboardInterrupt:
        held = ", what was held back is not created" if prepared.spec.max_parallel is not None else ""
        raise InterruptedRunError(
            f"no longer watching; the Jobs in namespace {api.namespace} go on{held}\n"
            f"to go on: {typed()}\nto end it: {cluster_command('cancel', name, api)}"
        ) from None
    if done.stopped:
        raise TrialsFailedError(f"stopped early: {done.stopped}\n{failures(done.seen, api, done.deleted)}")
    if not done.seen.succeeded:
        raise TrialsFailedError(failures(done.seen, api, done.deleted))
    print(success(done.seen))


class Printer:
    """Says what is done about each object in a line of its own, as kubectl does; to nobody, once nobody listens."""

    def __init__(self, prepared: Prepared | None = None) -> None:
        """``prepared`` tells which Jobs replace another."""
        from kgen.plan import Action

        self._replaced = {m.name for m in prepared.having(Action.REPLACE)} if prepared is not None else set()

    def event(self, event: Progress | Waiting | Stored | Going) -> None:
        """One more object, or that a quota is waited for."""
        from kgen.backends.kubernetes.create import Outcome, Waiting
        from kgen.workflow.submit import Going, Stored

        if isinstance(event, Waiting):
            self.say(f"waiting for room in a quota: {event.why}")
        elif isinstance(event, Going):
            self.say(f"waiting for {count(event.jobs, 'Job')} to go, so that others can take their names")
        elif isinstance(event, Stored):
            self.say(f"configmap/{event.name} {event.outcome}")
        elif event.outcome is Outcome.CREATED:
            self.say(f"job.batch/{event.name} {'replaced' if event.name in self._replaced else 'created'}")
        elif event.outcome is Outcome.UNCHANGED:
            self.say(f"job.batch/{event.name} unchanged")

    def say(self, line: str) -> None:
        """A line."""
        try:
            print(line, flush=True)
        except BrokenPipeError:  # `kgen submit | head`: half a sweep would be worse than lines that nobody reads
            drop_output()
