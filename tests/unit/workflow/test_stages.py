"""Stages follow each other by what is in the results alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kgen.choice import Choice, digest_of
from kgen.cli.collect import certificate_lines
from kgen.cli.plan import staged_lines
from kgen.errors import IncompleteStageError, InputError, StoreError
from kgen.names import choice_file
from kgen.results.folder import FolderStore
from kgen.results.store import RowFile
from kgen.sweep import SweepSpec, expand
from kgen.workflow.choices import choices_of, keep_in_step
from kgen.workflow.collect import collect_sweep
from kgen.workflow.plan import plan_stages
from kgen.workflow.report import report_sweep
from kgen.workflow.run import run_sweep
from kgen.workflow.stages import Course, resolved, unfinished
from tests.unit.sweep.sweeps import foreign as text
from tests.unit.workflow.shown import Show
from tests.unit.workflow.staged import BEST, GRID, HEAD, SCALE, STAGES, fail, file, pick, train


def store(spec: SweepSpec) -> FolderStore:
    return FolderStore(spec.results)


def chosen(spec: SweepSpec, stage: str = "best") -> Choice:
    return Choice.from_json(store(spec).read(choice_file(stage)).decode())


def run(spec: SweepSpec, course: Course | None = None) -> list[str]:
    """Train part after part to the end, each by a course of its own unless one is given: as if killed after each."""
    done = []
    while (part := (course or Course(spec, store(spec))).next()) is not None:
        done.append(part.stage)
        seen = collect_sweep(part).results.trials
        missing = set(seen.loc[seen["status"].isin(["missing", "failed", "interrupted"]), "trial"])
        train(spec, (trial for trial in expand(part) if trial.id in missing), attempt=f"{len(done)}")
    return done


def first_stage(spec: SweepSpec) -> list[str]:
    return [part.stage for part in resolved(spec, store(spec)).parts]


# -- one after another --------------------------------------------------------------------------------------------


def test_a_plain_sweep_is_itself_and_nothing_is_read(tmp_path: Path) -> None:
    class Untouchable(FolderStore):
        def row_files(self, prefix: str = "") -> list[RowFile]:
            raise AssertionError("read")

        exists = read = row_files  # type: ignore[assignment]  # none of them may be called

    spec = file(tmp_path, text())
    assert resolved(spec, Untouchable(spec.results)) is spec
    assert unfinished(spec, Untouchable(spec.results)) == {}
    course = Course(spec, store(spec))
    assert course.next() is spec
    assert course.next() is None
    assert course.known is spec


@pytest.mark.parametrize("killed", [False, True])
def test_each_stage_starts_with_what_the_one_before_it_found(killed: bool, tmp_path: Path) -> None:
    spec = file(tmp_path)
    assert first_stage(spec) == ["grid"]
    assert run(spec, None if killed else Course(spec, store(spec))) == ["grid", "best", "scale"]
    grid, best, scale = resolved(spec, store(spec)).parts
    assert (grid.size, best.size, scale.size) == (8, 6, 2)
    assert {(t.parameters["optimizer"], t.parameters["rate"]) for t in expand(best)} == {("a", 0.01), ("b", 0.1)}
    assert {trial.budget.steps for trial in expand(best)} == {500}
    assert [trial.parameters["scale"] for trial in expand(scale)] == [1, 2]
    certificate = collect_sweep(spec).results.certificate
    assert (certificate.expected, certificate.complete, certificate.duplicates) == (16, True, ())


def test_what_was_chosen_is_said_once(tmp_path: Path) -> None:
    spec = file(tmp_path)
    course = Course(spec, store(spec))
    assert course.next() is not None
    assert course.notes == []
    train(spec, expand(course.known))
    assert course.next() is not None
    assert course.notes[0].startswith("stage best: chosen from stage grid: ")
    assert [line.split(" (")[0] for line in course.notes[1:]] == [
        "  optimizer=a, rate=0.01",
        "  optimizer=b, rate=0.1",
    ]
    course.notes.clear()
    train(spec, expand(course.known)[8:])
    assert course.next() is not None
    assert course.notes[0].startswith("stage scale: ")


def test_a_choice_is_written_once(tmp_path: Path) -> None:
    spec = file(tmp_path)
    run(spec)
    first = store(spec).read(choice_file("best"))
    for trial in expand(resolved(spec, store(spec)).parts[0]):  # results that would give another choice
        (spec.results / "rows" / f"{trial.id}.1.parquet").unlink()
    train(spec, [t for t in expand(resolved(spec, store(spec)).parts[0]) if t.parameters["rate"] != 0.01], attempt="9")
    fail(spec, [t for t in expand(resolved(spec, store(spec)).parts[0]) if t.parameters["rate"] == 0.01])
    Course(spec, store(spec), allow_incomplete=True).next()
    assert store(spec).read(choice_file("best")) == first


def test_of_two_that_choose_at_once_both_take_the_choice_of_the_first(tmp_path: Path) -> None:
    class Slow(FolderStore):
        """Somebody else is faster by a moment."""

        def create(self, name: str, data: bytes) -> bool:
            rival = data.replace(b'"rule": "', b'"rule": "of the other: ')
            assert FolderStore(self.root).create(name, rival)
            return super().create(name, data)

    spec = file(tmp_path)
    train(spec, expand(spec))
    course = Course(spec, Slow(spec.results))
    assert course.next() is not None
    assert course.notes[0].startswith("stage best: chosen from stage grid: of the other: ")


def test_a_damaged_choice_is_said_with_its_place(tmp_path: Path) -> None:
    spec = file(tmp_path)
    store(spec).write(choice_file("best"), b"{")
    with pytest.raises(StoreError, match=r"choices/best\.json: can't be read"):
        resolved(spec, store(spec))


# -- a stage that lacks results -----------------------------------------------------------------------------------


def test_a_stage_waits_for_what_another_lacks(tmp_path: Path) -> None:
    spec = file(tmp_path)
    bad, *good = expand(spec)
    course = Course(spec, store(spec))
    assert course.next() is not None
    train(spec, good)
    fail(spec, [bad])
    with pytest.raises(IncompleteStageError) as caught:
        course.next()
    assert str(caught.value) == (
        f"stage best needs stage grid, which lacks 1 of 8 trials: {bad.id} (failed: no luck); "
        "run it again, or take what is there with --allow-incomplete"
    )
    assert not store(spec).exists(choice_file("best"))
    assert unfinished(spec, store(spec)) == {
        "best": "its trials are chosen when stage grid is complete",
        "scale": "its trials are chosen when stage best is complete",
    }
    certificate = collect_sweep(spec).results.certificate
    assert (certificate.expected, certificate.complete) == (8, False)
    assert list(certificate.waiting) == ["best", "scale"]


def test_results_are_not_complete_while_a_stage_waits(tmp_path: Path) -> None:
    spec = file(tmp_path)
    train(spec, expand(spec))
    certificate = collect_sweep(spec).results.certificate
    assert (certificate.accepted, certificate.expected, certificate.complete) == (8, 8, False)
    assert certificate_lines(certificate) == [
        "8 of 8 trials have a result",
        "stage best: its trials are chosen when stage grid is complete",
        "stage scale: its trials are chosen when stage best is complete",
    ]


def test_a_new_run_tries_what_failed_before_it_gives_up(tmp_path: Path) -> None:
    spec = file(tmp_path)
    fail(spec, expand(spec))
    part = Course(spec, store(spec)).next()
    assert part is not None
    assert part.stage == "grid"


def test_an_incomplete_stage_can_be_taken_and_that_is_marked(tmp_path: Path) -> None:
    spec = file(tmp_path)
    bad = pick(spec, lambda trial: trial.parameters["optimizer"] == "b")
    train(spec, pick(spec, lambda trial: trial not in bad))
    fail(spec, bad)
    course = Course(spec, store(spec), allow_incomplete=True)
    first = course.next()
    assert first is not None
    assert first.stage == "grid", "what is missing is tried once more"
    part = course.next()
    assert part is not None
    assert {trial.parameters["optimizer"] for trial in expand(part)} == {"a"}
    assert set(chosen(spec).missing) == {trial.id for trial in bad}
    assert any(line.startswith("  without b: ") for line in course.notes)
    assert "  incomplete: grid lacked 4 results when this was chosen" in course.notes
    certificate = collect_sweep(spec).results.certificate
    assert set(certificate.incomplete_choices["best"]) == {trial.id for trial in bad}
    said = "stage best was chosen before these trials had a result: "
    assert any(line.startswith(said) for line in certificate_lines(certificate))


def test_from_a_stage_without_any_result_nothing_is_taken(tmp_path: Path) -> None:
    spec = file(tmp_path)
    fail(spec, expand(spec))
    course = Course(spec, store(spec), allow_incomplete=True)
    assert course.next() is not None
    with pytest.raises(IncompleteStageError, match="stage best can't start: stage grid has nothing that it could take"):
        course.next()
    assert not store(spec).exists(choice_file("best"))


def test_what_needs_no_other_stage_does_not_wait_for_one(tmp_path: Path) -> None:
    alone = GRID.replace("name: grid", "name: alone").replace("1000", "999")
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{BEST}{alone}")
    course = Course(spec, store(spec))
    assert course.next() is not None
    fail(spec, pick(spec, lambda trial: trial.stage == "grid"))
    part = course.next()
    assert part is not None
    assert part.stage == "alone"
    with pytest.raises(IncompleteStageError, match="stage best needs stage grid"):
        course.next()


# -- choosing anew ------------------------------------------------------------------------------------------------

EDITED = STAGES.replace("from: {stage: grid, per: optimizer}", "from: {stage: grid, per: optimizer, top: 1}")


def test_another_from_is_refused_with_its_line(tmp_path: Path) -> None:
    run(file(tmp_path))
    spec = file(tmp_path, EDITED)
    looks: list[Callable[[], object]] = [
        lambda: resolved(spec, store(spec)),
        lambda: Course(spec, store(spec)).next(),
        lambda: Course(spec, store(spec), rechoose=["scale"]).next(),
    ]
    for look in looks:
        with pytest.raises(InputError) as caught:
            look()
        (problem,) = caught.value.problems
        line = EDITED.splitlines().index("    parameters: {from: {stage: grid, per: optimizer, top: 1}}") + 1
        assert (problem.line, problem.field) == (line, "stages[1].parameters.from")
        assert problem.found == "top 1, before none: another question than stage best was chosen by"
        assert "--rechoose best" in problem.allowed


def test_choosing_anew_takes_what_follows_along_and_loses_no_row(tmp_path: Path) -> None:
    spec = file(tmp_path)
    run(spec)
    before = {trial.id for trial in expand(resolved(spec, store(spec)))}
    spec = file(tmp_path, EDITED)
    course = Course(spec, store(spec), rechoose=["best"])
    assert "best" in [part.stage for part in course.known.parts], "the old choice counts until there is a new one"
    part = course.next()
    assert part is None or part.stage == "scale"
    assert [one.group for one in chosen(spec).chosen] == [{"optimizer": "a"}]
    run(spec, course)
    after = {trial.id for trial in expand(resolved(spec, store(spec)))}
    certificate = collect_sweep(spec).results.certificate
    assert certificate.complete
    assert {item.trial for item in certificate.foreign} == before - after != set()
    assert all(item.reason.endswith("(sweep toy, stage best)") for item in certificate.foreign)


def test_a_run_chooses_anew_where_it_is_told_to(tmp_path: Path) -> None:
    run(file(tmp_path))
    spec = file(tmp_path, EDITED)
    with pytest.raises(InputError, match="--rechoose best"):
        run_sweep(spec, Show())
    show = Show()
    done = run_sweep(spec, show, rechoose=["best"])
    assert [line.split(":")[0] for line in show.told if not line.startswith(" ")] == ["stage best", "stage scale"]
    assert show.ended == [], "what was chosen had been trained"
    assert done.collected.results.certificate.complete
    assert [plan.name for plan in done.plans] == ["toy"]
    store(spec).discard(f"rows/{expand(spec)[0].id}.1.parquet")
    (tmp_path / "train.py").write_text("raise SystemExit(64)")
    blocked = file(tmp_path, spec.text.replace("top: 1}}", "top: 1, neighbours: 1}}", 1))
    with pytest.raises(IncompleteStageError, match="stage best needs stage grid, which lacks 1 of 8 trials"):
        run_sweep(blocked, Show(), rechoose=["best"])
    assert store(spec).exists(choice_file("best"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_follows_is_chosen_anew_even_after_a_kill(when: str, tmp_path: Path) -> None:
    """An old choice that somebody brings back, as a collector does from the ConfigMap, is none of the new one."""
    spec = file(tmp_path)
    run(spec)
    held = choices_of(spec, store(spec))
    spec = file(tmp_path, EDITED)

    class Killed(FolderStore):
        def write(self, name: str, data: bytes) -> str:
            if when == "after":
                super().write(name, data)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Course(spec, Killed(spec.results), rechoose=["best"]).next()
    if when == "before":
        assert choices_of(spec, store(spec)) == held
        return
    keep_in_step(store(spec), lambda: held)
    assert [part.stage for part in resolved(spec, store(spec)).parts] == ["grid", "best"]
    assert list(unfinished(spec, store(spec))) == ["scale"]
    run(spec)
    best, scale = (store(spec).read(choice_file(stage)) for stage in ("best", "scale"))
    assert chosen(spec, "scale").parent == digest_of(best)
    assert [Choice.from_json(text.decode()).edition for text in (best, scale)] == [2, 2]
    keep_in_step(store(spec), lambda: held)
    assert (store(spec).read(choice_file("best")), store(spec).read(choice_file("scale"))) == (best, scale)


def test_a_choice_from_what_is_chosen_anew_meanwhile_is_made_again(tmp_path: Path) -> None:
    spec = file(tmp_path)
    train(spec, expand(spec))
    train(spec, expand(Course(spec, store(spec)).next() or spec))
    other: list[Course] = [Course(spec, store(spec), rechoose=["best"])]

    class Late(FolderStore):
        """While ``scale`` is chosen somebody else chooses ``best`` anew."""

        def create(self, name: str, data: bytes) -> bool:
            if name == choice_file("scale") and other:
                other.pop().next()
            return super().create(name, data)

    part = Course(spec, Late(spec.results)).next()
    assert part is not None
    assert part.stage == "scale"
    assert chosen(spec, "best").edition == 2
    assert chosen(spec, "scale").parent == digest_of(store(spec).read(choice_file("best")))


def test_a_choice_by_trials_that_an_edit_took_away_stays_and_that_is_said(tmp_path: Path) -> None:
    run(file(tmp_path))
    kept = chosen(file(tmp_path))
    spec = file(tmp_path, STAGES.replace("rate: [1e-3, 1e-2, 1e-1, 1]", "rate: [1e-3, 1]"))
    words = "stage best was chosen by trials that stage grid has no more; --rechoose best chooses by those that it has"
    course = Course(spec, store(spec))
    assert course.next() is None
    assert course.notes == [words]
    assert Course(spec, store(spec), says_outdated=False).next() is None
    assert chosen(spec) == kept
    assert [stage.note for stage in plan_stages(spec)] == ["", words, ""]
    assert f"note: {words}" in staged_lines(plan_stages(spec), spec, "sweep.yaml")
    page, collected = report_sweep(spec)
    certificate = collected.results.certificate
    assert certificate.complete
    gone = tuple(trial for one in kept.chosen for trial in one.trials)
    assert certificate.outdated_choices == {"best": gone}
    said = f"stage best was chosen by trials that the file has no more (--rechoose best): {', '.join(gone)}"
    assert said in certificate_lines(certificate)
    assert "1 choice by trials that are no more" in " ".join(page.read_text().split())
    less = file(tmp_path, STAGES.replace("rate: [1e-3, 1e-2, 1e-1, 1]", "rate: [1e-3, 1e-2, 1]"))
    assert Course(less, store(less)).next() is None
    (note,) = (stage.note for stage in plan_stages(less) if stage.note)
    assert note.startswith("stage best was chosen by 1 of 2 trials that ")
    run(less, Course(less, store(less), rechoose=["best"]))
    assert collect_sweep(less).results.certificate.outdated_choices == {}
    assert Course(less, store(less)).next() is None


def test_the_order_of_what_has_none_is_no_other_question(tmp_path: Path) -> None:
    asked = "from: {stage: grid, per: optimizer}"
    run(file(tmp_path, STAGES.replace(asked, "from: {stage: grid, per: optimizer, where: {optimizer: [a, b]}}")))
    spec = file(tmp_path, STAGES.replace(asked, "from: {stage: grid, per: optimizer, where: {optimizer: [b, a]}}"))
    assert run(spec) == []
    spec = file(tmp_path, STAGES.replace(asked, "from: {stage: grid, per: optimizer, where: {optimizer: [b]}}"))
    with pytest.raises(InputError, match="another question"):
        run(spec)


def test_choosing_anew_leaves_the_old_choice_where_none_can_be_made(tmp_path: Path) -> None:
    spec = file(tmp_path)
    run(spec)
    kept = store(spec).read(choice_file("best"))
    for path in (spec.results / "rows").iterdir():
        path.unlink()
    course = Course(spec, store(spec), rechoose=["best"])
    assert course.next() is not None
    with pytest.raises(IncompleteStageError):
        course.next()
    assert store(spec).read(choice_file("best")) == kept


@pytest.mark.parametrize(("name", "allowed"), [("grid", "best, scale"), ("bets", "best, scale")])
def test_only_what_was_chosen_can_be_chosen_anew(name: str, allowed: str, tmp_path: Path) -> None:
    spec = file(tmp_path)
    with pytest.raises(InputError, match=f"--rechoose: found {name}, allowed a stage with from: {allowed}"):
        Course(spec, store(spec), rechoose=[name])
    plain = file(tmp_path / "plain", text())
    with pytest.raises(InputError, match="no stage has from"):
        Course(plain, store(plain), rechoose=["best"])


def test_of_two_stages_one_may_be_left_as_it_is(tmp_path: Path) -> None:
    spec = file(tmp_path, f"{HEAD}stages:\n{GRID}{BEST}{SCALE.replace('stage: best', 'stage: grid')}")
    run(spec)
    kept = (spec.results / choice_file("scale")).stat().st_mtime_ns
    Course(spec, store(spec), rechoose=["best"]).next()
    assert (spec.results / choice_file("scale")).stat().st_mtime_ns == kept


def test_parameters_of_a_later_stage_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """A choice is JSON with sorted keys, and rows of a search are too."""
    stages = STAGES.replace("{optimizer: [a, b], rate: [1e-3, 1e-2, 1e-1, 1]}", "{rate: [1e-3, 1], optimizer: [a, b]}")
    spec = file(tmp_path, stages)
    course = Course(spec, store(spec))
    assert course.next() is not None
    train(spec, expand(course.known))
    part = course.next()
    assert part is not None
    assert [list(trial.parameters) for trial in expand(part)][:1] == [["rate", "optimizer"]]
