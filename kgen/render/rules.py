"""What the API server demands of a Job beyond its fields' types: enums, names, what must fit together.

:data:`LEAF_RULES` are about one value each, so a value that differs between trials is checked by itself. Values in
:data:`FREE` places may be any text. All others are compared within the Job, see :func:`structure_mistakes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kgen.names import DNS_LABEL_PATTERN, DNS_LABEL_WORDS, is_label_value, is_qualified_name
from kgen.render.draft import POD, Mistake
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.fields import show
from kgen.sweep.translate import did_you_mean

MAX_ANNOTATIONS: Final = 256 << 10
"""Bytes of an object's annotations together."""
_QUANTITY: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")
_ENV_NAME: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_IMAGE: Final = re.compile(r"[^\s{}]+")

FieldRule = Callable[[Any], str]
"""What is allowed, in words, if the value is not; else nothing."""


def _quantity(value: Any) -> str:
    fits = isinstance(value, str) and _QUANTITY.fullmatch(value)
    return "" if fits else "a quantity of Kubernetes, such as 2, 500m or 4Gi"


def _label_value(value: Any) -> str:
    fits = isinstance(value, str) and is_label_value(value)
    return "" if fits else "the value of a label: at most 63 letters, digits, '-', '_' and '.'"


def _dns_label(value: Any) -> str:
    fits = isinstance(value, str) and len(value) <= 63 and DNS_LABEL_PATTERN.fullmatch(value)
    return "" if fits else f"a DNS label of at most 63 characters: {DNS_LABEL_WORDS}"


def _object_name(value: Any) -> str:
    fits = isinstance(value, str) and len(value) <= 253 and all(map(DNS_LABEL_PATTERN.fullmatch, value.split(".")))
    return "" if fits else "the name of an object of the cluster: DNS labels, with dots between them"


def _key(value: Any) -> str:
    fits = isinstance(value, str) and is_qualified_name(value)
    return "" if fits else "a key of Kubernetes: letters, digits, '-', '_', '.', after an optional domain and '/'"


def _env_name(value: Any) -> str:
    fits = isinstance(value, str) and _ENV_NAME.fullmatch(value)
    return "" if fits else "letters, digits, '_', '-' and '.', not beginning with a digit"


def _image(value: Any) -> str:
    fits = isinstance(value, str) and _IMAGE.fullmatch(value)
    return "" if fits else "the reference of a container image, such as registry.example/trainer:1.0"


def _absolute(value: Any) -> str:
    fits = isinstance(value, str) and value.startswith("/") and ":" not in value
    return "" if fits else "an absolute path without ':'"


def _one_of(*words: str) -> FieldRule:
    def rule(value: Any) -> str:
        if value in words:
            return ""
        return f"one of {', '.join(word for word in words if word)}{did_you_mean(str(value), words)}"

    return rule


def _at_least(least: int) -> FieldRule:
    def rule(value: Any) -> str:
        return "" if isinstance(value, int) and value >= least else f"a whole number from {least}"

    return rule


_OPERATORS: Final = _one_of("In", "NotIn", "Exists", "DoesNotExist")
_NODE_OPERATORS: Final = _one_of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")

