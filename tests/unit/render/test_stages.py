"""What a sweep with stages is on a cluster: one ConfigMap with what was chosen, and each part's Jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kgen.errors import InputError
from kgen.render import Rendered, render
from kgen.render.objects import MAX_DATA, sweep_manifest
from kgen.render.sweep_object import choices_in, sweep_from_objects
from kgen.spec import TrialSpec
from kgen.sweep import SweepSpec, expand, loads
from tests.unit.sweep.staged import rung_of

TEXT = """\
version: 1
name: toy
trainer: {image: registry.example/trainer:1, config: {width: 8}}
results: pvc://results/team
execution: {trials_per_pod: 1}
stages:
  - name: grid
    parameters: {learning_rate: [1e-3, 1e-2]}
    budget: {steps: 100}
    objective: {metric: accuracy, goal: maximize}
  - name: wide
    parameters: {learning_rate: [1e-3]}
    budget: {steps: 200}
    objective: {metric: accuracy, goal: maximize}
    trainer: {config: {width: 16}}
  - name: found
    parameters: {learning_rate: {log: {start: 1e-4, stop: 1}}}
    search: {method: halving, trials: 9}
    budget: {steps: 300}
    objective: {metric: accuracy, goal: maximize}
"""


def spec() -> SweepSpec:
    return loads(TEXT)


def told(job: dict[str, Any]) -> TrialSpec:
    """The trial that a Job's program is given."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (text,) = (item["value"] for item in container["env"] if item["name"] == "KGEN_TRIAL")
    return TrialSpec.from_json(text.replace("$$", "$"))


def test_the_config_map_holds_what_was_chosen_beside_the_file() -> None:
    made = sweep_manifest(spec(), "ml", {"best": "{1}\n", "scale": "{2}\n"})
    data = made.object()["data"]
    assert (data["choice-best.json"], data["choice-scale.json"]) == ("{1}\n", "{2}\n")
    assert choices_in(made.object()) == {"best": "{1}\n", "scale": "{2}\n"}
    assert choices_in(sweep_manifest(spec(), "ml").object()) == {}
    again = sweep_from_objects(made.object(), None)
    assert again == spec()
    # Another choice is another content, whoever writes it in whatever order.
    assert made.spec != sweep_manifest(spec(), "ml", {"best": "{1}\n"}).spec
    assert made == sweep_manifest(again, "ml", {"scale": "{2}\n", "best": "{1}\n"})


def test_a_sweep_without_choices_is_what_it_was() -> None:
    assert sweep_manifest(spec(), "ml", {}) == sweep_manifest(spec(), "ml")


def test_choices_that_leave_no_room_are_refused() -> None:
    with pytest.raises(InputError, match="bytes with its template and choices, allowed at most"):
        sweep_manifest(spec(), "", {"best": "x" * MAX_DATA})


def test_each_part_has_the_settings_of_its_stage() -> None:
    grid, wide = spec().parts
    jobs = [job.object() for part in (grid, wide) for job in render(part, expand(part), namespace="ml").jobs]
    assert [job["metadata"]["labels"]["kgen.dev/stage"] for job in jobs] == ["grid", "grid", "wide"]
    assert [told(job).budget.steps for job in jobs] == [100, 100, 200]
    assert [told(job).config["width"] for job in jobs] == [8, 8, 16]
    assert [told(job) for job in jobs] == list(expand(spec()))


def test_parts_together_are_one_sweep() -> None:
    grid, wide = (render(part, expand(part), namespace="ml") for part in spec().parts)
    assert grid.shared == wide.shared
    whole = Rendered.join(grid.shared, [grid, wide], ["more to come"])
    assert [job.name for job in whole.jobs] == [*(job.name for job in grid.jobs), *(job.name for job in wide.jobs)]
    assert (len(whole.jobs), whole.jobs[2].name, whole.jobs[-1].name) == (3, *[next(iter(wide.jobs)).name] * 2)
    assert whole.alone == grid.alone | wide.alone
    assert whole.notes[-1] == "more to come"
    assert [manifest.kind for manifest in whole.objects()] == ["ConfigMap", "Job", "Job", "Job"]


def test_a_rung_tells_its_trials_what_they_go_on_from() -> None:
    """Each its own lineage, in one ConfigMap or in a variable; and one without any is told of none."""
    (stage,) = (stage for stage in spec().stages if stage.name == "found")
    short, long = (rung_of(stage, ({"learning_rate": 0.1}, {"learning_rate": 0.2}), steps) for steps in (100, 300))
    for part in (short, replace(long, trials_per_pod=2)):
        made = render(part, expand(part))
        if part.trials_per_pod == 1:
            trials = [told(job.object()) for job in made.jobs]
        else:
            ((_, config_map),) = made.config_maps
            trials = [TrialSpec.from_json(line) for line in config_map.object()["data"]["trials.jsonl"].splitlines()]
        assert trials == list(expand(part))
        assert len({trial.lineage for trial in trials}) == 2
    assert [t.lineage for t in expand(short)] == [t.lineage for t in expand(long)]
    assert {t.id for t in expand(short)}.isdisjoint(t.id for t in expand(long))
    grid = spec().parts[0]
    text = json.dumps([job.object() for job in render(grid, expand(grid)).jobs])
    assert "lineage" not in text
