"""Row files → one line per trial, the curves, and a certificate of completeness.

Exactly one row per trial is accepted, whatever was started twice, killed or torn on the way.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pandas as pd
import pyarrow as pa

from kgen.choice import Choice
from kgen.names import COLLECTED_DIR, CURVES_FILE, DEFAULT_STAGE, TRIALS_FILE
from kgen.results.alone import with_predictions
from kgen.results.certificate import Certificate, DamagedFile, Duplicate, TrialFile
from kgen.results.pods import PODS, Pods, PodSeen, merged, pods_to_bytes, stored_pods
from kgen.results.read import RowCache, Rows, read
from kgen.results.rows import State
from kgen.results.store import Store
from kgen.results.tables import Line, curves_table, to_frame, to_parquet, trials_table
from kgen.spec import TrialSpec

_MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class Results:
    """A sweep's results as tables."""

    trials: pd.DataFrame
    """One line per expected trial, in the sweep's order; ``status`` is its outcome, or failed, interrupted, missing."""
    curves: pd.DataFrame
    """Long form: trial, step, seconds, metric, value; accepted rows only."""
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Observed:
    """What the store says of one trial."""

    trial: str
    state: State
    outcome: str | None
    reason: str
    file: str
    steps: int
    total_seconds: float
    image: str
    exit_code: int = 0
    ended: dt.datetime | None = None


def observe(store: Store, expected: Iterable[TrialSpec], cache: RowCache | None = None) -> dict[str, Observed]:
    """The state of each trial that has a row: complete if one is accepted, else that of its last attempt.

    Changes nothing in the store. With a cache, which one process keeps for one store, only new files are read.
    """
    rows = read(store, cache=cache)
    specs = {trial.id: trial for trial in expected}
    out = {}
    for trial, candidates in rows.by_trial(specs.keys()).items():
        best = rows.accepted(candidates, specs[trial].objective)
        shown = rows.latest(candidates) if best is None else best
        state, reason = State(rows["state"][shown]), rows["exit_reason"][shown]
        if best is None and state is State.COMPLETE:  # a result, but not for this objective: will be run again
            state, reason = State.INTERRUPTED, "shared its core or GPU, and the objective is in seconds"
        out[trial] = Observed(
            trial,
            state,
            rows["outcome"][shown],
            reason,
            rows["file"][shown],
            rows["steps"][shown],
            rows["total_seconds"][shown],
            rows["image"][shown],
            rows["exit_code"][shown],
            rows.ended(shown),
        )
    return out


def trained_alone(store: Store, expected: Iterable[TrialSpec], cache: RowCache | None = None) -> frozenset[str]:
    """Trials with a result for which they had their device to themselves, so that its seconds are their own."""
    rows = read(store, cache=cache)
    found = rows.by_trial({trial.id for trial in expected})
    return frozenset(trial for trial, candidates in found.items() if rows.alone(candidates) is not None)


def collect(
    store: Store,
    expected: Sequence[TrialSpec],
    pods: Sequence[PodSeen] = (),
    *,
    waiting: Mapping[str, str] = MappingProxyType({}),
    choices: Sequence[Choice] = (),
) -> Results:
    """Merge all row files and write ``collected/trials.parquet`` and ``curves.parquet``.

    ``pods`` are those that a cluster shows now; they join what earlier collections saw, and are kept. ``waiting`` are
    stages that may still get trials, and why; ``choices`` those that later stages were made of. Damaged, torn and
    foreign files are named in the certificate and never fatal. Raises StoreError when the store itself can't be read
    or written.
    """
    rows = read(store, keep=True)
    results, trials, curves = _merge(rows, expected, *_join(store, pods), waiting=waiting, choices=choices)
    store.write(f"{COLLECTED_DIR}/{TRIALS_FILE}", to_parquet(trials))
    store.write(f"{COLLECTED_DIR}/{CURVES_FILE}", to_parquet(curves))
    return results


def look(store: Store, expected: Sequence[TrialSpec], cache: RowCache | None = None) -> Results:
    """The results of some of a sweep's trials as :func:`collect` would give them now; its certificate calls the rows of
    all others foreign. Changes nothing. Raises StoreError when the store can't be read."""
    rows = read(store, cache=cache)
    pods, trouble = stored_pods(store)
    return _merge(rows, expected, Pods(pods), trouble)[0]


