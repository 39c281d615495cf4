"""Why a pod that has a node does not run yet: its image, its configuration, its volumes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kgen.status import read
from kgen.status.model import Object, Reason
from kgen.status.pods import Container, Pod

_PULL: Final = frozenset(
    [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    ]
)
_CONFIG: Final = frozenset(
    [
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
        "StartError",
    ]
)
# The first that is found in what the container runtime says, most telling first.
_PULL_CAUSES: Final = [
    (
        r"may require|pull access denied|insufficient_scope",
        "it is not there, or private and its pull secret is missing",
    ),
    (r"unauthorized|authentication required|no basic auth|denied|403 Forbidden", "the registry wants credentials"),
    (r"no match for platform|no matching manifest|exec format", "it is not built for the node's platform"),
    (r"not found|manifest unknown|does not exist|NAME_UNKNOWN", "it is not in its registry"),
    (r"no such host|server misbehaving", "the registry's name is not known"),
    (r"toomanyrequests|too many requests|rate limit|QPS exceeded", "the registry's rate limit is reached"),
    (r"no space left", "the node's disk is full"),
    (r"x509|certificate|server gave HTTP response", "the registry's certificate is not trusted"),
    (r"refused|timeout|timed out|deadline exceeded|unreachable|connection reset|EOF", "the registry does not answer"),
]
_NO_OBJECT: Final = re.compile(r"(?i)\b(configmap|secret)s? \"([^\"]+)\" not found")
_NO_KEY: Final = re.compile(r"couldn't find key (\S+) in (ConfigMap|Secret) (?:[^/\s]+/)?(\S+)")
_NO_PROGRAM: Final = re.compile(r"exec: \"([^\"]+)\": (?:executable file not found|stat \S+: no such file)")
_NOT_ALLOWED: Final = re.compile(r"exec: \"([^\"]+)\": permission denied")
_AS_ROOT: Final = re.compile(r"image will run as root|non-numeric user|runAsUser breaks non-root")
_KINDS: Final = {"configmap": "ConfigMap", "secret": "Secret"}
_RPC: Final = re.compile(r"(?:rpc error: code = \w+ desc = |Error: |failed to [\w ]+: (?=failed to ))")
_MOUNT: Final = re.compile(r"for volume \"([^\"]+)\" ?: ?(.*)", re.DOTALL)
_UNMOUNTED: Final = re.compile(r"unmounted volumes=\[([^\]]*)\]")
_ATTACHED_ELSEWHERE: Final = re.compile(r"Multi-Attach error for volume \"([^\"]+)\"")
_VOLUME_EVENTS: Final = frozenset(["FailedMount", "FailedAttachVolume"])
_PROGRESS_EVENTS: Final = frozenset(["SuccessfulAttachVolume", "SuccessfulMountVolume", "Pulling", "Pulled", "Created"])


def why_not_started(pod: Pod, events: Sequence[Object]) -> tuple[Reason, str]:
    """Why a pod with a node has not begun to train."""
    mine = sorted(
        (each for each in events if read.text(each, "involvedObject", "name") == pod.name),
        key=read.event_time,
    )
    for container in [*(each for each in pod.containers if each.is_init), *pod.containers]:
        cause = read.text(container.waiting, "reason")
        if cause in _PULL:
            return Reason.IMAGE_PULL, _pull_words(container, cause, mine)
        if cause in _CONFIG:
            return Reason.CONFIG_ERROR, config_words(read.text(container.waiting, "message"))
        if cause == "CrashLoopBackOff":
            code = read.whole(container.before, "exitCode")
            code_words = "" if code is None else f" with exit code {code}"
            return Reason.RETRYING, f"container {read.line(container.name)} ended{code_words} and is started again"
    return _by_events(mine) or (Reason.CREATING, _creating_words(pod))


def _creating_words(pod: Pod) -> str:
    for container in pod.containers:
        if container.is_init and container.running:
            return f"init container {read.line(container.name)} runs on {pod.node}"
    return f"node {read.line(pod.node)} prepares its container" if pod.node else "its node prepares its container"


def _by_events(mine: Sequence[Object]) -> tuple[Reason, str] | None:
    """What a node last said of a pod whose containers say nothing."""
    for event in reversed(mine):
        reason, message = read.text(event, "reason"), read.text(event, "message")
        if reason in _VOLUME_EVENTS:
            return Reason.VOLUME, _volume_words(message)
        if reason == "FailedCreatePodSandBox":
            return Reason.CREATING, f"its node can't start pods: {_plain(message)}"
        if reason in _PROGRESS_EVENTS:
            return None
    return None


def _pull_words(container: Container, cause: str, mine: Sequence[Object]) -> str:
    image = read.line(container.image) or "its image"
    if cause == "InvalidImageName":
        return f"image {image}: that is not the name of an image"
    if cause == "ErrImageNeverPull":
        return f"image {image} is not on the node, and imagePullPolicy Never forbids to pull it"
    said = read.text(container.waiting, "message")
    told = [read.text(each, "message") for each in mine if read.text(each, "reason") == "Failed"]
    for message in (said, *reversed(told)):
        # The image's own name may hold any of the words looked for.
        rest = message.replace(container.image, "") if container.image else message
        for pattern, words in _PULL_CAUSES:
            if re.search(pattern, rest):
                return f"image {image} can't be pulled: {words}"
    rest = _plain(re.sub(r"^Back-off pulling image \"[^\"]*\"(?:: )?", "", said))
    return f"image {image} can't be pulled" + (f": {rest}" if rest else "")


def config_words(message: str) -> str:
    """Why a container can't be made from its configuration."""
    if found := _NO_OBJECT.search(message):
        return f"{_KINDS[found[1].lower()]} {read.line(found[2])} is not in this namespace"
    if found := _NO_KEY.search(message):
        return f"{found[2]} {read.line(found[3])} has no key {read.line(found[1])}"
    if found := _NO_PROGRAM.search(message):
        return f"the image has no program {read.line(found[1])}"
    if found := _NOT_ALLOWED.search(message):
        return f"the image's {read.line(found[1])} can't be executed by the trainer's user"
    if _AS_ROOT.search(message):
        return "the image runs as root, which the pod forbids"
    return f"its container can't be started: {_plain(message)}" if message else "its container can't be started"


def _volume_words(message: str) -> str:
    if found := _ATTACHED_ELSEWHERE.search(message):
        return f"volume {read.line(found[1])} is in use on another node, and can be on one only"
    if found := _MOUNT.search(message):
        if missing := _NO_OBJECT.search(found[2]):
            return f"volume {read.line(found[1])}: {config_words(missing.group())}"
        return f"volume {read.line(found[1])} can't be mounted: {_plain(found[2])}"
    if found := _UNMOUNTED.search(message):
        return f"volumes not mounted yet: {read.line(found[1]).replace(' ', ', ')}"
    return f"its volumes can't be mounted: {_plain(message)}"


def _plain(message: str) -> str:
    """Without the chain of Go's wrapping."""
    return read.line(_RPC.sub("", message), 200).rstrip(" .")
