"""Cases of trials that run, are between two attempts, or have ended: see `states`."""

from __future__ import annotations

import json
from collections.abc import Callable

from kgen import names
from tests.cluster.scene import JOB, Cases, Scene, is_running, is_unschedulable, trial_job

CASES = Cases()


@CASES.add()
def running(scene: Scene) -> None:
    """As it should."""
    scene.create(trial_job())
    scene.until_pod(is_running, "running")


def _run_without_kubelet(scene: Scene) -> str:
    """A pod that runs on a node that is not there, so nobody ends it when it is deleted; gives its name."""
    scene.create(trial_job(pod={"nodeName": "pool-0"}))
    scene.until(scene.pods, "a pod")
    name: str = scene.pods()[0]["metadata"]["name"]
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    container = {"name": names.TRAINER_CONTAINER, "image": "x", "imageID": "x", "ready": True, "restartCount": 0}
    status = {"phase": "Running", "containerStatuses": [container | {"state": state}]}
    scene.kubectl("patch", "pod", name, "--subresource=status", "-p", json.dumps({"status": status}))
    return name


def _force(scene: Scene) -> None:
    scene.kubectl("delete", "job", JOB, "--wait=false", "--ignore-not-found")
    scene.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")


@CASES.add(end=_force)
def terminating(scene: Scene) -> None:
    """Its pod is deleted, but has not ended."""
    scene.kubectl("delete", "pod", _run_without_kubelet(scene), "--wait=false")
    scene.until_pod(lambda pod: pod["metadata"].get("deletionTimestamp"), "deleted")


@CASES.add(end=_force)
def job_deleting(scene: Scene) -> None:
    """The Job is deleted in the foreground, and waits for its pod."""
    _run_without_kubelet(scene)
    scene.kubectl("delete", "job", JOB, "--cascade=foreground", "--wait=false")
    scene.until_pod(lambda pod: pod["metadata"].get("deletionTimestamp"), "deleted")


@CASES.add(end=_force)
def job_gone(scene: Scene) -> None:
    """The Job is deleted, its pod has not ended."""
    _run_without_kubelet(scene)
    scene.kubectl("delete", "job", JOB)
    scene.until_pod(lambda pod: pod["metadata"].get("deletionTimestamp"), "deleted")


@CASES.add()
def retrying(scene: Scene) -> None:
    """Crashed twice, its next pod is not there yet: for 20 s, the second of the growing pauses."""
    scene.create(trial_job("exit-1"))
    scene.until(lambda: ((scene.job() or {})["status"].get("failed"), len(scene.pods())) == (2, 2), "failed twice")


@CASES.add()
def retried(scene: Scene) -> None:
    """Crashed once, runs again."""
    scene.create(trial_job("exit-1", seconds=15))
    scene.until(lambda: len(scene.pods()) == 2 and any(map(is_running, scene.pods())), "runs again")


def _one_gone(scene: Scene, ends: str) -> Callable[[], bool]:
    """Whether there is another pod than that one."""
    return lambda: any(pod["metadata"]["uid"] != ends for pod in scene.pods())


def _no_priority(scene: Scene) -> None:
    scene.kubectl("delete", "priorityclass", f"kgen-{scene.namespace}")


