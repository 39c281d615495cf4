"""`kgen doctor` against a real API server: each line, where all is well and where something is missing."""

from __future__ import annotations

import datetime as dt
import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from kgen.backends.kubernetes import probe, short_pod
from kgen.render.tools import tool_pod
from kgen.status import Reason
from kgen.workflow.doctor import pod as pod_checks
from tests.cluster import nodes
from tests.cluster.client import Cluster
from tests.cluster.identity import write_private
from tests.cluster.planned import claim, kueue_kinds, local_queue, quota, submitter_kubeconfig, with_quota
from tests.cluster.proxy import Exchange, Proxy, says
from tests.cluster.shell import Shell, finish, sweep_text
from tests.unit.cli.ran import Ran

OF_CLUSTER = ["server", "clock", "namespace", "pod security", "rights", "gpus", "queue", "quota", "limits"]


def lines(ran: Ran, check: str) -> list[str]:
    """What was said of one thing: state, what was found, and the fix."""
    found = []
    for line in ran.lines:
        state, rest = line[:7].strip(), line[9:]
        if rest.startswith(f"{check} "):
            found.append(f"{state}: {rest[len(check) :].strip()}")
    return found


def one(ran: Ran, check: str) -> str:
    (found,) = lines(ran, check)
    return found


def doctor(shell: Shell, *arguments: object, code: int = 0) -> Ran:
    ran = shell.kgen("doctor", *arguments)
    assert ran.code == code, ran.out + ran.err
    return ran


