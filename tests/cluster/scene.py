"""A namespace of its own with one trial's Job in it, to bring about what a test wants to see."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kgen import names
from tests.cluster import nodes
from tests.cluster.client import Cluster

SWEEP = "optimizers"
TRIAL = "k7q2m5xw3d"
JOB = names.job_name(SWEEP, TRIAL)
FATE = "kwok.kgen.dev/fate"
SECONDS = "kwok.kgen.dev/seconds"
POOL = "example.test/pool"
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass
class Recording:
    """What the API server says of one trial."""

    job: dict[str, Any] | None
    pods: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def with_fixed_names(self, scene: Scene) -> Recording:
        """With the names that differ from run to run made the same."""
        text = json.dumps(self.__dict__).replace(scene.namespace, "research")
        for number, node in enumerate(scene.nodes):
            text = text.replace(node, f"pool-{number}")
        return Recording(**json.loads(text))


@dataclass
class Scene:
    """A namespace to make a case in, and the nodes that were added for it."""

    cluster: Cluster
    namespace: str
    nodes: list[str] = field(default_factory=list)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """As the cluster's, in the scene's namespace."""
        return self.cluster.kubectl(*arguments, f"--namespace={self.namespace}", input=input)

    def create(self, *manifests: Mapping[str, Any]) -> None:
        """Create objects in the namespace."""
        self.kubectl("create", "-f", "-", input=nodes.listing([dict(manifest) for manifest in manifests]))

    def pool(self, gpus: int = 1, count: int = 1) -> dict[str, str]:
        """Add nodes for this scene alone; gives the node selector for them."""
        selector = {POOL: self.namespace}
        self.nodes += self.cluster.add_nodes(count, gpus=gpus, labels=selector)
        return selector

    def job(self) -> dict[str, Any] | None:
        """The trial's Job, or nothing if it is not there."""
        found = self.cluster.get("jobs", f"--namespace={self.namespace}", f"--field-selector=metadata.name={JOB}")
        return next(iter(found["items"]), None)

    def pods(self) -> list[dict[str, Any]]:
        """The trial's pods."""
        selector = f"--selector={names.LABEL_TRIAL}={TRIAL}"
        items: list[dict[str, Any]] = self.cluster.get("pods", f"--namespace={self.namespace}", selector)["items"]
        return items

    def events(self) -> list[dict[str, Any]]:
        """All events in the namespace that are about the trial's Job or pods."""
        items = self.cluster.get("events", f"--namespace={self.namespace}")["items"]
        return [event for event in items if event["involvedObject"]["name"].startswith(JOB)]

    def record(self) -> Recording:
        """All of it as it is now."""
        return Recording(self.job(), self.pods(), self.events())

    def until(self, reached: Callable[[], object], what: str, timeout: float = 120) -> None:
        """Wait until something is so."""
        self.cluster.until(reached, timeout=timeout, what=f"{what}, in {self.namespace}: {self.record()}")

    def until_job(self, condition: str) -> None:
        """Wait until the Job has a condition."""
        self.kubectl("wait", f"job/{JOB}", f"--for=condition={condition}", "--timeout=120s")

    def until_pod(self, reached: Callable[[Mapping[str, Any]], object], what: str) -> None:
        """Wait until one of the pods is so."""
        self.until(lambda: any(reached(pod) for pod in self.pods()), what)

    def until_event(self, reason: str) -> None:
        """Wait for an event."""
        self.until(lambda: any(event["reason"] == reason for event in self.events()), f"event {reason}")


def trial_job(fate: str | None = "run", *, name: str = JOB, trial: str = TRIAL, **change: Any) -> dict[str, Any]:
    """A Job as kgen renders it, as far as its state depends on it.

    `change`: `gpus`, `memory`, `seconds` (before the fate), `pod` and `container` (more fields), `labels` (of the Job),
    `policy=False` for a template without a podFailurePolicy; anything else is a field of the Job's spec.
    """
    marks = {names.LABEL_SWEEP: SWEEP, names.LABEL_TRIAL: trial, names.LABEL_COMPONENT: names.COMPONENT_TRIAL}
    gpus, memory = change.pop("gpus", 1), change.pop("memory", "4Gi")
    amounts = {nodes.RESOURCE: str(gpus), "cpu": "2", "memory": memory}
    container = {
        "name": names.TRAINER_CONTAINER,
        "image": "registry.example/trainer:0.1.0",
        "resources": {"limits": amounts, "requests": amounts},
        "securityContext": SECURITY,
    } | change.pop("container", {})
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "tolerations": [{"key": nodes.RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
    } | change.pop("pod", {})
    annotations = {FATE: fate} if fate else {}
    if seconds := change.pop("seconds", None):
        annotations[SECONDS] = str(seconds)
    exits = {"containerName": names.TRAINER_CONTAINER, "operator": "In", "values": [64, 66]}
    disruption = {"type": "DisruptionTarget", "status": "True"}
    policy: dict[str, Any] = {
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": exits},
                {"action": "Ignore", "onPodConditions": [disruption]},
            ]
        },
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": marks | change.pop("labels", {})},
        "spec": {
            "backoffLimit": 2,
            **(policy if change.pop("policy", True) else {}),
            "template": {"metadata": {"labels": marks, "annotations": annotations}, "spec": pod},
        }
        | change,
    }


def is_running(pod: Mapping[str, Any]) -> bool:
    """Whether one of a pod's containers runs."""
    return any("running" in each["state"] for each in pod["status"].get("containerStatuses", []))


def is_unschedulable(pod: Mapping[str, Any]) -> bool:
    """Whether the scheduler has found no node for it."""
    return any(each.get("reason") == "Unschedulable" for each in pod["status"].get("conditions", []))


# -- cases --------------------------------------------------------------------------------------------------------

Step = Callable[[Scene], None]


@dataclass(frozen=True)
class Case:
    """How to bring about a state."""

    make: Step
    """Returns when it is reached."""
    end: Step | None
    """What to do so that its namespace can go."""

    @contextlib.contextmanager
    def made(self, cluster: Cluster) -> Iterator[Scene]:
        """The state, reached; it is cleared away afterwards without waiting."""
        scene = Scene(cluster, cluster.new_namespace())
        try:
            self.make(scene)
            yield scene
        finally:
            if self.end:
                self.end(scene)
            cluster.kubectl("delete", "namespace", scene.namespace, "--wait=false")
            if scene.nodes:
                cluster.remove_nodes(scene.nodes)


class Cases(dict[str, Case]):
    """Cases by the names of the functions that make them."""

    def add(self, end: Step | None = None) -> Callable[[Step], Step]:
        """Decorates the function that makes a case."""

        def register(make: Step) -> Step:
            self[make.__name__] = Case(make, end)
            return make

        return register
