"""A pod of kgen's own that lives for as long as a command needs it: made, seen, and never left behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kgen.backends.kubernetes.api import ATTEMPTS, backoff
from kgen.backends.kubernetes.failure import ApiError, UnreachableError, is_unclear, may_pass
from kgen.backends.kubernetes.objects import Kind, Object, list_events, list_objects, path_of
from kgen.backends.kubernetes.remove import delete
from kgen.errors import ClusterError
from kgen.render.tools import tool_selector
from kgen.status import TrialStatus, status_of
from kgen.status.pods import Pod

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

HOPELESS_SECONDS: Final = 10.0
"""How long it is waited for where nothing that is on its way could let it start."""
LOOK_SECONDS: Final = 0.3
"""Between two looks at it."""


@dataclass(frozen=True, slots=True)
class NotCreated:
    """Why there is no such pod, or none is known of."""

    error: ApiError | UnreachableError
    is_unclear: bool
    """Whether it may be there all the same."""


def create_pod(api: Api, manifest: Mapping[str, Any]) -> NotCreated | None:
    """Create a pod whose name nobody else would draw; None where it is there now."""
    unclear = False  # whether an earlier attempt may have created it
    for attempt in range(ATTEMPTS):
        try:
            api.post(path_of(api, Kind.POD), manifest)
            return None
        except (ApiError, UnreachableError) as error:
            if isinstance(error, ApiError) and error.reason == "AlreadyExists":
                return None  # an earlier attempt of ours
            unclear = unclear or is_unclear(error)
            if attempt == ATTEMPTS - 1 or not may_pass(error):
                return NotCreated(error, unclear)
        time.sleep(backoff(attempt))
    raise AssertionError("the last attempt returns")


def see_pod(api: Api, name: str) -> Pod | None:
    """The pod now; None where it is gone. Raises ClusterError."""
    try:
        return Pod(api.get(path_of(api, Kind.POD, name)))
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def status_of_pod(api: Api, pod: Pod) -> tuple[TrialStatus, list[Object]]:
    """Its status, and the events about it: the same things keep it from starting as keep trials from it, and are said
    in the same words. Raises ClusterError."""
    events = list_events(api, pod.name)
    return status_of("", {"metadata": {"name": pod.name}}, [pod.object], events), events


def remove_pod(api: Api, name: str) -> str:
    """Delete it; gives why that failed, empty where it is gone."""
    try:
        api.delete(path_of(api, Kind.POD, name))
    except ClusterError as error:
        if not (isinstance(error, ApiError) and error.status == 404):
            return str(error)
    return ""


def remove_ended_pods(api: Api, component: str, sweep: str) -> None:
    """Delete such pods of earlier times that have ended and are still there: whoever made them was killed.

    Those that run are somebody else's, or end by themselves. Raises ClusterError.
    """
    found = list_objects(api, Kind.POD, tool_selector(component, sweep))[0]
    delete(api, [pod for pod in found if Pod(pod).is_ended])
