"""Many trials in each worker: whatever becomes of a worker, its trials have one row each, and only culprits fail."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from kgen.backends.local import pool as pool_module
from kgen.backends.local.events import Dealt, Event, PutBack
from kgen.backends.local.pool import Pool
from kgen.errors import InputError, StoreError
from kgen.results.folder import FolderStore
from kgen.results.rows import bytes_to_rows, rows_to_bytes
from kgen.spec import Packing, Timing
from kgen.sweep import expand
from kgen.trial.channel import Ended, Started
from tests.unit.backends.sweeps import Story, body, fused, play, slot, sweep

WHO = "if step == 10: print(f'{x} is in {os.getpid()}', flush=True)"
NOTE = "open(f'{os.getpid()}', 'a').write(f'{x}\\n') if step == 10 else 0"


def groups(story: Story) -> list[list[int]]:
    """What each worker was given, answer by answer, by ``x``."""
    xs = {trial.id: int(str(trial.parameters["x"])) for trial in story.trials}
    return [[xs[trial] for trial in event.trials] for event in story.messages if isinstance(event, Dealt)]


def complete(numbers: Sequence[int]) -> dict[int, str]:
    return dict.fromkeys(numbers, "complete")


def test_each_worker_takes_its_share_and_rows_lie_together(tmp_path: Path) -> None:
    both = "while sum(map(str.isdigit, os.listdir())) < 2: time.sleep(0.01)  # until the other has its share, too"
    story = play(sweep(tmp_path, fused(NOTE, both), count=40, packing="fused"), [slot(), slot(1)])
    assert story.states == complete(range(1, 41))
    assert {row.timing for row in story.rows.values()} == {Timing.SHARED}
    assert set(story.ended) == {trial.id for trial in story.trials}
    assert [sorted(group) for group in sorted(groups(story))] == [[*range(1, 41, 2)], [*range(2, 41, 2)]]
    assert len(story.store.row_files()) < 10
    trained = [sorted(map(int, file.read_text().split())) for file in tmp_path.iterdir() if file.name.isdigit()]
    assert sorted(trained) == [[*range(1, 41, 2)], [*range(2, 41, 2)]]


def test_a_worker_gets_more_whenever_places_are_free(tmp_path: Path) -> None:
    story = play(sweep(tmp_path, fused(capacity=4), count=30, packing="fused"), [slot()])
    assert story.states == complete(range(1, 31))
    assert [x for group in groups(story) for x in group] == [*range(1, 31)]
    assert max(map(len, groups(story))) == 4


def test_where_rows_of_some_have_come_after_all_the_others_get_theirs(tmp_path: Path) -> None:
    """Killed while it was stopped: the owner writes the rows, and the file of the first is there meanwhile."""
    code = fused(f"open({str(tmp_path / 'ready')!r}, 'w')", "time.sleep(300)")
    spec = sweep(tmp_path, code, count=3, packing="fused")
    trials = expand(spec)
    taken: list[str] = []

    class Store(FolderStore):
        def write_row_file(self, name: str, data: bytes) -> bool:
            if not taken:
                taken.append(name)
                super().write_row_file(name, rows_to_bytes(bytes_to_rows(data)[:1]))
            return super().write_row_file(name, data)

    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)
        if sum(isinstance(each, Started) for each in heard) == 3 and not any(isinstance(e, Ended) for e in heard):
            pool.stop("enough")
            for worker in pool._workers:
                worker.process.kill()

    with Pool(Store(spec.results)) as pool:
        pool.run(spec, trials, hear, slots=[slot()])
    assert sorted(event.trial for event in heard if isinstance(event, Ended)) == sorted(trial.id for trial in trials)
    assert Story(spec, trials).states == dict.fromkeys((1, 2, 3), "interrupted")


def test_a_worker_that_says_what_is_no_message_is_a_lost_one(tmp_path: Path) -> None:
    garbage = "import socket; socket.socket(fileno=os.dup(int(KEPT))).sendall(b'{}\\n') if x == 2 else 0"
    code = fused(garbage, "time.sleep(300) if x == 2 else 0")
    code = code.replace("def train_many", "KEPT = os.environ['KGEN_WORKER']\ndef train_many")
    story = play(sweep(tmp_path, code, count=4, packing="fused"), [slot()])
    assert story.states == {**complete([1, 3, 4]), 2: "failed"}
    assert "said what is no message" in story.rows[2].log


def test_trials_to_be_timed_run_one_after_another_whatever_the_sweep_says(tmp_path: Path) -> None:
    code = body("trial.report(step=1, loss=1)").replace("main(train)", "main(train, 'no function')")
    spec = sweep(tmp_path, code, count=2, packing="fused")
    story = Story(spec, expand(spec))
    alone = [slot(timing=Timing.EXCLUSIVE)]
    with Pool(story.store) as pool:
        pool.run(spec, story.trials, story.messages.append, slots=alone, packing=Packing.SEQUENTIAL)
    assert {row.timing for row in story.rows.values()} == {Timing.EXCLUSIVE}
    assert not any(isinstance(event, Dealt) for event in story.messages)


# -- deaths


@pytest.mark.parametrize("harm", ["os.kill(os.getpid(), 9)", "os.abort()", "os._exit(0)"])
def test_of_a_worker_that_dies_only_the_culprit_fails(tmp_path: Path, harm: str) -> None:
    spec = sweep(tmp_path, fused(WHO, f"if x == 13 and step == 50: {harm}"), count=20, packing="fused")
    story = play(spec, [slot(timing=Timing.EXCLUSIVE)])
    assert story.states == {**complete(range(1, 21)), 13: "failed"}
    assert story.rows[13].exit_reason.startswith(
        {
            "os.kill(os.getpid(), 9)": "the process was ended by SIGKILL",
            "os.abort()": "the process was ended by SIGABRT",
            "os._exit(0)": "the process ended with code 0 and left no row",
        }[harm]
    )
    assert "13 is in" in story.rows[13].log
    assert "12 is in" not in story.rows[13].log, "it was alone at last"
    assert story.rows[13].timing is Timing.SHARED
    sizes = [len(event.trials) for event in story.messages if isinstance(event, PutBack)]
    assert sizes == [20, 10, 5, 2]
    assert set(story.ended) == {trial.id for trial in story.trials}
    ended = Counter(event.trial for event in story.messages if isinstance(event, Ended))
    assert set(ended.values()) == {1}


def test_suspects_are_trained_apart_from_those_that_wait(tmp_path: Path) -> None:
    """Else one culprit would make new suspects with each worker."""
    code = fused("if x == 3 and step == 50: os._exit(9)", capacity=10)
    story = play(sweep(tmp_path, code, count=30, packing="fused"), [slot()])
    assert story.states == {**complete(range(1, 31)), 3: "failed"}
    assert [len(event.trials) for event in story.messages if isinstance(event, PutBack)] == [10, 5, 2]


def test_a_worker_that_came_for_nothing_is_not_to_blame_for_what_comes_back_then(tmp_path: Path) -> None:
    """One of three dies when the others have ended; its trials come back as two groups, for three new workers. The
    third gets none, and is on its way out when the first dies once more."""
    code = fused(
        "if x == 4 and step == 50:",
        "    if len(trials.running) == 4: until(lambda: len(gone()) == 2)",
        "    if len(trials.running) == 2: until(lambda: os.path.exists('out'))",
        "    os._exit(9)",
    )
    code = code.replace(
        "main(None",
        """\
    if steps:
        open(f'done-{os.getpid()}', 'w')
    else:
        open('out', 'w')
        until(lambda: os.path.exists('go'))
