"""The file of two stages that ``kgen run --recommend`` makes of one with ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgen.errors import InputError
from kgen.spec import Budget, Target
from kgen.sweep import expand, load
from kgen.sweep.sweepspec import DEFAULT_METHOD, Method, Range, Spacing, SweepSpec
from kgen.workflow.derive import derive

RANGES = """\
# yaml-language-server: $schema=./sweep.schema.json
version: 1
name: first  # short
seed: 7
repeats: 2
parameters:
  - optimizer: [sgd, momentum]  # plain ones
    learning_rate: {log: {start: 1e-3, stop: 1}}
  - optimizer: [adam]
    learning_rate: {log: {start: 1e-5, stop: 0.1}}
budget: {target: {train_accuracy: 0.8}, steps: 1000}
trainer:
  config: {scale: 2}  # bigger
results: elsewhere/
"""


def made(folder: Path, text: str, name: str = "sweep.yaml") -> tuple[Path, SweepSpec]:
    """The derived file of a file of that text, and what it says."""
    (folder / name).write_text(text)
    target = derive(folder / name)
    return target, load(target)


def test_it_searches_first_and_then_confirms_with_new_seeds(tmp_path: Path) -> None:
    target, spec = made(tmp_path, RANGES)
    assert target == tmp_path / "sweep.recommend.yaml"
    search, confirm = spec.stages
    assert (search.name, confirm.name) == ("search", "confirm")
    assert search.search is not None
    assert (search.search.per, search.search.method) == (("optimizer",), DEFAULT_METHOD)
    assert [dict(space) for space in search.search.spaces] == [
        {"optimizer": ("sgd", "momentum"), "learning_rate": Range(Spacing.LOG, 1e-3, 1)},
        {"optimizer": ("adam",), "learning_rate": Range(Spacing.LOG, 1e-5, 0.1)},
    ]
    assert confirm.source is not None
    assert (confirm.source.stage, confirm.source.per, confirm.source.neighbours) == ("search", ("optimizer",), 1)
    assert (search.base.seeds, confirm.base.seeds) == (range(7, 9), range(9, 14))
    for stage in (search, confirm):
        assert stage.base.budget == Budget(target=Target("train_accuracy", 0.8), steps=1000)
        assert dict(stage.base.trainer.config) == {"scale": 2}
    assert (spec.name, spec.location.path) == ("first-recommend", str(tmp_path / "elsewhere" / "first-recommend"))


def test_what_the_file_says_stays_as_it_is_written(tmp_path: Path) -> None:
    target, _ = made(tmp_path, RANGES)
    text = target.read_text()
    assert "learning_rate: {log: {start: 1e-3, stop: 1}}" in text
    assert "# plain ones" in text
    assert "config: {scale: 2}  # bigger" in text
    assert text.startswith("# Made of sweep.yaml by 'kgen run --recommend sweep.yaml'")


def test_a_search_of_its_own_is_kept(tmp_path: Path) -> None:
    own = "search: {method: random, per: optimizer, trials: 30, parallel: 2}\n"
    target, spec = made(tmp_path, RANGES + own)
    search = spec.stages[0].search
    assert search is not None
    assert (search.method, search.trials, search.parallel) == (Method.RANDOM, 30, 2)
    assert own.removeprefix("search: ").rstrip() in target.read_text()


def test_a_grid_is_searched_among_its_values(tmp_path: Path) -> None:
    grid = RANGES.replace("stop: 1}", "stop: 1, per_decade: 1}").replace("stop: 0.1}", "stop: 0.1, per_decade: 1}")
    _, spec = made(tmp_path, grid)
    search = spec.stages[0].search
    assert search is not None
    assert [len(space["learning_rate"]) for space in search.spaces] == [4, 5]  # type: ignore[arg-type]


def test_without_words_among_the_parameters_there_is_one_group(tmp_path: Path) -> None:
    _, spec = made(tmp_path, "version: 1\nname: x\nparameters: {learning_rate: {log: {start: 1e-3, stop: 1}}, "
                   "scale: [1, 2]}\nbudget: {target: {train_accuracy: 0.8}, steps: 100}\n")  # fmt: skip
    assert spec.stages[0].search
    assert spec.stages[0].search.per == ()
    assert spec.stages[1].source
    assert spec.stages[1].source.per == ()


RATE = "{learning_rate: {log: {start: 1e-6, stop: 100}}}"
BUDGET = "{target: {train_accuracy: 0.9}, steps: 2000}"


@pytest.mark.parametrize(
    "text",
    [
        f"{{version: 1, name: v, parameters: {RATE}, budget: {BUDGET}}}\n",
        f"version: 1\nname: v\nparameters: {RATE}\nbudget: {BUDGET}\n...\n",
        f"--- # one\nversion: 1\nname: v\nparameters: {RATE}\nbudget: {BUDGET}\n...\n# end",
        f"version: 1\nname: v\nparameters: {RATE}\nbudget: {BUDGET}\nsearch:\n",
        f"version: 1\nname: v\nsearch: null\nparameters: {RATE}\nbudget: {BUDGET}",
        f"version: 1\r\nname: v\r\nparameters: {RATE}\r\nbudget: {BUDGET}\r\n",
    ],
)
def test_any_spelling_of_a_file_can_be_searched(text: str, tmp_path: Path) -> None:
    search, confirm = made(tmp_path, text)[1].stages
    assert search.search is not None
    assert search.search.method is Method.BISECTION
    assert confirm.base.budget.steps == 2000


@pytest.mark.parametrize("end", ["", "...\n", "search:\n"])
def test_a_mistake_has_the_line_of_the_users_file(end: str, tmp_path: Path) -> None:
    text = f"version: 1\nname: v\nparameters: {RATE}\nbudget: {BUDGET}\nsed: 1\n{end}"
    with pytest.raises(InputError) as caught:
        made(tmp_path, text)
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [(5, "sed")]
    many = text.replace("sed: 1", "repeats: 20")
    with pytest.raises(InputError) as caught:
        made(tmp_path, many)
    (problem,) = caught.value.problems
    assert problem.field == "search.trials"
    assert problem.line <= len(many.splitlines())


def test_two_numbers_are_searched_by_a_method_that_can(tmp_path: Path) -> None:
    _, spec = made(tmp_path, RANGES.replace("stop: 1}}", "stop: 1}}\n    dropout: {linear: {start: 0, stop: 0.5}}"))
    search = spec.stages[0].search
    assert search is not None
    assert (search.method, search.per) == (Method.TPE, ("optimizer",))
    assert "method: tpe" in (tmp_path / "sweep.recommend.yaml").read_text()


def test_it_is_written_only_when_it_would_differ(tmp_path: Path) -> None:
    target, _ = made(tmp_path, RANGES)
    before = target.stat().st_mtime_ns
    assert derive(tmp_path / "sweep.yaml") == target
    assert target.stat().st_mtime_ns == before
    _, changed = made(tmp_path, RANGES.replace("seed: 7", "seed: 70"))
    assert changed.seed == 70
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.recommend.yaml", "sweep.yaml"]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda text: text.replace("neighbours: 1", "neighbours: 2"), "edited by somebody"),
        (lambda text: "version: 1\n", "a file of somebody's"),
    ],
)
def test_what_a_person_wrote_is_never_overwritten(tmp_path: Path, spoil: object, found: str) -> None:
    target, _ = made(tmp_path, RANGES)
    edited = spoil(target.read_text())  # type: ignore[operator]
    target.write_text(edited)
    with pytest.raises(InputError) as caught:
        derive(tmp_path / "sweep.yaml")
    assert f"found {found}, allowed as --recommend wrote it" in str(caught.value)
    assert target.read_text() == edited


def test_mistakes_are_those_of_the_file_at_their_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        made(tmp_path, RANGES.replace("start: 1e-3", "start: 0"))
    assert str(caught.value).startswith(f"{tmp_path / 'sweep.yaml'}:8:")
    for broken in ("version: 1\nname: [", "", "- 1\n"):
        with pytest.raises(InputError, match=r"sweep\.yaml"):
            made(tmp_path, broken)
    with pytest.raises(InputError, match="a readable sweep file"):
        derive(tmp_path / "none.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_a_file_with_stages_says_itself_what_is_confirmed(tmp_path: Path) -> None:
    target, _ = made(tmp_path, RANGES)
    with pytest.raises(InputError, match="stages: found stages with --recommend, allowed parameters"):
        derive(target)


def test_a_range_test_has_nothing_to_confirm(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"search\.method: found range-test with --recommend, allowed random, sobol"):
        made(tmp_path, RANGES + "search: {method: range-test, per: optimizer}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_the_longest_name_is_cut(tmp_path: Path) -> None:
    _, spec = made(tmp_path, RANGES.replace("name: first", f"name: {'a' * 29}-{'b' * 10}"))
    assert spec.name == f"{'a' * 29}-recommend"


def test_its_trials_are_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    grid = RANGES.replace("stop: 1}", "stop: 1, per_decade: 1}").replace("stop: 0.1}", "stop: 0.1, per_decade: 1}")
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
    texts = [made(folder, grid)[0].read_text() for folder in (tmp_path / "a", tmp_path / "b")]
    assert texts[0] == texts[1]
    assert expand(load(tmp_path / "a" / "sweep.recommend.yaml")) == expand(
        load(tmp_path / "b" / "sweep.recommend.yaml")
    )