def nothing_left(shell: Shell) -> None:
    """No pod of its own stays."""
    shell.cluster.until(
        lambda: not shell.kubectl("get", "pods,jobs", "-l", "app.kubernetes.io/component=doctor", "-o", "name")
    )


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps a pod from starting is waited for a moment only."""
    monkeypatch.setattr(probe, "PATIENCE", dict.fromkeys(probe.PATIENCE, 0.5) | {Reason.NONE: 3.0})
    monkeypatch.setattr(probe, "HOPELESS_SECONDS", 0.5)


@pytest.fixture
def kueue(cluster: Cluster) -> Iterator[None]:
    with kueue_kinds(cluster):
        yield


# -- the cluster


def test_without_a_file_the_cluster_and_the_namespace_are_looked_at(shell: Shell) -> None:
    ran = doctor(shell)
    assert one(ran, "client").startswith("ok: kgen 0.1.0 on Python 3.")
    assert one(ran, "cluster") == f"ok: context kgen-test, namespace {shell.namespace}"
    assert one(ran, "server").startswith(f"ok: {shell.cluster.server}, Kubernetes v1.")
    assert "the API server's clock and this machine's are less than 6 s apart" in one(ran, "clock")
    assert one(ran, "namespace") == f"ok: {shell.namespace} is there"
    assert one(ran, "pod security").startswith("ok: no level is enforced")
    assert len(lines(ran, "rights")) == 6
    assert one(ran, "queue").startswith("ok: none: the cluster has no Kueue")
    assert one(ran, "quota") == f"ok: none in namespace {shell.namespace}"
    assert one(ran, "limits") == f"ok: no LimitRange in namespace {shell.namespace}"
    assert (lines(ran, "image"), lines(ran, "results")) == ([], [])
    assert ran.lines[-1].startswith("nothing that sweeps need is missing")


def test_a_namespace_that_is_not_there(shell: Shell) -> None:
    ran = doctor(shell, "-n", "nowhere", code=1)
    fix = "fix: kubectl create namespace nowhere, or another with -n"
    assert one(ran, "namespace") == f"missing: nowhere is not there; {fix}"
    assert [one(ran, check) for check in OF_CLUSTER[4:]] == ["skipped: the namespace is not there"] * 5
    assert ran.lines[-1] == "1 thing missing"


def test_a_cluster_that_is_down(shell: Shell) -> None:
    with Proxy(shell.cluster) as proxy:
        kubeconfig = shell.folder / "down"
        kubeconfig.write_bytes(proxy.kubeconfig.read_bytes())
    ran = doctor(shell, "--kubeconfig", kubeconfig, code=1)
    assert f"missing: the cluster at {proxy.url} can't be reached: connection refused; fix: a way to it" in one(
        ran, "server"
    )
    assert [one(ran, check) for check in OF_CLUSTER[1:]] == ["skipped: the cluster does not answer"] * 8
    assert ran.err == ""


def test_a_cluster_that_breaks_off_halfway(shell: Shell) -> None:
    with Proxy(shell.cluster) as proxy:
        proxy.on("GET", "/resourcequotas", says(503, "ServiceUnavailable"), times=100)
        ran = doctor(shell, "--kubeconfig", proxy.kubeconfig, "-n", shell.namespace, code=1)
    assert one(ran, "queue").startswith("ok:")
    assert one(ran, "quota").startswith("missing: ")
    assert "503" in one(ran, "quota")
    assert one(ran, "limits") == "skipped: the cluster does not answer"


def test_no_kubeconfig(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(shell.folder / "none"))
    ran = doctor(shell, code=1)
    assert one(ran, "cluster").startswith("missing: no cluster is configured: there is no ")
    assert [one(ran, check)[:28] for check in OF_CLUSTER] == ["skipped: no cluster is confi"] * 9


def test_a_context_that_is_not_there(shell: Shell) -> None:
    ran = doctor(shell, "--context", "other", code=1)
    assert "has no context other: there are kgen-test" in one(ran, "cluster")


def test_credentials_that_the_cluster_does_not_take(shell: Shell) -> None:
    config = json.loads(shell.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "no"}
    stale = write_private(shell.folder / "stale", json.dumps(config))
    ran = doctor(shell, "--kubeconfig", stale, code=1)
    assert "does not accept the credentials of context kgen-test" in one(ran, "server")


def test_a_server_that_is_too_old(shell: Shell) -> None:
    def old(exchange: Exchange) -> None:
        exchange.answer(200, json.dumps({"major": "1", "minor": "30+", "gitVersion": "v1.30.9"}).encode())

    with Proxy(shell.cluster) as proxy:
        proxy.on("GET", "/version", old, times=100)
        ran = doctor(shell, "--kubeconfig", proxy.kubeconfig, "-n", shell.namespace, code=1)
    assert "is Kubernetes v1.30.9; fix: a cluster of 1.31 or newer" in one(ran, "server")


@pytest.mark.parametrize(("hours", "words"), [(-1, "behind this machine's"), (1, "ahead of this machine's")])
def test_clocks_that_differ(shell: Shell, hours: int, words: str) -> None:
    then = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    body = json.dumps({"major": "1", "minor": "37", "gitVersion": "v1.37.2"}).encode()
    with Proxy(shell.cluster) as proxy:
        proxy.on("GET", "/version", lambda exchange: exchange.answer(200, body, {"Date": then}), times=100)
        ran = doctor(shell, "--kubeconfig", proxy.kubeconfig, "-n", shell.namespace)
    assert one(ran, "clock").startswith("warning: the API server's clock is 3,")
    assert words in one(ran, "clock")
    assert "NTP" in one(ran, "clock")


def test_each_line_as_data(shell: Shell) -> None:
    ran = doctor(shell, "-n", "nowhere", "-o", "json", code=1)
    told = json.loads(ran.out)
    assert told["ok"] is False
    assert [set(each) for each in told["checks"]] == [{"check", "state", "found", "fix"}] * len(told["checks"])
    (found,) = [each for each in told["checks"] if each["check"] == "namespace"]
    assert found == {
        "check": "namespace",
        "state": "missing",
        "found": "nowhere is not there",
        "fix": "kubectl create namespace nowhere, or another with -n",
    }
    assert json.loads(doctor(shell, "-o", "json").out)["ok"] is True
    assert doctor(shell, "-o", "yaml").lines[0] == "ok: true"


# -- the namespace


def test_the_rights_of_the_manifests_are_enough(shell: Shell) -> None:
    kubeconfig = submitter_kubeconfig(shell.cluster, shell.namespace)
    shell.write(sweep_text(fate="exit-0"))
    ran = doctor(shell, "--kubeconfig", kubeconfig)
    user = f"system:serviceaccount:{shell.namespace}:kgen-submitter"
    assert {each.partition(" may do what kgen ")[0] for each in lines(ran, "rights")} == {f"ok: {user}"}
    assert one(ran, "gpus").startswith("warning: not known: nodes may not be read")
    assert "kubectl apply -f manifests/rbac-planner.yaml" in one(ran, "gpus")
    assert len(lines(ran, "image")) == 1, "the pod could be made"
    assert not [line for line in ran.lines if line.startswith("missing")]
    nothing_left(shell)


def test_rights_that_lack_are_named_by_what_needs_them(shell: Shell) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "some"},
        "rules": [
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "delete"]},
            {"apiGroups": [""], "resources": ["configmaps", "events", "pods/log"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
        ],
    }
    shell.cluster.apply(role, namespace=shell.namespace)
    shell.kubectl("create", "serviceaccount", "some")
    shell.kubectl("create", "rolebinding", "some", "--role=some", f"--serviceaccount={shell.namespace}:some")
    kubeconfig = shell.cluster.token(shell.namespace, "some")
    ran = doctor(shell, "--kubeconfig", kubeconfig, "--image", "registry.example/a:1", code=1)
    user = f"system:serviceaccount:{shell.namespace}:some"
    fix = "fix: ask for a Role with it, such as the one in manifests/rbac.yaml or in the chart"
    assert lines(ran, "rights") == [
        f"missing: {user} lacks what kgen submit needs: jobs.batch create; {fix}",
        f"ok: {user} may do what kgen logs needs",
        f"ok: {user} may do what kgen cancel and retry needs",
        f"warning: {user} lacks what kgen delete needs: jobs.batch deletecollection; {fix}",
        f"warning: {user} lacks what kgen collect, report and logs of results in a claim needs: "
        f"pods create get delete, pods/exec create get; {fix}",
        f"warning: {user} lacks what kgen doctor needs: pods create get delete; {fix}",
    ]
    assert one(ran, "namespace").startswith("warning: whether ")
    assert one(ran, "quota").startswith("warning: not known: ResourceQuotas may not be read")
    assert one(ran, "limits").startswith("warning: not known: LimitRanges may not be read")
    assert one(ran, "image").startswith(f"warning: not tried: {user} may not create pods")


def test_the_security_level_of_the_namespace(shell: Shell) -> None:
    shell.cluster.kubectl("label", "namespace", shell.namespace, "pod-security.kubernetes.io/enforce=restricted")
    shell.write(sweep_text(fate="exit-0"))
    ran = doctor(shell)
    assert one(ran, "pod security") == "ok: restricted is enforced; kgen's pods meet the strictest, restricted"
    assert "its log can not be read" in one(ran, "image"), "it was let in, and ended"


def test_gpus_by_product_and_how_they_are_shared(shell: Shell) -> None:
    cluster = shell.cluster
    product = f"NVIDIA-{shell.namespace}"
    sliced = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
    made = [
        *cluster.add_nodes(2, gpus=4, product=product),
        *cluster.add_nodes(1, gpus=8, product=product, labels=sliced),
    ]
    other = cluster.add_nodes(1, gpus=0)
    try:
        patch = {
            "status": {
                kind: {"nvidia.com/mig-1g.10gb": "7", "amd.com/gpu": "3"} for kind in ("capacity", "allocatable")
            }
        }
        cluster.kubectl("patch", "node", *other, "--subresource=status", "--type=merge", f"--patch={json.dumps(patch)}")
        cluster.apply(on_node(made[0], {nodes.RESOURCE: "3"}), namespace=shell.namespace)
        cluster.until(lambda: cluster.get("pod", "busy", "-n", shell.namespace)["status"].get("phase") == "Running")
        found = lines(doctor(shell), "gpus")
    finally:
        cluster.remove_nodes([*made, *other])
    assert f"ok: 8 {product} (nvidia.com/gpu) on 2 nodes, 5 free" in found
    shared = "shared by time-slicing: no objective in seconds takes them"
    assert f"ok: 8 {product} (nvidia.com/gpu) on 1 node, 8 free, {shared}" in found
    assert "ok: 7 of a product that no label names (nvidia.com/mig-1g.10gb) on 1 node, 7 free" in found
    assert "ok: 3 of a product that no label names (amd.com/gpu) on 1 node, 3 free" in found


def on_node(name: str, limits: dict[str, str]) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.example/a:1", "resources": {"limits": limits}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "busy", "annotations": {"kwok.kgen.dev/fate": "run"}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": name},
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
        },
    }


def test_what_quotas_leave(shell: Shell) -> None:
    with_quota(shell.cluster, shell.namespace, {"count/jobs.batch": "5", "requests.memory": "8Gi"})
    ran = doctor(shell)
    assert one(ran, "quota") == "ok: ResourceQuota team uses count/jobs.batch 0 of 5, requests.memory 0 of 8Gi"
    shell.cluster.apply(quota({"count/jobs.batch": "0"}), namespace=shell.namespace)
    shell.cluster.until(lambda: "hard" in shell.cluster.get("resourcequota", "team", "-n", shell.namespace)["status"])
    assert one(doctor(shell), "quota").startswith(
        "warning: ResourceQuota team uses count/jobs.batch 0 of 0; nothing is left of count/jobs.batch; fix: finished"
    )


def test_what_a_limit_range_says(shell: Shell) -> None:
    item = {"type": "Container", "max": {"cpu": "4"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}
    made = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "team"}, "spec": {"limits": [item]}}
    shell.cluster.apply(made, namespace=shell.namespace)
    assert one(doctor(shell), "limits") == "ok: LimitRange team: " + ", ".join(
        ["max of a container cpu 4", "default of a container cpu 1", "defaultRequest of a container cpu 1"]
    )


@pytest.mark.usefixtures("kueue")
def test_queues(shell: Shell) -> None:
    assert one(doctor(shell), "queue") == f"ok: Kueue is there, without a LocalQueue in namespace {shell.namespace}"
    shell.write(sweep_text(queue="vision", fate="exit-0"))
    ran = doctor(shell, code=1)
    assert one(ran, "queue").startswith("missing: kubernetes.queue: vision, which is no LocalQueue of namespace")
    shell.cluster.apply(local_queue(), namespace=shell.namespace)
    assert one(doctor(shell), "queue").startswith(
        "ok: LocalQueue vision of ClusterQueue gpus decides when trials start"
    )
    inactive = {"type": "Active", "status": "False", "message": "the ClusterQueue is not there"}
    shell.cluster.apply(local_queue(status={"conditions": [inactive]}), namespace=shell.namespace)
    assert any(
        each.startswith("warning: kubernetes.queue: vision, which is not active")
        for each in lines(doctor(shell), "queue")
    )
    (shell.folder / "sweep.yaml").unlink()
    assert one(doctor(shell), "queue") == "ok: Kueue is there, with LocalQueue vision: kubernetes.queue chooses one"


# -- a sweep file


def test_a_sweep_file_that_is_there_is_looked_at(shell: Shell) -> None:
    shell.write(sweep_text(results="pvc://data/x", fate="exit-0"))
    shell.cluster.apply(claim("ReadWriteMany"), bound(shell.namespace), namespace=shell.namespace)
    shell.cluster.until(lambda: shell.cluster.get("pvc", "data", "-n", shell.namespace)["status"]["phase"] == "Bound")
    ran = doctor(shell)
    assert one(ran, "sweep file") == "ok: sweep.yaml: sweep first, 4 trials"
    assert one(ran, "claim") == "ok: data: Bound, ReadWriteMany, 1Gi"
    assert one(ran, "jobs").startswith("ok: the cluster takes the Jobs of 4 trials, ")
    # A fake node runs nothing and keeps no logs.
    assert one(ran, "image").startswith("warning: registry.example/trainer@sha256:")
    assert " on node " in one(ran, "image")
    assert one(ran, "node clock").startswith("ok: the clock of node ")
    nothing_left(shell)
    assert shell.config_maps() == []


def bound(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"name": "data", "namespace": namespace},
            "hostPath": {"path": "/nowhere"},
        },
    }


def test_mistakes_in_the_file_are_lines_and_the_cluster_is_looked_at_all_the_same(shell: Shell) -> None:
    shell.write(sweep_text(results="results"))
    ran = doctor(shell, code=1)
    assert one(ran, "sweep file").startswith("missing: sweep.yaml:5:10: results: ")
    assert "which pods can't reach; fix: pvc://claim/path, s3://bucket/prefix" in one(ran, "sweep file")
    assert one(ran, "quota").startswith("ok:")
    assert lines(ran, "image") == []
    shell.write("version: 1\nname: 7\n")
    assert len(lines(doctor(shell, code=1), "sweep file")) >= 2


def test_what_jobs_name_and_is_not_there(shell: Shell) -> None:
    shell.write(sweep_text(results="pvc://data/x", service_account="robot", priority_class="urgent"))
    ran = doctor(shell, code=1)
    found = lines(ran, "jobs")
    assert any(
        each.startswith("missing: kubernetes.service_account: robot, which is not in namespace") for each in found
    )
    assert any(each.startswith("missing: kubernetes.priority_class: urgent") for each in found)
    assert f"fix: kubectl create serviceaccount robot -n {shell.namespace}, or another" in " ".join(found)
    assert one(ran, "image") == one(ran, "results") == "skipped: the cluster would not take the sweep's Jobs"


def test_a_claim_that_waits_for_its_volume(shell: Shell) -> None:
    shell.write(sweep_text(results="pvc://data/x"))
    shell.cluster.apply(claim("ReadWriteMany"), namespace=shell.namespace)
    ran = doctor(shell, code=1)
    assert one(ran, "claim").startswith("warning: data is not bound to a volume yet")
    assert one(ran, "image").startswith("missing: ")
    assert "not bound to a volume yet; fix: results and kubernetes.volumes: " in one(ran, "image")
    nothing_left(shell)


def test_rights_on_pods_are_needed_where_results_lie_in_a_claim(shell: Shell) -> None:
    kubeconfig = submitter_kubeconfig(shell.cluster, shell.namespace)
    role = shell.cluster.get("role", "kgen-submitter", "-n", shell.namespace)
    role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["pods/exec"]]
    shell.cluster.kubectl("replace", "-f", "-", input=json.dumps(role))
    assert any(each.startswith("warning: ") for each in lines(doctor(shell, "--kubeconfig", kubeconfig), "rights"))
    shell.write(sweep_text(results="pvc://data/x"))
    found = lines(doctor(shell, "--kubeconfig", kubeconfig, code=1), "rights")
    assert any(each.startswith("missing: ") and "pods/exec create get" in each for each in found)


# -- the pod


def test_an_image_that_can_not_be_pulled(shell: Shell) -> None:
    shell.write(sweep_text(fate="image-pull"))
    ran = doctor(shell, code=1)
    assert one(ran, "image").startswith("missing: ")
    assert "can't be pulled" in one(ran, "image")
    assert "fix: trainer.image, or --image: push it; kubernetes.image_pull_secrets" in one(ran, "image")
    assert one(ran, "results") == "skipped: not tried: the pod did not run"
    nothing_left(shell)


def test_a_secret_that_is_not_there(shell: Shell) -> None:
    shell.write(sweep_text(fate="config-error"))
    ran = doctor(shell, code=1)
    assert one(ran, "image").startswith("missing: ")
    assert "fix: kubernetes.secret_env and the image" in one(ran, "image")
    nothing_left(shell)


def test_no_node_that_takes_the_pod(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"nodeSelector": {"pool": shell.namespace}}
    monkeypatch.setattr("kgen.workflow.doctor.pod.tool_pod", lambda tool: tool_pod(tool) | elsewhere)
    ran = doctor(shell, "--image", "registry.example/a:1", code=1)
    assert one(ran, "image").startswith("missing: ")
    assert "fix: kubernetes.node_selector, tolerations and resources" in one(ran, "image")
    nothing_left(shell)


def test_nodes_that_are_full_now_are_no_fault(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials will wait for room as well; whether the image works is not known then."""
    (name,) = shell.cluster.add_nodes(1, gpus=0, labels={"pool": shell.namespace})
    here = {"nodeSelector": {"pool": shell.namespace}}
    try:
        busy = on_node(name, {"cpu": "192"})
        shell.cluster.apply(busy, namespace=shell.namespace)
        shell.cluster.until(lambda: shell.cluster.get("pod", "busy", "-n", shell.namespace)["spec"].get("nodeName"))
        monkeypatch.setattr("kgen.workflow.doctor.pod.tool_pod", lambda tool: tool_pod(tool) | here)
        ran = doctor(shell, "--image", "registry.example/a:1")
    finally:
        shell.cluster.remove_nodes([name])
    assert one(ran, "image").startswith("warning: not tried: ")
    assert "has less than cpu: 100m free" in one(ran, "image")
    assert one(ran, "image").endswith("; fix: the same again when there is room")


