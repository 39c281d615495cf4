"""What a trial's program printed: from its pod while that is there, then the last lines that its row keeps."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from kgen import names, pack_message
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind, path_of
from kgen.errors import ClusterError, InputError, StoreError
from kgen.status.pods import Pod
from kgen.workflow.named import Named, see_named
from kgen.workflow.observe import SeenTrial
from kgen.workflow.results import far_results
from kgen.workflow.stored import stored_spec

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.backends.kubernetes.claim import Claim
    from kgen.results.rows import TrialRow
    from kgen.results.store import Store
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
    """The log of the trial's newest attempt, line by line as they come: of a pod that several trials share, the lines
    that name the trial; all of them for the name of the Job.

    ``on_event`` hears where they come from when that is not a pod. ``image`` is that of the pod which reads a claim.
    Raises InputError where there is no such attempt, ClusterError or StoreError where the log can't be read.
    """
    named = see_named(api, trial)
    if named.job_name:
        yield from _job_log(api, named, wanted)
        return
    sweep, seen = named.sweep, named.trials[0]
    pods = _by_age(seen)
    pod = next(reversed(pods[:-1] if wanted.previous else pods), None)
    row: TrialRow | None
    if pod is None:
        row = _last_row(api, sweep, seen, wanted, image, on_event)
    else:
        lines = _lines_of(api, pod, wanted, seen.id.encode()) if seen.pack else _pod_log(api, pod, wanted)
        try:
            first = list(itertools.islice(lines, 1))
        except ApiError as error:
            said = " ".join(error.message.split())
            unread = ClusterError(f"the log of pod {pod['metadata']['name']} can't be read: {said}")
            if not Pod(pod).is_ended and error.status != 404:
                raise unread from error
            row = _row_of_pod(api, sweep, seen, pod, image, on_event)
            if row is None:
                raise unread from error
        else:
            yield from first
            yield from lines
            if seen.pack and not first and wanted.tail != 0:
                shared = f"the log of pod {pod['metadata']['name']} names {seen.id} nowhere"
                row = _row_of_pod(api, sweep, seen, pod, image, on_event)
                on_event(f"{shared}; the last lines that its row keeps:" if row else shared)
                yield from _kept(row, wanted) if row else ()
            return
    ended = f"{row.ended:%Y-%m-%d %H:%M:%S} UTC"
    on_event(f"the log of attempt {row.attempt}, which ended {ended}, is gone; the last lines that its row keeps:")
    yield from _kept(row, wanted)


def _last_row(
    api: Api, sweep: str, seen: SeenTrial, wanted: Wanted, image: str, on_event: Callable[[str], None]
) -> TrialRow:
    """What the last attempt whose pod is gone has left. Raises InputError where there is none, StoreError."""
    # Of an attempt that is still to come there is no row, and of earlier ones it is not the newest.
    to_come = not seen.status.state.ended and not seen.status.attempts
    if to_come and not wanted.previous:
        raise _nothing(seen, previous=False)
    try:
        rows = _rows(api, sweep, seen, image, on_event, lambda row: True)
    except (ClusterError, StoreError) as error:
        found = f"{seen.id} has no {'earlier ' if wanted.previous else ''}pod, and rows of one can't be read"
        raise StoreError(f"{found}: {error}") from error
    gone = [each for each in rows if not any(_is_of(each, there) for there in seen.pods)]
    row = next(reversed(gone[:-1] if wanted.previous and not seen.pods and not to_come else gone), None)
    if row is None:
        raise _nothing(seen, previous=wanted.previous)
    return row


def _kept(row: TrialRow, wanted: Wanted) -> Iterator[bytes]:
    kept = row.log.splitlines()
    return (line.encode() for line in kept[max(0, len(kept) - (len(kept) if wanted.tail is None else wanted.tail)) :])


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


def _lines_of(api: Api, pod: Object, wanted: Wanted, trial: bytes) -> Iterator[bytes]:
    """The lines of a pod's log that are about one of its trials."""
    everything = replace(wanted, tail=None)
    if wanted.tail is None:
        yield from (line for line in _pod_log(api, pod, everything) if _is_about(line, trial))
        return
    # The API server's own tail counts the lines of all trials.
    kept: deque[bytes] = deque(maxlen=wanted.tail)
    number = 0
    for line in _pod_log(api, pod, replace(everything, follow=False)):
        number += 1
        if _is_about(line, trial):
            kept.append(line)
    yield from kept
    if wanted.follow:
        new = itertools.islice(_pod_log(api, pod, everything), number, None)
        yield from (line for line in new if _is_about(line, trial))


