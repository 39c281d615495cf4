"""The API server's own opinion of a Job that is not created, in kgen's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from kgen import names
from kgen.backends.kubernetes.api import ApiError
from kgen.capacity.finding import FieldPath, Finding, note, refuse, warn

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_VALUE: Final = re.compile(r'(?:Invalid|Unsupported) value: ("(?:[^"\\]|\\.)*"|[^:]+): (.*)', re.DOTALL)
_UNKNOWN: Final = re.compile(r'(unknown|duplicate) field "([^"]+)"')
_RIGHTS: Final = "cannot create resource"
_FIELDS: Final[tuple[tuple[str, FieldPath], ...]] = (
    (r"spec\.template\.spec\.tolerations", ("kubernetes", "tolerations")),
    (r"spec\.template\.spec\.affinity", ("kubernetes", "affinity")),
    (r"spec\.template\.spec\.nodeSelector", ("kubernetes", "node_selector")),
    (r"spec\.template\.spec\.runtimeClassName", ("kubernetes", "runtime_class")),
    (r"spec\.template\.spec\.priorityClassName", ("kubernetes", "priority_class")),
    (r"spec\.template\.spec\.resourceClaims", ("kubernetes", "resource_claims")),
    (r"spec\.template\.spec\.serviceAccountName", ("kubernetes", "service_account")),
    (r"spec\.template\.spec\.imagePullSecrets", ("kubernetes", "image_pull_secrets")),
    (r"spec\.template\.spec\.activeDeadlineSeconds", ("kubernetes", "deadline")),
    (r"spec\.template\.spec\.volumes", ("kubernetes", "volumes")),
    (r"spec\.template\.spec\.containers\[\d+\]\.volumeMounts", ("kubernetes", "volumes")),
    (r"spec\.template\.spec\.containers\[\d+\]\.resources", ("kubernetes", "resources")),
    (r"spec\.template\.spec\.containers\[\d+\]\.image", ("trainer", "image")),
    (r"spec\.template\.spec\.containers\[\d+\]\.env", ("trainer", "env")),
    (r"spec\.backoffLimit", ("kubernetes", "backoff_limit")),
    (r"(?:spec\.template\.)?metadata\.labels", ("kubernetes", "labels")),
    (r"(?:spec\.template\.)?metadata\.annotations", ("kubernetes", "annotations")),
)


def create(api: Api, namespace: str, job: Mapping[str, Any], *, has_template: bool) -> list[Finding]:
    """What creating the Job would be answered; nothing where it, or one of its name, may be there."""
    try:
        api.post(
            f"/apis/batch/v1/namespaces/{namespace}/jobs",
            job,
            dryRun="All",
            fieldValidation="Strict",
            fieldManager=names.FIELD_MANAGER,
        )
    except ApiError as error:
        return list(_findings(error, has_template))
    return []


def _findings(error: ApiError, has_template: bool) -> Iterator[Finding]:
    message = error.message
    if error.status == 409:
        return
    if error.status == 403 and _RIGHTS in message:
        return  # it is among the missing rights
    if error.status == 403 and "exceeded quota" in message:
        yield warn((), f"a Job would not be let in now: {message}", "submit waits until the quota has room")
    elif "does not support dry run" in message:
        yield note(f"Jobs can't be tried without creating them: {message}")
    elif error.status in (429, 500, 502, 503, 504):
        yield warn((), f"a Job could not be tried ({error.status}): {message}", "submit tries again for a while")
    elif told := _causes(error):
        yield from (_invalid(path, words, has_template) for path, words in told)
    elif unknown := _UNKNOWN.findall(message):
        for kind, path in unknown:
            yield refuse(
                _field(path, has_template), f"the {kind} field {path}", "fields that this API server knows, once"
            )
    else:
        yield refuse((), f"the cluster would not let a Job in: {message}", "what its admission allows")


def _causes(error: ApiError) -> list[tuple[str, str]]:
    """Paths in the Job, each with what is wrong there; none where it is a rule of the cluster's that is not met."""
    causes = error.details.get("causes") or ()
    return list(dict.fromkeys((cause["field"], cause.get("message", "")) for cause in causes if cause.get("field")))


def _invalid(path: str, words: str, has_template: bool) -> Finding:
    field = _field(path, has_template)
    if match := _VALUE.fullmatch(words):
        return refuse(field, f"{match[1]} at {path} of the Job", match[2])
    kind, _, rest = words.partition(": ")
    if kind == "Required value":
        return refuse(field, f"nothing at {path} of the Job", rest or "a value")
    return refuse(field, f"{path} of the Job", words)


def _field(path: str, has_template: bool) -> FieldPath:
    """Where in the sweep file it comes from: with a template of the user's own, from there as far as kgen knows."""
    if has_template:
        return ("kubernetes", "template")
    return next((field for pattern, field in _FIELDS if re.match(pattern, path)), ("kubernetes",))