def _merge(
    rows: Rows,
    expected: Sequence[TrialSpec],
    seen: Pods,
    trouble: str,
    *,
    waiting: Mapping[str, str] = MappingProxyType({}),
    choices: Sequence[Choice] = (),
) -> tuple[Results, pa.Table, pa.Table]:
    """The results, and their two tables as they are written."""
    ids = {trial.id for trial in expected}
    by_trial = rows.by_trial(ids)
    accepted: dict[str, int] = {}
    lines: list[Line] = []
    problems: dict[str, list[TrialFile]] = defaultdict(list)
    duplicates = []
    timed: list[TrialFile] = []
    missing = []
    for spec in expected:
        candidates = by_trial.get(spec.id, [])
        best = rows.accepted(candidates, spec.objective)
        if best is not None:
            accepted[spec.id] = best
            others = [i for i in candidates if i != best and rows["state"][i] == State.COMPLETE]
            same = sorted(rows["file"][i] for i in others if rows["timing"][i] == rows["timing"][best])
            if same:
                duplicates.append(Duplicate(spec.id, rows["file"][best], tuple(same)))
            timed += [_timing(rows, best, i) for i in others if rows["timing"][i] != rows["timing"][best]]
            lines.append(Line(rows["outcome"][best], best, digest=seen.digest(rows["attempt"][best])))
        elif pod := _failed_pod(seen, rows, spec.id, candidates):
            state = State.INTERRUPTED if pod.interrupted else State.FAILED
            problems[state].append(TrialFile(spec.id, "", pod.why))
            lines.append(Line(state, pod=pod, reason=pod.why, digest=pod.image_digest))
        elif candidates:
            latest = rows.latest(candidates)
            state, reason = rows["state"][latest], _reason(seen, rows, latest)
            shared = state == State.COMPLETE
            problems["shared" if shared else state].append(TrialFile(spec.id, rows["file"][latest], reason))
            digest = seen.digest(rows["attempt"][latest])
            lines.append(Line(_MISSING if shared else state, latest, reason=reason, digest=digest))
        else:
            missing.append(spec.id)
            lines.append(Line(_MISSING))
    foreign = tuple(
        TrialFile(trial, rows["file"][i], _no_trial(rows["sweep"][i], rows["stage"][i]))
        for i, trial in enumerate(rows["trial"])
        if trial not in by_trial
    )
    certificate = Certificate(
        expected=len(expected),
        accepted=len(accepted),
        missing=tuple(missing),
        failed=tuple(problems[State.FAILED]),
        interrupted=tuple(problems[State.INTERRUPTED]),
        shared=tuple(problems["shared"]),
        duplicates=tuple(duplicates),
        timed=tuple(timed),
        damaged=(*rows.damaged, *([DamagedFile(PODS, trouble)] if trouble else ())),
        foreign=foreign,
        images=rows.different("image", accepted.values()),
        revisions=rows.different("revision", accepted.values()),
        digests=tuple(sorted({seen.digest(rows["attempt"][i]) for i in accepted.values()} - {""})),
        trainers=rows.different("trainer", accepted.values()),
        waiting=dict(waiting),
        incomplete_choices={choice.stage: choice.missing for choice in choices if choice.missing},
        outdated_choices={choice.stage: gone for choice in choices if (gone := choice.gone(ids))},
    )
    trials = trials_table(rows.table, expected, lines)
    alone = [rows.alone(by_trial.get(spec.id, [])) for spec in expected]
    if any(i is not None for i in alone) and not all(map(rows.is_alone, accepted.values())):
        trials = with_predictions(trials, rows.table, alone)
    curves = curves_table(rows.table, list(accepted.values()))
    return Results(to_frame(trials), to_frame(curves), certificate), trials, curves


def _no_trial(sweep: str, stage: str) -> str:
    where = f"sweep {sweep}" if stage == DEFAULT_STAGE else f"sweep {sweep}, stage {stage}"
    return f"no trial of this sweep file ({where})"


def _timing(rows: Rows, accepted: int, other: int) -> TrialFile:
    said = f"timing {rows['timing'][other]} beside the accepted {rows['timing'][accepted]}"
    return TrialFile(rows["trial"][other], rows["file"][other], said)


# -- what pods say beside the rows --------------------------------------------------------------------------------


def _join(store: Store, now: Sequence[PodSeen]) -> tuple[Pods, str]:
    """All pods that are known of, kept for later; and what is wrong with the file of earlier ones, if anything is."""
    earlier, trouble = stored_pods(store)
    pods = merged(earlier, now)
    if pods != earlier:
        store.write(PODS, pods_to_bytes(pods))
    return Pods(pods), trouble


def _failed_pod(pods: Pods, rows: Rows, trial: str, candidates: Sequence[int]) -> PodSeen | None:
    """The pod that failed after the trial's last row, or without any."""
    if not candidates:
        return pods.failed(trial)
    latest = rows.latest(candidates)
    # A pod ends a moment after the row that it writes, and its times have whole seconds.
    found = pods.failed(trial, rows["attempt"][latest], rows.ended(latest))
    # That a pod of several failed later says less of one trial than how that one did.
    return None if found and rows["state"][latest] == State.FAILED and pods.is_shared(found) else found


def _reason(pods: Pods, rows: Rows, i: int) -> str:
    """Why a row's attempt ended: a row knows of its SIGTERM only, the pod of the deadline or the eviction behind it."""
    why = pods.why(rows["trial"][i], rows["attempt"][i]) if rows["state"][i] == State.INTERRUPTED else ""
    return "; ".join(filter(None, (rows["exit_reason"][i], why)))
