"""What a file of several stages is: a sweep for each, of which later ones get their trials on the way."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from kgen.spec import At, Budget, Goal, Objective, Packing, Target, TrialSpec, Value
from kgen.sweep import expand, load, loads
from kgen.sweep.stages import most, part_of, size_in_words, waiting
from kgen.sweep.sweepspec import From
from tests.unit.sweep.staged import BEST, GRID, HEAD, SCALE, choice, loaded, searching, staged
from tests.unit.sweep.sweeps import text

ROOT = Path(__file__).parents[3]


def test_only_stages_with_listed_values_have_trials_at_first() -> None:
    spec = loaded(GRID, BEST, SCALE)
    assert [stage.name for stage in spec.stages] == ["grid", "best", "scale"]
    assert [part.stage for part in spec.parts] == ["grid"]
    assert [stage.name for stage in waiting(spec)] == ["best", "scale"]
    assert spec.size == len(expand(spec)) == 12
    assert {trial.stage for trial in expand(spec)} == {"grid"}
    assert spec.parameters == ("optimizer", "learning_rate", "scale")


def test_a_part_is_the_sweep_that_its_stage_alone_would_be_but_for_its_name() -> None:
    (part,) = loaded(GRID).parts
    blocks = {
        "name": "staged",
        "seed": "7",
        "repeats": "2",
        "trainer": "{config: {dataset: digits, batch_size: 100}}",
        "parameters": "{optimizer: [sgd, adam], learning_rate: [0.01, 0.1, 1]}",
        "budget": "{steps: 100, target: {accuracy: 0.9}}",
    }
    plain = loads(text(**blocks))
    assert part == dataclasses.replace(plain, stage="grid", text=part.text)
    assert not plain.stages
    assert not plain.parts


def test_what_a_stage_does_not_say_is_as_the_file_has_it() -> None:
    best = loaded(GRID, BEST).stages[1].base
    assert best.seeds == range(7, 12)
    assert best.objective == Objective("val_accuracy", Goal.MAXIMIZE, At.BEST)
    assert best.trainer.config == {"dataset": "digits", "batch_size": 50}
    assert best.budget == Budget(steps=200)
    grid = loaded(GRID, BEST).stages[0].base
    assert grid.seeds == range(7, 9)
    assert grid.objective == Objective()
    assert grid.trainer.config == {"dataset": "digits", "batch_size": 100}


def test_a_stage_has_seeds_and_packing_of_its_own() -> None:
    own = GRID + "  seed: 100\n  execution: {packing: sequential, timing_sample: 3}\n"
    (part,) = loads(staged(own, head=HEAD + "execution: {packing: fused, max_parallel: 9}\n")).parts
    assert part.seeds == range(100, 102)
    assert (part.packing, part.timing_sample, part.max_parallel) == (Packing.SEQUENTIAL, 3, 9)


def test_the_budget_of_a_stage_makes_its_pods_deadline() -> None:
    head = HEAD + "kubernetes: {allowance: 60s}\n"
    spec = loads(staged(GRID, BEST.replace("{steps: 200}", "{steps: 200, seconds: 30}"), head=head))
    assert [stage.base.kubernetes.deadline for stage in spec.stages] == [None, 90]


def test_from_says_what_is_asked_of_the_earlier_stage() -> None:
    scale = loaded(GRID, SCALE).stages[1]
    assert scale.source == From(
        stage="grid", objective=Objective(), per=("optimizer",), top=None, along="", neighbours=1, factor=None, num=0
    )  # fmt: skip
    assert scale.beside == {"scale": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)}


def test_from_says_everything_that_can_be_asked() -> None:
    words = (
        "{stage: grid, best: accuracy, goal: maximize, at: best, per: [optimizer], top: 1, along: learning_rate, "
        "around: {factor: 4}, where: {optimizer: adam}}"
    )
    source = loaded(GRID, BEST.replace("{stage: grid, per: optimizer}", words)).stages[1].source
    assert source == From(
        stage="grid", objective=Objective("accuracy", Goal.MAXIMIZE, At.BEST), per=("optimizer",), top=1,
        along="learning_rate", neighbours=0, factor=4.0, num=5, where={"optimizer": ("adam",)},
    )  # fmt: skip
    assert source.to_json()["where"] == {"optimizer": ["adam"]}


@pytest.mark.parametrize(
    ("best", "objective"),
    [
        ("", Objective("accuracy", Goal.MAXIMIZE, At.BEST)),
        (", best: accuracy", Objective("accuracy", Goal.MAXIMIZE, At.BEST)),
        (", best: accuracy, at: final", Objective("accuracy", Goal.MAXIMIZE, At.FINAL)),
        (", best: steps_to_target", Objective("steps_to_target", Goal.MINIMIZE)),
        (", best: loss, goal: minimize", Objective("loss", Goal.MINIMIZE)),
    ],
)
def test_the_best_is_by_the_earlier_stages_objective_unless_said(best: str, objective: Objective) -> None:
    grid = GRID + "  objective: {metric: accuracy, goal: maximize, at: best}\n"
    source = loaded(grid, BEST.replace("per: optimizer", f"per: optimizer{best}")).stages[1].source
    assert source is not None
    assert source.objective == objective


def test_a_choice_gives_its_points_crossed_with_what_stands_beside() -> None:
    stage = loaded(GRID, SCALE).stages[1]
    part = part_of(stage, choice({"optimizer": "sgd", "learning_rate": 0.1}, {"optimizer": "adam", "learning_rate": 1}))
    assert [dict(grid) for grid in part.alternatives] == [
        {"optimizer": ("sgd",), "learning_rate": (0.1,), "scale": stage.beside["scale"]},
        {"optimizer": ("adam",), "learning_rate": (1,), "scale": stage.beside["scale"]},
    ]
    assert part.size == len(expand(part)) == 2 * 10 * 2
    assert {trial.stage for trial in expand(part)} == {"scale"}
    assert not part.stages


def test_a_point_that_two_groups_give_is_one() -> None:
    stage = loaded(GRID, BEST).stages[1]
    point: dict[str, Value] = {"optimizer": "sgd", "learning_rate": 0.1}
    assert part_of(stage, choice(point, {**point})).size == 5


def test_the_packing_of_a_part_suits_its_trials() -> None:
    rates = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    stage = loaded(GRID, BEST).stages[1]
    few = choice({"optimizer": "sgd", "learning_rate": 0.1})
    points: list[dict[str, Value]] = [{"optimizer": "sgd", "learning_rate": rate} for rate in rates]
    many = choice(*points)
    assert part_of(stage, few).packing is Packing.SEQUENTIAL
    assert part_of(stage, many).packing is Packing.FUSED
    asked = loaded(GRID, BEST + "  execution: {packing: fused}\n").stages[1]
    assert part_of(asked, few).packing is Packing.FUSED


def test_known_parts_come_in_the_order_of_the_stages() -> None:
    spec = loaded(GRID, BEST, SCALE)
    given = choice({"optimizer": "sgd", "learning_rate": 0.1})
    scale, best = part_of(spec.stages[2], given), part_of(spec.stages[1], given)
    known = spec.with_parts([scale, *spec.parts, best])
    assert [part.stage for part in known.parts] == ["grid", "best", "scale"]
    assert known.size == len(expand(known)) == 12 + 5 + 20
    assert [*dict.fromkeys(trial.stage for trial in expand(known))] == ["grid", "best", "scale"]
    assert not waiting(known)


def test_results_elsewhere_are_elsewhere_for_every_stage(tmp_path: Path) -> None:
    moved = loaded(GRID, BEST).with_results(tmp_path)
    part = part_of(moved.stages[1], choice({"optimizer": "sgd", "learning_rate": 0.1}))
    assert moved.results == moved.parts[0].results == part.results == tmp_path / "staged"


def test_trials_have_the_objective_and_budget_of_their_stage() -> None:
    spec = loaded(GRID, BEST)
    part = part_of(spec.stages[1], choice({"optimizer": "sgd", "learning_rate": 0.1}))
    (grid, *_), (best, *_) = expand(spec), expand(part)
    assert (grid.objective, grid.budget.target) == (Objective(), Target("accuracy", 0.9))
    assert (best.objective.metric, best.budget.target) == ("val_accuracy", None)
    assert TrialSpec.from_json(best.to_json()) == best


def test_files_of_the_trainer_are_read_once_for_all_stages(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\n")
    head = HEAD.replace("trainer: {", "trainer: {command: [python, train.py], files: [train.py], ")
    (tmp_path / "sweep.yaml").write_text(staged(GRID, BEST, head=head))
    spec = load(tmp_path / "sweep.yaml")
    assert {stage.base.trainer.files["train.py"] for stage in spec.stages} == {b"x = 1\n"}


# -- how many ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{stage: grid, per: optimizer}", 2 * 5),
        ("{stage: grid}", 1 * 5),
        ("{stage: grid, per: [optimizer, learning_rate]}", 6 * 5),
        ("{stage: grid, per: optimizer, top: 1}", 1 * 5),
        ("{stage: grid, per: optimizer, top: 9}", 2 * 5),
        ("{stage: grid, per: optimizer, where: {optimizer: adam}}", 1 * 5),
        ("{stage: grid, per: optimizer, neighbours: 2}", 2 * 5 * 5),
        ("{stage: grid, around: {factor: 2, num: 7}}", 7 * 5),
    ],
)
def test_how_many_trials_a_choice_may_give_is_known_before(source: str, expected: int) -> None:
    spec = loaded(GRID, BEST.replace("{stage: grid, per: optimizer}", source))
    assert most(spec.stages[1], spec.stages) == expected


def test_a_stage_may_follow_one_that_follows_another() -> None:
    last = (
        "- {name: last, parameters: {from: {stage: scale, per: [optimizer, scale]}}, budget: {steps: 9}, repeats: 3, \
objective: {metric: a}}\n"
    )
    spec = loaded(GRID, SCALE, last)
    assert most(spec.stages[2], spec.stages) == 2 * 10 * 3


def test_the_outlook_is_said_in_words() -> None:
    spec = loaded(GRID, BEST, searching("{method: tpe, per: optimizer, trials: 8}"))
    assert [size_in_words(stage, spec.stages) for stage in spec.stages] == [
        "12 trials", "after grid: up to 10 trials", "search tpe: up to 16 trials",
    ]  # fmt: skip


# -- identity -------------------------------------------------------------------------------------------------------


def test_the_stage_counts_for_identity_and_the_other_stages_do_not() -> None:
    def ids(*stages: str) -> list[str]:
        return [trial.id for trial in expand(loaded(*stages))]

    alone = ids(GRID)
    assert ids(GRID, BEST, SCALE) == alone
    assert not set(ids(GRID.replace("name: grid", "name: other"))) & set(alone)


def test_a_trial_without_rungs_has_no_lineage() -> None:
    assert {trial.lineage for trial in expand(loaded(GRID))} == {""}
