"""What a trial's program printed, from the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.errors import ClusterError, InputError
from kgen.workflow.observe import see_trial

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.status import Object


def trial_log(
    api: Api, trial: str, *, follow: bool, previous: bool, tail: int | None, timestamps: bool
) -> Iterator[bytes]:
    """The log of the trial's newest pod, line by line as they come.

    Raises InputError where there is no pod, or no earlier one, ClusterError where the log can't be read.
    """
    _, seen, _ = see_trial(api, trial)
    pods = sorted(seen.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    wanted = pods[:-1] if previous else pods
    if not wanted:
        found = f"{seen.id}, which has no {'earlier ' if previous else ''}pod"
        why = f" ({seen.status.message})" if seen.status.message else ""
        raise InputError.of("the command line", "TRIAL", found + why, "a trial whose program has been started")
    pod = wanted[-1]
    asked = {"container": _container(pod), "timestamps": str(timestamps).lower(), "follow": str(follow).lower()}
    path = f"/api/v1/namespaces/{api.namespace}/pods/{pod['metadata']['name']}/log"
    limit = {} if tail is None else {"tailLines": str(tail)}
    try:
        with api.stream(f"{path}?{urlencode({**asked, **limit})}") as lines:
            yield from lines
    except ApiError as error:
        said = " ".join(error.message.split())
        raise ClusterError(f"the log of pod {pod['metadata']['name']} can't be read: {said}") from error


def _container(pod: Object) -> str:
    found = [str(container["name"]) for container in pod["spec"]["containers"]]
    return names.TRAINER_CONTAINER if names.TRAINER_CONTAINER in found else found[0]
