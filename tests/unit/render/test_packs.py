"""The Job of several trials, and the ConfigMap that has them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given

from kgen.names import ENV_TRIAL
from kgen.packs import Pack
from kgen.render import Rendered, render, render_packs
from kgen.spec import TrialSpec
from kgen.sweep import expand
from tests.unit.render.rendering import (
    container,
    differences,
    environment,
    job,
    jobs,
    messages,
    pod,
    rendered,
    spec,
    template,
)
from tests.unit.render.test_hostile import HOSTILE

TEN = "{a: {int: {start: 1, stop: 10}}}"
FOUR = "{trials_per_pod: 4}"


def packed(**blocks: Any) -> dict[str, Any]:
    """Blocks of ten trials, four in a pod, one after another."""
    return {"parameters": TEN, "execution": FOUR, **blocks}


def config_maps(made: Rendered) -> list[dict[str, Any]]:
    return [manifest.object() for _, manifest in made.config_maps]


def handed_over(config_map: dict[str, Any]) -> list[TrialSpec]:
    """What the process of the pack reads: also a reader that knows more ends of lines than one finds no other lines."""
    text = str(config_map["data"]["trials.jsonl"])
    lines = text.split("\n")[:-1]
    assert text.splitlines() == lines
    return [TrialSpec.from_json(line) for line in lines]


# -- what there is ------------------------------------------------------------------------------------------------


def test_each_job_has_its_trials_and_their_config_map() -> None:
    made, trials = rendered(**packed()), expand(spec(**packed()))
    assert [manifest.trials for manifest in made.jobs] == [
        tuple(trial.id for trial in trials[start : start + 4]) for start in (0, 4, 8)
    ]
    assert [name for name, _ in made.config_maps] == [manifest.name for manifest in made.jobs]
    assert len(made.config_maps) == 3
    assert [trial for config_map in config_maps(made) for trial in handed_over(config_map)] == [*trials]
    assert [manifest.kind for manifest in made.objects()] == ["ConfigMap"] * 4 + ["Job"] * 3
    assert not made.alone


def test_job_and_pod_name_the_pack_and_its_trials_and_no_single_one() -> None:
    made = rendered(**packed()).jobs[0]
    found = made.object()
    pack = made.name.removeprefix("sweep-")
    for metadata in (found["metadata"], found["spec"]["template"]["metadata"]):
        assert metadata["labels"]["kgen.dev/pack"] == pack
        assert metadata["labels"]["app.kubernetes.io/component"] == "trial"
        assert "kgen.dev/trial" not in metadata["labels"]
        assert metadata["annotations"]["kgen.dev/trials"] == ",".join(made.trials)
        assert not {"kgen.dev/parameters", "kgen.dev/seed"} & metadata["annotations"].keys()


def test_the_config_map_is_mounted_where_the_process_looks() -> None:
    found, only = pod(**packed()), container(**packed())
    first = config_maps(rendered(**packed()))[0]
    (volume,) = (each for each in found["volumes"] if each["name"] == "kgen-trials")
    assert volume == {"name": "kgen-trials", "configMap": {"name": first["metadata"]["name"]}}
    assert {"name": "kgen-trials", "mountPath": "/kgen/trials", "readOnly": True} in only["volumeMounts"]
    variables = environment(**packed())
    assert variables["KGEN_TRIALS"] == "/kgen/trials/trials.jsonl"
    assert variables["KGEN_PACKING"] == "sequential"
    assert ENV_TRIAL not in variables


def test_the_config_map_can_not_change_and_is_named_after_what_it_has() -> None:
    made = config_maps(rendered(**packed()))
    assert all(each["immutable"] is True for each in made)
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in made} == {"trials"}
    assert {each["metadata"]["labels"]["kgen.dev/sweep"] for each in made} == {"sweep"}
    names = [each["metadata"]["name"] for each in made]
    assert len({*names}) == 3
    assert all(name.startswith("kgen-trials-") for name in names)
    other = config_maps(rendered(**packed(objective="{metric: accuracy}")))
    assert not {each["metadata"]["name"] for each in other} & {*names}, "another objective is another content"


def test_where_each_has_a_pod_of_its_own_nothing_is_different() -> None:
    alone = rendered(parameters=TEN, execution="{trials_per_pod: 1}")
    plain = rendered(parameters=TEN)
    assert [manifest.text for manifest in alone.jobs] == [manifest.text for manifest in plain.jobs]
    assert len(alone.config_maps) == 0
    assert alone.alone == {trial.id for trial in expand(spec(parameters=TEN))}


def test_single_jobs_and_packs_may_stand_beside_each_other() -> None:
    made = spec(**packed(template=template(value="{{ sweep.name }}")))
    trials = expand(made)
    mixed = render_packs(made, [Pack.single(trials[0]), Pack("aaaaaaaaaa", trials[1:3]), Pack.single(trials[3])])
    single = replace(made, trials_per_pod=1)
    assert [mixed.jobs[0].text, mixed.jobs[2].text] == [render(single, [trials[n]]).jobs[0].text for n in (0, 3)]
    assert mixed.jobs[1].name == "sweep-aaaaaaaaaa"
    assert mixed.alone == {trials[0].id, trials[3].id}


# -- how it trains ------------------------------------------------------------------------------------------------

GPU = "{resources: {nvidia.com/gpu: 1}}"


@pytest.mark.parametrize(
    ("blocks", "packing", "timing"),
    [
        ({"kubernetes": "{gpu: {sharing: none}}"}, "fused", "shared"),
        ({"execution": "{packing: sequential, trials_per_pod: 4}"}, "sequential", "shared"),
        (
            {"execution": "{packing: sequential, trials_per_pod: 4}", "kubernetes": "{gpu: {sharing: none}}"},
            "sequential",
            "exclusive",
        ),
        (
            {
                "execution": "{packing: sequential, trials_per_pod: 4}",
                "objective": "{metric: seconds_to_target}",
            },
            "sequential",
            "exclusive",
        ),
    ],
)
def test_only_trials_one_after_another_can_have_the_device_to_themselves(
    blocks: dict[str, str], packing: str, timing: str
) -> None:
    found = environment(**{**packed(parameters="{learning_rate: {int: {start: 1, stop: 10}}}"), **blocks})
    assert (found["KGEN_PACKING"], found["KGEN_TIMING"]) == (packing, timing)


def deadlines(**blocks: str) -> list[int | None]:
    return [each["spec"]["template"]["spec"].get("activeDeadlineSeconds") for each in jobs(**packed(**blocks))]


def test_the_deadline_is_that_of_all_trials_of_the_pod() -> None:
    assert deadlines(budget="{seconds: 10.5, target: {a: 1}}", kubernetes="{allowance: 60}") == [102, 102, 81]
    assert deadlines(budget="{seconds: 10, target: {a: 1}}", kubernetes="{deadline: 50}") == [50, 50, 50]
    assert deadlines(kubernetes="{deadline: 50}") == [50, 50, 50]
    assert deadlines() == [None, None, None]


def test_a_template_sees_the_deadline_of_each_pack() -> None:
    """Also of one that was made when the file asked for another size."""
    made = spec(
        template=template(value="'{{ kubernetes.deadline }}'"),
        **packed(budget="{seconds: 10, target: {a: 1}}", kubernetes="{allowance: 5}"),
    )
    trials = expand(made)
    kept = [Pack("aaaaaaaaaa", trials[:2]), Pack.single(trials[2]), Pack("bbbbbbbbbb", trials[3:])]
    said = [each.object()["spec"]["template"]["spec"] for each in render_packs(made, kept).jobs]
    assert [pod["containers"][0]["env"][-1]["value"] for pod in said] == ["25", "15", "75"]
    assert [pod["activeDeadlineSeconds"] for pod in said[::2]] == [25, 75]


FUSED = {"parameters": "{learning_rate: {int: {start: 1, stop: 10}}}", "execution": FOUR}


@pytest.mark.parametrize(
    ("blocks", "is_told"),
    [
        ({}, True),
        ({"kubernetes": "{resources: {nvidia.com/mig-1g.10gb: 1}}"}, True),
        ({"kubernetes": "{resources: {nvidia.com/gpu: 0}}"}, False),
        ({"execution": "{packing: sequential, trials_per_pod: 4}"}, False),
        ({"execution": "{packing: fused}"}, False),
        ({"trainer": "{image: r/x, command: [train]}", "execution": "{packing: fused, trials_per_pod: 4}"}, False),
    ],
)
def test_it_is_told_where_a_gpu_keeps_trials_from_being_trained_together(
    blocks: dict[str, str], *, is_told: bool
) -> None:
    notes = rendered(**{**FUSED, **blocks}).notes
    assert any("trained one after another" in note for note in notes) == is_told


def test_a_queue_and_the_sources_are_as_for_a_single_trial() -> None:
    blocks = packed(
        kubernetes="{queue: team}", trainer="{image: r/x, command: [python, t.py], files: [t.py]}", files={"t.py": b"x"}
    )
    found = job(**blocks)
    assert found["spec"]["suspend"] is True
    assert found["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    volumes = [volume["name"] for volume in found["spec"]["template"]["spec"]["volumes"]]
    assert volumes[-3:] == ["kgen-results", "kgen-files", "kgen-trials"]
    assert container(**blocks)["workingDir"] == "/kgen/files"


# -- values -------------------------------------------------------------------------------------------------------

HOSTILE_SPEC = spec(execution="{packing: sequential, trials_per_pod: 2}")


def pack_with(value: str) -> Rendered:
    one, other = expand(HOSTILE_SPEC)
    return render_packs(
        HOSTILE_SPEC, [Pack("aaaaaaaaaa", (replace(one, parameters=MappingProxyType({"a": value})), other))]
    )


BASE = pack_with("base")


@given(HOSTILE)
def test_a_value_is_handed_over_as_it_is_and_changes_nothing_else(value: str) -> None:
    made = pack_with(value)
    ((_, manifest),) = made.config_maps
    one, other = handed_over(json.loads(manifest.text))
    assert one.parameters == {"a": value}
    assert other.parameters == expand(HOSTILE_SPEC)[1].parameters
    found = made.jobs[0].object()
    changed = differences(BASE.jobs[0].object(), found)
    assert {path[-1] for path in changed} <= {"kgen.dev/spec", "name"}
    assert {path[-2] for path in changed} <= {"labels", "configMap"}


def test_values_keep_their_text() -> None:
    made = rendered(parameters="{a: [1e-3, .5, 1.0, true, 10000000000000000000001]}", execution=FOUR)
    lines = [json.loads(line) for each in config_maps(made) for line in each["data"]["trials.jsonl"].splitlines()]
    assert [line["parameters"]["a"] for line in lines] == [1e-3, 0.5, 1.0, True, 10000000000000000000001]
    assert '"a":1e-3' in config_maps(made)[0]["data"]["trials.jsonl"]


def test_what_a_config_map_can_not_hold_is_refused_with_its_place() -> None:
    large = f"{{image: r/x, config: {{words: '{'x' * 120_000}'}}}}"
    (message,) = messages(parameters=TEN, trainer=large, execution="{trials_per_pod: 9}")
    assert message.startswith("sweep.yaml:7:29: execution.trials_per_pod: found 1,08")
    assert message.endswith(" bytes in the 9 trials of one pod, allowed at most 1,048,576, what a ConfigMap can hold")
    assert len(rendered(parameters=TEN, trainer=large, execution="{trials_per_pod: 8}").jobs) == 2


def test_what_no_variable_of_the_environment_could_hold_goes_into_a_config_map() -> None:
    large = f"{{a: ['{'x' * 140_000}', y]}}"
    assert any("what a variable of the environment can hold" in message for message in messages(parameters=large))
    made = rendered(parameters=large, execution=FOUR)
    assert len(str(handed_over(config_maps(made)[0])[0].parameters["a"])) == 140_000
    assert len(rendered(parameters="{a: {int: {start: 1, stop: 1000}}}", execution="{trials_per_pod: 1000}").jobs) == 1


# -- templates ----------------------------------------------------------------------------------------------------


def value(expression: str, **blocks: str) -> Any:
    return environment(**packed(template=template(value=expression), **blocks))["X"]


def test_a_template_sees_the_pack() -> None:
    made = rendered(**packed()).jobs[0]
    pack = made.name.removeprefix("sweep-")
    assert value('"{{ pack.name }} {{ pack.id }} {{ pack.stage }}"') == f"{made.name} {pack} main"
    assert value("{{ pack.trials | join('+') }}") == "+".join(made.trials)
    assert value("'{{ pack.budget.steps }}'") == "10"
    assert (
        value("'{{ kubernetes.deadline }}'", budget="{seconds: 10, target: {a: 1}}", kubernetes="{allowance: 5}")
        == "45"
    )


@pytest.mark.parametrize("name", ["trial.parameters.a", "trial.id", "trial.seed", "trial"])
def test_what_differs_between_the_trials_of_a_pod_is_refused_with_its_line(name: str) -> None:
    (message,) = messages(**packed(template=template(value=f"'{{{{ {name} }}}}'")))
    assert message.startswith("job.j2:10:13: trial: found what is of one trial, for a Job of several, allowed pack.id")


def test_a_pack_is_nothing_where_each_trial_has_a_pod() -> None:
    (message,) = messages(template=template(value="'{{ pack.id }}'"))
    assert message.startswith(
        "job.j2:10:13: pack: found what is of several trials, for the Job of one, allowed trial.id"
    )


def test_one_template_can_do_for_both() -> None:
    both = template(value="'{% if trial is defined %}{{ trial.id }}{% else %}{{ pack.trials | length }}{% endif %}'")
    assert environment(**packed(template=both))["X"] == "4"
    assert environment(template=both)["X"] == expand(spec())[0].id


def test_a_copied_job_does_not_pass_for_one_of_a_single_trial() -> None:
    copied = (
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  labels: {kgen.dev/trial: aaaaaaaaaa, team: ml}\n"
        "  annotations: {kgen.dev/parameters: '{}', kgen.dev/seed: '1'}\n"
        "spec:\n  template:\n    spec:\n      containers: [{name: trainer, image: r/x}]\n"
    )
    made = rendered(**packed(template=copied))
    metadata = made.jobs[0].object()["metadata"]
    assert "kgen.dev/trial" not in metadata["labels"]
    assert metadata["labels"]["team"] == "ml"
    assert metadata["annotations"].keys() == {"kgen.dev/trials"}
    assert "metadata.labels: kgen.dev/trial is kgen's to set" in made.notes


def test_a_template_that_several_packs_share_is_checked_once_and_gives_each_its_own() -> None:
    made = rendered(**packed(template=template(value="{{ pack.name }}")))
    assert [each.object()["spec"]["template"]["spec"]["containers"][0]["env"][-1]["value"] for each in made.jobs] == [
        each.name for each in made.jobs
    ]


def test_it_is_the_same_whatever_is_rendered_beside_it() -> None:
    made = spec(**packed())
    whole = render(made, expand(made))
    packs = [
        Pack(m.name.removeprefix("sweep-"), tuple(t for t in expand(made) if t.id in m.trials)) for m in whole.jobs
    ]
    backwards = render_packs(made, packs[::-1])
    assert [m.text for m in backwards.jobs][::-1] == [m.text for m in whole.jobs]
    assert [m.text for _, m in backwards.config_maps][::-1] == [m.text for _, m in whole.config_maps]
