"""``kgen plan``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, Results, SweepFile, cluster_options, connect
from kgen.cli.output import Output, dump
from kgen.names import DEFAULT_STAGE

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.plan import Plan, PlannedTrial
    from kgen.sweep import SweepSpec
    from kgen.sweep.sweepspec import Stage
    from kgen.workflow.plan import StagePlan

_SHOWN = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Show what a run or a submission would do, and what is done already")(plan)


def plan(
    file: SweepFile = Path("sweep.yaml"),
    output: Annotated[Output | None, typer.Option("--output", "-o", help="Print everything in this format")] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    results: Results = None,
) -> None:
    """Print the plan: for a cluster if results lie on one or an option names one, else for this machine.

    Changes nothing.
    """
    from kgen.sweep import load
    from kgen.sweep.sweepspec import Scheme

    spec = load(file)
    if results is not None:
        spec = spec.with_results(results)
    if spec.location.scheme is not Scheme.FOLDER or namespace or context or kubeconfig:
        api = connect(kubeconfig, context, namespace, sweep_namespace=spec.kubernetes.namespace)
        _for_cluster(spec, api, namespace or "", output)
        return
    from kgen.workflow.plan import make_plan, plan_stages

    made = make_plan(spec)
    stages = plan_stages(spec) if spec.stages and output is not Output.NAME else ()
    if output is Output.NAME:
        print("\n".join(f"trial/{item.trial.id}" for item in made.planned))
    elif output is not None:
        print(dump(to_json(made) | stages_json(stages, spec), output))
    elif stages:
        print("\n".join(staged_lines(stages, spec, str(file))))
    else:
        print("\n".join(_lines(made, spec, str(file))))


def _for_cluster(spec: SweepSpec, api: Api, namespace: str, output: Output | None) -> None:
    from kgen.cli import forecast
    from kgen.plan import Action
    from kgen.workflow.prepare_stages import prepare_sweep
    from kgen.workflow.submit import refuse_sweep

    prepared = prepare_sweep(spec, api, namespace=namespace)
    if output is Output.NAME:
        print("\n".join(f"job.batch/{job.name}" for job in prepared.having(*Action)))
        return
    if output is not None:
        print(dump(forecast.sweep_json(prepared), output))
        return
    for line in forecast.sweep_lines(prepared, api):
        print(line)
    print(flush=True)
    refuse_sweep(prepared)
    verb = "submit" if prepared.has_work or prepared.later else "wait"
    print(f"next: {shlex.join(['kgen', verb, str(spec.file), *cluster_options()])}")


def to_json(made: Plan) -> dict[str, Any]:
    """The plan as plain values."""
    from kgen.plan import ranges

    return {
        "sweep": made.name,
        "trials": len(made.planned),
        "counts": {str(action): count for action, count in made.counts.items()},
        "parameters": ranges([item.trial for item in made.planned]),
        "packing": str(made.packing),
        "workers": made.workers,
        "worst_case": {"steps": made.worst_steps, "seconds": made.worst_seconds},
        "expected_seconds": made.expected_seconds,
        "plan": [
            {
                "trial": item.trial.id,
                "stage": item.trial.stage,
                "action": str(item.action),
                "reason": item.reason,
                "seed": item.trial.seed,
                "parameters": dict(item.trial.parameters),
            }
            for item in made.planned
        ],
    }


def stages_json(stages: Sequence[StagePlan], spec: SweepSpec) -> dict[str, Any]:
    """What the plan of a sweep with stages has beside that of its known trials; nothing without stages."""
    from kgen.cli.searching import search_json
    from kgen.plan import Action

    if not stages:
        return {}
    each = [
        {
            "stage": stage.name,
            "trials": stage.trials,
            "known": stage.trials - stage.unknown,
            "counts": {str(action): sum(made.counts[action] for made in stage.plans) for action in Action},
            "outlook": stage.outlook,
            "worst_case": {"steps": stage.worst_steps},
            **search_json(given),
        }
        for stage, given in zip(stages, spec.stages, strict=True)
    ]
    return {"worst_case": {"steps": _worst_steps(stages), "seconds": None}, "stages": each}


def _worst_steps(stages: Sequence[StagePlan]) -> int | None:
    """Of all stages together; None where one has no cap on steps."""
    worst = [stage.worst_steps for stage in stages]
    return None if None in worst else sum(filter(None, worst))


def staged_lines(stages: Sequence[StagePlan], spec: SweepSpec, file: str) -> list[str]:
    """The plan of a sweep with stages: each of them, then what is left in all."""
    from kgen.cli.text import command, count

    most = sum(stage.trials for stage in stages)
    up_to = "up to " if any(stage.unknown for stage in stages) else ""
    number = "" if stages[0].name == DEFAULT_STAGE else f"{count(len(stages), 'stage')}, "
    lines = [f"sweep {spec.name}: {number}{up_to}{count(most, 'trial')}"]
    for stage, given in zip(stages, spec.stages, strict=True):
        lines += ["", *_of_stage(stage, given)]
    if notes := [f"note: {stage.note}" for stage in stages if stage.note]:
        lines += ["", *notes]
    plans = [made for stage in stages for made in stage.plans]
    waiting = sum(len(made.pending) for made in plans)
    more = sum(stage.unknown for stage in stages)
    lines += ["", f"{sum(len(made.planned) for made in plans) - waiting:,} done, {_to_run(waiting, more)}"]
    if waiting or more:
        worst = _worst_steps(stages)
        long = "as long as the trainer takes: a budget names no steps"
        lines.append(f"at most {long if worst is None else f'{worst:,} training steps'}")
    timed = sum(stage.timed for stage in stages)
    if timed:
        lines.append(
            _once_more(timed, up_to="up to " if any(stage.timed and stage.outlook for stage in stages) else "")
        )
    lines.append(f"next: {command('run' if waiting or more or timed else 'report', file)}")
    return lines


def _once_more(timed: int, up_to: str = "") -> str:
    from kgen.cli.text import count

    return f"then {up_to}{count(timed, 'trial')} once more, each alone, to know its seconds"


def _to_run(waiting: int, more: int) -> str:
    return f"{waiting:,} to run" + (f", and up to {more:,} that are not known yet" if more else "")


def _of_stage(stage: StagePlan, given: Stage) -> list[str]:
    """One stage: what is known of its trials, and what is to come."""
    from kgen.cli.searching import search_lines
    from kgen.cli.text import at_a_time, count, short, titled
    from kgen.plan import ranges

    planned = [item for made in stage.plans for item in made.planned]
    search = [f"  {line}" for line in search_lines(given)] if stage.outlook else []
    if not planned:
        return [titled(stage.name, stage.outlook), *search]
    ways = dict.fromkeys(at_a_time(made) for made in stage.plans)
    waiting = sum(len(made.pending) for made in stage.plans)
    head = f"{count(len(planned), 'trial')}, {len(planned) - waiting:,} done, {waiting:,} to run"
    lines = [titled(stage.name, f"{head}, {'; '.join(ways)}")]
    known = ranges([item.trial for item in planned], short)
    width = max(len(name) for name in known)
    lines += [f"  {name:<{width}}  {text}" for name, text in known.items()]
    lines += ["", *_sample(tuple(planned))]
    return [*lines, "", f"  {stage.outlook}", *search] if stage.outlook else lines


def _lines(made: Plan, spec: SweepSpec, file: str) -> list[str]:
    from kgen.cli.text import at_a_time, command, count, duration, short
    from kgen.plan import Action, ranges
    from kgen.workflow.plan import to_be_timed

    counts = made.counts
    lines = [f"sweep {made.name}: {count(len(made.planned), 'trial')}, {at_a_time(made)}", ""]
    known = ranges([item.trial for item in made.planned], short)
    width = max(len(name) for name in known)
    lines += [f"  {name:<{width}}  {text}" for name, text in known.items()]
    lines += ["", *_sample(made.planned), ""]
    waiting = counts[Action.CREATE] + counts[Action.RETRY]
    again = f" ({counts[Action.RETRY]:,} of them have run without a result)" if counts[Action.RETRY] else ""
    lines.append(f"{counts[Action.DONE]:,} done, {waiting:,} to run{again}")
    if waiting:
        lines.append(f"at most {_worst(made)}")
        if made.expected_seconds is not None:
            lines.append(f"about {duration(made.expected_seconds)}, as fast as those that are done")
    timed = to_be_timed(spec, made)
    if timed:
        lines.append(_once_more(timed))
    lines.append(f"next: {command('run' if waiting or timed else 'report', file)}")
    return lines


def _worst(made: Plan) -> str:
    from kgen.cli.text import duration

    parts = []
    if made.worst_steps is not None:
        parts.append(f"{made.worst_steps:,} training steps")
    if made.worst_seconds is not None:
        parts.append(f"{duration(made.worst_seconds)} of training")
    return ", ".join(parts) or "as long as the trainer takes: the budget names neither steps nor seconds"


def _sample(planned: tuple[PlannedTrial, ...]) -> list[str]:
    shown = [*planned[:_SHOWN], None, *planned[-_SHOWN:]] if len(planned) > 2 * _SHOWN else list(planned)
    seed = len({item.trial.seed for item in planned}) > 1
    return ["  …" if item is None else f"  {_line(item, seed=seed)}" for item in shown]


def _line(item: PlannedTrial, *, seed: bool) -> str:
    from kgen.cli.text import parameters

    reason = f"  ({item.reason})" if item.reason else ""
    return f"{item.trial.id}  {item.action:<6}  {parameters(item.trial, seed=seed)}{reason}"
