"""What the page says of where results came from: the certificate in words, machines, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from kgen.analysis import COMPLETE
from kgen.analysis.text import listing, number, plural
from kgen.spec import Timing


@dataclass(frozen=True, slots=True)
class Entry:
    """One trial or file, and what is to be said of it."""

    name: str
    said: str
    log: str = ""
    """Last lines of its output."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One kind of thing that a reader of the results must know, with everything that it concerns."""

    key: str
    """In the certificate."""
    heading: str
    meaning: str
    entries: tuple[Entry, ...]


_MEANINGS: Final = {
    "waiting": ("stage that may get more trials", "Their trials are not known yet, and so not among those expected."),
    "incomplete_choices": (
        "choice from an incomplete stage",
        "These stages took their trials from an earlier one of which trials had no result then; the choice might be "
        "another one now. It is made anew by --rechoose.",
    ),
    "outdated_choices": (
        "choice by trials that are no more",
        "The stage that these took their trials from was edited since: it has other trials now. The choice is made "
        "anew by --rechoose.",
    ),
    "missing": ("missing trial", "No row of these was found: they have not run, or left none. Run the sweep again."),
    "interrupted": ("interrupted trial", "Stopped from outside before the end; the next run does these again."),
    "failed": ("failed trial", "Crashed, or could not start. Counted in no statistic."),
    "shared": (
        "trial on a shared device",
        "The objective is in seconds, which count only where a trial had its device to itself: these must run again.",
    ),
    "duplicates": ("trial that ran more than once", "One result of each was accepted: the first complete one."),
    "damaged": ("damaged file", "Not readable, so whatever is in them is not in these results."),
    "foreign": ("foreign file", "Among the results, but of trials that this sweep does not have. Not used."),
    "images": ("image", "Trials were made with different images: differences between them may be the code's."),
    "digests": (
        "image digest",
        "One name, different images: the tag was moved while the sweep ran, so differences between trials may be the "
        "code's.",
    ),
    "revisions": ("revision", "Trials were made with different revisions: differences between them may be the code's."),
    "trainers": (
        "trainer",
        "Trials were made by different trainers, or some one by one and others fused: where their numbers differ a "
        "little, that may be the reason.",
    ),
}
_PLURALS: Final = {
    "waiting": "stages that may get more trials",
    "incomplete_choices": "choices from incomplete stages",
    "outdated_choices": "choices by trials that are no more",
    "duplicates": "trials that ran more than once",
    "shared": "trials on a shared device",
}
_NORMAL: Final = {"images": 1, "digests": 1, "revisions": 1, "trainers": 1}
"""How many entries are as it should be."""


def verdict(certificate: Mapping[str, Any]) -> str:
    """Whether the results are whole, in one sentence."""
    expected, accepted = int(certificate["expected"]), int(certificate["accepted"])
    if certificate["complete"]:
        return f"Complete: {plural(expected, 'expected trial')}, and a result of every one."
    if accepted == expected:  # of the stages that have begun
        return f"Incomplete: {plural(expected, 'trial')} with a result each, and more to come."
    return f"Incomplete: results of {accepted:,} of {plural(expected, 'expected trial')}."


def notices(certificate: Mapping[str, Any], trials: pd.DataFrame) -> tuple[Notice, ...]:
    """Everything in the certificate that is not as it should be; nothing where all is well."""
    logs = dict(zip(trials["trial"], trials["log"].fillna(""), strict=True))
    found = []
    for key, (noun, meaning) in _MEANINGS.items():
        items = certificate.get(key, ())
        if isinstance(items, Mapping):  # of stages
            entries = tuple(Entry(name, _text(said)) for name, said in items.items())
        else:
            entries = tuple(_entry(item, logs if key == "failed" else {}) for item in items)
        if len(entries) > _NORMAL.get(key, 0):
            found.append(Notice(key, plural(len(entries), noun, _PLURALS.get(key, "")), meaning, entries))
    return tuple(found)


def _entry(item: Any, logs: Mapping[str, str]) -> Entry:
    if not isinstance(item, Mapping):
        return Entry(str(item), "")
    fields = {key: _text(value) for key, value in item.items() if value not in (None, "", [], ())}
    name = fields.pop("trial", "") or fields.pop("file", "")
    said = "; ".join(value if key == "reason" else f"{key} {value}" for key, value in fields.items())
    return Entry(name, said, str(logs.get(name, "")))


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


_ENVIRONMENT: Final = {
    "device": "device",
    "node": "node",
    "image": "image",
    "revision": "revision of the trainer",
    "trainer": "trainer",
    "framework": "framework",
    "python": "Python",
    "kgen": "kgen",
}


def environment(trials: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Machines, versions and times of the trials that left a result, as (what, which) pairs."""
    done = trials[trials["status"].isin(COMPLETE)]
    if done.empty:
        return ()
    said = []
    for column, what in _ENVIRONMENT.items():
        counts = Counter(_versioned(done, column))
        del counts[""]
        if len(counts) == 1 and counts.total() == len(done):
            said.append((what, next(iter(counts))))
        elif counts:
            said.append((what, listing([f"{name} ({plural(n, 'trial')})" for name, n in counts.items()], most=12)))
    return (*said, *_times(done))


def exclusive_trials(done: pd.DataFrame) -> int:
    """How many of the trials that left a result had their device to themselves, by their own rows."""
    return int(done["timing"].eq(str(Timing.EXCLUSIVE)).fillna(False).sum())


def _versioned(trials: pd.DataFrame, column: str) -> list[str]:
    """The column's values as text, the framework's with its version."""
    values = trials[column].fillna("").astype(str)
    if column == "framework":
        values = values + " " + trials["framework_version"].fillna("").astype(str)
    return [value.strip() for value in values]


def _times(done: pd.DataFrame) -> Sequence[tuple[str, str]]:
    said = []
    exclusive = exclusive_trials(done)
    said.append(("timing", f"{exclusive:,} of {plural(len(done), 'trial')} had their device to themselves"))
    started, ended = done["started"].min(), done["ended"].max()
    if not pd.isna(started) and not pd.isna(ended):
        said.append(("first start, last end", f"{started:%Y-%m-%d %H:%M:%S %Z}, {ended:%Y-%m-%d %H:%M:%S %Z}"))
    said.append(("counted seconds in all", number(float(done["seconds"].sum()))))
    total = float(done["total_seconds"].sum())
    # Trials in company are there at the same time: the sum of their wall times is the duration of nothing.
    if total and exclusive == len(done):
        said.append(("seconds in all, loading, compilation and evaluation included", number(total)))
    return said
