"""``kgen diff``: what ``kgen submit`` would change, with kubectl diff's exit codes."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kgen import names
from kgen.cli.arguments import Context, Kubeconfig, Namespace, SweepFile, connect

if TYPE_CHECKING:
    from kgen.workflow.prepare import Prepared
    from kgen.workflow.prepare_stages import PreparedSweep

DIFFERS = 1
_SHOWN = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Show what submit would change; exit code 0: nothing, 1: something, above: an error")(diff)


def diff(
    file: SweepFile = Path("sweep.yaml"),
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print one line per object that would change, and how the first ones differ. Changes nothing.

    Jobs that the file does not ask for are named, too, but are no change: submit leaves them alone. Of a sweep with
    stages it is what is known now; what is not, is said on standard error.
    """
    from kgen.sweep import load
    from kgen.workflow.prepare_stages import prepare_sweep
    from kgen.workflow.submit import refuse_sweep

    spec = load(file)
    api = connect(kubeconfig, context, namespace, sweep_namespace=spec.kubernetes.namespace)
    prepared = prepare_sweep(spec, api, namespace=namespace or "")
    if prepared.seen.unread:
        print(f"kgen: {prepared.seen.unread}", file=sys.stderr)
    for line in _lines(prepared):
        print(line)
    for stage, why in prepared.later.items():
        print(f"kgen: {names.stage_title(stage)}: {why}", file=sys.stderr)
    sys.stdout.flush()
    refuse_sweep(prepared)
    if prepared.has_work:
        raise typer.Exit(DIFFERS)


def _lines(prepared: PreparedSweep) -> Iterator[str]:
    for manifest in prepared.shared:
        yield f"{'~' if manifest.name in prepared.stale else '+'} configmap/{manifest.name}"
    for part in prepared.parts:
        yield from _part_lines(part)


def _part_lines(prepared: Prepared) -> Iterator[str]:
    from kgen.cli.forecast import of_job
    from kgen.cli.text import parameters
    from kgen.plan import Action

    for manifest in prepared.config_maps:
        yield f"+ configmap/{manifest.name}"
    signs = {Action.CREATE: "+", Action.REPLACE: "~", Action.CONFLICT: "!"}
    replaced = {manifest.name for manifest in prepared.having(Action.REPLACE)}
    shown = 0
    for manifest, items in prepared.by_job(item for item in prepared.plan.planned if item.action in signs):
        action = Action.REPLACE if manifest.name in replaced else items[0].action
        reason = f"  ({items[0].reason})" if items[0].reason else ""
        yield f"{signs[action]} job.batch/{manifest.name}  {of_job(manifest, items, parameters)}{reason}"
        if action is Action.REPLACE and shown < _SHOWN:
            shown += 1
            wanted = manifest.object()
            yield from _difference(restricted(prepared.existing[manifest.name], wanted), wanted)
    if shown == _SHOWN and len(replaced) > _SHOWN:
        yield f"    (of {len(replaced):,} Jobs that change, the first {_SHOWN} in detail)"
    for name in prepared.plan.orphans:
        yield f"? job.batch/{name}  (not in the file; left alone)"


def restricted(live: Any, wanted: Any) -> Any:
    """Of a live object only what a manifest says something about: the rest are the server's defaults and status.

    What the manifest says is empty is the same as nothing, which is what the server makes of it.
    """
    if isinstance(live, dict) and isinstance(wanted, dict):
        found = {key: restricted(live[key], value) for key, value in wanted.items() if key in live}
        return found | {key: value for key, value in wanted.items() if not value and key not in live}
    if isinstance(live, list) and isinstance(wanted, list):
        pairs = zip(live, wanted, strict=False)
        return [restricted(item, other) for item, other in pairs] + live[len(wanted) :]
    return live


def _difference(live: Any, wanted: Any) -> Iterator[str]:
    for value in (live, wanted):  # a hash of the rest, which tells nobody anything
        value["metadata"]["labels"].pop(names.LABEL_SPEC, None)
        value["spec"]["template"]["metadata"]["labels"].pop(names.LABEL_SPEC, None)
    old, new = (
        json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines() for value in (live, wanted)
    )
    for line in difflib.unified_diff(old, new, "cluster", "file", n=1, lineterm=""):
        yield f"    {line}"
