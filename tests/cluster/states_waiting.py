"""Cases of trials whose program does not run yet: see `states`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgen import names
from tests.cluster.scene import Cases, Scene, is_unschedulable, trial_job

CASES = Cases()


@CASES.add()
def suspended(scene: Scene) -> None:
    """Created suspended, by a user's template."""
    scene.create(trial_job(suspend=True))
    scene.until_job("Suspended")


@CASES.add()
def kueue(scene: Scene) -> None:
    """Created suspended with the label of a queue, as kgen does for Kueue."""
    scene.create(trial_job(suspend=True, labels={"kueue.x-k8s.io/queue-name": "team-a"}))
    scene.until_job("Suspended")


@CASES.add()
def quota(scene: Scene) -> None:
    """Over a ResourceQuota whose GPUs others have."""
    scene.kubectl("create", "quota", "team-gpus", "--hard=requests.nvidia.com/gpu=2")
    scene.until(lambda: scene.cluster.get("quota", "team-gpus", "-n", scene.namespace)["status"].get("hard"), "quota")
    scene.create(trial_job(name="other", trial="other", gpus=2))
    other = ["pods", "-n", scene.namespace, "-l", f"{names.LABEL_TRIAL}=other"]
    scene.until(lambda: scene.cluster.get(*other)["items"], "the other's pod")
    scene.create(trial_job())
    scene.until_event("FailedCreate")


@CASES.add()
def pod_security(scene: Scene) -> None:
    """Against the namespace's Pod Security Standard."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    scene.cluster.kubectl("label", "namespace", scene.namespace, label)
    scene.create(trial_job(container={"securityContext": {"runAsUser": 0}}))
    scene.until_event("FailedCreate")


@CASES.add()
def limit_range(scene: Scene) -> None:
    """More memory than a LimitRange lets a container have."""
    limit = {"type": "Container", "max": {"memory": "2Gi"}}
    scene.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "x"}, "spec": {"limits": [limit]}})
    scene.create(trial_job())
    scene.until_event("FailedCreate")


@CASES.add()
def no_account(scene: Scene) -> None:
    """With a service account that is not there."""
    scene.create(trial_job(pod={"serviceAccountName": "bucket-writer"}))
    scene.until_event("FailedCreate")


@CASES.add()
def no_priority_class(scene: Scene) -> None:
    """With a priority class that is not there."""
    scene.create(trial_job(pod={"priorityClassName": "gold"}))
    scene.until_event("FailedCreate")


def _forbid(scene: Scene) -> None:
    scene.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", f"kgen-{scene.namespace}")


@CASES.add(end=_forbid)
def policy(scene: Scene) -> None:
    """Against an admission policy of the platform's."""
    api, name = "admissionregistration.k8s.io/v1", f"kgen-{scene.namespace}"
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    check = {"expression": "false", "message": "images must come from registry.internal"}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [check]}
    bind = {"policyName": name, "validationActions": ["Deny"], "matchResources": where}
    scene.create(
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": bind},
    )

    def works() -> bool:  # the server hears of a policy in a moment
        pod = ["run", "x", "--image=x", "-n", scene.namespace, "--dry-run=server"]
        return "registry.internal" in scene.cluster.try_kubectl(*pod).stderr

    scene.until(works, "the policy works")
    scene.create(trial_job())
    scene.until_event("FailedCreate")


def _no_webhook(scene: Scene) -> None:
    scene.kubectl("delete", "validatingwebhookconfiguration", f"kgen-{scene.namespace}")


@CASES.add(end=_no_webhook)
def webhook(scene: Scene) -> None:
    """An admission webhook that does not answer."""
    where = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "pods.platform.example",
        "rules": [rule],
        "clientConfig": {"service": {"namespace": "platform", "name": "hook"}},
        "namespaceSelector": where,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    scene.create(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": f"kgen-{scene.namespace}"},
            "webhooks": [hook],
        }
    )

    def works() -> bool:
        pod = ["run", "x", "--image=x", "-n", scene.namespace, "--dry-run=server"]
        return "webhook" in scene.cluster.try_kubectl(*pod).stderr

    scene.until(works, "the webhook is called")
    scene.create(trial_job())
    scene.until_event("FailedCreate")


@CASES.add()
def too_many_gpus(scene: Scene) -> None:
    """More GPUs than any node has."""
    scene.create(trial_job(gpus=9))
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def busy(scene: Scene) -> None:
    """The nodes that would do are full."""
    here = {"nodeSelector": scene.pool(gpus=1)}
    scene.create(trial_job(name="other", trial="other", pod=here))
    scene.until(lambda: "Running" in scene.kubectl("get", "pods"), "the other runs")
    scene.create(trial_job(pod=here))
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def taint(scene: Scene) -> None:
    """A taint that it does not tolerate."""
    scene.create(trial_job(pod={"tolerations": []}))
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def selector(scene: Scene) -> None:
    """Labels that no node has."""
    scene.create(trial_job(pod={"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H300"}}))
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def no_claim(scene: Scene) -> None:
    """A volume claim that is not there."""
    volume = {"name": "results", "persistentVolumeClaim": {"claimName": "results"}}
    scene.create(trial_job(pod={"volumes": [volume]}))
    scene.until_pod(is_unschedulable, "unschedulable")


@CASES.add()
def unbound_claim(scene: Scene) -> None:
    """A volume claim that no volume is bound to."""
    spec = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "nfs",
    }
    metadata = {"name": "results"}
    scene.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    volume = {"name": "results", "persistentVolumeClaim": {"claimName": "results"}}
    scene.create(trial_job(pod={"volumes": [volume]}))
    scene.until_pod(is_unschedulable, "unschedulable")


def _is_gated(pod: Mapping[str, Any]) -> bool:
    return any(each.get("reason") == "SchedulingGated" for each in pod["status"].get("conditions", []))


@CASES.add()
def gated(scene: Scene) -> None:
    """Held back by a scheduling gate."""
    scene.create(trial_job(pod={"schedulingGates": [{"name": "example.test/data-staged"}]}))
    scene.until_pod(_is_gated, "gated")


def _is_waiting(pod: Mapping[str, Any]) -> bool:
    return any("waiting" in each["state"] for each in pod["status"].get("containerStatuses", []))


@CASES.add()
def image_pull(scene: Scene) -> None:
    """An image that is not there."""
    scene.create(trial_job("image-pull"))
    scene.until_pod(_is_waiting, "waiting")


@CASES.add()
def config_error(scene: Scene) -> None:
    """A ConfigMap that is not there."""
    scene.create(trial_job("config-error"))
    scene.until_pod(_is_waiting, "waiting")
