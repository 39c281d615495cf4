"""``kgen submit``."""

from __future__ import annotations

import enum
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import (
    AllowIncomplete,
    Context,
    Kubeconfig,
    Namespace,
    Rechoose,
    SweepFile,
    Yes,
    connect,
    find_sweep,
)
from kgen.cli.in_cluster import InCluster, ServiceAccount
from kgen.errors import InputError, InterruptedRunError
from kgen.names import COMPONENT_SUBMIT, tool_name

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.sweep import SweepSpec
    from kgen.workflow.prepare_stages import PreparedSweep
    from kgen.workflow.submit_stages import Options


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
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Stay until all trials have ended, of every stage")
    ] = False,
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
    allow_incomplete: AllowIncomplete = False,
    rechoose: Rechoose = None,
    in_cluster: InCluster = False,
    image: Annotated[
        str,
        typer.Option(
            "--image", help="Of the Job with --in-cluster, and of the pod that reads a claim; else trainer.image"
        ),
    ] = "",
    service_account: ServiceAccount = "",
) -> None:
    """Plan, ask, create, and with --wait stay."""
    from kgen.backends.kubernetes.config import is_in_pod
    from kgen.cli.submitting import attached, by_job, detached, show
    from kgen.sweep import load
    from kgen.workflow.chosen import to_rechoose
    from kgen.workflow.submit import refuse_sweep
    from kgen.workflow.submit_stages import Options

    options = Options(
        namespace=namespace or "",
        rerun_stale=rerun_stale,
        replace_running=replace_running,
        max_failures=max_failures,
        allow_incomplete=allow_incomplete,
        rechoose=tuple(rechoose or ()),
        image=image,
    )
    if in_cluster and is_in_pod(kubeconfig, context):
        if file.suffix not in (".yaml", ".yml"):
            _stored(str(file), dry_run, namespace, options)
            return
        in_cluster, wait = False, True  # it is inside already, and has the file
    spec = load(file)
    to_rechoose(spec, options.rechoose)  # what it refuses is said without a cluster
    if dry_run is DryRun.CLIENT:
        _render_only(spec, namespace or "", by_job=in_cluster)
        return
    api = connect(kubeconfig, context, namespace, sweep_namespace=spec.kubernetes.namespace)
    prepared = _prepared(spec, api, options)
    show(prepared, api)
    refuse_sweep(prepared, attached=wait or in_cluster)
    if dry_run is DryRun.SERVER:
        _server_dry_run(prepared, by_job=in_cluster)
        return
    ask = partial(_ask, yes=yes)
    ask(prepared)
    if in_cluster:
        by_job(prepared, api, options, service_account, wait=wait, ask=ask)
    elif wait:
        attached(prepared, api, options)
    else:
        detached(prepared, api, options, ask)


def _prepared(spec: SweepSpec, api: Api, options: Options) -> PreparedSweep:
    from kgen.workflow.prepare_stages import prepare_sweep
    from kgen.workflow.reached import Reached

    return prepare_sweep(
        spec,
        api,
        namespace=options.namespace,
        rerun_stale=options.rerun_stale,
        replace_running=options.replace_running,
        has_file=options.has_file,
        store=Reached(spec, api).claim,
        rechoose=options.rechoose,
    )


def _render_only(spec: SweepSpec, namespace: str, *, by_job: bool) -> None:
    from kgen.workflow.render import render_sweep

    rendered = render_sweep(spec, namespace=namespace)
    if by_job:
        print(f"job.batch/{tool_name(COMPONENT_SUBMIT, spec.name)} created (dry run), which creates what is missing:")
    for manifest in rendered.objects():
        kind = "job.batch" if manifest.kind == "Job" else "configmap"
        print(f"{kind}/{manifest.name} created (dry run)")
    for note in rendered.notes:
        print(f"note: {note}")


def _server_dry_run(prepared: PreparedSweep, *, by_job: bool) -> None:
    from kgen.plan import Action

    if by_job:
        name = tool_name(COMPONENT_SUBMIT, prepared.spec.name)
        print(f"job.batch/{name} created (server dry run), which creates what is missing:")
    for manifest in prepared.shared:
        what = "configured" if manifest.name in prepared.stale else "created"
        print(f"configmap/{manifest.name} {what} (server dry run)")
    for manifest in (manifest for part in prepared.parts for manifest in part.config_maps):
        print(f"configmap/{manifest.name} created (server dry run)")
    replaced = {manifest.name for manifest in prepared.having(Action.REPLACE)}
    for manifest in prepared.having(*(action for action in Action if action.runs)):
        what = "replaced" if manifest.name in replaced else "created"
        print(f"job.batch/{manifest.name} {what} (server dry run)")


def _ask(prepared: PreparedSweep, *, yes: bool) -> None:
    """Ask where a person is there; without one go on, unless there is a doubt that only --yes removes."""
    from kgen.workflow.submit import needs_yes

    if yes or not prepared.has_work:
        return
    doubt = needs_yes(prepared)
    if sys.stdin.isatty() and sys.stdout.isatty():
        if doubt:
            print(f"{doubt}: is it the same sweep?")
        if not typer.confirm("Continue?", default=not doubt):
            raise InterruptedRunError("nothing was created")
    elif doubt:
        raise InputError.of(str(prepared.spec.file), "name", doubt, "--yes, if it is the same sweep; or another name")


def _stored(given: str, dry_run: DryRun, namespace: str | None, options: Options) -> None:
    """What the Job does: the sweep is the one that the cluster holds, and nobody can be asked."""
    from kgen.cli.submitting import attached, show
    from kgen.workflow.results import stored_sweep
    from kgen.workflow.submit import refuse_sweep
    from kgen.workflow.submitting import submitting_since

    if dry_run is not DryRun.NONE:
        raise InputError.of("the command line", "--dry-run", f"{dry_run} of a sweep by its name", "a sweep file")
    api, name = find_sweep(given, None, None, namespace)
    since = submitting_since(api, name)
    own = replace(options, namespace=api.namespace, has_file=False)
    prepared = _prepared(stored_sweep(api, name), api, own)
    show(prepared, api)
    refuse_sweep(prepared)
    attached(prepared, api, own, since)