def _is_about(line: bytes, trial: bytes) -> bool:
    """Whether the line names the trial, and is not the last one of the pod, which names all that have no result."""
    if trial not in line:
        return False
    text = line.decode(errors="replace")
    return all(pack_message.parse(each) is None for each in (text, text.partition(" ")[2]))  # a time stands before it


def _job_log(api: Api, named: Named, wanted: Wanted) -> Iterator[bytes]:
    """The whole log of a Job's newest pod, whichever of its trials a line is about."""
    pods = _by_age(named.trials[0])
    pod = next(reversed(pods[:-1] if wanted.previous else pods), None)
    if pod is None:
        found = f"{named.job_name}, a Job of {len(named.trials)} trials without {'an earlier' if pods else 'a'} pod"
        raise InputError.of("the command line", "TRIAL", found, f"one of its trials, such as {named.trials[0].id}")
    try:
        yield from _pod_log(api, pod, wanted)
    except ApiError as error:
        said = " ".join(error.message.split())
        raise ClusterError(f"the log of pod {pod['metadata']['name']} can't be read: {said}") from error


def _by_age(seen: SeenTrial) -> list[Object]:
    return sorted(seen.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))


def _container(pod: Object) -> str:
    found = [str(container["name"]) for container in pod["spec"]["containers"]]
    return names.TRAINER_CONTAINER if names.TRAINER_CONTAINER in found else found[0]


def _rows(
    api: Api,
    sweep: str,
    seen: SeenTrial,
    image: str,
    on_event: Callable[[str], None],
    is_wanted: Callable[[TrialRow], bool],
) -> list[TrialRow]:
    """What the trial's attempts have left, in the order of their ends, of those that are wanted.

    Row files are read that are named after the trial or one that it shares a pod with; only where no wanted row is in
    them, the others that may hold it.
    """

    spec = stored_spec(api, sweep)[0]
    if spec is None:
        return []
    together = {seen.id, *seen.pack}
    with far_results(spec, image=image, connect=lambda: api, on_event=on_event) as source:
        files = [file.name for file in source.row_files("" if seen.pack else f"{seen.id}.")]
        named = [name for name in files if name.partition(".")[0] in together]
        rows = list(filter(is_wanted, _read(source, named, seen.id)))
        if not rows:
            others = [file.name for file in source.row_files() if names.may_hold_others(file.name)]
            others = [name for name in others if name.partition(".")[0] not in together]
            rows = list(filter(is_wanted, _read(source, others, seen.id)))
    return sorted(rows, key=lambda row: (row.ended, row.attempt))


def _read(source: Store | Claim, files: Sequence[str], trial: str) -> Iterator[TrialRow]:
    from kgen.results.rows import bytes_to_rows

    for _, data in source.read_row_files(files):
        with contextlib.suppress(ValueError):  # a damaged one, which `kgen collect` names
            yield from (row for row in bytes_to_rows(data) if row.trial == trial)


def _row_of_pod(
    api: Api, sweep: str, seen: SeenTrial, pod: Object, image: str, on_event: Callable[[str], None]
) -> TrialRow | None:
    """What one attempt has left; None where that can't be told, because then there is an earlier error to show."""
    try:
        rows = _rows(api, sweep, seen, image, on_event, lambda row: _is_of(row, pod))
    except (ClusterError, StoreError):
        return None
    return rows[-1] if rows else None


def _is_of(row: TrialRow, pod: Object) -> bool:
    """Whether a pod's program left it; one that was started again in its pod has a number behind the pod's name."""
    uid = pod["metadata"]["uid"]
    return row.attempt == uid or row.attempt.startswith(f"{uid}-")


def _nothing(seen: SeenTrial, *, previous: bool) -> InputError:
    found = f"{seen.id}, which has no {'earlier ' if previous else ''}pod and no row of one"
    why = f" ({seen.status.message})" if seen.status.message else ""
    return InputError.of("the command line", "TRIAL", found + why, "a trial whose program has been started")
