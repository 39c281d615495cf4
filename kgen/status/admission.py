"""Why a Job's pod may not be created, from what the Job controller reports of the API server's refusal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kgen.status import read
from kgen.status.model import Object, Reason

_QUOTA: Final = re.compile(r"exceeded quota: (.+?), requested: (.+?), used: (.+?), limited: (.+)", re.DOTALL)
_MUST_SAY: Final = re.compile(r"failed quota: (.+?): must specify (.+)", re.DOTALL)
_SECURITY: Final = re.compile(r"violates PodSecurity \"([a-z]+)[^\"]*\": (.+)", re.DOTALL)
_ACCOUNT: Final = re.compile(r"serviceaccount \"([^\"]+)\" not found")
_PRIORITY: Final = re.compile(r"no PriorityClass with name (\S+) was found")
_POLICY: Final = re.compile(r"ValidatingAdmissionPolicy '([^']+)' .*?denied request: (.+)", re.DOTALL)
_WEBHOOK: Final = re.compile(r"admission webhook \"([^\"]+)\" denied the request: ?(.*)", re.DOTALL)
_DEAD_WEBHOOK: Final = re.compile(r"failed calling webhook \"([^\"]+)\"")
_FORBIDDEN: Final = re.compile(r"^Error creating: (?:pods \"[^\"]*\" is forbidden: |Internal error occurred: )?")


def why_no_pod(events: Sequence[Object]) -> tuple[Reason, str] | None:
    """Why the Job's newest pod was refused; None if none was, or one was let in later."""
    latest: Object | None = None
    for event in events:
        if read.text(event, "reason") not in ("FailedCreate", "SuccessfulCreate"):
            continue
        if latest is None or read.event_time(event) >= read.event_time(latest):
            latest = event
    if latest is None or read.text(latest, "reason") == "SuccessfulCreate":
        return None
    return refusal(read.text(latest, "message"))


def refusal(message: str) -> tuple[Reason, str]:
    """What the API server's refusal of a pod means."""
    if found := _QUOTA.search(message):
        return Reason.QUOTA, f"over quota {read.line(found[1])}: {_over(found[2], found[3], found[4])}"
    if found := _MUST_SAY.search(message):
        return Reason.REFUSED, f"quota {read.line(found[1])} wants every pod to say its {read.line(found[2])}"
    if found := _SECURITY.search(message):
        return Reason.REFUSED, f"the namespace's Pod Security Standard ({found[1]}) forbids it: {read.line(found[2])}"
    if found := _ACCOUNT.search(message):
        return Reason.REFUSED, f"ServiceAccount {read.line(found[1])} is not in this namespace"
    if found := _PRIORITY.search(message):
        return Reason.REFUSED, f"PriorityClass {read.line(found[1])} is not in this cluster"
    if found := _POLICY.search(message):
        return Reason.REFUSED, f"policy {read.line(found[1])} forbids it: {read.line(found[2])}"
    if found := _WEBHOOK.search(message):
        why = f": {read.line(found[2])}" if found[2].strip() else ""
        return Reason.REFUSED, f"admission webhook {read.line(found[1])} forbids it{why}"
    if found := _DEAD_WEBHOOK.search(message):
        return Reason.REFUSED, f"admission webhook {read.line(found[1])} does not answer, so no pod is let in"
    return Reason.REFUSED, f"its pod is refused: {read.line(_FORBIDDEN.sub('', message)) or 'no reason is given'}"


def _over(requested: str, used: str, limited: str) -> str:
    """Each resource that is short: how much of how much is used, and what the pod asks for."""
    amounts = [dict(_pairs(each)) for each in (requested, used, limited)]
    words = [
        f"{name} {amounts[1][name]} of {amounts[2][name]} used, it needs {amounts[0][name]}"
        for name in amounts[0]
        if name in amounts[1] and name in amounts[2]
    ]
    return "; ".join(words) or f"requested {read.line(requested)}, used {read.line(used)}, limit {read.line(limited)}"


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = (each.partition("=") for each in read.line(text).split(","))
    return [(name.strip(), amount.strip()) for name, _, amount in pairs if amount]
