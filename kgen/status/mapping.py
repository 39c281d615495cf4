"""(Job, pods, events, row) → where a trial stands, and why. Total: whatever the objects hold, there is an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from kgen.names import LABEL_QUEUE
from kgen.status import read
from kgen.status.admission import why_no_pod
from kgen.status.ending import DISRUPTIONS, Ending, by_events, by_policy, disruption, why_ended
from kgen.status.group import is_pack
from kgen.status.model import UNREAD, Address, Finding, Object, Reason, Row, State, TrialStatus, Unread
from kgen.status.pack import failed_meanwhile, of_its_own
from kgen.status.pods import Pod, last_ended, newest
from kgen.status.scheduling import why_no_node
from kgen.status.starting import why_not_started

_RANGE: Final = re.compile(r"(?:^|,)([0-9]{1,9})(?:-([0-9]{1,9}))?(?=,|$)")
_COMPLETE: Final = "complete"
_FAILED: Final = "failed"
_NO_JOB: Final = "it has no Job"


@dataclass(frozen=True, slots=True)
class _Case:
    """All that is known of one trial."""

    job: Object | None
    pods: list[Pod]
    events: Sequence[Object]
    row: Row | Unread | None
    index: int | None
    attempts: int
    created: Mapping[str, datetime]
    is_pack: bool

    @property
    def said(self) -> str:
        """Why the trial failed, in the words of its own row; nothing where its pod ended for all of a pack."""
        if self.is_pack:
            return ""
        return self.row.reason if isinstance(self.row, Row) and self.row.state == _FAILED else ""


def status_of(
    trial: str,
    job: Object | None,
    pods: Sequence[Object],
    events: Sequence[Object] = (),
    row: Row | Unread | None = UNREAD,
    *,
    index: int | None = None,
    deleted: bool = False,
) -> TrialStatus:
    """Where a trial stands.

    ``pods`` and ``events`` are those of its Job; of an indexed Job, ``index`` chooses. ``row`` is what the results
    hold of it (None: nothing), or UNREAD. ``deleted``: the Job was there before, as a watch knows. An accepted row
    decides: a trial that has its result is done, whatever becomes of its Job. A trial of a pack stands as its Job does
    unless more is known of itself.
    """
    seen = [pod for pod in map(Pod, pods) if index is None or pod.index == index]
    created = _created(job, events, index)
    packed = is_pack(job) or (job is None and any(map(is_pack, pods)))
    case = _Case(job, seen, events, row, index, _attempts(job, seen, created, index), created, packed)
    own = _complete_row(row) or (of_its_own(trial, job, seen, row) if packed else None)
    finding = own or (_without_job(case, deleted) if job is None else _with_job(case, job))
    if packed and own is None:
        finding = failed_meanwhile(finding, job, row)
    latest = newest(seen)
    trainer = latest.trainer if latest else None
    ended_last = last_ended(seen)
    code = finding.exit_code
    if code is None and ended_last and ended_last.trainer and not (packed and own):
        code = ended_last.trainer.exit_code
    name = read.text(job, "metadata", "name")
    return TrialStatus(
        trial=trial,
        state=finding.state,
        reason=finding.reason,
        message=read.line(finding.message, 2 * read.LONGEST),
        address=Address(name, index) if name else None,
        attempts=case.attempts,
        outcome=row.outcome if isinstance(row, Row) and row.state == _COMPLETE else "",
        pod=latest.name if latest else "",
        node=latest.node if latest else "",
        exit_code=code,
        created=read.moment(job, "metadata", "creationTimestamp"),
        started=(
            read.moment(trainer.running, "startedAt") or read.moment(trainer.terminated, "startedAt")
            if trainer
            else None
        ),
        ended=row.ended if packed and own and isinstance(row, Row) else _ended(finding.state, job, ended_last),
        hopeless=finding.hopeless,
        of_pack=packed and own is None,
    )


def _ended(state: State, job: Object | None, pod: Pod | None) -> datetime | None:
    if state not in (State.SUCCEEDED, State.FAILED):
        return None
    if pod and pod.trainer and (at := read.moment(pod.trainer.terminated, "finishedAt")):
        return at
    condition = read.condition(job, "Failed", "FailureTarget", "Complete", "SuccessCriteriaMet")
    return read.moment(job, "status", "completionTime") or read.moment(condition, "lastTransitionTime")


def _complete_row(row: Row | Unread | None) -> Finding | None:
    if isinstance(row, Row) and row.state == _COMPLETE:
        return Finding(State.SUCCEEDED, message=row.outcome)
    return None


def _created(job: Object | None, events: Sequence[Object], index: int | None) -> dict[str, datetime]:
    """Names of the pods that the Job controller says it created and did not delete itself, and when."""
    start = (
        f"{read.text(job, 'metadata', 'name')}-" if index is None else f"{read.text(job, 'metadata', 'name')}-{index}-"
    )
    found, deleted = {}, set()
    for event in events:
        what, _, name = read.text(event, "message").partition(" pod: ")
        if what == "Created" and read.text(event, "reason") == "SuccessfulCreate" and name.startswith(start):
            found[name] = read.event_time(event)
        elif what == "Deleted" and read.text(event, "reason") == "SuccessfulDelete":
            deleted.add(name)
    return {name: at for name, at in found.items() if name not in deleted}


def _attempts(job: Object | None, pods: Sequence[Pod], created: Mapping[str, datetime], index: int | None) -> int:
    """Pods that were started, by the best of three witnesses: each forgets, none invents."""
    named = len({pod.name for pod in pods} | created.keys())
    if index is not None:
        return max([named, *(pod.failures_before + 1 for pod in pods)])
    counted = sum(read.count(job, "status", key) for key in ("active", "failed", "succeeded"))
    for key in ("failed", "succeeded"):
        uncounted = read.mapping(job, "status", "uncountedTerminatedPods").get(key)
        counted += len(uncounted) if isinstance(uncounted, list) else 0
    return max(named, counted)


# -- the Job ------------------------------------------------------------------------------------------------------


def _without_job(case: _Case, deleted: bool) -> Finding:
    live = newest(pod for pod in case.pods if pod.is_live)
    if live:
        found = _of_pod(case, live)
        return replace(found, message=f"{found.message or 'its pod runs on'}; its Job is gone".removeprefix("; "))
    if any(pod.is_deleting for pod in case.pods):
        return Finding(State.PENDING, Reason.TERMINATING, "its Job is deleted, its pod is still ending")
    gone = "its Job was deleted" if deleted or case.events or case.pods else _NO_JOB
    if isinstance(case.row, Row) and case.row.state == _FAILED:
        return Finding(
            State.FAILED, Reason.CRASH, f"it failed: {case.row.reason}; {gone}".replace("failed: ;", "failed;")
        )
    reason = Reason.NONE if gone == _NO_JOB else Reason.DELETED
    if isinstance(case.row, Row):
        return Finding(State.MISSING, reason, f"{gone}; its last attempt was interrupted")
    return Finding(State.MISSING, reason, gone)


def _with_job(case: _Case, job: Object) -> Finding:
    verdict = _verdict(case, job)
    if verdict is not None:
        return verdict
    live = newest(pod for pod in case.pods if pod.is_live)
    if read.mapping(job, "metadata").get("deletionTimestamp"):
        return Finding(State.PENDING, Reason.TERMINATING, "its Job is being deleted")
    if read.mapping(job, "spec").get("suspend") is True and live is None:
        return _suspended(case, job)
    if live is not None:
        return _of_pod(case, live)
    return _between_pods(case)


def _verdict(case: _Case, job: Object) -> Finding | None:
    """What the Job says of the trial's end, if it has ended."""
    failed = read.condition(job, "Failed", "FailureTarget")
    complete = read.condition(job, "Complete", "SuccessCriteriaMet")
    if case.index is None:
        return _failed(case, job, failed) if failed else _succeeded(case) if complete else None
    if _in_ranges(case.index, read.text(job, "status", "completedIndexes")):
        return _succeeded(case)
    if failed or complete or _in_ranges(case.index, read.text(job, "status", "failedIndexes")):
        return _failed(case, job, failed)
    return None


