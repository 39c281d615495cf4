"""Many trials in one process: which are trained, which wait for a place, which leave.

Trials of one shape and seed go side by side through one program, a cohort (:mod:`kgen_trainer.cohorts`). The cohort
that is furthest behind makes the next chunk of steps, so that those that began later catch up, and join the others at
the same step. At each check the trials that have ended leave, and others take their places: a trial's row is the same
to the bit whoever is beside it (:mod:`kgen_trainer.fused`), so none of this shows in any row.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping

from kgen.errors import TrialError
from kgen.trial import Trial, Trials
from kgen_trainer import describe, loop
from kgen_trainer.backend import announce, require_gpus
from kgen_trainer.checkpoint import look_all, save_all
from kgen_trainer.cohorts import Cohort, Key, Member, packing
from kgen_trainer.course import check_budget
from kgen_trainer.fused import FusedProgram, Stopped, is_fusable, is_too_large, program_for
from kgen_trainer.settings import Settings


def run_many(trials: Trials) -> None:
    """Train all that there are. What one trial can't be trained for is the failure of that trial alone."""
    announce()
    fleet = _Fleet(trials)
    while not trials.stopping and fleet.fill():
        try:
            fleet.advance()
        except Stopped:
            break
    fleet.save()


class _Fleet:
    """All trials that this process has taken and not ended."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._cohorts: list[Cohort] = []
        self._waiting: list[Member] = []
        """Taken, but there is no room for their shape yet."""
        self._alone: list[Trial] = []
        """Taken, but to be trained one after another, once nobody would have to stand still for that."""
        self._last: FusedProgram | None = None
        """The program that the next trials probably need, too."""

    # -- who comes

    def fill(self) -> bool:
        """Take trials as far as there are places; whether there is anything to train."""
        while (places := self._places()) and (taken := self._trials.take(places)):
            self._waiting += self._admit(taken)
            self._place()
        return bool(self._cohorts or self._alone)

    def _places(self) -> int:
        """How many trials may begin. The first tells what a place is."""
        if not self._cohorts and self._alone:
            return 0
        if self._last is None or not self._cohorts:
            return 1 if self._last is None else self._last.capacity
        if self._waiting:
            return 0
        whole_tiles = math.floor((1 - _room(map(_size, self._cohorts))) * self._last.capacity / self._last.width + 1e-9)
        beside = sum(-len(cohort.members) % cohort.program.width for cohort in self._cohorts if cohort.step == 0)
        return max(0, whole_tiles * self._last.width + beside - len(self._alone))

    def _admit(self, taken: Iterable[Trial]) -> list[Member]:
        """Those that can be trained together. Those that can't be trained at all have failed when this returns, those
        that can't be trained beside others wait for their turn."""
        members = []
        broken: dict[Settings, TrialError] = {}
        for trial in taken:
            try:
                member = self._begin(trial, broken)
            except TrialError as error:
                self._trials.fail(trial, error)
            else:
                members += [member] if member is not None else []
        look_all(member.checkpoints for member in members if member.checkpoints is not None)
        for member in members:
            member.resume()
        return members

    def _begin(self, trial: Trial, broken: dict[Settings, TrialError]) -> Member | None:
        require_gpus()
        settings = Settings.from_trial(trial)
        check_budget(trial.budget)
        found = is_fusable(settings) or _program(settings, broken)
        if isinstance(found, str):
            print(f"kgen_trainer: trial {trial.id} is trained alone: {found}", flush=True)
            self._alone.append(trial)
            return None
        self._last = found
        self._trials.describe(trial, _described(packing(found)))
        return Member(trial, settings, found)

    def _place(self) -> None:
        """Let those that wait begin, as far as there is room."""
        sizes = {(cohort.key, cohort.step): _size(cohort) for cohort in self._cohorts}
        begin: dict[tuple[Key, int], list[Member]] = {}
        waiting, self._waiting = self._waiting, []
        for member in waiting:
            place = (member.key, member.course.step)
            _, number = sizes.get(place, (member.program, 0))
            larger = {**sizes, place: (member.program, number + 1)}
            if not sizes or _room(larger.values()) <= 1:
                sizes = larger
                begin.setdefault(place, []).append(member)
            else:
                self._waiting.append(member)
        for members in begin.values():
            self._add(Cohort(members))

    def _add(self, cohort: Cohort) -> None:
        for other in self._cohorts:
            if (other.key, other.step) == (cohort.key, cohort.step):
                other.join(cohort)
                return
        self._cohorts.append(cohort)

    # -- who goes

    def advance(self) -> None:
        """One chunk for the cohort that is furthest behind; where there is none, all of one that is trained alone.
        Raises Stopped when trials should stop."""
        if not self._cohorts:
            self._train_alone(self._alone.pop(0))
            return
        cohort = min(self._cohorts, key=lambda each: each.step)
        trained = [member.trial for each in self._cohorts for member in each.members]
        decisions = cohort.advance(lambda: self._trials.training(trained), lambda: self._trials.stopping)
        save_all(
            (member.checkpoints, cohort.checkpoint(which))
            for which, (member, decision) in enumerate(zip(cohort.members, decisions, strict=True))
            if member.checkpoints is not None and member.checkpoints.wants(decision, is_dead=member.course.is_dead)
        )
        for member, decision in zip(cohort.members, decisions, strict=True):
            if decision.stop:
                self._trials.end(member.trial)
        cohort.keep([which for which, decision in enumerate(decisions) if not decision.stop])
        self._cohorts.remove(cohort)
        if cohort.members:
            self._add(cohort)
        if self._waiting:
            self._place()

    def _train_alone(self, trial: Trial) -> None:
        """With only its own time."""
        try:
            loop.run(trial, lambda: self._trials.training([trial]))
        except TrialError as error:
            self._trials.fail(trial, error)
        else:
            self._trials.end(trial)

    def save(self) -> None:
        """Keep what those that have not ended need to go on."""
        save_all(
            (member.checkpoints, cohort.checkpoint(which))
            for cohort in self._cohorts
            for which, member in enumerate(cohort.members)
            if member.checkpoints is not None and cohort.step > 0
        )


_Size = tuple[FusedProgram, int]


def _size(cohort: Cohort) -> _Size:
    return cohort.program, len(cohort.members)


def _room(sizes: Iterable[_Size]) -> float:
    """The share of this process's memory that lanes take, in whole tiles."""
    return sum(math.ceil(number / program.width) * program.width / program.capacity for program, number in sizes)


def _program(settings: Settings, broken: dict[Settings, TrialError]) -> FusedProgram | str:
    """The program, or why there can't be one; an error is kept in ``broken``, for a download that fails should not be
    waited for by each trial."""
    shape = settings.shape()
    if shape in broken:
        raise broken[shape]
    try:
        return is_too_large(shape) or program_for(shape)
    except TrialError as error:
        broken[shape] = error
        raise


@functools.cache
def _described(how: str) -> Mapping[str, str]:
    said = describe()
    return {**said, "trainer": f"{said['trainer']}, {how}"}
