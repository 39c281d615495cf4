"""Which verbs of the Kubernetes API each command needs, and which of them somebody lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kgen.backends.kubernetes.api import ApiError
from kgen.capacity.finding import Finding, note, refuse, warn

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_AUTHORIZATION: Final = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """A verb on a kind of object in one namespace."""

    resource: str
    """As in a Role: ``jobs``, ``pods/log``."""
    verb: str
    group: str = ""

    def __str__(self) -> str:
        name, slash, part = self.resource.partition("/")
        return f"{name}{f'.{self.group}' if self.group else ''}{slash}{part}: {self.verb}"


def _on(resource: str, *verbs: str, group: str = "") -> tuple[Permission, ...]:
    return tuple(Permission(resource, verb, group) for verb in verbs)


_JOBS: Final = "batch"
CLAIMS: Final = "collect, report and logs of results in a claim"
NEEDED: Final[Mapping[str, tuple[Permission, ...]]] = {
    "submit": (
        *_on("jobs", "create", "get", "list", "watch", group=_JOBS),
        *_on("configmaps", "create", "get", "list", "update"),
        *_on("pods", "list", "watch"),
        *_on("events", "list", "watch"),
    ),
    "logs": _on("pods/log", "get"),
    "cancel and retry": _on("jobs", "delete", group=_JOBS),
    "delete": (*_on("jobs", "deletecollection", group=_JOBS), *_on("configmaps", "deletecollection")),
    CLAIMS: (*_on("pods", "create", "get", "delete"), *_on("pods/exec", "create", "get")),
    "doctor": (*_on("pods", "create", "get", "delete"), *_on("pods/log", "get")),
}
"""Command → what it can't do without; for those further down, beside what stands above, which ``get``, ``describe``
and ``wait`` use too. ``manifests/rbac.yaml`` grants all of it, and what a plan reads."""

COLLECTOR: Final = (
    *_on("configmaps", "get", "list"),
    *_on("jobs", "list", group=_JOBS),
    *_on("pods", "list"),
)
"""What ``kgen collect --in-cluster`` can't do without in its pod."""

PLANNED: Final = (
    *_on("namespaces", "get"),
    *_on("resourcequotas", "list"),
    *_on("limitranges", "list"),
    *_on("persistentvolumeclaims", "get"),
    *_on("serviceaccounts", "get"),
    *_on("localqueues", "get", group="kueue.x-k8s.io"),
)
"""What a plan reads in a namespace; without one of these it says what it does not know."""


def review(api: Api, namespace: str) -> list[Finding]:
    """What the user may not do there, by command. One request, and one per doubtful verb where the answer has gaps."""
    try:
        missing = lacking(api, namespace)
    except ApiError as error:
        if error.status != 403:
            raise
        return [note("your rights are not known: the cluster does not tell them", error.message)]
    return list(_findings(missing, namespace, user(api) if missing else ""))


def lacking(api: Api, namespace: str) -> list[Permission]:
    """Of all that the commands need, what the user lacks. Raises ApiError, 403 where the cluster does not tell."""
    wanted = sorted({permission for permissions in (*NEEDED.values(), COLLECTOR) for permission in permissions})
    rules, has_gaps = _rules(api, namespace)
    missing = [permission for permission in wanted if not is_granted(permission, rules)]
    return [each for each in missing if not _may(api, namespace, each)] if has_gaps else missing


def is_granted(permission: Permission, rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the rules allows it for every object of that kind."""
    subresource = permission.resource.partition("/")[2]
    resources = {"*", permission.resource, f"*/{subresource}" if subresource else permission.resource}
    return any(
        not rule.get("resourceNames")
        and not resources.isdisjoint(rule.get("resources") or ())
        and not {"*", permission.group}.isdisjoint(rule.get("apiGroups") or ())
        and not {"*", permission.verb}.isdisjoint(rule.get("verbs") or ())
        for rule in rules
    )


def _rules(api: Api, namespace: str) -> tuple[list[Mapping[str, Any]], bool]:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    status = api.post(f"{_AUTHORIZATION}/selfsubjectrulesreviews", body)["status"]
    return list(status.get("resourceRules") or ()), bool(status.get("incomplete"))


def _may(api: Api, namespace: str, permission: Permission) -> bool:
    resource, _, subresource = permission.resource.partition("/")
    attributes = {
        "namespace": namespace,
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "verb": permission.verb,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return bool(api.post(f"{_AUTHORIZATION}/selfsubjectaccessreviews", body)["status"].get("allowed"))


def user(api: Api) -> str:
    """Who asks, as the cluster calls them; ``you`` where it does not tell."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    except ApiError:
        return "you"
    return str(answer["status"]["userInfo"].get("username", "you"))


def _findings(missing: Sequence[Permission], namespace: str, who: str) -> Iterator[Finding]:
    advice = "ask for a Role with it, such as the one in manifests/rbac.yaml"
    left = set(missing)  # each is said once, for the first command that needs it
    for command, needed in NEEDED.items():
        words = [str(permission) for permission in needed if permission in left]
        left -= set(needed)
        if words:
            found = f"{who} may not do what kgen {command} needs in namespace {namespace}: {', '.join(words)}"
            yield (refuse if command == "submit" else warn)((), found, advice)