def until(condition):
    while not condition(): time.sleep(0.01)
def gone():
    return [name for name in os.listdir() if name[:5] == 'done-' and not os.path.exists('/proc/' + name[5:])]
main(None""",
    )
    deaths = []

    def let_go(pool: Pool, event: Event) -> None:
        if isinstance(event, PutBack):
            deaths.append(len(event.trials))
            if len(deaths) == 2:
                (tmp_path / "go").touch()

    story = play(sweep(tmp_path, code, count=12, packing="fused"), [slot(), slot(), slot()], on_event=let_go)
    assert story.states == {**complete(range(1, 13)), 4: "failed"}
    assert deaths == [4, 2]


def test_two_culprits_are_both_found(tmp_path: Path) -> None:
    spec = sweep(tmp_path, fused("if x in (3, 4) and step == 50: os._exit(9)"), count=8, packing="fused")
    assert play(spec).states == {**complete(range(1, 9)), 3: "failed", 4: "failed"}


def test_a_kill_from_outside_costs_no_trial(tmp_path: Path) -> None:
    spec = sweep(tmp_path, fused("if step == 50 and not os.path.exists('killed'): time.sleep(0.01)"), count=100,
                 packing="fused")  # fmt: skip

    def kill(pool: Pool, event: Event) -> None:
        began = [message for message in story_of if isinstance(message, Started)]
        story_of.append(event)
        if isinstance(event, Started) and len(began) == 99:
            (worker,) = pool._workers
            os.kill(worker.process.pid, signal.SIGKILL)
            (tmp_path / "killed").touch()

    story_of: list[Event] = []
    story = play(spec, [slot()], on_event=kill)
    assert [len(event.trials) for event in story.messages if isinstance(event, PutBack)] == [100]
    assert story.states == complete(range(1, 101))


def test_rows_that_a_dead_worker_had_written_count(tmp_path: Path) -> None:
    """It dies when the file with the rows of eight is there, before it has said so of any."""
    code = fused("if x > 8: loss = 100", "if x > 8 and step > 10: time.sleep(0.001)").replace(
        "main(None",
        "import kgen.trial.batch as batch\n"
        "def write(self, rows, real=batch.RowBatch._write):\n"
        "    real(self, rows)\n"
        "    if not os.path.exists('died'):\n"
        "        open('died', 'w').write(str(len(rows)))\n"
        "        os._exit(1)\n"
        "batch.RowBatch._write = write\nmain(None",
    )
    code = code.replace("if trial.report(", "if trial.report(").replace("step=step", "step=100 if x <= 8 else step")
    story = play(sweep(tmp_path, code, count=20, packing="fused"), [slot()])
    number = int((tmp_path / "died").read_text())
    assert number >= 8
    assert [len(event.trials) for event in story.messages if isinstance(event, PutBack)] == [20 - number]
    assert story.states == complete(range(1, 21)), "and none has two"


def test_a_worker_told_to_end_leaves_interrupted_rows_of_all(tmp_path: Path) -> None:
    spec = sweep(tmp_path, fused("if x == 5 and step == 50: os.kill(os.getpid(), 15); time.sleep(0.5)"), count=12,
                 packing="fused")  # fmt: skip
    story = play(spec, [slot()])
    assert story.states == dict.fromkeys(range(1, 13), "interrupted")
    assert {row.exit_reason for row in story.rows.values()} == {"SIGTERM"}
    assert set(story.ended) == {trial.id for trial in story.trials}


def test_an_error_of_the_trainer_is_narrowed_down_in_its_process(tmp_path: Path) -> None:
    spec = sweep(tmp_path, fused("if x == 7 and step == 50: raise RuntimeError('odd')"), count=12, packing="fused")
    story = play(spec, [slot()])
    assert story.states == {**complete(range(1, 13)), 7: "failed"}
    assert story.rows[7].exit_reason == "RuntimeError: odd"
    assert not any(isinstance(event, PutBack) for event in story.messages)


def test_a_worker_that_grows_is_replaced_once_its_trials_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "GROWTH_BYTES", 50 << 20)
    leak = "if step == 100: main.kept = getattr(main, 'kept', []) + [b'x' * (20 << 20)]"
    story = play(sweep(tmp_path, fused(NOTE, leak, capacity=4), count=16, packing="fused"), [slot()])
    assert story.states == complete(range(1, 17))
    trained = sorted(len(file.read_text().split()) for file in tmp_path.iterdir() if file.name.isdigit())
    # The first four may take what they need; 20 MiB more of each of the next four are too much.
    assert trained == [8, 8]


# -- workers that can't even begin


def test_a_trainer_of_one_at_a_time_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    spec = sweep(tmp_path, body("trial.report(step=1, loss=1)"), packing="fused")
    with pytest.raises(InputError, match=r"execution.packing: found fused: .*trains one at a time.*allowed sequential"):
        play(spec)
    assert Story(spec, expand(spec)).states == {}


def test_a_trainer_that_cannot_be_imported_fails_each_trial_with_its_traceback(tmp_path: Path) -> None:
    story = play(sweep(tmp_path, "import nothing_of_that_name\n", count=3, packing="fused"))
    assert story.states == dict.fromkeys((1, 2, 3), "failed")
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in story.rows[1].log


def test_a_trainer_that_takes_nothing_fails_each_trial(tmp_path: Path) -> None:
    code = "from kgen.trial import main\nmain(None, lambda trials: None)\n"
    story = play(sweep(tmp_path, code, count=3, packing="fused"))
    assert story.states == dict.fromkeys((1, 2, 3), "failed")
    assert "without taking a trial" in story.rows[1].exit_reason


# -- stops


@pytest.mark.parametrize("deaf", [False, True])
def test_stopping_ends_all_that_run_as_interrupted(tmp_path: Path, deaf: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if deaf:  # stuck where no thread of it can run: the pool kills it and writes the rows
        monkeypatch.setattr(pool_module, "STOP_SECONDS", 0.5)
    stuck = "os.kill(os.getpid(), signal.SIGSTOP)" if deaf else "time.sleep(0.01)"
    stuck = f"while not trial.stopping and not os.path.exists('go'): {stuck}"
    began = []

    def stop(pool: Pool, event: Event) -> None:
        if isinstance(event, Started):
            began.append(event.trial)
            if len(began) == 24:
                pool.stop("enough")

    story = play(sweep(tmp_path, fused(stuck, capacity=12), count=30, packing="fused"), on_event=stop)
    assert list(story.states.values()) == ["interrupted"] * 24
    assert set(story.ended) == set(began)
    if not deaf:
        assert {row.exit_reason for row in story.rows.values()} == {"enough"}
    assert len(story.store.row_files()) < 12
    (tmp_path / "go").touch()
    again = play(story.spec)
    assert Counter(message.state for message in again.ended.values()) == {"complete": 30}


def test_a_stuck_worker_does_not_hold_up_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for more than a socket holds, and does not read the answer."""
    monkeypatch.setattr(pool_module, "STOP_SECONDS", 0.5)
    code = fused(capacity=3000).replace(
        "main(None",
        "import kgen.trial.channel as channel\n"
        "def send(self, message, real=channel.Channel.send):\n"
        "    real(self, message)\n"
        "    if isinstance(message, channel.Want): os.kill(os.getpid(), signal.SIGSTOP)\n"
        "channel.Channel.send = send\nmain(None",
    )

    def stop(pool: Pool, event: Event) -> None:
        if isinstance(event, Dealt):
            pool.stop("enough")

    spec = sweep(tmp_path, code, count=3000, packing="fused")
    story = play(spec, [slot()], on_event=stop)
    assert [len(event.trials) for event in story.messages if isinstance(event, Dealt)] == [3000]


def test_answers_longer_than_a_socket_holds_arrive(tmp_path: Path) -> None:
    spec = sweep(tmp_path, fused("step = 100", capacity=3000), count=3000, packing="fused")
    story = play(spec, [slot()])
    assert Counter(message.state for message in story.ended.values()) == {"complete": 3000}


def test_rows_that_cannot_be_written_end_the_run(tmp_path: Path) -> None:
    spec = sweep(tmp_path, fused(), packing="fused", count=20)
    spec.results.parent.mkdir()
    spec.results.write_text("a file")
    with pytest.raises(StoreError, match="can't be"):
        play(spec)
