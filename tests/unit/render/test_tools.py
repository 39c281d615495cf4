"""Pods in which kgen itself works: any namespace takes them, they need no GPU, and nothing takes them for trials."""

from __future__ import annotations

from typing import Any

import pytest

from kgen import names
from kgen.render.check import field_mistakes
from kgen.render.tools import Tool, tool_job, tool_pod, tool_selector
from tests.unit.render.rendering import job, spec

SETTINGS = (
    "{run_as_user: 2000, image_pull_policy: Always, image_pull_secrets: [login], labels: {team: vision}, "
    "tolerations: [{key: gpu, operator: Exists}], annotations: {sidecar.istio.io/inject: 'false'}, "
    "secret_env: {AWS_SECRET_ACCESS_KEY: {secret: bucket, key: secret}}, service_account: trainer}"
)


def tool(component: str = "collect", **more: Any) -> Tool:
    blocks = more.pop("blocks", {})
    return Tool.of(spec(kubernetes=SETTINGS, **blocks), component, ("kgen", component, "$(X)"), **more)


def made(**more: Any) -> dict[str, Any]:
    return tool_job(tool(**more), "kgen-collect-x", "ml", backoff_limit=2, final_codes=(2, 1), ttl_seconds=60).object()


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod["containers"]
    return dict(found)


@pytest.mark.parametrize("more", [{}, {"service_account": "kgen-collector", "claim": "data", "image": "other:1"}])
def test_the_server_takes_it(more: dict[str, str]) -> None:
    assert field_mistakes(made(**more)) == []


def test_it_keeps_to_the_restricted_standard_and_asks_for_no_gpu() -> None:
    pod = tool_pod(tool(claim="data"))
    one = container(pod)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(one["resources"]["requests"]) == set(one["resources"]["limits"]) == {
        "cpu", "memory", "ephemeral-storage",
    }  # fmt: skip
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in one["env"]
    assert [mount["mountPath"] for mount in one["volumeMounts"]] == ["/tmp", "/results"]


def test_it_has_what_the_sweeps_pods_have() -> None:
    pod = made()["spec"]["template"]
    assert pod["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
    assert pod["metadata"]["labels"]["team"] == "vision"
    assert pod["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert pod["spec"]["imagePullSecrets"] == [{"name": "login"}]
    security = pod["spec"]["securityContext"]
    assert {security[name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {2000}
    one = container(pod["spec"])
    assert (one["image"], one["imagePullPolicy"]) == ("registry.example/trainer:1.0", "Always")
    assert container(tool_pod(tool(image="other:1")))["image"] == "other:1"


def test_it_talks_to_the_cluster_only_as_somebody() -> None:
    silent, talking = tool_pod(tool()), tool_pod(tool(service_account="kgen-collector"))
    assert (silent["automountServiceAccountToken"], "serviceAccountName" in silent) == (False, False)
    assert (talking["automountServiceAccountToken"], talking["serviceAccountName"]) == (True, "kgen-collector")


def test_secrets_of_a_bucket_are_named_never_copied_and_only_for_buckets() -> None:
    in_claim = container(tool_pod(tool()))["env"]
    assert not [item for item in in_claim if "valueFrom" in item]
    in_bucket = container(tool_pod(tool(blocks={"results": "s3://bucket/sweeps"})))["env"]
    assert [item for item in in_bucket if "valueFrom" in item] == [
        {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "bucket", "key": "secret"}}}
    ]


def test_kubernetes_fills_in_no_variables() -> None:
    one = container(tool_pod(tool(env={"PRICE": "$(X)"})))
    assert one["command"] == ["kgen", "collect", "$$(X)"]
    assert {"name": "PRICE", "value": "$$(X)"} in one["env"]


def test_nothing_takes_it_for_a_trial() -> None:
    found = made()
    for labels in (found["metadata"]["labels"], found["spec"]["template"]["metadata"]["labels"]):
        assert names.LABEL_TRIAL not in labels
        wanted = dict(part.split("=") for part in tool_selector("collect", labels[names.LABEL_SWEEP]).split(","))
        assert wanted.items() <= labels.items()
    trial = job()["metadata"]["labels"]
    assert trial[names.LABEL_COMPONENT] != "collect"


def test_settings_cannot_make_it_one() -> None:
    """Labels of the sweep file come after kgen's own."""
    made = Tool("collect", "image", ("kgen",), "first", more_labels={names.LABEL_COMPONENT: "trial", "team": "x"})
    assert made.labels[names.LABEL_COMPONENT] == "collect"


def test_a_lost_pod_costs_no_attempt_and_a_real_error_is_the_end() -> None:
    found = made()["spec"]
    ignored, final = found["podFailurePolicy"]["rules"]
    assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert final == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2]}}
    assert found["template"]["spec"]["restartPolicy"] == "Never"
    assert found["podReplacementPolicy"] == "Failed"


def test_one_that_belongs_to_no_sweep_is_found_too() -> None:
    alone = Tool("doctor", "image", ("kgen", "doctor"))
    assert names.LABEL_SWEEP not in alone.labels
    assert tool_selector("doctor", "").startswith(f"!{names.LABEL_SWEEP},")
