"""Workers that stay from one part of a sweep to the next, as those of a search do."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kgen.backends.local.devices import Slot
from kgen.backends.local.events import Dealt, Event, PutBack
from kgen.backends.local.pool import Pool
from kgen.errors import InputError
from kgen.spec import Packing, Timing, TrialSpec
from kgen.sweep import SweepSpec, expand
from kgen.trial.channel import Started
from tests.unit.backends.sweeps import HEAD, Story, body, fused, play, slot, sweep
from tests.unit.backends.test_pool import processes_of

WHO = "print(f'pid={os.getpid()}\\nenv={os.environ.get(\"KIND\")}', flush=True)"
REPORT = "trial.report(step=1, loss=trial.parameters['x'])"
PLAIN = body(WHO, REPORT)
MANY = fused("open(f'pid-{x}', 'w').write(str(os.getpid())) if step == 10 else 0")
SLOTS = (slot(), slot(1))


class Parts:
    """A pool that stays, and what it told."""

    def __init__(self, pool: Pool, spec: SweepSpec) -> None:
        self.pool = pool
        self.spec = spec
        self.trials = expand(spec)
        self.story = Story(spec, self.trials)

    def run(self, *xs: int, slots: Sequence[Slot] = SLOTS, spec: SweepSpec | None = None, **more: Packing) -> None:
        """A part of these trials."""
        self.pool.run(spec or self.spec, self.of(*xs), self.story.messages.append, slots=slots, **more)

    def of(self, *xs: int) -> list[TrialSpec]:
        return [trial for trial in self.trials if trial.parameters["x"] in xs]

    def pids(self, *xs: int) -> list[int]:
        """Of the processes that these were trained in."""
        if self.spec.packing is Packing.FUSED:
            return [int((self.spec.folder / f"pid-{x}").read_text()) for x in xs]
        return [int(self.story.log(x)["pid"]) for x in xs]

    @property
    def waiting(self) -> list[int]:
        """Processes that there are."""
        return sorted(worker.process.pid for worker in self.pool._workers)


@contextlib.contextmanager
def parts(spec: SweepSpec) -> Iterator[Parts]:
    with Pool(Story(spec, ()).store, stay=True) as pool:
        made = Parts(pool, spec)
        yield made
        there = made.waiting
    assert processes_of(set(there)) == [], "none is left behind"


@pytest.fixture(params=Packing)
def packing(request: pytest.FixtureRequest) -> Packing:
    made: Packing = request.param
    return made


@pytest.fixture
def spec(tmp_path: Path, packing: Packing) -> SweepSpec:
    return sweep(tmp_path, MANY if packing is Packing.FUSED else PLAIN, count=8, packing=packing)


def test_workers_stay_from_part_to_part(spec: SweepSpec) -> None:
    with parts(spec) as made:
        made.run(1, 2)
        first = made.waiting
        made.run(3, 4)
        made.run(5, 6, 7, 8)
        assert made.waiting == first
    assert made.story.states == dict.fromkeys(range(1, 9), "complete")
    assert set(made.pids(*range(1, 9))) == set(first)
    assert len(made.story.ended) == 8


def test_a_part_of_fewer_trials_keeps_no_more_processes_than_it_needs(spec: SweepSpec) -> None:
    with parts(spec) as made:
        made.run(1, 2)
        first = made.waiting
        made.run(3)
        assert len(made.waiting) == 1
        assert made.waiting[0] in first
        made.run(4, 5)
        assert len(made.waiting) == 2
    assert made.story.states == dict.fromkeys(range(1, 6), "complete")


def test_what_is_raised_between_two_parts_ends_all(spec: SweepSpec) -> None:
    there = []

    def break_off() -> None:
        with parts(spec) as made:
            made.run(1, 2)
            made.run()
            made.run(3)
            there.extend(made.waiting)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert there
    assert processes_of(set(there)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"env": {"KIND": "other"}}, "other"),
        ({"image": "registry.example/other"}, "None"),
        ({"command": ("python", "train.py", "more")}, "None"),
    ],
)
@pytest.mark.parametrize("packing", [Packing.SEQUENTIAL])
def test_what_a_process_gets_at_its_start_is_never_that_of_another_part(
    spec: SweepSpec, change: dict[str, object], says: str
) -> None:
    with parts(spec) as made:
        made.run(1, 2)
        first = made.waiting
        other = replace(spec, trainer=replace(spec.trainer, **change))  # type: ignore[arg-type]
        made.run(3, 4, spec=other)
        assert not set(first) & set(made.waiting)
        assert processes_of(set(first)) == []
        made.run(5, spec=other)
    assert [made.story.log(x)["env"] for x in (3, 4, 5)] == [says] * 3
    assert made.pids(5)[0] in made.pids(3, 4)


def test_the_old_one_is_gone_before_another_takes_its_slot(tmp_path: Path) -> None:
    """It would be another process beside those that the machine is to bear, and on their core or GPU."""
    code = body(
        "here = trial.checkpoint_dir.parent",
        "others = [pid for pid in os.listdir(here / 'pids') if os.path.exists(f'/proc/{pid}')]",
        "(here / 'pids' / str(os.getpid())).touch()",
        "print(f'others={len(set(others) - {str(os.getpid())})}', flush=True)",
        REPORT,
    ).replace("def train", "import atexit\ndef train")
    spec = sweep(tmp_path, code, count=3)
    (spec.results / "checkpoints" / "pids").mkdir(parents=True)
    with parts(spec) as made:
        for x, kind in ((1, "a"), (2, "b"), (3, "c")):
            other = replace(spec, trainer=replace(spec.trainer, env={"KIND": kind}))
            made.run(x, spec=other, slots=[slot()])
    assert [made.story.log(x)["others"] for x in (1, 2, 3)] == ["0", "0", "0"]


def test_trials_that_are_timed_alone_get_processes_of_their_own(tmp_path: Path) -> None:
    code = fused().replace("main(None", "def train(trial):\n    trial.report(step=1, loss=1)\nmain(train")
    spec = sweep(tmp_path, code, count=8, packing="fused")
    alone = slot(timing=Timing.EXCLUSIVE)
    with parts(spec) as made:
        made.run(1, 2, 3)
        before = made.waiting
        made.run(4, slots=[alone], packing=Packing.SEQUENTIAL)
        (then,) = made.waiting
        assert then not in before
        made.run(5, slots=[alone], packing=Packing.SEQUENTIAL)
        assert made.waiting == [then]
        elsewhere = slot(timing=Timing.EXCLUSIVE, cpus=(min(os.sched_getaffinity(0)),))
        made.run(6, slots=[elsewhere], packing=Packing.SEQUENTIAL)
        assert made.waiting != [then], "pinned to another core"
    rows = made.story.rows
    assert rows[3].timing is Timing.SHARED
    assert {rows[x].timing for x in (4, 5, 6)} == {Timing.EXCLUSIVE}


def test_a_file_that_changes_between_two_parts_stops_the_run(spec: SweepSpec) -> None:
    with parts(spec) as made:
        made.run(1, 2)
        (spec.folder / "train.py").write_text("another trainer")
        with pytest.raises(InputError, match="another content than at the start of this run"):
            made.run(3, 4)
        assert made.waiting == []
    assert made.story.states == {1: "complete", 2: "complete"}


def test_one_that_is_killed_between_two_parts_costs_no_trial(spec: SweepSpec) -> None:
    with parts(spec) as made:
        made.run(1, 2)
        for pid in made.waiting:
            os.kill(pid, signal.SIGKILL)
        made.run(3, 4, 5, 6)
    assert made.story.states == dict.fromkeys(range(1, 7), "complete")
    assert not any(isinstance(event, PutBack) for event in made.story.messages)


def test_one_that_got_nothing_yet_is_not_to_blame_when_it_is_killed(tmp_path: Path) -> None:
    """It comes when the other has trained everything, waits, and gets its first trial when it is dead."""
    late = """\
    try:
        open('early', 'x')
    except FileExistsError:
        while not os.path.exists('go'): time.sleep(0.01)
