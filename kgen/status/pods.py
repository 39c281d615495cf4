"""A pod as the mapping sees it: read once, compared and asked often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from kgen.names import LABEL_INDEX, TRAINER_CONTAINER
from kgen.status import read
from kgen.status.model import Object

_INDEX_FAILURES: Final = (
    "batch.kubernetes.io/job-index-failure-count",
    "batch.kubernetes.io/job-index-ignored-failure-count",
)


@dataclass(frozen=True)
class Container:
    """One of a pod's containers, and its state."""

    name: str
    image: str
    is_init: bool
    waiting: Mapping[str, Any]
    running: Mapping[str, Any]
    terminated: Mapping[str, Any]
    before: Mapping[str, Any]
    """How it ended last time, where it was started again."""

    @property
    def exit_code(self) -> int | None:
        """How it ended, if it did."""
        return read.whole(self.terminated, "exitCode")


@dataclass(frozen=True)
class Pod:
    """One attempt at a trial."""

    object: Object = field(repr=False)

    @cached_property
    def name(self) -> str:
        """Its name; empty if it has none."""
        return read.text(self.object, "metadata", "name")

    @cached_property
    def created(self) -> datetime:
        """When it was created; long ago if that is not said."""
        return read.moment(self.object, "metadata", "creationTimestamp") or read.LONG_AGO

    @property
    def node(self) -> str:
        """Where it is."""
        return read.text(self.object, "spec", "nodeName")

    @cached_property
    def phase(self) -> str:
        """Pending, Running, Succeeded, Failed, Unknown."""
        return read.text(self.object, "status", "phase")

    @property
    def is_ended(self) -> bool:
        """Whether none of its containers will run again."""
        return self.phase in ("Succeeded", "Failed")

    @cached_property
    def is_deleting(self) -> bool:
        """Whether it was deleted and is not gone yet."""
        return bool(read.mapping(self.object, "metadata").get("deletionTimestamp"))

    @property
    def is_live(self) -> bool:
        """Whether it runs or will."""
        return not (self.is_ended or self.is_deleting)

    @property
    def index(self) -> int | None:
        """Its index in an indexed Job."""
        for place in ("labels", "annotations"):
            found = read.text(self.object, "metadata", place, LABEL_INDEX)
            if found.isascii() and found.isdigit() and len(found) < 10:
                return int(found)
        return None

    @property
    def failures_before(self) -> int:
        """How many attempts at the same index ended before it; known only with a backoff limit per index."""
        counts = (read.text(self.object, "metadata", "annotations", key) for key in _INDEX_FAILURES)
        return sum(int(each) for each in counts if each.isascii() and each.isdigit() and len(each) < 10)

    @cached_property
    def containers(self) -> list[Container]:
        """Those of the trial; then those that run before them."""
        found = []
        for key in ("containerStatuses", "initContainerStatuses"):
            for status in read.items(self.object, "status", key):
                state = [read.mapping(status, "state", each) for each in ("waiting", "running", "terminated")]
                state.append(read.mapping(status, "lastState", "terminated"))
                image = self._image(read.text(status, "name")) or read.text(status, "image")
                found.append(Container(read.text(status, "name"), image, key.startswith("init"), *state))
        return found

    @cached_property
    def trainer(self) -> Container | None:
        """The container that trains: kgen's own, or of a user's template the one that failed, or the first."""
        mains = [each for each in self.containers if not each.is_init]
        named = [each for each in mains if each.name == TRAINER_CONTAINER]
        failed = [each for each in mains if each.exit_code]
        return next(iter([*named, *failed, *mains]), None)

    @cached_property
    def ended(self) -> datetime:
        """When its trainer ended; when it was created if that is not said."""
        return (read.moment(self.trainer.terminated, "finishedAt") if self.trainer else None) or self.created

    def _image(self, container: str) -> str:
        # The status may name the image by a digest that nobody wrote.
        for key in ("containers", "initContainers"):
            for each in read.items(self.object, "spec", key):
                if container and read.text(each, "name") == container:
                    return read.text(each, "image")
        return ""


def newest(pods: Iterable[Pod]) -> Pod | None:
    """The pod that was created last; times have whole seconds, so of two that were at once the one that lives."""
    return max(pods, key=lambda pod: (pod.created, pod.is_live, not pod.is_ended, pod.name), default=None)


def last_ended(pods: Iterable[Pod]) -> Pod | None:
    """The pod that ended last."""
    return max((pod for pod in pods if pod.is_ended), key=lambda pod: (pod.ended, pod.created, pod.name), default=None)
