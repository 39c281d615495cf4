"""A sweep file of several stages, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kgen.choice import Choice, Chosen
from kgen.spec import Value
from kgen.sweep import loads
from kgen.sweep.stages import rungs_of
from kgen.sweep.sweepspec import Stage, SweepSpec

HEAD = """\
version: 1
name: staged
seed: 7
repeats: 2
trainer: {config: {dataset: digits, batch_size: 100}}
"""
GRID = """\
- name: grid
  parameters: {optimizer: [sgd, adam], learning_rate: [0.01, 0.1, 1]}
  budget: {steps: 100, target: {accuracy: 0.9}}
"""
BEST = """\
- name: best
  parameters: {from: {stage: grid, per: optimizer}}
  budget: {steps: 200}
  repeats: 5
  objective: {metric: val_accuracy, goal: maximize, at: best}
  trainer: {config: {batch_size: 50}}
"""
SCALE = """\
- name: scale
  parameters:
    from: {stage: grid, per: optimizer, neighbours: 1}
    scale: {linear: {start: 1, stop: 10, num: 10}}
  budget: {steps: 100, target: {accuracy: 0.9}}
"""
RANGES = "[{optimizer: sgd, learning_rate: {log: {start: 1e-4, stop: 10}}}, \
{optimizer: adam, learning_rate: {log: {start: 1e-6, stop: 0.1}}}]"


def staged(*stages: str, head: str = HEAD) -> str:
    """The file of these stages."""
    return f"{head}stages:\n{''.join(stages)}"


def searching(search: str, parameters: str = RANGES, budget: str = "{steps: 900, target: {accuracy: 0.9}}") -> str:
    """A stage that searches."""
    return f"- name: search\n  parameters: {parameters}\n  search: {search}\n  budget: {budget}\n"


def loaded(*stages: str) -> SweepSpec:
    return loads(staged(*stages))


def search_stage(search: str, parameters: str = RANGES) -> Stage:
    (stage,) = loaded(searching(search, parameters)).stages
    return stage


def rung_of(stage: Stage, points: Sequence[Mapping[str, Value]], steps: int | None) -> SweepSpec:
    """The one part that these points make."""
    (rung,) = rungs_of(stage, points, steps)
    return rung


def choice(*points: dict[str, Value], stage: str = "best") -> Choice:
    """What ``grid`` gives, a group for each optimizer."""
    groups: dict[Value, list[dict[str, Value]]] = {}
    for point in points:
        groups.setdefault(point["optimizer"], []).append(point)
    chosen = tuple(
        Chosen({"optimizer": name}, found[0], tuple(found), value=100.0, low=90.0, high=None, trials=("aaaaaaaaaa",))
        for name, found in groups.items()
    )
    return Choice(stage, "grid", asked={}, rule="the fewest steps", chosen=chosen, without={}, missing=())