# Suffixes of paths; "*" stands for any key or number.
LEAF_RULES: Final[Mapping[tuple[str, ...], FieldRule]] = {
    ("labels", "*"): _label_value,
    ("nodeSelector", "*"): _label_value,
    ("limits", "*"): _quantity,
    ("requests", "*"): _quantity,
    ("sizeLimit",): _quantity,
    ("backoffLimit",): _at_least(0),
    ("activeDeadlineSeconds",): _at_least(1),
    ("ttlSecondsAfterFinished",): _at_least(0),
    ("terminationGracePeriodSeconds",): _at_least(0),
    ("podReplacementPolicy",): _one_of("Failed", "TerminatingOrFailed"),
    ("rules", "*", "action"): _one_of("FailJob", "Ignore", "Count"),
    ("onExitCodes", "operator"): _one_of("In", "NotIn"),
    ("dnsPolicy",): _one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    ("preemptionPolicy",): _one_of("Never", "PreemptLowerPriority"),
    ("fsGroupChangePolicy",): _one_of("OnRootMismatch", "Always"),
    ("supplementalGroupsPolicy",): _one_of("Merge", "Strict"),
    ("seccompProfile", "type"): _one_of("RuntimeDefault", "Localhost", "Unconfined"),
    ("appArmorProfile", "type"): _one_of("RuntimeDefault", "Localhost", "Unconfined"),
    ("imagePullPolicy",): _one_of("Always", "IfNotPresent", "Never"),
    ("terminationMessagePolicy",): _one_of("File", "FallbackToLogsOnError"),
    ("ports", "*", "protocol"): _one_of("TCP", "UDP", "SCTP"),
    ("initContainers", "*", "restartPolicy"): _one_of("Always", "Never", "OnFailure"),
    ("tolerations", "*", "operator"): _one_of("Exists", "Equal", "Lt", "Gt"),
    ("tolerations", "*", "effect"): _one_of("", "NoSchedule", "PreferNoSchedule", "NoExecute"),
    ("nodeSelectorTerms", "*", "matchExpressions", "*", "operator"): _NODE_OPERATORS,
    ("nodeSelectorTerms", "*", "matchFields", "*", "operator"): _one_of("In", "NotIn"),
    ("preference", "matchExpressions", "*", "operator"): _NODE_OPERATORS,
    ("labelSelector", "matchExpressions", "*", "operator"): _OPERATORS,
    ("whenUnsatisfiable",): _one_of("DoNotSchedule", "ScheduleAnyway"),
    ("nodeAffinityPolicy",): _one_of("Honor", "Ignore"),
    ("nodeTaintsPolicy",): _one_of("Honor", "Ignore"),
    ("emptyDir", "medium"): lambda value: (
        "" if str(value).startswith("HugePages") else _one_of("", "Memory", "HugePages")(value)
    ),
    ("hostPath", "type"): _one_of(
        "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"
    ),
    ("accessModes", "*"): _one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"),
    ("containers", "*", "image"): _image,
    ("initContainers", "*", "image"): _image,
    ("containers", "*", "name"): _dns_label,
    ("initContainers", "*", "name"): _dns_label,
    ("spec", "volumes", "*", "name"): _dns_label,
    ("resourceClaims", "*", "name"): _dns_label,
    ("resourceClaims", "*", "resourceClaimTemplateName"): _object_name,
    ("resourceClaims", "*", "resourceClaimName"): _object_name,
    ("imagePullSecrets", "*", "name"): _object_name,
    ("serviceAccountName",): _object_name,
    ("priorityClassName",): _object_name,
    ("runtimeClassName",): _object_name,
    ("persistentVolumeClaim", "claimName"): _object_name,
    ("secret", "secretName"): _object_name,
    ("configMap", "name"): _object_name,
    ("env", "*", "name"): _env_name,
    ("tolerations", "*", "key"): _key,
    ("matchExpressions", "*", "key"): _key,
    ("topologyKey",): _key,
    ("volumeMounts", "*", "mountPath"): _absolute,
}
FREE: Final = (
    ("annotations", "*"),
    ("env", "*", "value"),
    ("command", "*"),
    ("args", "*"),
)
EXPANDED_BY_KUBELET: Final = FREE[1:]
"""Where ``$(NAME)`` is a variable to Kubernetes, so that a ``$`` of a value is written twice."""
_KEYS: Final = (("labels", "*"), ("annotations", "*"), ("nodeSelector", "*"), ("limits", "*"), ("requests", "*"))


def fits(path: FieldPath, pattern: tuple[str, ...]) -> bool:
    """Whether the path ends like the pattern."""
    tail = path[-len(pattern) :]
    return len(tail) == len(pattern) and all(w in ("*", part) for w, part in zip(pattern, tail, strict=True))


def leaf_rule(path: FieldPath) -> FieldRule | None:
    """The rule for values at this path."""
    return next((rule for pattern, rule in LEAF_RULES.items() if fits(path, pattern)), None)


def is_free(path: FieldPath) -> bool:
    """Whether any text may stand at this path."""
    return any(fits(path, pattern) for pattern in FREE)


def leaf_mistake(path: FieldPath, value: Any, rule: FieldRule) -> Mistake | None:
    """What is wrong with a value; a wrong type is :mod:`kgen.render.check`'s to say."""
    allowed = "" if value is None else rule(value)
    return Mistake(path, show(value), allowed) if allowed else None


def value_mistakes(value: Any, path: FieldPath = ()) -> Iterator[Mistake]:
    """Of every value and key in the object."""
    if isinstance(value, dict):
        for key, item in value.items():
            here = (*path, key)
            if any(fits(here, pattern) for pattern in _KEYS) and (allowed := _key(key)):
                yield Mistake(here, show(key), allowed, key=True)
            yield from value_mistakes(item, here)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from value_mistakes(item, (*path, i))
    elif (rule := leaf_rule(path)) and (mistake := leaf_mistake(path, value, rule)):
        yield mistake


