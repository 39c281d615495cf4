"""Packs: what a pod of several trials finds done, does, and says at its end; one after another where it is told so."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgen import pack_message
from kgen.names import begun_file, pack_row_file
from kgen.results.collect import collect
from kgen.results.folder import FolderStore
from kgen.results.rows import State, rows_to_bytes
from kgen.spec import Objective, Timing
from kgen.trial.attempt import Ending, row_without_process
from kgen.trial.environment import Surroundings
from kgen.trial.pack import Pack, PackSource
from tests.unit.trial.trainers import Job, PackJob, body, many, rows, specs, trial_id

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ONE = body("trial.report(step=10, loss=1, x=trial.parameters['x'])")


# -- one after another


def test_one_after_another_each_in_its_own_file_at_once(tmp_path: Path) -> None:
    code = body(
        "print('rows', trial.parameters['x'], len(os.listdir(rows)) if os.path.isdir(rows) else 0, flush=True)",
        "trial.report(step=10, loss=1)",
    )
    code = code.replace("def train", "rows = os.environ['KGEN_RESULTS'] + '/rows'\ndef train")
    job = PackJob(tmp_path, code, specs(4), "sequential", KGEN_ATTEMPT="pod", KGEN_TIMING="exclusive")
    assert job.end() == 0, job.output
    assert [line for line in job.output.splitlines() if line.startswith("rows")] == [f"rows {i} {i}" for i in range(4)]
    assert job.files == {f"{trial_id(i)}.pod.parquet": [trial_id(i)] for i in range(4)}
    assert {row.timing for row in rows(tmp_path)} == {Timing.EXCLUSIVE}
    assert [row.log for row in rows(tmp_path)][3].startswith("rows 3")


def test_one_failure_does_not_keep_the_others_from_their_turn(tmp_path: Path) -> None:
    code = body("if trial.parameters['x'] == 1: raise ValueError('x')", "trial.report(step=10, loss=1)")
    job = PackJob(tmp_path, code, specs(3), "sequential")
    assert job.end() == 1
    assert [row.state for row in rows(tmp_path)] == ["complete", "failed", "complete"]
    assert job.output.splitlines()[-1] == job.last_words.read_text()
    assert job.last_words.read_text() == (f"kgen: 2 of 3 trials have a result; failed: {trial_id(1)} (1) ValueError: x")


@pytest.mark.parametrize("packing", ["sequential", "fused"])
def test_each_line_of_an_error_names_its_trial(tmp_path: Path, packing: str) -> None:
    line = "if trial.parameters['x'] == 1: raise ValueError('first\\nsecond')"
    code = many(line) if packing == "fused" else body(line, "trial.report(step=10, loss=1)")
    job = PackJob(tmp_path, code, specs(2), packing, CAPACITY="1")
    assert job.end() == 1
    named = [each for each in job.output.splitlines() if trial_id(1) in each and not each.startswith(("{", "kgen:"))]
    assert named[0] == f"{trial_id(1)}: Traceback (most recent call last):"
    assert named[-2:] == [f"{trial_id(1)}: ValueError: first", f"{trial_id(1)}: second"]
    assert "second" not in job.output.replace(f"{trial_id(1)}: second", "")


@pytest.mark.parametrize("over_its_head", [False, True])
def test_where_rows_can_not_be_written_it_says_how_its_trials_stand(tmp_path: Path, over_its_head: bool) -> None:
    code = body(
        "trial.report(step=5 + 5 * (trial.parameters['x'] == 0), loss=1)",
        "rows = os.environ['KGEN_RESULTS'] + '/rows'",
        "if trial.parameters['x'] == 1:",
        "    os.rename(rows, rows + '.away'); open(rows, 'w').close()",
        f"    if {over_its_head}: print('ready', flush=True); time.sleep(300)",
    )
    job = PackJob(tmp_path, code, specs(3, steps=10), "sequential")
    if over_its_head:
        job.wait_for("ready")
        job.process.send_signal(signal.SIGTERM)
    assert job.end() == 66
    message = f"kgen: 1 of 3 trials have a result; not ended: {trial_id(1)}, {trial_id(2)}"
    *_, error, last = job.output.splitlines()
    assert ("can't be written" in error, last) == (True, message)
    assert job.last_words.read_text().splitlines()[-1] == message


@pytest.mark.parametrize("listens", [True, False])
def test_an_interrupt_ends_the_running_one_and_begins_no_other(tmp_path: Path, listens: bool) -> None:
    wait = "while not trial.stopping: time.sleep(0.005)" if listens else "time.sleep(300)"
    code = body("if trial.parameters['x'] == 1:", "    print('ready', flush=True)", f"    {wait}",
                "trial.report(step=5, loss=1)")  # fmt: skip
    job = PackJob(tmp_path, code, specs(3, steps=10), "sequential")
    job.wait_for("ready")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    assert [row.state for row in rows(tmp_path)] == ["complete", "interrupted"]
    assert job.last_words.read_text() == (f"kgen: 1 of 3 trials have a result; not ended: {trial_id(1)}, {trial_id(2)}")


def test_an_interrupt_of_the_last_step_of_the_last_is_no_interrupt(tmp_path: Path) -> None:
    code = body("print('ready', flush=True)", "while not trial.stopping: time.sleep(0.005)",
                "trial.report(step=10, loss=1)")  # fmt: skip
    job = PackJob(tmp_path, code, specs(1, steps=10), "sequential")
    job.wait_for("ready")
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 0


# -- what is there already


@pytest.mark.parametrize("packing", ["sequential", "fused"])
def test_what_has_a_result_is_not_trained_again(tmp_path: Path, packing: str) -> None:
    """Nor is a file with several rows read more than once; a damaged one is no result."""
    code = many() if packing == "fused" else ONE
    first = PackJob(tmp_path, many("assert trial.parameters['x'] != 3"), specs(6, steps=10), "fused")
    assert first.end() == 1
    (tmp_path / "rows" / f"{trial_id(3)}.torn.parquet").write_bytes(b"PAR1")
    again = PackJob(tmp_path, code, specs(8, steps=10), packing)
    assert again.end() == 0, again.output
    assert "kgen: 5 of 8 trials have a result already" in again.output
    (tmp_path / "rows" / f"{trial_id(3)}.torn.parquet").unlink()
    complete = sorted(row.trial for row in rows(tmp_path) if row.state is State.COMPLETE)
    assert complete == [trial_id(i) for i in range(8)]
    third = PackJob(tmp_path, code, specs(8, steps=10), packing)
    assert third.end() == 0
    assert third.output == "kgen: 8 of 8 trials have a result already\n"


def test_each_file_is_read_once(tmp_path: Path) -> None:
    assert PackJob(tmp_path, many(), specs(20, steps=10), "fused").end() == 0
    read: list[str] = []

    class Counting(FolderStore):
        def read_row_file(self, name: str) -> bytes:
            read.append(name)
            return super().read_row_file(name)

    pack = Pack(specs(20, steps=10))
    pack.look_up(Counting(tmp_path))
    assert pack.missing == []
    assert sorted(read) == sorted(file.name for file in FolderStore(tmp_path).row_files())
    read.clear()
    others = Pack(specs(30)[20:])
    others.look_up(Counting(tmp_path))
    assert len(others.missing) == 10
    assert sorted(read) == sorted(file.name for file in FolderStore(tmp_path).row_files()), "one may be theirs"
    with_own = Pack(specs(20, steps=10))
    FolderStore(tmp_path).write_row_file(f"{trial_id(25)}.alone.parquet", b"")
    read.clear()
    with_own.look_up(Counting(tmp_path))
    assert f"{trial_id(25)}.alone.parquet" not in read


def test_results_are_found_in_files_named_after_others(tmp_path: Path) -> None:
    """Trials that had other company when they were trained."""
    assert PackJob(tmp_path, many(), specs(6, steps=10), "fused").end() == 0
    (file,) = (tmp_path / "rows").iterdir()
    assert file.name.startswith(f"{trial_id(0)}.")
    pack = PackJob(tmp_path, many(), [*specs(9, steps=10)[4:]], "fused")
    assert pack.end() == 0, pack.output
    assert "kgen: 2 of 5 trials have a result already" in pack.output
    assert sorted(row.trial for row in rows(tmp_path)) == [trial_id(i) for i in range(9)]
    single = Job(tmp_path, ONE, specs(9, steps=10)[3])
    assert (single.end(), single.output) == (
        0, f"kgen: trial {trial_id(3)} has a result already ({file.name}); nothing to do\n",
    )  # fmt: skip


KILLED = "if trial.parameters['x'] == 2: os.kill(os.getpid(), 9)"


def states(folder: Path) -> dict[object, str]:
    return {row.parameters["x"]: str(row.state) for row in rows(folder)}


def test_one_that_ends_the_process_has_its_next_turn_after_the_others(tmp_path: Path) -> None:
    job = PackJob(tmp_path, body(KILLED, "trial.report(step=10, loss=1)"), specs(6), "sequential", KGEN_ATTEMPT="a")
    assert job.end() == -signal.SIGKILL
    assert states(tmp_path) == {0: "complete", 1: "complete"}
    again = PackJob(tmp_path, body(KILLED, "trial.report(step=10, loss=1)"), specs(6), "sequential", KGEN_ATTEMPT="b")
    assert again.end() == -signal.SIGKILL
    assert states(tmp_path) == dict.fromkeys([0, 1, 3, 4, 5], "complete")


def test_of_two_that_end_the_process_the_one_that_did_so_less_often_comes_first(tmp_path: Path) -> None:
    """And one that does not any more gets its result."""
    code = body(
        "if trial.parameters['x'] in (0, 1) and os.environ['KGEN_ATTEMPT'] != 'c': os.kill(os.getpid(), 9)",
        "print('begins', trial.parameters['x'], flush=True)",
        "trial.report(step=10, loss=1)",
    )
    assert PackJob(tmp_path, code, specs(4), "sequential", KGEN_ATTEMPT="a").end() == -signal.SIGKILL
    assert PackJob(tmp_path, code, specs(4), "sequential", KGEN_ATTEMPT="b").end() == -signal.SIGKILL
    job = PackJob(tmp_path, code, specs(4), "sequential", KGEN_ATTEMPT="c")
    assert job.end() == 0, job.output
    assert [line for line in job.output.splitlines() if "begins" in line] == [f"begins {x}" for x in (2, 3, 0, 1)]


def test_one_that_ends_a_process_of_many_takes_fewer_with_it_each_time(tmp_path: Path) -> None:
    """Rows of those that had ended a moment before, which were not written yet, too."""
    code = many(KILLED.replace("== 2", "== 2 and step == 20"))
    trials = [*specs(1, steps=10), *specs(9, steps=30)[1:]]
    found = []
    for attempt in ("a", "b", "c"):
        job = PackJob(tmp_path, code, trials, "fused", CAPACITY="9", KGEN_ATTEMPT=attempt)
        assert job.end() == -signal.SIGKILL
        found.append(set(states(tmp_path)))
    assert found == [set(), set(), set(range(9)) - {2}]


def test_what_was_not_begun_is_trained_before_what_was(tmp_path: Path) -> None:
    """Twelve places for thirty: the others, with which nothing is wrong, are trained together meanwhile."""
    job = PackJob(tmp_path, many(KILLED), specs(30, steps=10), "fused", CAPACITY="12", KGEN_ATTEMPT="a")
    assert job.end() == -signal.SIGKILL
    again = PackJob(tmp_path, many(KILLED), specs(30, steps=10), "fused", CAPACITY="12", KGEN_ATTEMPT="b")
    assert again.end() == -signal.SIGKILL
    assert set(states(tmp_path)) == set(range(12 + 8, 30)), "eight more were noted with the first twelve"
    assert {row.environment.mates for row in rows(tmp_path)} == {9}


def test_a_start_of_the_container_in_the_same_pod_is_another_attempt(tmp_path: Path) -> None:
    code = body(KILLED.replace("2", "0"), "trial.report(step=10, loss=1)")
    for _ in range(2):
        assert PackJob(tmp_path, code, specs(4), "sequential", KGEN_ATTEMPT="uid").end() == -signal.SIGKILL
    assert {row.attempt for row in rows(tmp_path)} == {"uid-2"}
    assert set(states(tmp_path)) == {1, 2, 3}


@pytest.mark.parametrize("packing", ["sequential", "fused"])
def test_without_notes_everything_is_trained_all_the_same(tmp_path: Path, packing: str) -> None:
    (tmp_path / "begun").touch()
    job = PackJob(tmp_path, many() if packing == "fused" else ONE, specs(20, steps=10), packing)
    assert job.end() == 0
    assert job.output.count("kgen: what begins can't be noted:") == 1
    assert len(rows(tmp_path)) == 20


@pytest.mark.parametrize("content", [b"", b"[]", b'{"attempts": 1}', b'{"attempts": {"a": {"begun": []}}}', b"\xff"])
def test_damaged_notes_are_none(tmp_path: Path, content: bytes) -> None:
    FolderStore(tmp_path).write(begun_file(trial_id(0)), content)
    job = PackJob(tmp_path, ONE, specs(2, steps=10), "sequential")
    assert job.end() == 0, job.output


@pytest.mark.parametrize("packing", ["sequential", "fused"])
def test_bad_parameters_are_tried_once_in_a_job_and_again_in_the_next(tmp_path: Path, packing: str) -> None:
    wrong = "if trial.parameters['x'] == 1: raise BadParametersError('one')"
    flaky = "if trial.parameters['x'] == 2 and os.environ['KGEN_ATTEMPT'] == 'a': raise ValueError('two')"
    code = many(wrong, flaky) if packing == "fused" else body(wrong, flaky, "trial.report(step=10, loss=1)")

    def tried(attempt: str, job: str) -> tuple[int, int, str]:
        """Its code, how often it was tried by now, and the last words."""
        made = PackJob(tmp_path, code, specs(4, steps=10), packing, KGEN_ATTEMPT=attempt, KGEN_JOB=job)
        code_ = made.end()
        return code_, sum(row.trial == trial_id(1) for row in rows(tmp_path)), made.last_words.read_text()

    message = "kgen: 3 of 4 trials have a result; failed: trialaaaab (64) BadParametersError: one"
    assert tried("a", "first")[:2] == (1, 1)
    assert tried("b", "first") == (64, 1, message)
    assert tried("c", "first") == (64, 1, message)
    assert tried("d", "second") == (64, 2, message)
    assert tried("e", "")[1] == 3, "a process that is told of no Job"


def test_after_an_orderly_end_those_that_did_not_begin_are_not_suspected(tmp_path: Path) -> None:
    """Of sixteen two run, and eight more were noted before their turn."""
    code = many("print('ready', flush=True)", "while not trials.stopping: time.sleep(0.005)")
    job = PackJob(tmp_path, code, specs(16, steps=100), "fused", KGEN_ATTEMPT="pod", CAPACITY="2")
    job.wait_for("ready")
    noted = begun_file(trial_id(0))
    assert len(json.loads(FolderStore(tmp_path).read(noted))["attempts"]["pod"]["begun"]) > 2
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 143
    pack = Pack(specs(16, steps=100))
    pack.look_up(FolderStore(tmp_path))
    assert [len(group) for group in pack.turns()] == [16]


def test_a_note_for_eight_beginnings_is_enough(tmp_path: Path) -> None:
    written: list[list[str]] = []
    trials = specs(1000)
    surroundings = Surroundings.read({"KGEN_RESULTS": "."})
    source = PackSource(Pack(trials), "a", lambda begun: written.append([*begun]))
    running = [*source.next(64)]
    begun = []
    while running:
        start = running.pop(0)
        begun.append(start.trial.id)
        assert start.trial.id in written[-1]
        source.written([
            row_without_process(start.trial, "a", Ending(State.FAILED, None, "x", 1), started=NOW,
                                timing=Timing.SHARED, environment=surroundings.describe({}))
        ])  # fmt: skip
        running += source.next(1)
    assert begun == [trial.id for trial in trials]
    assert len(written) < 1000 / 8
    assert max(map(len, written)) == 64 + 8


def test_shared_rows_are_no_result_for_an_objective_in_seconds(tmp_path: Path) -> None:
    assert PackJob(tmp_path, many(), specs(3), "fused").end() == 0
    pack = Pack([dataclasses.replace(trial, objective=Objective("seconds_to_target")) for trial in specs(3)])
    pack.look_up(FolderStore(tmp_path))
    assert len(pack.missing) == 3


def test_a_collection_reads_files_of_several_rows(tmp_path: Path) -> None:
    trials = specs(20, steps=10)
    assert PackJob(tmp_path, many("assert trial.parameters['x'] != 3"), trials, "fused").end() == 1
    certificate = collect(FolderStore(tmp_path), trials).certificate
    assert (certificate.accepted, len(certificate.failed), certificate.missing) == (19, 1, ())
    assert (certificate.duplicates, certificate.damaged, certificate.foreign) == ((), (), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read"),
        (b"\n\n", "it holds no trial"),
        (b"\xff", "can't be read"),
        (b"{}\n", "trials.jsonl:1: not a trial"),
    ],
)
def test_a_wrong_file_is_said_in_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "other" / "trials.jsonl"
    file.parent.mkdir()
    if content is not None:
        file.write_bytes(content)
    job = PackJob(tmp_path, ONE, specs(1), "sequential", KGEN_TRIALS=str(file))
    assert job.end() == 66
    assert message in job.output
    assert job.output.count("\n") == 1


def test_sigterm_before_a_pack_begins(tmp_path: Path) -> None:
    code = "from kgen.trial import *\nimport time\nprint('imports', flush=True)\ntime.sleep(60)\n"
    job = PackJob(tmp_path, code, specs(2), "fused")
    job.wait_for("imports")
    os.kill(job.process.pid, signal.SIGTERM)
    assert job.end() == 143


# -- how it ends


ENDS = {
    "result": (State.COMPLETE, 0),
    "parameters": (State.FAILED, 64),
    "device": (State.FAILED, 65),
    "data": (State.FAILED, 66),
    "crash": (State.FAILED, 1),
    "odd": (State.FAILED, 7),
    "interrupted": (State.INTERRUPTED, 143),
    "none": None,
}


@given(st.lists(st.sampled_from(sorted(ENDS)), min_size=1, max_size=12), st.booleans())
def test_the_code_and_the_message_of_the_end(ends: list[str], is_interrupted: bool) -> None:
    trials = specs(len(ends))
    pack = Pack(trials)
    surroundings = Surroundings.read({"KGEN_RESULTS": "."})
    for spec, end in zip(trials, ends, strict=True):
        if (how := ENDS[end]) is not None:
            state, code = how
            pack.note(
                row_without_process(
                    spec, "a", Ending(state, None, f"because; of {end}", code), started=NOW, timing=Timing.SHARED,
                    environment=surroundings.describe({}),
                )
            )  # fmt: skip
    code = pack.exit_code(is_interrupted=is_interrupted)
    left = [end for end in ends if end != "result"]
    if not left:
        assert code == 0
    elif is_interrupted:
        assert code == 143
    else:
        same = {"parameters": 64, "device": 65, "data": 66}
        assert code == (same.get(left[0], 1) if len(set(left)) == 1 else 1)
    message = pack_message.parse(pack.message())
    assert message is not None
    assert message.names_all
    for spec, end in zip(trials, ends, strict=True):
        assert message.has_result(spec.id) == (end == "result")
        failure = message.failure(spec.id)
        assert (failure is not None) == (end in ("parameters", "device", "data", "crash", "odd"))
        if failure is not None:
            assert (failure.code, failure.reason) == (ENDS[end][1], f"because, of {end}")  # type: ignore[index]


def test_a_pod_that_starts_its_container_again_has_another_attempt(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    trials = specs(2)
    environment = Surroundings.read({"KGEN_RESULTS": "."}).describe({})
    row = row_without_process(trials[0], "uid", Ending(State.FAILED, None, "x", 1), started=NOW,
                              timing=Timing.SHARED, environment=environment)  # fmt: skip
    pack = Pack(trials)
    names = []
    for number in itertools.count(1):
        pack.look_up(store)
        names.append(pack.free_name("uid"))
        store.write_row_file(pack_row_file(trials[0].id, names[-1], number), rows_to_bytes([row]))
        if number == 3:
            break
    assert names == ["uid", "uid-2", "uid-3"]
