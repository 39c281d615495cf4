"""Which trials share a Job: each has one of its own, or as many of them as ``execution.trials_per_pod`` says.

A pack is cut once and then stays: its id is made from its trials' ids, so the same file gives the same Jobs to
``kgen render``, to a submission, and to another one at the same time. Later only what no Job covers is cut anew.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from kgen.names import TRIAL_ID_LENGTH
from kgen.spec import TrialSpec


@dataclass(frozen=True, slots=True)
class Pack:
    """The trials of one Job."""

    id: str
    """What names the Job: that of the trial where it has it for itself."""
    trials: tuple[TrialSpec, ...]
    is_single: bool = False
    """Whether it is the Job of one trial, told of it in its environment; a pack of one is a pack all the same."""

    @classmethod
    def single(cls, trial: TrialSpec) -> Pack:
        """A trial with a Job of its own."""
        return cls(trial.id, (trial,), is_single=True)


@dataclass(frozen=True, slots=True)
class PackThere:
    """What a Job that is there says of its trials."""

    id: str
    trials: tuple[str, ...]
    is_single: bool = False


def singles(trials: Iterable[TrialSpec]) -> tuple[Pack, ...]:
    """Each trial with a Job of its own."""
    return tuple(map(Pack.single, trials))


def packs(
    trials: Sequence[TrialSpec],
    size: int,
    there: Sequence[PackThere] = (),
    done: Collection[str] = (),
    *,
    by_seed: bool = False,
) -> tuple[Pack, ...]:
    """The Jobs that these trials should have: first those that are there, then new ones of ``size`` trials each.

    A Job that is there keeps its id and those of its trials that the file still asks for; one that has none of them is
    left out. Trials that are ``done`` get no new Job. With ``by_seed`` those of one seed stand together, because they
    can train on the same batches.
    """
    asked = {trial.id: trial for trial in trials}
    kept = []
    covered: set[str] = set()
    for each in there:
        own = tuple(asked[trial] for trial in each.trials if trial in asked)
        covered.update(trial.id for trial in own)
        if own:
            kept.append(Pack(each.id, own, each.is_single))
    left = [trial for trial in trials if trial.id not in covered and trial.id not in done]
    if size == 1:
        return (*kept, *singles(left))
    if by_seed:
        left.sort(key=lambda trial: trial.seed)
    cuts = (tuple(left[start : start + size]) for start in range(0, len(left), size))
    return (*kept, *(Pack(pack_id(trial.id for trial in cut), cut) for cut in cuts))


def pack_id(trials: Iterable[str]) -> str:
    """What names the Job of these trials; looks like a trial's id.

    >>> pack_id(["aaaaaaaaaa", "bbbbbbbbbb"])
    'oktbevo2wu'
    """
    found = hashlib.sha256("\n".join(trials).encode()).digest()
    return base64.b32encode(found[:10])[:TRIAL_ID_LENGTH].decode().lower()