@CASES.add(end=_no_priority)
def preempted(scene: Scene) -> None:
    """Lost its GPU to a pod of higher priority, and waits for another."""
    here = {"nodeSelector": scene.pool(gpus=1)}
    scene.create(trial_job(pod=here))
    scene.until_pod(is_running, "running")
    first = scene.pods()[0]["metadata"]["uid"]
    name = f"kgen-{scene.namespace}"
    api = "scheduling.k8s.io/v1"
    scene.create({"apiVersion": api, "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000})
    scene.create(trial_job(name="other", trial="other", pod=here | {"priorityClassName": name}))
    scene.until(_one_gone(scene, first), "another pod")
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add(end=_no_priority)
def preempted_failed(scene: Scene) -> None:
    """The same, and its template has neither a failure policy nor a second attempt."""
    here = {"nodeSelector": scene.pool(gpus=1)}
    scene.create(trial_job(pod=here, policy=False, backoffLimit=0))
    scene.until_pod(is_running, "running")
    name = f"kgen-{scene.namespace}"
    api = "scheduling.k8s.io/v1"
    scene.create({"apiVersion": api, "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000})
    scene.create(trial_job(name="other", trial="other", pod=here | {"priorityClassName": name}))
    scene.until_job("Failed")


@CASES.add()
def drained(scene: Scene) -> None:
    """Evicted by `kubectl drain`; no other node will do."""
    scene.create(trial_job(pod={"nodeSelector": scene.pool(gpus=1)}))
    scene.until_pod(is_running, "running")
    first = scene.pods()[0]["metadata"]["uid"]
    scene.cluster.kubectl("drain", scene.nodes[0], "--ignore-daemonsets", "--timeout=60s")
    scene.until(_one_gone(scene, first), "another pod")
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def tainted(scene: Scene) -> None:
    """Deleted from a node that got a NoExecute taint."""
    scene.create(trial_job(pod={"nodeSelector": scene.pool(gpus=1)}))
    scene.until_pod(is_running, "running")
    first = scene.pods()[0]["metadata"]["uid"]
    scene.cluster.kubectl("taint", "node", scene.nodes[0], "example.test/repair=true:NoExecute")
    scene.until(_one_gone(scene, first), "another pod")
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def node_lost(scene: Scene) -> None:
    """Its node is gone."""
    scene.create(trial_job(pod={"nodeSelector": scene.pool(gpus=1)}))
    scene.until_pod(is_running, "running")
    first = scene.pods()[0]["metadata"]["uid"]
    scene.cluster.remove_nodes(scene.nodes)
    scene.nodes.clear()
    scene.until(_one_gone(scene, first), "another pod")
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def evicted(scene: Scene) -> None:
    """Evicted by the kubelet, runs again."""
    scene.create(trial_job("evicted", seconds=15))
    scene.until(
        lambda: (
            any(pod["status"].get("phase") == "Failed" for pod in scene.pods()) and any(map(is_running, scene.pods()))
        ),
        "one evicted, one running",
    )


@CASES.add()
def evicted_failed(scene: Scene) -> None:
    """Evicted by the kubelet, and its template has neither a failure policy nor a second attempt."""
    scene.create(trial_job("evicted", policy=False, backoffLimit=0))
    scene.until_job("Failed")


@CASES.add()
def pod_deadline(scene: Scene) -> None:
    """Ran longer than its pod may."""
    scene.create(trial_job("deadline", backoffLimit=0))
    scene.until_job("Failed")


@CASES.add()
def job_deadline(scene: Scene) -> None:
    """Its Job is older than a user's template allows."""
    scene.create(trial_job(activeDeadlineSeconds=2))
    scene.until_job("Failed")


@CASES.add()
def out_of_memory(scene: Scene) -> None:
    """Killed for memory at each attempt."""
    scene.create(trial_job("oom", backoffLimit=0))
    scene.until_job("Failed")


@CASES.add()
def bad_parameters(scene: Scene) -> None:
    """Exit code 64: not tried again."""
    scene.create(trial_job("exit-64"))
    scene.until_job("Failed")


@CASES.add()
def bad_parameters_pods_gone(scene: Scene) -> None:
    """The same, after somebody has deleted the pod."""
    bad_parameters(scene)
    scene.kubectl("delete", "pods", "--all")


@CASES.add()
def no_data(scene: Scene) -> None:
    """Exit code 66: not tried again."""
    scene.create(trial_job("exit-66"))
    scene.until_job("Failed")


@CASES.add()
def no_device(scene: Scene) -> None:
    """Exit code 65, at each attempt."""
    scene.create(trial_job("exit-65", backoffLimit=1))
    scene.until_job("Failed")


@CASES.add()
def crash(scene: Scene) -> None:
    """Exit code 1, at each attempt."""
    scene.create(trial_job("exit-1", backoffLimit=1))
    scene.until_job("Failed")


@CASES.add()
def segmentation_fault(scene: Scene) -> None:
    """Exit code 139."""
    scene.create(trial_job("exit-139", backoffLimit=0))
    scene.until_job("Failed")


@CASES.add()
def pod_deleted(scene: Scene) -> None:
    """Somebody has deleted its pod, and there is no second attempt."""
    scene.create(trial_job(backoffLimit=0))
    scene.until_pod(is_running, "running")
    scene.kubectl("delete", "pods", "--all")
    scene.until_job("Failed")


@CASES.add()
def succeeded(scene: Scene) -> None:
    """As it should."""
    scene.create(trial_job(None))
    scene.until_job("Complete")


@CASES.add()
def succeeded_at_second(scene: Scene) -> None:
    """Crashed at first, in an indexed Job."""
    job = trial_job(
        "crash-then-ok",
        completionMode="Indexed",
        completions=3,
        parallelism=3,
        backoffLimitPerIndex=1,
        backoffLimit=2147483647,
    )
    scene.create(job)
    scene.until_job("Complete")


@CASES.add()
def indexes_failed(scene: Scene) -> None:
    """An indexed Job whose indexes fail one after another; the last two have not begun."""
    job = trial_job(
        "exit-1",
        seconds=10,
        completionMode="Indexed",
        completions=4,
        parallelism=1,
        backoffLimitPerIndex=0,
        backoffLimit=2147483647,
    )
    scene.create(job)
    scene.until(lambda: (scene.job() or {})["status"].get("failedIndexes") == "0,1", "two indexes failed")


@CASES.add()
def deleted(scene: Scene) -> None:
    """Somebody has deleted its Job."""
    scene.create(trial_job())
    scene.until_pod(is_running, "running")
    scene.kubectl("delete", "job", JOB)
    scene.until(lambda: not scene.pods(), "the pods are gone")
