"""Kinds of objects, their paths, and lists of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kgen.backends.kubernetes.failure import ApiError
from kgen.errors import ClusterError

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

Object = Mapping[str, Any]
"""An object of the Kubernetes API as its JSON says, with ``apiVersion`` and ``kind``."""

PAGE: Final = 500


class Kind(enum.StrEnum):
    """What can be listed and watched."""

    JOB = "Job"
    POD = "Pod"
    CONFIG_MAP = "ConfigMap"
    EVENT = "Event"
    """Those about Jobs and Pods. They have no labels of kgen's, so they are chosen by name."""


_PATHS: Final = {
    Kind.JOB: ("batch/v1", "/apis/batch/v1/namespaces/{}/jobs"),
    Kind.POD: ("v1", "/api/v1/namespaces/{}/pods"),
    Kind.CONFIG_MAP: ("v1", "/api/v1/namespaces/{}/configmaps"),
    Kind.EVENT: ("v1", "/api/v1/namespaces/{}/events"),
}


def path_of(api: Api, kind: Kind, name: str = "") -> str:
    """Path of a kind's objects in the namespace, or of one."""
    path = _PATHS[kind][1].format(api.namespace)
    return f"{path}/{name}" if name else path


@dataclass(frozen=True, slots=True)
class Source:
    """What one list and one watch bring."""

    kind: Kind
    params: Mapping[str, str]
    prefix: str
    """Of the names of what events are about."""

    def wants(self, item: Object) -> bool:
        """Whether it is one of those that were asked for."""
        return self.kind is not Kind.EVENT or str(item["involvedObject"].get("name", "")).startswith(self.prefix)

    def named(self, item: Object) -> Object:
        """The item with what it is, which items of a list do not say."""
        return {"apiVersion": _PATHS[self.kind][0], "kind": str(self.kind), **item}


def sources(kind: Kind, selector: str, prefix: str) -> list[Source]:
    """The lists and watches that bring all of a kind."""
    if kind is not Kind.EVENT:
        return [Source(kind, {"labelSelector": selector} if selector else {}, "")]
    return [Source(kind, {"fieldSelector": f"involvedObject.kind={about}"}, prefix) for about in ("Job", "Pod")]


def list_objects(api: Api, kind: Kind, selector: str = "", *, prefix: str = "") -> tuple[list[Object], str]:
    """All objects of a kind in the namespace, and the resource version from which a watch goes on.

    ``selector`` chooses by labels; for events ``prefix`` chooses by the name of what they are about. Raises
    ClusterError, so an empty list means that there are none.
    """
    items: list[Object] = []
    versions: list[str] = []
    for source in sources(kind, selector, prefix):
        found, version = list_source(api, source)
        items += found
        versions.append(version)
    return items, min(versions, key=int)


def list_events(api: Api, prefix: str) -> list[Object]:
    """Events about what has such a name; none where somebody may not read them, who then knows fewer reasons.

    Raises ClusterError.
    """
    try:
        return list_objects(api, Kind.EVENT, prefix=prefix)[0]
    except ApiError as error:
        if error.status != 403:
            raise
        return []


def list_source(api: Api, source: Source) -> tuple[list[Object], str]:
    """The same for one source."""
    try:
        return _pages(api, source, {"limit": PAGE})
    except ApiError as error:
        if error.status != 410:
            raise
    # Too much time went by between two pages. Never half a list: begin anew, all at once, as client-go does.
    return _pages(api, source, {})


def _pages(api: Api, source: Source, params: dict[str, str | int]) -> tuple[list[Object], str]:
    items: list[Object] = []
    path = path_of(api, source.kind)
    while True:
        page = api.get(path, **source.params, **params)
        found = page.get("items", ())
        if "metadata" not in page or not isinstance(found or [], list):
            raise ClusterError(f"{api.server} answered {path} with something that is no list: is it an API server?")
        items += (source.named(item) for item in found or () if source.wants(item))
        token = page["metadata"].get("continue")
        if not token:
            return items, str(page["metadata"]["resourceVersion"])
        params["continue"] = token