def structure_mistakes(job: dict[str, Any]) -> Iterator[Mistake]:
    """What must fit together: names that are used and given, each once. The object's fields have the right types."""
    pod = job["spec"]["template"]["spec"]
    volumes = pod.get("volumes") or []
    yield from _twice(volumes, "name", (*POD, "volumes"))
    for i, volume in enumerate(volumes):
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        if len(sources) > 1:
            yield Mistake((*POD, "volumes", i), " and ".join(sources), "one source of a volume")
    containers = [(kind, i, c) for kind in ("initContainers", "containers") for i, c in enumerate(pod.get(kind) or [])]
    names: dict[str, FieldPath] = {}
    for kind, i, container in containers:
        path: FieldPath = (*POD, kind, i)
        if names.setdefault(container["name"], path) != path:
            yield Mistake((*path, "name"), f"{container['name']} again", "each container's name once")
        yield from _container_mistakes(container, path, pod)
    yield from _toleration_mistakes(pod.get("tolerations") or [])
    yield from _expression_mistakes(pod.get("affinity") or {}, (*POD, "affinity"))
    for where in ((), ("spec", "template")):
        metadata = (job if not where else job["spec"]["template"])["metadata"]
        size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata["annotations"].items())
        if size > MAX_ANNOTATIONS:
            yield Mistake((*where, "metadata", "annotations"), f"{size:,} bytes", f"at most {MAX_ANNOTATIONS:,} in all")


def _twice(items: list[Any], key: str, path: FieldPath) -> Iterator[Mistake]:
    seen: set[Any] = set()
    for i, item in enumerate(items):
        value = item.get(key)
        if value is not None and value in seen:
            yield Mistake((*path, i, key), f"{value} again", f"each {key} once")
        seen.add(value)


def _container_mistakes(container: dict[str, Any], path: FieldPath, pod: dict[str, Any]) -> Iterator[Mistake]:
    yield from _twice(container.get("env") or [], "name", (*path, "env"))
    mounts = container.get("volumeMounts") or []
    yield from _twice(mounts, "mountPath", (*path, "volumeMounts"))
    known = [volume["name"] for volume in pod.get("volumes") or []]
    for i, mount in enumerate(mounts):
        if mount["name"] not in known:
            near = did_you_mean(mount["name"], known)
            allowed = f"the name of a volume: {', '.join(known) or 'there is none'}{near}"
            yield Mistake((*path, "volumeMounts", i, "name"), show(mount["name"]), allowed)
    for i, variable in enumerate(container.get("env") or []):
        if variable.get("value") and variable.get("valueFrom"):
            yield Mistake((*path, "env", i), "value and valueFrom", "one of them")
    resources = container.get("resources") or {}
    claims = [claim["name"] for claim in pod.get("resourceClaims") or []]
    for i, claim in enumerate(resources.get("claims") or []):
        if claim["name"] not in claims:
            allowed = f"the name of a resource claim: {', '.join(claims) or 'there is none'}"
            yield Mistake((*path, "resources", "claims", i, "name"), show(claim["name"]), allowed)
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name in requests:
        if "/" in name and limits.get(name) != requests[name]:
            found = f"{requests[name]} with the limit {limits.get(name, 'nothing')}"
            yield Mistake((*path, "resources", "requests", name), found, "the same as its limit")


def _toleration_mistakes(tolerations: list[dict[str, Any]]) -> Iterator[Mistake]:
    for i, toleration in enumerate(tolerations):
        path = (*POD, "tolerations", i)
        operator = toleration.get("operator") or "Equal"
        if operator == "Exists" and toleration.get("value"):
            yield Mistake((*path, "value"), f"{toleration['value']} with the operator Exists", "no value, or Equal")
        if operator != "Exists" and not toleration.get("key"):
            yield Mistake(path, "a toleration without a key", "a key, or the operator Exists for every taint")
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            found = f"tolerationSeconds with the effect {toleration.get('effect') or 'of any kind'}"
            yield Mistake((*path, "tolerationSeconds"), found, "the effect NoExecute with it")


def _expression_mistakes(value: Any, path: FieldPath) -> Iterator[Mistake]:
    """Of the expressions of an affinity: In needs values, Exists has none, Gt one whole number."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _expression_mistakes(item, (*path, i))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _expression_mistakes(item, (*path, key))
        if path[-2:-1] in (("matchExpressions",), ("matchFields",)):
            values, operator = value.get("values") or [], value.get("operator")
            if operator in ("In", "NotIn") and not values:
                yield Mistake((*path, "values"), "no values", f"at least one for {operator}")
            if operator in ("Exists", "DoesNotExist") and values:
                yield Mistake((*path, "values"), show(values), f"no values for {operator}")
            if operator in ("Gt", "Lt") and not (len(values) == 1 and re.fullmatch(r"-?[0-9]+", values[0])):
                yield Mistake(
                    (*path, "values"), show(values), f'one whole number in quotes for {operator}, such as ["8"]'
                )