def test_a_quota_that_does_not_let_the_pod_in(shell: Shell) -> None:
    with_quota(shell.cluster, shell.namespace, {"pods": "0"})
    ran = doctor(shell, "--image", "registry.example/a:1", code=1)
    assert "missing: the cluster does not let a pod in: " in one(ran, "image")
    assert "exceeded quota" in one(ran, "image")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_no_pod(shell: Shell, stop: signal.Signals) -> None:
    shell.write(sweep_text(fate="image-pull"))
    process = shell.start("doctor")
    listing = ("get", "pods", "-l", "app.kubernetes.io/component=doctor", "-o", "name")
    shell.cluster.until(lambda: shell.kubectl(*listing), what="its pod is there")
    process.send_signal(stop)
    assert finish(process).code == 130
    shell.cluster.until(lambda: not shell.kubectl(*listing), what="its pod is gone")


def test_the_pod_of_a_killed_one_goes_with_the_next(shell: Shell) -> None:
    ended = pod_checks.of_image("registry.example/a:1")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "kgen-doctor-old",
            "labels": dict(ended.labels),
            "annotations": {"kwok.kgen.dev/fate": "exit-1"},
        },
        "spec": {**ended.spec, "tolerations": [{"operator": "Exists"}]},
    }
    shell.cluster.apply(pod, namespace=shell.namespace)
    shell.cluster.until(
        lambda: shell.cluster.get("pod", "kgen-doctor-old", "-n", shell.namespace)["status"]["phase"] == "Failed"
    )
    ran = doctor(shell, "--image", "registry.example/a:1", code=1)
    assert "it still runs after" in one(ran, "image"), "as whatever nobody has told to end on a fake node"
    nothing_left(shell)


