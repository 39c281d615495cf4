"""The Job of a trial as the built-in template and kgen make it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import kgen
from kgen.errors import InputError
from kgen.render.trial_text import TrialText
from kgen.spec import TrialSpec, dump_json
from kgen.sweep import expand
from tests.unit.render.rendering import container, environment, job, jobs, messages, pod, rendered, spec


def test_names_and_labels_say_what_it_is_on_job_and_pod() -> None:
    (trial, _) = expand(spec())
    made = job()
    assert made["metadata"]["name"] == f"sweep-{trial.id}"
    expected = {
        "app.kubernetes.io/name": "kgen-trial",
        "app.kubernetes.io/instance": "sweep",
        "app.kubernetes.io/component": "trial",
        "app.kubernetes.io/part-of": "sweep",
        "app.kubernetes.io/managed-by": "kgen",
        "app.kubernetes.io/version": kgen.__version__,
        "kgen.dev/sweep": "sweep",
        "kgen.dev/stage": "main",
        "kgen.dev/trial": trial.id,
        "kgen.dev/spec": rendered().jobs[0].spec,
    }
    assert made["metadata"]["labels"] == expected
    assert made["spec"]["template"]["metadata"]["labels"] == expected


def test_parameters_stand_in_annotations_as_written() -> None:
    made = job(parameters="{b: [1e-3], a: [x y]}", seed="7")
    for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
        assert metadata["annotations"]["kgen.dev/parameters"] == '{"a":"x y","b":1e-3}'
        assert metadata["annotations"]["kgen.dev/seed"] == "7"


def test_labels_and_annotations_of_the_file_are_on_both() -> None:
    made = job(kubernetes="{labels: {team: ml}, annotations: {note: 'a: b'}}")
    for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
        assert (metadata["labels"]["team"], metadata["annotations"]["note"]) == ("ml", "a: b")


def test_the_environment_is_what_a_trial_reads() -> None:
    (trial, _) = expand(spec(budget="{seconds: 5, target: {accuracy: 0.9}}"))
    found = environment(
        budget="{seconds: 5, target: {accuracy: 0.9}}",
        trainer="{image: 'r/x@sha256:0', revision: v1, env: {OMP_NUM_THREADS: 1, EMPTY: ''}, command: [train]}",
        kubernetes="{secret_env: {TOKEN: {secret: tracker, key: token}}}",
    )
    assert TrialSpec.from_json(str(found.pop("KGEN_TRIAL"))).parameters == trial.parameters
    assert found == {
        "KGEN_ATTEMPT": {"fieldRef": {"fieldPath": "metadata.uid"}},
        "KGEN_NODE": {"fieldRef": {"fieldPath": "spec.nodeName"}},
        "KGEN_RESULTS": "/results/team/sweep",
        "KGEN_TIMING": "shared",
        "KGEN_MATES": "0",
        "KGEN_IMAGE": "r/x@sha256:0",
        "KGEN_REVISION": "v1",
        "KGEN_GPUS": "1",
        "OMP_NUM_THREADS": "1",
        "EMPTY": None,
        "TOKEN": {"secretKeyRef": {"name": "tracker", "key": "token"}},
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
    }


@pytest.mark.parametrize(
    ("resources", "threads"),
    [
        ("{nvidia.com/gpu: 0, cpu: 500m}", "1"),
        ("{nvidia.com/gpu: 0, cpu: 3500m}", "3"),
        ("{nvidia.com/gpu: 0, cpu: '1.5'}", "1"),
        ("{nvidia.com/gpu: 0}", "2"),
        ("{cpu: 4}", None),
    ],
)
def test_work_on_a_cpu_has_as_many_threads_as_cores(resources: str, threads: str | None) -> None:
    """Libraries count the cores of the node; the default is 2 cores, and what has a GPU decides by itself."""
    found = environment(kubernetes=f"{{resources: {resources}}}", trainer="{image: r/x, env: {MKL_NUM_THREADS: 7}}")
    assert (found.get("OMP_NUM_THREADS"), found.get("TF_NUM_INTRAOP_THREADS")) == (threads, threads)
    assert found["MKL_NUM_THREADS"] == "7"


def test_every_trial_gets_the_json_that_it_has_on_a_laptop() -> None:
    blocks: dict[str, Any] = {"parameters": "{a: [1e-3, .5, 2], b: ['kgen-id-mark', 'é\"\\\\']}", "repeats": "2"}
    made = spec(**blocks, trainer="{image: r/x, config: {z: {y: 1e-6}}}")
    trials = expand(made)
    found = jobs(**blocks, trainer="{image: r/x, config: {z: {y: 1e-6}}}")
    texts = [one["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] for one in found]
    assert texts == [trial.to_json() for trial in trials]


def test_that_json_is_the_same_whatever_the_trials_have_in_common() -> None:
    (one, other) = expand(spec(trainer="{image: r/x, config: {c: 1}}"))
    marked = {"x": "kgen-id-mark", "y": 987654321012345}
    others = (replace(one, stage="next"), replace(one, config=marked), one, replace(one, sweep="x"))
    text = TrialText()
    for trial in (one, other, *others):
        assert text.of(trial, dump_json(dict(trial.parameters))) == trial.to_json()


def test_a_dollar_reaches_the_program_as_one() -> None:
    """Kubernetes takes $(NAME) in commands and variables for another variable."""
    found = container(
        trainer="{image: r/x, command: [sh, -c, 'echo $(HOME) {a}'], env: {X: $(HOME)}, revision: $$1}",
        parameters="{a: ['$(KGEN_TRIAL)']}",
    )
    assert found["command"] == ["sh", "-c", "echo $$(HOME) $$(KGEN_TRIAL)"]
    values = {item["name"]: item.get("value") for item in found["env"]}
    assert (values["X"], values["KGEN_REVISION"]) == ("$$(HOME)", "$$$$1")
    assert '"a":"$$(KGEN_TRIAL)"' in values["KGEN_TRIAL"]


def test_failed_pods_mean_what_the_table_of_exit_codes_says() -> None:
    made = job(kubernetes="{backoff_limit: 5}")["spec"]
    assert made["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64, 66]}},
    ]
    assert (made["backoffLimit"], made["podReplacementPolicy"]) == (5, "Failed")
    assert (made["completions"], made["parallelism"]) == (1, 1)
    assert made["template"]["spec"]["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in made
    assert "suspend" not in made


def test_the_deadline_counts_from_the_pods_start() -> None:
    assert "activeDeadlineSeconds" not in job()["spec"]
    assert pod(kubernetes="{deadline: 1h}")["activeDeadlineSeconds"] == 3600
    assert pod(budget="{seconds: 12.5, target: {accuracy: 0.9}}")["activeDeadlineSeconds"] == 613
    assert "activeDeadlineSeconds" not in pod()


def test_resources_are_text_and_limits_are_requests() -> None:
    found = container(kubernetes="{resources: {cpu: 0.5, memory: 1Gi, nvidia.com/gpu: 2}}")
    expected = {"nvidia.com/gpu": "2", "cpu": "0.5", "memory": "1Gi", "ephemeral-storage": "4Gi"}
    assert found["resources"] == {"requests": expected, "limits": expected}
    assert {item["name"]: item.get("value") for item in found["env"]}["KGEN_GPUS"] == "2"


@pytest.mark.parametrize(
    ("resources", "key", "gpus"),
    [
        ("{}", "nvidia.com/gpu", "1"),
        ("{nvidia.com/mig-1g.10gb: 1}", "nvidia.com/gpu", "1"),
        ("{amd.com/gpu: 1}", "amd.com/gpu", "1"),
        ("{google.com/tpu: 4}", "google.com/tpu", None),
    ],
)
def test_it_passes_the_taint_of_the_nodes_with_its_device(resources: str, key: str, gpus: str | None) -> None:
    kubernetes = f"{{resources: {resources}, tolerations: [{{key: x, operator: Exists}}]}}"
    assert pod(kubernetes=kubernetes)["tolerations"] == [
        {"key": key, "operator": "Exists", "effect": "NoSchedule"},
        {"key": "x", "operator": "Exists"},
    ]
    assert environment(kubernetes=kubernetes).get("KGEN_GPUS") == gpus
    assert "NVIDIA_VISIBLE_DEVICES" not in environment(kubernetes=kubernetes)


def test_without_a_gpu_it_sees_none() -> None:
    kubernetes = "{resources: {nvidia.com/gpu: 0}}"
    assert environment(kubernetes=kubernetes)["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert environment(kubernetes=kubernetes)["KGEN_GPUS"] == "0"
    assert "tolerations" not in pod(kubernetes=kubernetes)


def test_claims_are_asked_for_by_the_container() -> None:
    claims = "{resource_claims: [{name: gpu, resourceClaimTemplateName: h100}]}"
    made = pod(kubernetes=claims)
    assert made["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "h100"}]
    assert made["containers"][0]["resources"]["claims"] == [{"name": "gpu"}]
    found = environment(kubernetes=claims, objective="{metric: seconds_to_target}")
    assert (found["KGEN_TIMING"], "KGEN_GPUS" in found) == ("exclusive", False)


def required(kubernetes: str, **blocks: str) -> Any:
    found = pod(kubernetes=kubernetes, **blocks)["affinity"]["nodeAffinity"]
    return found["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]


def test_gpus_are_chosen_by_their_labels() -> None:
    (term,) = required("{gpu: {product: [A, B], family: hopper, memory: 40Gi, sharing: mps}}")
    assert term["matchExpressions"] == [
        {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["A", "B"]},
        {"key": "nvidia.com/gpu.family", "operator": "In", "values": ["hopper"]},
        {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["40959"]},
        {"key": "nvidia.com/gpu.sharing-strategy", "operator": "In", "values": ["mps"]},
    ]


def test_the_users_affinity_holds_beside_it() -> None:
    user = """{nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
      {matchExpressions: [{key: zone, operator: In, values: [a]}]}, {matchFields: [{key: metadata.name, operator: In,
      values: [n]}]}]}}, podAffinity: {}}""".replace("\n", " ")
    terms = required(f"{{gpu: {{family: hopper}}, affinity: {user}}}")
    family = {"key": "nvidia.com/gpu.family", "operator": "In", "values": ["hopper"]}
    assert [term["matchExpressions"] for term in terms] == [
        [{"key": "zone", "operator": "In", "values": ["a"]}, family],
        [family],
    ]
    assert terms[1]["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": ["n"]}]
    assert pod(kubernetes=f"{{gpu: {{family: hopper}}, affinity: {user}}}")["affinity"]["podAffinity"] == {}
    assert "affinity" not in pod()


def test_seconds_are_measured_on_a_gpu_that_nobody_shares() -> None:
    seconds = {"objective": "{metric: seconds_to_target}"}
    assert environment(**seconds)["KGEN_TIMING"] == "exclusive"
    assert required("{}", **seconds) == [
        {
            "matchExpressions": [
                {"key": "nvidia.com/gpu.sharing-strategy", "operator": "NotIn", "values": ["time-slicing", "mps"]}
            ]
        }
    ]
    assert environment(kubernetes="{gpu: {sharing: none}}")["KGEN_TIMING"] == "exclusive"
    assert environment(kubernetes="{gpu: {sharing: time-slicing}}")["KGEN_TIMING"] == "shared"
    (refused,) = messages(**seconds, kubernetes="{resources: {nvidia.com/gpu: 0}}")
    assert refused.endswith(
        "objective.metric: found seconds_to_target without a GPU of its own for each trial, allowed nvidia.com/gpu: 1 "
        "in kubernetes.resources, or an objective in steps: pods share their nodes' cores"
    )


def test_a_named_claim_may_be_shared_with_others() -> None:
    (refused,) = messages(
        objective="{metric: seconds_to_target}", kubernetes="{resource_claims: [{name: g, resourceClaimName: mine}]}"
    )
    assert "without a GPU of its own" in refused


def test_a_queue_gets_it_suspended() -> None:
    made = job(kubernetes="{queue: team, queue_priority: high}")
    assert made["spec"]["suspend"] is True
    queue = {"kueue.x-k8s.io/queue-name": "team", "kueue.x-k8s.io/priority-class": "high"}
    assert queue.items() <= made["metadata"]["labels"].items()
    assert not any(name.startswith("kueue") for name in made["spec"]["template"]["metadata"]["labels"])


def test_everything_of_a_pod_that_the_file_can_say() -> None:
    made = pod(
        results="s3://bucket/team",
        kubernetes="{node_selector: {zone: a}, runtime_class: nvidia, priority_class: low, service_account: trainer, "
        "image_pull_policy: Always, image_pull_secrets: [one, two], shared_memory: 8Gi, scratch: 3Gi, "
        "run_as_user: 20000, volumes: [{name: data, mount_path: /data, read_only: true, sub_path: cifar, "
        "source: {persistentVolumeClaim: {claimName: data}}}]}",
    )
    (only,) = made.pop("containers")
    security = {
        "runAsNonRoot": True, "runAsUser": 20000, "runAsGroup": 20000, "fsGroup": 20000,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert made == {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": "trainer",
        "priorityClassName": "low",
        "runtimeClassName": "nvidia",
        "imagePullSecrets": [{"name": "one"}, {"name": "two"}],
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "securityContext": security,
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": "3Gi"}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        ],
    }
    assert only["imagePullPolicy"] == "Always"
    assert only["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert only["volumeMounts"][2:] == [{"name": "data", "mountPath": "/data", "readOnly": True, "subPath": "cifar"}]
    assert {item["name"]: item.get("value") for item in only["env"]}["KGEN_RESULTS"] == "s3://bucket/team/sweep"


def test_autoscalers_leave_its_node_alone() -> None:
    annotations = job()["spec"]["template"]["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"


def test_results_in_a_claim_are_mounted() -> None:
    made = pod(results="pvc://results/team")
    assert made["volumes"][-1] == {"name": "kgen-results", "persistentVolumeClaim": {"claimName": "results"}}
    assert made["containers"][0]["volumeMounts"][-1] == {"name": "kgen-results", "mountPath": "/results"}


def test_a_folder_will_do_below_a_volume() -> None:
    volume = "{name: nfs, mount_path: /nfs, source: {nfs: {server: nas.example, path: /x}}}"
    found = environment(results="/nfs/results", kubernetes=f"{{volumes: [{volume}]}}")
    assert found["KGEN_RESULTS"] == "/nfs/results/sweep"
    for results, volumes in (
        ("results/", volume),
        ("/nfsx", volume),
        ("/nfs", volume.replace("/nfs,", "/nfs, read_only: true,")),
        ("/tmp/results", volume),
        ("/nfs", "{name: nfs, mount_path: /nfs, source: {emptyDir: {}}}"),
    ):
        (refused,) = messages(results=results, kubernetes=f"{{volumes: [{volumes}]}}")
        assert "which pods can't reach, allowed pvc://claim/path, s3://bucket/prefix, gs://bucket/prefix, or" in refused


def test_an_image_is_needed() -> None:
    (refused,) = messages(trainer="{command: [train]}")
    assert "trainer.image: found nothing, allowed an image that has the trainer" in refused


def test_files_travel_and_are_where_the_command_runs() -> None:
    trainer = "{image: r/x, command: [sh, run.sh], files: [run.sh, lib/run.sh]}"
    contents = {"run.sh": b"exit 0", "lib/run.sh": b"\xff"}
    made = pod(trainer=trainer, files=contents)
    found = rendered(trainer=trainer, files=contents).shared[1].object()
    assert found["data"] == {"run.sh": "exit 0"}
    assert found["binaryData"] == {"file-1": "/w=="}
    assert found["immutable"] is True
    assert made["volumes"][-1]["configMap"] == {
        "name": found["metadata"]["name"],
        "items": [{"key": "run.sh", "path": "run.sh"}, {"key": "file-1", "path": "lib/run.sh"}],
        "defaultMode": 0o555,
    }
    only = made["containers"][0]
    assert only["workingDir"] == "/kgen/files"
    assert only["volumeMounts"][-1] == {"name": "kgen-files", "mountPath": "/kgen/files", "readOnly": True}


@pytest.mark.parametrize("metrics", ["stdout", "file"])
def test_a_program_that_knows_nothing_of_kgen_is_wrapped(metrics: str) -> None:
    found = container(
        trainer=f"{{image: r/x, command: [train, '{{a}}'], metrics: {metrics}, arguments: flags}}",
        parameters="{a: [.5]}",
    )
    assert found["command"] == ["kgen-trial", "--metrics", metrics, "--", "train", ".5", "--a=.5"]


def test_the_namespace_is_the_flags_or_the_files() -> None:
    def namespaces(namespace: str = "", **blocks: Any) -> set[str | None]:
        made = rendered(namespace, **blocks)
        return {m.object()["metadata"].get("namespace") for m in [*made.shared, *made.jobs]}

    assert namespaces() == {None}
    assert namespaces(kubernetes="{namespace: ml}") == {"ml"}
    assert namespaces("other", kubernetes="{namespace: ml}") == {"other"}


def test_a_name_that_can_be_none_is_refused() -> None:
    with pytest.raises(InputError, match="--namespace: the name: found 'A B', allowed a DNS label"):
        rendered("A B")


def test_json_ends_with_a_newline_and_is_ascii() -> None:
    for manifest in rendered(parameters="{a: [é]}").jobs:
        assert manifest.text.isascii()
        assert manifest.text.endswith("}\n")
        assert json.dumps(json.loads(manifest.text), indent=2) + "\n" == manifest.text


def test_where_a_buckets_service_is_reaches_the_trial_unless_the_file_says_it_otherwise() -> None:
    results = "{url: s3://lab/x, endpoint: 'https://minio.example', region: eu-1}"
    found = environment(results=results)
    assert found["KGEN_RESULTS"] == "s3://lab/x/sweep"
    assert (found["AWS_ENDPOINT_URL"], found["AWS_REGION"]) == ("https://minio.example", "eu-1")
    emulator = environment(results="{url: gs://lab, endpoint: 'http://fake.ml.svc'}")
    assert emulator["STORAGE_EMULATOR_HOST"] == "http://fake.ml.svc"
    secret = "{secret_env: {AWS_ENDPOINT_URL: {secret: bucket, key: url}}}"
    variables = container(results=results, kubernetes=secret)["env"]
    (endpoint,) = [item for item in variables if item["name"] == "AWS_ENDPOINT_URL"]
    assert endpoint["valueFrom"] == {"secretKeyRef": {"name": "bucket", "key": "url"}}
