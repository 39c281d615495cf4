"""A plan for a cluster in words: what ``kgen plan``, ``kgen diff`` and ``kgen submit`` show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kgen.cli.searching import search_json, search_lines
from kgen.cli.text import count, duration, parameters, titled
from kgen.names import DEFAULT_STAGE

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.backends.kubernetes.forecast import Forecast
    from kgen.plan import PlannedTrial
    from kgen.render.manifest import Manifest
    from kgen.spec import TrialSpec
    from kgen.workflow.prepare import Prepared
    from kgen.workflow.prepare_stages import PreparedSweep

_SHOWN = 3


def sweep_lines(prepared: PreparedSweep, api: Api) -> Iterator[str]:
    """The plan, the forecast and what was found, to be read by a person; what is refused is for an error to say. Of a
    sweep with stages each of these, as far as it is known."""
    number = sum(len(part.plan.planned) for part in prepared.parts)
    place = f"namespace {api.namespace}" + (f" of context {api.context}" if api.context else "")
    versions = [f" (Kubernetes {part.forecast.server_version})" for part in prepared.parts[:1]]
    if not prepared.spec.stages:
        yield f"sweep {prepared.spec.name}: {count(number, 'trial')} for {place}{''.join(versions)}"
        yield ""
        yield from part_lines(prepared.parts[0])
    else:
        is_one = prepared.spec.stages[0].name == DEFAULT_STAGE
        stages = "" if is_one else f"{count(len(prepared.spec.stages), 'stage')}, "
        more = " so far" if prepared.later else ""
        yield f"sweep {prepared.spec.name}: {stages}{count(number, 'trial')}{more}, for {place}{''.join(versions)}"
        yield from _stages(prepared)
    yield from said_of(prepared.parts, prepared.notes)


def _stages(prepared: PreparedSweep) -> Iterator[str]:
    from kgen.sweep.stages import outlook

    for stage in prepared.spec.stages:
        own = [part for part in prepared.parts if part.spec.stage == stage.name]
        words = [count(sum(len(part.plan.planned) for part in own), "trial")] if own else []
        words += [outlook(stage, prepared.spec.stages)] if stage.name in prepared.later else []
        yield ""
        yield titled(stage.name, "; ".join(words))
        if stage.name in prepared.later:
            yield from (f"  {line}" for line in search_lines(stage))
        for part in own:
            yield from part_lines(part)
    if not prepared.parts:
        yield ""
        for manifest in prepared.shared:
            yield f"  ConfigMap {manifest.name}"


def part_lines(prepared: Prepared) -> Iterator[str]:
    """The parameters of one part, what would be done about its trials, and what that costs."""
    from kgen.cli.text import short
    from kgen.plan import ranges

    known = ranges([item.trial for item in prepared.plan.planned], short)
    width = max((len(name) for name in known), default=0)
    for name, text in known.items():
        yield f"  {name:<{width}}  {text}"
    yield ""
    yield from _actions(prepared)
    yield from _costs(prepared.forecast)


def said_of(parts: Sequence[Prepared], notes: Sequence[str] = ()) -> Iterator[str]:
    """What was found that does not keep the parts from being submitted, once each, after the sweep's own ``notes``."""
    said = dict.fromkeys(f"note: {note}" for note in notes)
    for part in parts:
        forecast = part.forecast
        said |= dict.fromkeys(f"{f.severity}: {f}" for f in forecast.findings if f not in forecast.refusals)
        said |= dict.fromkeys(f"note: {note}" for note in part.notes)
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


def sweep_json(prepared: PreparedSweep) -> dict[str, Any]:
    """The same as plain values: of a sweep with stages a plan for each part that is known."""
    if not prepared.spec.stages:
        return _to_json(prepared.parts[0])
    from kgen.sweep.stages import outlook

    stages = [
        {
            "stage": stage.name,
            "outlook": outlook(stage, prepared.spec.stages) if stage.name in prepared.later else None,
            **search_json(stage),
            "parts": [_to_json(part) for part in prepared.parts if part.spec.stage == stage.name],
        }
        for stage in prepared.spec.stages
    ]
    return {
        "sweep": prepared.spec.name,
        "trials": sum(len(part.plan.planned) for part in prepared.parts),
        "config_maps": [manifest.name for manifest in prepared.shared],
        "stages": stages,
    }


def _to_json(prepared: Prepared) -> dict[str, Any]:
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