"""
    spec = sweep(tmp_path, fused().replace("    steps = {}", late + "    steps = {}"), count=4, packing="fused")
    with parts(spec) as made:

        def hear(event: Event) -> None:
            made.story.messages.append(event)
            if len(made.story.ended) == 2:
                (tmp_path / "go").touch()

        made.pool.run(spec, made.of(1, 2), hear, slots=SLOTS)
        (idle,) = [worker for worker in made.pool._workers if not any(
            isinstance(event, Dealt) and event.place == worker.place for event in made.story.messages)]  # fmt: skip
        idle.process.kill()
        idle.process.wait()
        made.run(3, 4)
    assert made.story.states == dict.fromkeys(range(1, 5), "complete")


def test_a_leaking_worker_is_replaced_in_a_later_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgen.backends.local.pool.GROWTH_BYTES", 50 << 20)
    code = body(WHO, "main.kept = getattr(main, 'kept', []) + [b'x' * (40 << 20)]", REPORT)
    with parts(sweep(tmp_path, code, count=5)) as made:
        for x in range(1, 6):
            made.run(x, slots=[slot()])
    one, two, three, four, five = made.pids(1, 2, 3, 4, 5)
    assert one == two == three != four == five


def test_one_that_waits_takes_what_comes_back_of_a_dead_one(tmp_path: Path) -> None:
    """The last trial of one worker kills it, when the other has nothing to do any more: it finds the culprit."""
    code = fused(
        "open(f'at-{x}', 'w') if step == 10 else 0",
        "if x == 3 and not os.path.exists('died'):",
        "    while not os.path.exists('idle'): time.sleep(0.01)",
        "    open('died', 'w')",
        "    os._exit(9)",
    )
    spec = sweep(tmp_path, code, count=4, packing="fused")
    with parts(spec) as made:
        pool = made.pool

        def hear(event: Event) -> None:
            made.story.messages.append(event)
            ended = len(made.story.ended)
            if ended == 2 and not (tmp_path / "idle").exists():
                (tmp_path / "idle").touch()

        pool.run(spec, made.trials, hear, slots=SLOTS)
        assert len(made.waiting) == 2
    assert made.story.states == dict.fromkeys(range(1, 5), "complete")
    assert [len(event.trials) for event in made.story.messages if isinstance(event, PutBack)] == [2]
    assert len([event for event in made.story.messages if isinstance(event, Dealt)]) >= 4


def test_after_a_stop_the_next_part_begins_anew(tmp_path: Path) -> None:
    code = HEAD + body("while trial.parameters['x'] == 1 and not trial.stopping: time.sleep(0.01)", WHO, REPORT)
    spec = sweep(tmp_path, code, count=3)
    with parts(spec) as made:

        def stop(event: Event) -> None:
            if isinstance(event, Started):
                made.pool.stop("enough")

        made.pool.run(spec, made.of(1), stop, slots=[slot()])
        assert made.waiting == []
        made.run(2)
    assert made.story.states == {1: "interrupted", 2: "complete"}


def test_without_more_to_come_workers_end_with_their_last_trial(tmp_path: Path) -> None:
    code = body(WHO, "here = trial.checkpoint_dir.parent",
                "while trial.parameters['x'] == 2 and os.path.exists('/proc/' + (here / 'other').read_text()):",
                "    time.sleep(0.01)", "(here / 'other').write_text(str(os.getpid()))", REPORT)  # fmt: skip
    spec = sweep(tmp_path, code, count=2)
    (spec.results / "checkpoints").mkdir(parents=True)
    (spec.results / "checkpoints" / "other").write_text("self")
    assert play(spec).states == {1: "complete", 2: "complete"}