def test_the_pod_is_like_a_trials_but_small(shell: Shell) -> None:
    """What the API server was asked to create, from its audit log."""
    shell.write(
        sweep_text(
            run_as_user="4242",
            resources="{nvidia.com/gpu: 2, cpu: 64, memory: 100Gi}",
            secret_env="{TOKEN: {secret: s, key: k}}",
            image_pull_secrets="[pull]",
            volumes="[{name: data, mount_path: /data, source: {emptyDir: {}}}]",
            labels="{team: vision}",
            node_selector="{kubernetes.io/os: linux}",
        )
    )
    made = created(shell)
    spec, container = made["spec"], made["spec"]["containers"][0]
    assert made["metadata"]["labels"]["team"] == "vision"
    assert "kgen.dev/trial" not in made["metadata"]["labels"]
    assert container["command"] == ["python", "-m", "kgen.trial.check"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "64Mi"}
    assert spec["securityContext"]["runAsUser"] == 4242
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
    env = {each["name"]: each for each in container["env"]}
    assert env["TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "k"}
    assert env["KGEN_RESULTS"]["value"] == "s3://bucket/sweeps/first"
    assert env["KGEN_GPUS"]["value"] == "0"
    assert "KGEN_TRIAL" not in env
    assert created(shell, "--gpu")["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def created(shell: Shell, *arguments: str) -> Any:
    """The pod that a doctor makes: it stays until it is deleted, and then tells what it was."""
    seen: list[Any] = []
    real = short_pod.create_pod

    def keep(api: Any, manifest: Any) -> Any:
        seen.append(manifest)
        return real(api, manifest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(probe, "create_pod", keep)
        shell.kgen("doctor", *arguments)
    (made,) = seen
    return made


def test_sources_that_travel_with_a_sweep_are_not_waited_for(shell: Shell) -> None:
    (shell.folder / "train.py").write_text("pass\n")
    shell.write(sweep_text(trainer=", command: [python, train.py], files: [train.py]"))
    made = created(shell)
    assert "kgen-files-" not in json.dumps(made)


# -- inside


def test_in_cluster_needs_an_image_and_an_account(shell: Shell) -> None:
    ran = shell.kgen("doctor", "--in-cluster")
    assert (ran.code, "no image for the pod" in ran.err) == (2, True)
    ran = shell.kgen("doctor", "--in-cluster", "--image", "registry.example/a:1")
    assert (ran.code, "kgen-submitter, which namespace" in ran.err) == (2, True)


def test_in_cluster_leaves_nothing(shell: Shell) -> None:
    submitter_kubeconfig(shell.cluster, shell.namespace)
    shell.write(sweep_text())
    doctor(shell, "--in-cluster")  # whose pod a fake node runs to its end
    nothing_left(shell)
