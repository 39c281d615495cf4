"""A plan for a cluster in words: what ``kgen plan``, ``kgen diff`` and ``kgen submit`` show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kgen.cli.text import count, duration, parameters

if TYPE_CHECKING:
    from kgen.backends.kubernetes.forecast import Forecast
    from kgen.plan import PlannedTrial
    from kgen.render.manifest import Manifest
    from kgen.spec import TrialSpec
    from kgen.workflow.prepare import Prepared

_SHOWN = 3


def lines(prepared: Prepared, context: str) -> Iterator[str]:
    """The plan, the forecast and what was found, to be read by a person; what is refused is for an error to say."""
    from kgen.cli.text import short
    from kgen.plan import ranges

    plan, forecast = prepared.plan, prepared.forecast
    place = f"namespace {forecast.namespace}" + (f" of context {context}" if context else "")
    yield f"sweep {plan.name}: {count(len(plan.planned), 'trial')} for {place} (Kubernetes {forecast.server_version})"
    yield ""
    known = ranges([item.trial for item in plan.planned], short)
    width = max(len(name) for name in known)
    for name, text in known.items():
        yield f"  {name:<{width}}  {text}"
    yield ""
    yield from _actions(prepared)
    yield from _costs(forecast)
    said = [f"{f.severity}: {f}" for f in forecast.findings if f not in forecast.refusals]
    said += [f"note: {note}" for note in prepared.notes]
    yield from ["", *said] if said else []


def _actions(prepared: Prepared) -> Iterator[str]:
    from kgen.plan import Action

    plan = prepared.plan
    seed = len({item.trial.seed for item in plan.planned}) > 1
    for action in Action:
        items = [item for item in plan.planned if item.action is action]
        if not items:
            continue
        jobs = prepared.by_job(items)
        shared = f" in {count(len(jobs), 'Job')}" if jobs and len(jobs) < len(items) else ""
        yield f"  {action}: {len(items):,}{shared}"
        unusual = action not in (Action.CREATE, Action.KEEP, Action.DONE)
        shown = jobs[:_SHOWN] if unusual or action is Action.CREATE else []
        for manifest, own in shown:
            reason = f"  ({own[0].reason})" if own[0].reason else ""
            yield f"    {manifest.name}  {of_job(manifest, own, partial(parameters, seed=seed))}{reason}"
        if len(jobs) > len(shown) and shown:
            yield f"    … and {len(jobs) - len(shown):,} more"
    if plan.orphans:
        yield f"  orphan: {len(plan.orphans):,}, not in the file; left alone"
        for name in plan.orphans[:_SHOWN]:
            yield f"    {name}"
    for manifest in prepared.shared:
        yield f"  ConfigMap {manifest.name}"
    if prepared.config_maps:
        yield f"  {count(len(prepared.config_maps), 'ConfigMap')} with the trials of these Jobs"


def of_job(manifest: Manifest, items: Sequence[PlannedTrial], words: Callable[[TrialSpec], str]) -> str:
    """What a Job runs, in a line: its trial, or how many of them and the first."""
    if len(manifest.trials) == 1:
        return words(items[0].trial)
    some = "" if len(items) == len(manifest.trials) else f"{len(items)} of "
    return f"{some}{len(manifest.trials)} trials, first {words(items[0].trial)}"


def _costs(forecast: Forecast) -> Iterator[str]:
    if not forecast.shapes:
        return
    yield ""
    for shape in forecast.shapes:
        asked = ", ".join(f"{name}: {amount}" for name, amount in shape.requests.items())
        packed = "" if shape.pods == shape.trials else f" in {count(shape.pods, 'pod')}"
        yield f"{count(shape.trials, 'trial')}{packed} of {asked or 'no resources'}"
        if shape.now is not None and shape.free is not None:
            limit = f" (limited by {shape.limited_by})" if shape.limited_by else ""
            free = f", {shape.free:,} when nothing else runs" if shape.free != shape.now else ""
            yield f"  {shape.now:,} at the same time now{limit}{free}, on {count(shape.nodes or 0, 'node')}"
    word = "trial" if all(shape.pods == shape.trials for shape in forecast.shapes) else "pod"
    if forecast.hours:
        amounts = [f"{amount:,.1f} {_hours_name(name)}" for name, amount in forecast.hours.items()]
        attempts = f", in each of {forecast.attempts} attempts" if forecast.attempts > 1 else ""
        yield f"at most {', '.join(amounts)}: every {word} to its deadline{attempts}"
    if forecast.worst_seconds is not None:
        yield f"done in at most {duration(forecast.worst_seconds)} from when there is room"
    if forecast.expected_seconds is not None:
        yield f"about {duration(forecast.expected_seconds)}, as fast as those that are done"


def _hours_name(resource: str) -> str:
    return "CPU-hours" if resource == "cpu" else f"{resource} hours" if "gpu" not in resource else "GPU-hours"


def to_json(prepared: Prepared) -> dict[str, Any]:
    """The same as plain values."""
    from kgen.plan import ranges

    plan = prepared.plan
    return {
        "sweep": plan.name,
        "trials": len(plan.planned),
        "counts": {str(action): number for action, number in plan.counts.items()},
        "parameters": ranges([item.trial for item in plan.planned]),
        "orphans": list(plan.orphans),
        "config_maps": [manifest.name for manifest in (*prepared.shared, *prepared.config_maps)],
        "forecast": prepared.forecast.to_json(),
        "notes": list(prepared.notes),
        "plan": [
            {
                "trial": item.trial.id,
                "job": prepared.jobs[item.trial.id].name if item.trial.id in prepared.jobs else None,
                "action": str(item.action),
                "reason": item.reason,
                "seed": item.trial.seed,
                "parameters": dict(item.trial.parameters),
            }
            for item in plan.planned
        ],
    }