def _in_ranges(index: int, ranges: str) -> bool:
    """Whether an index is in text such as ``0-3,7``."""
    for found in _RANGE.finditer(ranges):
        first, last = int(found[1]), int(found[2] or found[1])
        if first <= index <= last:
            return True
    return False


def _succeeded(case: _Case) -> Finding:
    if isinstance(case.row, Unread):
        return Finding(State.SUCCEEDED, Reason.ROWS_UNCHECKED, "its Job is complete; rows unchecked")
    rows = "no row of it" if case.row is None else f"only a row of it that says {read.line(case.row.state, 30)}"
    return Finding(State.SUCCEEDED, Reason.NO_ROW, f"its Job is complete, but the results hold {rows}")


def _failed(case: _Case, job: Object, failed: Mapping[str, Any]) -> Finding:
    ending = _why_failed(case, job, failed)
    often = f" at attempt {case.attempts}" if case.attempts > 1 else ""
    return Finding(State.FAILED, ending.reason, f"{ending.words}{often}{_after_colon(ending.detail)}", ending.exit_code)


def _after_colon(detail: str) -> str:
    return f": {detail}" if detail else ""


def _why_failed(case: _Case, job: Object, failed: Mapping[str, Any]) -> Ending:
    why = read.text(failed, "reason")
    if why == "DeadlineExceeded":
        seconds = read.whole(job, "spec", "activeDeadlineSeconds")
        allowed = "" if seconds is None else f" of {seconds} s"
        return Ending(Reason.DEADLINE, f"its Job's deadline{allowed}, which counts waiting too, is over")
    pod = last_ended(case.pods)
    of_another = why == "PodFailurePolicy" and (pod is None or pod.name not in read.text(failed, "message"))
    if of_another and (remembered := by_policy(failed, case.said)):
        return remembered
    if pod is not None and pod.phase == "Failed":
        return why_ended(pod, case.said)
    if remembered := by_events(case.events, None):
        return remembered
    if case.said:
        return Ending(Reason.CRASH, "the trainer failed", detail=read.line(case.said))
    if why in ("", "BackoffLimitExceeded", "FailedIndexes", "MaxFailedIndexesExceeded"):
        return Ending(Reason.UNKNOWN, "its pod is gone, deleted by somebody or with its node")
    return Ending(Reason.UNKNOWN, read.line(read.text(failed, "message")) or f"its Job failed: {read.line(why)}")


