"""The short-lived pod through which results in a claim are read, or removed, from outside the cluster."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgen import names
from kgen.backends.kubernetes import in_pod
from kgen.backends.kubernetes.failure import ApiError, lacks_right
from kgen.backends.kubernetes.objects import Kind, Object, list_objects
from kgen.backends.kubernetes.short_pod import (
    HOPELESS_SECONDS,
    LOOK_SECONDS,
    create_pod,
    remove_ended_pods,
    remove_pod,
    see_pod,
    status_of_pod,
)
from kgen.errors import ClusterError, InputError
from kgen.interrupt import check_interrupt
from kgen.render.environment import RESULTS_MOUNT
from kgen.render.settings import gpu_tolerations
from kgen.render.tools import Tool, tool_pod
from kgen.status import Reason, read
from kgen.status.pods import Pod
from kgen.status.starting import config_words
from kgen.sweep import SweepSpec

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

LIFE_SECONDS: Final = 3600
"""The cluster ends the pod after this long, whatever happens; a fetch that lasts longer goes on in another one."""
UNASKED_SECONDS: Final = 120
"""The pod ends by itself when nobody has asked it for anything for so long: who fetched was killed, or is gone."""
START_SECONDS: Final = 600.0
"""The pod may need so long to start while nothing is wrong: to pull a large image."""
PATIENCE: Final[Mapping[Reason, float]] = {
    Reason.CONFIG_ERROR: 15.0,
    Reason.IMAGE_PULL: 30.0,
    Reason.VOLUME: 90.0,
    Reason.UNSCHEDULABLE: 120.0,
}
"""Seconds that something of this kind may keep it from starting; somebody waits for it."""
_SAID_AFTER: Final = 5.0
"""Seconds after which the reason for waiting is said."""
_ENV_PROGRAM: Final = "KGEN_PROGRAM"
_RUN: Final = f"import os;exec(os.environ['{_ENV_PROGRAM}'])"
"""The program comes by the environment, or each request to run it would carry all of it in its address."""
_RESOURCES: Final = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
_LIMITS: Final = {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "64Mi"}
RIGHTS: Final = "which reading results in a claim needs: manifests/rbac.yaml has a Role that grants it"

OnEvent = Callable[[str], None]
"""Hears, in words, what is done and what is waited for."""


class FetchPod:
    """The pod of one fetch: made when it is needed, anew where it is lost, and never left behind."""

    container: Final = names.COMPONENT_FETCH

    def __init__(self, api: Api, spec: SweepSpec, *, image: str, writable: bool, on_event: OnEvent) -> None:
        self._api = api
        self._spec = spec
        self._image = image or spec.trainer.image
        self._writable = writable
        self._on_event = on_event
        self._name = ""

    @property
    def command(self) -> list[str]:
        """What is to be run in it to be answered."""
        return ["python", "-c", _RUN, "serve", f"{RESULTS_MOUNT}/{self._spec.location.path}"]

    def ensure(self) -> str:
        """Its name, once it runs.

        Raises InputError where there is no image for it, ClusterError where it can't start, in one line.
        """
        if self._name and (pod := self._see()) is not None and pod.phase == "Running" and pod.is_live:
            return self._name
        self.remove()
        if not self._image:
            raise InputError.of(
                str(self._spec.file), "trainer.image", "nothing", "an image for the pod that reads the claim: --image"
            )
        remove_ended_pods(self._api, names.COMPONENT_FETCH, self._spec.name)
        node = self._node()
        self._name = f"{names.tool_name(names.COMPONENT_FETCH, self._spec.name)}-{secrets.token_hex(4)}"
        self._create(self._manifest(node))
        self._until_running()
        return self._name

    def remove(self) -> None:
        """Delete it; where that fails it ends by itself."""
        if not self._name:
            return
        name, self._name = self._name, ""
        if why := remove_pod(self._api, name):
            self._on_event(f"pod {name} is not deleted ({why}); it ends by itself in {UNASKED_SECONDS} s")

    def claim_has_volume(self) -> bool:
        """Whether the claim can hold anything yet. Raises ClusterError where it is not there."""
        return read.text(self._claim(), "status", "phase") != "Pending"

    # -- where

    def _node(self) -> str:
        """The node that alone can mount the claim now; empty where others can, or none does yet."""
        claim = self._claim()
        modes = (claim.get("status") or {}).get("accessModes") or (claim.get("spec") or {}).get("accessModes") or ()
        if "ReadWriteMany" in modes or ("ReadOnlyMany" in modes and not self._writable):
            return ""
        for each in list_objects(self._api, Kind.POD)[0]:
            pod = Pod(each)
            if pod.node and not pod.is_ended and self._spec.location.root in _claims(each):
                return pod.node
        return ""

    def _claim(self) -> Object:
        """The claim; nothing where it may not be read."""
        name = self._spec.location.root
        try:
            return self._api.get(f"/api/v1/namespaces/{self._api.namespace}/persistentvolumeclaims/{name}")
        except ApiError as error:
            if error.status == 404:
                raise ClusterError(
                    f"the claim {name}, which has the results, is not in namespace {self._api.namespace}"
                ) from error
            if error.status != 403:
                raise
            return {}

    def _manifest(self, node: str) -> dict[str, Any]:
        kubernetes = self._spec.kubernetes
        tool = Tool.of(
            self._spec,
            names.COMPONENT_FETCH,
            ["python", "-c", _RUN, "wait", str(UNASKED_SECONDS)],
            image=self._image,
            claim=self._spec.location.root,
            # Only the mount: as a read-only volume some drivers would not attach it beside one that is written to.
            read_only=not self._writable,
            env={_ENV_PROGRAM: Path(in_pod.__file__).read_text(encoding="utf-8")},
            tolerations=(*gpu_tolerations(kubernetes), *kubernetes.tolerations),
        )
        pod = tool_pod(tool)
        pod["containers"][0]["resources"] = {"requests": dict(_RESOURCES), "limits": dict(_LIMITS)}
        pod |= {"activeDeadlineSeconds": LIFE_SECONDS, "terminationGracePeriodSeconds": 2}
        if kubernetes.service_account:
            pod["serviceAccountName"] = kubernetes.service_account  # its pull secrets; its token is not mounted
        if kubernetes.node_selector:
            pod["nodeSelector"] = dict(kubernetes.node_selector)
        if node:
            term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
            required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
            pod["affinity"] = {"nodeAffinity": required}
        metadata = {"name": self._name, "namespace": self._api.namespace, **tool.metadata}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}

    # -- until it runs

    def _create(self, manifest: dict[str, Any]) -> None:
        failed = create_pod(self._api, manifest)
        if failed is None:
            return
        if not failed.is_unclear:
            self._name = ""  # there is nothing to remove
        raise _with_rights(failed.error)

    def _see(self) -> Pod | None:
        try:
            return see_pod(self._api, self._name)
        except ApiError as error:
            if lacks_right(error):
                raise _with_rights(error) from error
            raise

    def _until_running(self) -> None:
        began = since = time.monotonic()
        reason, said = Reason.NONE, ""
        while True:
            pod = self._see()
            if pod is not None and pod.phase == "Running" and pod.is_live:
                return
            if pod is None or not pod.is_live:
                raise ClusterError(f"pod {self._name} ended before it could read the claim{_why_ended(pod)}")
            status, _ = status_of_pod(self._api, pod)
            now = time.monotonic()
            if status.reason is not reason:
                reason, since = status.reason, now
            patience = HOPELESS_SECONDS if status.hopeless else PATIENCE.get(reason, START_SECONDS)
            if now - since > patience or now - began > START_SECONDS:
                raise ClusterError(f"pod {self._name}, which would read the claim, does not start: {status.message}")
            if now - began > _SAID_AFTER and status.message != said:
                said = status.message
                self._on_event(f"waiting for pod {self._name}: {said}")
            check_interrupt()
            time.sleep(LOOK_SECONDS)


def _with_rights(error: ClusterError) -> ClusterError:
    """The error, with what to do where a right is missing."""
    return ClusterError(f"{error}, {RIGHTS}") if lacks_right(error) else error


def _claims(pod: Object) -> set[str]:
    volumes = read.items(pod, "spec", "volumes")
    return {read.text(volume, "persistentVolumeClaim", "claimName") for volume in volumes}


def _why_ended(pod: Pod | None) -> str:
    if pod is None:
        return ": somebody deleted it"
    words = [read.text(pod.object, "status", key) for key in ("message", "reason")]
    for end in (container.terminated for container in pod.containers):
        said = read.text(end, "message")
        words += [config_words(said) if read.text(end, "reason") == "StartError" else said, read.text(end, "reason")]
    return next((f": {read.line(each)}" for each in words if each), "")
