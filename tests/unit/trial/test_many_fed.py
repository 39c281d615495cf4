"""A fused worker as its owner sees it: it asks for trials, and tells of an end once the row is there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kgen import names
from kgen.results.folder import FolderStore
from kgen.results.rows import State
from kgen.spec import TrialSpec
from kgen.trial.batch import rows_left_behind
from kgen.trial.channel import Begin, Ended, Interrupt, Message, Report, Start, Started, Want, decode, encode
from tests.unit.trial.trainers import HEAD, Fed, files, many, rows, specs, wait_until

HERE = "(trial.checkpoint_dir / 'here').touch()"


class Owner(Fed):
    """Deals trials out as it is asked for them."""

    def __init__(self, results: Path, trainer: str, **more: str) -> None:
        super().__init__(results, trainer, **{names.ENV_PACKING: "fused", **more})

    def deal(self, *trials: TrialSpec) -> None:
        """Answer a question; each attempt is named after its trial."""
        self.send(*[Start(trial, f"by-{trial.id}") for trial in trials], Begin(len(trials)))

    def asked(self) -> int:
        """Wait for the next question."""
        message = self.next(Want)
        assert isinstance(message, Want)
        return message.most

    def serve(self, trials: list[TrialSpec]) -> list[Ended]:
        """Deal all of them, as many as it wants; what it said of their ends."""
        waiting = list(trials)
        ended: list[Ended] = []
        while True:
            try:
                message = self.next()
            except EOFError:
                return ended
            if isinstance(message, Want):
                dealt, waiting = waiting[: message.most], waiting[message.most :]
                self.deal(*dealt)
            elif isinstance(message, Ended):
                assert message.trial in [row.trial for row in rows(self.results)]
                ended.append(message)


def test_the_messages_survive_the_socket() -> None:
    for message in (Want(8), Begin(0)):
        assert decode(encode(message).rstrip()) == message


def test_it_runs_all_that_it_is_dealt_and_ends_when_there_is_no_more(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many(), CAPACITY="7")
    ended = owner.serve(specs(40))
    assert owner.end() == 0
    assert sorted(message.trial for message in ended) == [trial.id for trial in specs(40)]
    for row in rows(tmp_path):
        assert row.attempt == f"by-{row.trial}"
    for message in ended:
        assert (message.state, message.outcome, message.seconds_to_target) == ("complete", "finished", None)
        assert not message.ends_worker
        assert message.resident_bytes > 10_000_000


def test_it_asks_for_as_many_as_have_room(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many(), CAPACITY="3")
    long, short = specs(1, steps=10**9)[0], specs(4, steps=10)[1:]
    assert owner.asked() == 3
    owner.deal(long, *short[:2])
    assert [owner.next(Started) for _ in range(3)] == [Started(trial.id) for trial in (long, *short[:2])]
    assert owner.asked() == 2
    owner.deal(short[2])
    assert owner.next(Started) == Started(short[2].id)
    assert owner.asked() in (1, 2)
    owner.deal()
    owner.send(Interrupt("enough"))
    assert {message.trial for message in owner.serve([])} == {long.id, *[trial.id for trial in short]}
    assert owner.end() == 143


def test_none_for_the_moment_is_not_the_end(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many(), CAPACITY="2")
    first, second = specs(2, steps=30)
    owner.asked()
    owner.deal(first)
    owner.asked()
    owner.deal()
    owner.asked()
    owner.deal(second)  # that of a worker that has died meanwhile
    assert {message.trial for message in owner.serve([])} == {first.id, second.id}
    assert owner.end() == 0


def test_none_at_all_is_the_end(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many())
    owner.asked()
    owner.deal()
    assert owner.end() == 0
    assert rows(tmp_path) == []


def test_of_a_file_the_one_that_it_is_named_after_is_told_last(tmp_path: Path) -> None:
    """So that whoever has not heard of an end knows which files to look into."""
    before = "import kgen.trial.batch\nkgen.trial.batch.SECONDS = 1e6\n"
    ended = [message.trial for message in Owner(tmp_path, many(before=before)).serve(specs(8, steps=10))]
    ((name, trials),) = files(tmp_path).items()
    assert name.startswith(f"{trials[0]}.by-{trials[0]}.")
    assert ended == trials[::-1]
    attempts = {trial: f"by-{trial}" for trial in (trials[0], trials[5])}
    store = FolderStore(tmp_path)
    assert [row.trial for row in rows_left_behind(store, attempts)] == [trials[0], trials[5]]
    assert rows_left_behind(store, {trials[0]: "another"}) == []


def test_reports_of_all_in_turn(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many("time.sleep(0.002)"), CAPACITY="3")
    owner.asked()
    owner.deal(*specs(3, steps=10**9))
    seen: set[str] = set()
    while len(seen) < 3:
        message = owner.next()
        if isinstance(message, Report):
            seen.add(message.trial)
    owner.hang_up()
    assert owner.end() == 143


def test_an_interrupt_ends_all(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many(HERE, "time.sleep(0.001)"), CAPACITY="5")
    trials = specs(5, steps=10**9)
    owner.asked()
    owner.deal(*trials)
    wait_until((tmp_path / "checkpoints" / trials[4].id / "here").exists, "all train")
    owner.send(Interrupt("the run was stopped"))
    ended = [owner.next(Ended) for _ in trials]
    assert {(m.state, m.reason, m.exit_code) for m in ended if isinstance(m, Ended)} == {
        ("interrupted", "the run was stopped", 143)
    }
    assert owner.end() == 143


@pytest.mark.parametrize("how", ["hangs up", "SIGTERM", "interrupts"])
def test_one_that_does_not_listen_ends_with_all_rows(tmp_path: Path, how: str) -> None:
    owner = Owner(tmp_path, many(HERE, "if trial is running[-1]: time.sleep(300)"), CAPACITY="5")
    trials = specs(5, steps=10**9)
    owner.asked()
    owner.deal(*trials)
    wait_until((tmp_path / "checkpoints" / trials[4].id / "here").exists, "the last one trains")
    if how == "hangs up":
        owner.hang_up()
    elif how == "SIGTERM":
        owner.process.send_signal(signal.SIGTERM)
    else:
        owner.send(Interrupt("stop"))
    assert owner.end() == 143
    assert [row.state for row in rows(tmp_path)] == [State.INTERRUPTED] * 5
    assert len(files(tmp_path)) == 1


def test_one_that_waits_for_its_owner_hears_of_an_interrupt(tmp_path: Path) -> None:
    """So that its trainer, which listens, ends in order."""
    code = many("time.sleep(0.001)").replace("\nmain(", "    open(os.environ['LEFT'], 'w').close()\n\nmain(")
    owner = Owner(tmp_path, code, CAPACITY="5", LEFT=str(tmp_path / "left"))
    owner.asked()
    owner.deal(specs(1, steps=10**9)[0])
    owner.asked()  # which gets no answer
    owner.process.send_signal(signal.SIGTERM)
    ended = owner.next(Ended)
    assert isinstance(ended, Ended)
    assert ended.state == "interrupted"
    assert owner.end() == 143
    assert (tmp_path / "left").exists()


def test_sigterm_before_it_has_any_adds_nothing(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many())
    owner.asked()
    owner.process.send_signal(signal.SIGTERM)
    assert owner.end() == 143
    assert rows(tmp_path) == []


def test_after_a_crash_all_that_had_begun_get_their_rows_and_the_worker_ends(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many("if trial.parameters['x'] == 2 and step == 20: 1 / 0"), CAPACITY="6")
    waiting = specs(20, steps=30)
    ended = owner.serve(waiting)
    assert owner.end() == 0
    assert {message.trial: message.state for message in ended} == {
        trial.id: "failed" if trial.parameters["x"] == 2 else "complete" for trial in waiting[:6]
    }
    assert len(rows(tmp_path)) == 6


def test_an_orderly_failure_leaves_the_worker_fit_for_more(tmp_path: Path) -> None:
    code = many("if trial.parameters['x'] == 2: raise BadParametersError('two')")
    ended = Owner(tmp_path, code, CAPACITY="6").serve(specs(20))
    assert len(ended) == 20
    assert [message.trial for message in ended if message.state == "failed"] == [specs(3)[2].id]


def test_killed_it_has_told_of_no_end_without_a_row(tmp_path: Path) -> None:
    owner = Owner(tmp_path, many("if step == 50: time.sleep(300)"), CAPACITY="20")
    trials = [*specs(12, steps=10), *specs(20, steps=60)[12:]]
    owner.asked()
    owner.deal(*trials)
    told = [owner.next(Ended) for _ in range(12)]
    os.killpg(owner.process.pid, signal.SIGKILL)
    assert {m.trial for m in told if isinstance(m, Ended)} == {row.trial for row in rows(tmp_path)}
    assert owner.serve([]) == []


def test_trials_that_a_lost_owner_had_handed_over_are_not_begun(tmp_path: Path) -> None:
    """The owner died while the worker was about to begin them."""
    late = """
import kgen.trial.process as process
listen, ask = process._Process._listen, process.Channel.ask
def listen_to_the_end(self, channel, work):
    listen(self, channel, work)
    open(os.environ['GATE'], 'w').close()
def ask_late(self, most):
    starts = ask(self, most)
    while not os.path.exists(os.environ['GATE']): time.sleep(0.001)
    return starts
process._Process._listen, process.Channel.ask = listen_to_the_end, ask_late
"""
    owner = Owner(tmp_path, many(before=late), GATE=str(tmp_path / "gate"))
    owner.asked()
    owner.deal(*specs(3))
    owner.hang_up()
    assert owner.end() == 0
    assert rows(tmp_path) == []


def test_without_train_many_it_says_so(tmp_path: Path) -> None:
    kinds: list[Message] = []
    owner = Owner(tmp_path, HEAD + "main(lambda trial: None)")
    with pytest.raises(EOFError):
        kinds.append(owner.next())
    assert (owner.end(), kinds) == (64, [])