def _suspended(case: _Case, job: Object) -> Finding:
    queue = read.text(job, "metadata", "labels", LABEL_QUEUE)
    ending = "; its pod is still ending" if any(pod.is_deleting and not pod.is_ended for pod in case.pods) else ""
    if queue:
        return Finding(State.QUEUED, Reason.QUEUE, f"waits in queue {read.line(queue)}{ending}")
    return Finding(State.QUEUED, Reason.SUSPENDED, f"its Job is suspended{ending}")


def _between_pods(case: _Case) -> Finding:
    """The Job goes on, but has no pod that lives."""
    if ending := [pod for pod in case.pods if pod.is_deleting and not pod.is_ended]:
        why = disruption(ending[-1])
        return Finding(
            State.PENDING, Reason.TERMINATING, f"{why[1] if why else 'its pod was deleted'}; it is still ending"
        )
    done = [pod for pod in case.pods if pod.phase == "Succeeded"]
    if done:
        return Finding(State.RUNNING, message="its program has ended, its Job is about to")
    refused = why_no_pod(case.events) if case.index is None or not case.pods else None
    if refused:
        return Finding(State.QUEUED, *refused)
    last = _last_ending(case, None)
    if last is not None:
        return Finding(State.PENDING, _retry_reason(last), f"{last}; the next attempt follows", last.exit_code)
    if case.attempts:
        return Finding(State.PENDING, Reason.RETRYING, "its pod is gone; the next attempt follows")
    return Finding(State.PENDING, Reason.NO_POD_YET, "its Job has no pod yet")


# -- the pod ------------------------------------------------------------------------------------------------------


def _retry_reason(last: Ending) -> Reason:
    return last.reason if last.reason in DISRUPTIONS else Reason.RETRYING


def _last_ending(case: _Case, live: Pod | None) -> Ending | None:
    """How the attempt before the live one ended."""
    pod = last_ended(each for each in case.pods if each is not live and each.phase == "Failed")
    told = by_events(case.events, live) if case.index is None else None
    found = why_ended(pod, case.said) if pod else None
    return max((each for each in (found, told) if each), key=lambda each: each.at, default=_taken_away(case))


def _taken_away(case: _Case) -> Ending | None:
    """What became of a pod that is gone though the Job counts no failure: such attempts are disruptions."""
    here = {pod.name for pod in case.pods}
    gone = [at for name, at in case.created.items() if name not in here]
    if case.index is not None or not gone or read.count(case.job, "status", "failed"):
        return None
    return Ending(Reason.EVICTED, "its last pod was taken away: drained, evicted or lost with its node", at=max(gone))


def _of_pod(case: _Case, pod: Pod) -> Finding:
    last = _last_ending(case, pod)
    before = "" if last is None else f"attempt {max(case.attempts, 2)}, after: {last}"
    if pod.phase == "Running" and not _is_waiting(pod):
        return Finding(State.RUNNING, message=before)
    scheduled = [
        each for each in read.items(pod.object, "status", "conditions") if read.text(each, "type") == "PodScheduled"
    ]
    no_node = next((each for each in scheduled if read.text(each, "status") == "False"), None)
    if no_node is not None and not pod.node:
        found = _waiting_for_node(case, pod, no_node)
        if last is not None and last.reason in DISRUPTIONS and not found.hopeless and found.reason is not Reason.VOLUME:
            return replace(found, reason=last.reason, message=f"{last}; waits for a node: {found.message}")
        return replace(found, message="; ".join(filter(None, [found.message, before])))
    if not pod.node:
        return Finding(State.PENDING, Reason.SCHEDULING, "; ".join(filter(None, ["waits for the scheduler", before])))
    reason, words = why_not_started(pod, case.events)
    return Finding(State.PENDING, reason, "; ".join(filter(None, [words, before])))


def _is_waiting(pod: Pod) -> bool:
    return pod.trainer is not None and bool(pod.trainer.waiting)


def _waiting_for_node(case: _Case, pod: Pod, condition: Mapping[str, Any]) -> Finding:
    message = read.text(condition, "message")
    if read.text(condition, "reason") == "SchedulingGated":
        gates = [read.text(gate, "name") for gate in read.items(pod.object, "spec", "schedulingGates")]
        named = f" {read.line(', '.join(filter(None, gates)))}" if any(gates) else ""
        return Finding(State.PENDING, Reason.SCHEDULING, f"held back by scheduling gate{named}")
    if read.text(condition, "reason") not in ("", "Unschedulable"):
        return Finding(State.PENDING, Reason.SCHEDULING, read.line(message) or "waits for the scheduler")
    place = why_no_node(pod, message, case.events)
    return Finding(State.PENDING, place.reason, place.words, hopeless=place.hopeless)
