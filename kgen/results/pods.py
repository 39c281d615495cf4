"""What a cluster knew of a trial's attempts and rows don't say: the image's digest, and how one ended that left no row.

Pods are gone sooner than rows, so what was seen of them is kept, in ``collected/pods.parquet``.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import pyarrow as pa

from kgen.errors import StoreError
from kgen.names import COLLECTED_DIR, PODS_FILE
from kgen.results.rows import open_sealed, table_to_bytes
from kgen.results.store import Store

PODS: Final = f"{COLLECTED_DIR}/{PODS_FILE}"
_TIME: Final = pa.timestamp("us", tz="UTC")
_FIELDS: Final = pa.schema(
    [
        ("trial", pa.string()),
        ("attempt", pa.string()),
        ("pod", pa.string()),
        ("node", pa.string()),
        ("image_digest", pa.string()),
        ("state", pa.string()),
        ("exit_code", pa.int64()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("created", _TIME),
        ("started", _TIME),
        ("ended", _TIME),
    ]
)
_LONG_AGO: Final = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
_UID_LENGTH: Final = 36
# The words of kgen.status.Reason, which lies above results.
DISRUPTIONS: Final = frozenset(("Interrupted", "NodeLost", "Preempted"))
"""Reasons for which a trial can do nothing."""
BY_THE_CLUSTER: Final = frozenset(("DeadlineExceeded", "Evicted", "NodeLost", "OutOfMemory", "Preempted"))
"""Reasons that say more than the row of an interrupted attempt, which knows its signal only."""


class PodState(enum.StrEnum):
    """How far a pod has come."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self in (PodState.SUCCEEDED, PodState.FAILED)


@dataclass(frozen=True, slots=True)
class PodSeen:
    """One attempt as the cluster saw it last."""

    trial: str
    attempt: str
    """The pod's UID, as in the row, where trials share it that of each; the Job's where that has failed and no pod is
    left to tell."""
    state: PodState
    pod: str = ""
    node: str = ""
    image_digest: str = ""
    """Of the image that ran, ``sha256:…``; empty where the node has not said it."""
    exit_code: int | None = None
    reason: str = ""
    """Of a failed one: OutOfMemory, DeadlineExceeded, Evicted … as ``kgen get`` says it."""
    message: str = ""
    """The reason in words."""
    created: dt.datetime | None = None
    started: dt.datetime | None = None
    ended: dt.datetime | None = None

    @property
    def why(self) -> str:
        """Reason and words, in one line."""
        return ": ".join(filter(None, (self.reason, self.message)))

    @property
    def interrupted(self) -> bool:
        """Whether something outside ended it, for which its trial can do nothing."""
        return self.reason in DISRUPTIONS

    def after(self, earlier: PodSeen) -> PodSeen:
        """The same attempt, seen again: nothing that was known of it is lost."""
        if earlier.state.ended and not self.state.ended:
            return earlier
        return replace(
            self,
            node=self.node or earlier.node,
            image_digest=self.image_digest or earlier.image_digest,
            started=self.started or earlier.started,
        )

    @property
    def _age(self) -> tuple[dt.datetime, str]:
        return self.created or self.started or _LONG_AGO, self.attempt


def merged(earlier: Iterable[PodSeen], later: Iterable[PodSeen]) -> tuple[PodSeen, ...]:
    """Both, each attempt of a trial once, in an order that does not depend on who saw what first."""
    found: dict[tuple[str, str], PodSeen] = {}
    for pod in (*earlier, *later):
        key = pod.trial, pod.attempt
        found[key] = pod.after(found[key]) if key in found else pod
    return tuple(sorted(found.values(), key=lambda pod: (pod.trial, pod._age)))


def pods_to_bytes(pods: Sequence[PodSeen]) -> bytes:
    """The file; the same bytes for the same pods."""
    return table_to_bytes(pa.Table.from_pylist([asdict(pod) for pod in pods], schema=_FIELDS))


def pods_from_bytes(data: bytes) -> tuple[PodSeen, ...]:
    """What :func:`pods_to_bytes` wrote. ``ValueError`` says what is wrong with the file."""
    try:
        rows = open_sealed(data).read(use_threads=False).cast(_FIELDS).to_pylist()
        return tuple(PodSeen(**{**row, "state": PodState(row["state"])}) for row in rows)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"no file of pods: {error}") from error


def stored_pods(store: Store) -> tuple[tuple[PodSeen, ...], str]:
    """What earlier collections saw, and what is wrong with their file, if it can't be read. Raises StoreError."""
    if not store.exists(PODS):
        return (), ""
    try:
        return pods_from_bytes(store.read(PODS)), ""
    except ValueError as error:
        return (), str(error)
    except StoreError as error:
        raise StoreError(f"what is known of pods can't be read, and would be lost: {error}") from error


class Pods:
    """The pods of a sweep, as a collection asks for them."""

    def __init__(self, pods: Iterable[PodSeen]) -> None:
        pods = tuple(pods)
        self._by_trial = {(pod.trial, pod.attempt): pod for pod in pods}
        self._by_attempt = {pod.attempt: pod for pod in pods}
        self._trials = Counter(pod.attempt for pod in pods)
        self._newest: dict[str, PodSeen] = {}
        self._newest_pod: dict[str, PodSeen] = {}
        """Without those that stand for a whole Job, which say nothing that a row of the trial would not say better."""
        for pod in pods:
            known = self._newest.get(pod.trial)
            if known is None or pod._age > known._age:
                self._newest[pod.trial] = pod
            known = self._newest_pod.get(pod.trial)
            if pod.pod and (known is None or pod._age > known._age):
                self._newest_pod[pod.trial] = pod

    def digest(self, attempt: str) -> str:
        """Of the image that ran a row's attempt; empty where that is not known."""
        pod = self._of(attempt)
        return pod.image_digest if pod else ""

    def why(self, trial: str, attempt: str) -> str:
        """Why the cluster ended a row's attempt; empty where it did not. Trials that share a pod may differ in it."""
        pod = self._by_trial.get((trial, attempt)) or self._by_trial.get((trial, attempt[:_UID_LENGTH]))
        return pod.why if pod and pod.state is PodState.FAILED and pod.reason in BY_THE_CLUSTER else ""

    def failed(self, trial: str, attempt: str = "", ended: dt.datetime | None = None) -> PodSeen | None:
        """The pod of a trial that failed after all else that is known of it: after the row of that attempt, which ended
        then, if it has one. None where the last thing known is not a failure."""
        pod = (self._newest_pod if attempt else self._newest).get(trial)
        if pod is None or pod.state is not PodState.FAILED:
            return None
        if attempt and (own := self._of(attempt)) and pod.attempt == own.attempt:
            return None
        return pod if ended is None or (pod.ended or pod._age[0]) > ended else None

    def is_shared(self, pod: PodSeen) -> bool:
        """Whether it was an attempt of several trials."""
        return self._trials[pod.attempt] > 1

    def _of(self, attempt: str) -> PodSeen | None:
        # A container that was started again in its pod has a number behind the pod's UID.
        return self._by_attempt.get(attempt) or self._by_attempt.get(attempt[:_UID_LENGTH])
