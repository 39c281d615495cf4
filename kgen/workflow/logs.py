"""What a trial's program printed: from its pod while that is there, then the last lines that its row keeps."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind, path_of
from kgen.errors import ClusterError, InputError, StoreError
from kgen.status.pods import Pod
from kgen.workflow.observe import SeenTrial, see_trial, stored_spec
from kgen.workflow.results import far_results

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.results.rows import TrialRow
    from kgen.status import Object


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines of a trial's log."""

    follow: bool = False
    previous: bool = False
    """Of the attempt before the newest."""
    tail: int | None = None
    """Only so many last ones."""
    timestamps: bool = False
    """With their times, which only a pod's log has."""


def trial_log(
    api: Api, trial: str, wanted: Wanted, on_event: Callable[[str], None], *, image: str = ""
) -> Iterator[bytes]:
    """The log of the trial's newest attempt, line by line as they come.

    ``on_event`` hears where they come from when that is not a pod. ``image`` is that of the pod which reads a claim.
    Raises InputError where there is no such attempt, ClusterError or StoreError where the log can't be read.
    """
    sweep, seen, _ = see_trial(api, trial)
    pods = sorted(seen.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    pod = next(reversed(pods[:-1] if wanted.previous else pods), None)
    if pod is None:
        # Of an attempt that is still to come there is no row, and of earlier ones it is not the newest.
        to_come = not seen.status.state.ended and not seen.status.attempts
        if to_come and not wanted.previous:
            raise _nothing(seen, previous=False)
        try:
            rows = _rows(api, sweep, seen.id, image, on_event)
        except (ClusterError, StoreError) as error:
            found = f"{seen.id} has no {'earlier ' if wanted.previous else ''}pod, and rows of one can't be read"
            raise StoreError(f"{found}: {error}") from error
        gone = [each for each in rows if not any(_is_of(each, there) for there in pods)]
        row = next(reversed(gone[:-1] if wanted.previous and not pods and not to_come else gone), None)
        if row is None:
            raise _nothing(seen, previous=wanted.previous)
    else:
        lines = _pod_log(api, pod, wanted)
        try:
            first = list(itertools.islice(lines, 1))
        except ApiError as error:
            said = " ".join(error.message.split())
            unread = ClusterError(f"the log of pod {pod['metadata']['name']} can't be read: {said}")
            if not Pod(pod).is_ended and error.status != 404:
                raise unread from error
            row = _row_of_pod(api, sweep, seen.id, pod, image, on_event)
            if row is None:
                raise unread from error
        else:
            yield from first
            yield from lines
            return
    ended = f"{row.ended:%Y-%m-%d %H:%M:%S} UTC"
    on_event(f"the log of attempt {row.attempt}, which ended {ended}, is gone; the last lines that its row keeps:")
    kept = row.log.splitlines()
    yield from (
        line.encode() for line in kept[max(0, len(kept) - (len(kept) if wanted.tail is None else wanted.tail)) :]
    )


def _pod_log(api: Api, pod: Object, wanted: Wanted) -> Iterator[bytes]:
    asked = {
        "container": _container(pod),
        "timestamps": str(wanted.timestamps).lower(),
        "follow": str(wanted.follow).lower(),
    }
    limit = {} if wanted.tail is None else {"tailLines": str(wanted.tail)}
    path = f"{path_of(api, Kind.POD, pod['metadata']['name'])}/log"
    with api.stream(f"{path}?{urlencode({**asked, **limit})}") as lines:
        yield from lines


def _container(pod: Object) -> str:
    found = [str(container["name"]) for container in pod["spec"]["containers"]]
    return names.TRAINER_CONTAINER if names.TRAINER_CONTAINER in found else found[0]


def _rows(api: Api, sweep: str, trial: str, image: str, on_event: Callable[[str], None]) -> list[TrialRow]:
    """What the trial's attempts have left, in the order of their ends; only its own row files are read."""
    from kgen.results.rows import bytes_to_rows

    spec = stored_spec(api, sweep)[0]
    if spec is None:
        return []
    rows = []
    with far_results(spec, image=image, connect=lambda: api, on_event=on_event) as source:
        files = [file.name for file in source.row_files(f"{trial}.")]
        for _, data in source.read_row_files(files):
            with contextlib.suppress(ValueError):  # a damaged one, which `kgen collect` names
                rows += [row for row in bytes_to_rows(data) if row.trial == trial]
    return sorted(rows, key=lambda row: (row.ended, row.attempt))


def _row_of_pod(
    api: Api, sweep: str, trial: str, pod: Object, image: str, on_event: Callable[[str], None]
) -> TrialRow | None:
    """What one attempt has left; None where that can't be told, because then there is an earlier error to show."""
    try:
        rows = _rows(api, sweep, trial, image, on_event)
    except (ClusterError, StoreError):
        return None
    return next((row for row in reversed(rows) if _is_of(row, pod)), None)


def _is_of(row: TrialRow, pod: Object) -> bool:
    """Whether a pod's program left it; one that was started again in its pod has a number behind the pod's name."""
    uid = pod["metadata"]["uid"]
    return row.attempt == uid or row.attempt.startswith(f"{uid}-")


def _nothing(seen: SeenTrial, *, previous: bool) -> InputError:
    found = f"{seen.id}, which has no {'earlier ' if previous else ''}pod and no row of one"
    why = f" ({seen.status.message})" if seen.status.message else ""
    return InputError.of("the command line", "TRIAL", found + why, "a trial whose program has been started")
