"""The blocks ``kubernetes`` and ``execution``, and results that lie in no folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgen.errors import InputError
from kgen.sweep import expand, loads
from kgen.sweep.sweepspec import Gpu, Kubernetes, Location, Scheme, SecretKey, Sharing, Template
from tests.unit.sweep.sweeps import ids, messages, only_message, text


def kubernetes(block: str, **blocks: str | None) -> Kubernetes:
    return loads(text(kubernetes=block, **blocks)).kubernetes


# -- defaults -----------------------------------------------------------------------------------------------------


def test_without_a_block_each_trial_gets_one_gpu() -> None:
    assert dict(loads(text()).kubernetes.resources) == {
        "nvidia.com/gpu": "1",
        "cpu": "2",
        "memory": "4Gi",
        "ephemeral-storage": "4Gi",
    }


@pytest.mark.parametrize(
    ("given", "accelerators"),
    [
        ("resources: {cpu: 4}", {"nvidia.com/gpu": "1"}),
        ("resources: {nvidia.com/gpu: 2}", {"nvidia.com/gpu": "2"}),
        ("resources: {nvidia.com/gpu: 0}", {}),
        ("resources: {nvidia.com/mig-1g.10gb: 1}", {"nvidia.com/mig-1g.10gb": "1"}),
        ("resources: {amd.com/gpu: 1}", {"amd.com/gpu": "1"}),
        ("resource_claims: [{name: gpu, resourceClaimTemplateName: h100}]", {}),
    ],
)
def test_another_gpu_takes_the_place_of_the_default_one(given: str, accelerators: dict[str, str]) -> None:
    assert dict(kubernetes(f"{{{given}}}").accelerators) == accelerators


@pytest.mark.parametrize(
    ("written", "quantity"), [("2", "2"), ("0.5", "0.5"), ("500m", "500m"), ("'1.5'", "1.5"), ("4Gi", "4Gi")]
)
def test_quantities_are_text_as_written(written: str, quantity: str) -> None:
    assert kubernetes(f"{{resources: {{cpu: {written}}}}}").resources["cpu"] == quantity


# -- deadlines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "block", "seconds"),
    [
        ("{seconds: 120.5, target: {a: 0.5}}", "{}", 121 + 600),
        ("{seconds: 120, target: {a: 0.5}}", "{allowance: 30s}", 150),
        ("{seconds: 120, target: {a: 0.5}}", "{deadline: 1h30m}", 5400),
        ("{steps: 10, target: {a: 0.5}}", "{}", None),
        ("{steps: 10, target: {a: 0.5}}", "{deadline: 90}", 90),
    ],
)
def test_the_deadline_is_the_budget_with_an_allowance_or_as_given(budget: str, block: str, seconds: int | None) -> None:
    assert kubernetes(block, budget=budget).deadline == seconds


# -- GPUs ---------------------------------------------------------------------------------------------------------


def test_the_kind_of_gpu() -> None:
    made = kubernetes("{gpu: {product: [NVIDIA-H100-80GB-HBM3], family: hopper, memory: 40Gi, sharing: mps}}")
    assert made.gpu == Gpu(("NVIDIA-H100-80GB-HBM3",), "hopper", "40Gi", Sharing.MPS)


def test_an_objective_in_seconds_takes_no_shared_gpu() -> None:
    seconds = {"objective": "{metric: seconds_to_target}"}
    assert kubernetes("{}", **seconds).gpu.sharing is Sharing.NONE
    assert kubernetes("{}").gpu.sharing is Sharing.ANY
    assert only_message(kubernetes="{gpu: {sharing: any}}", **seconds) == (
        "5:29 kubernetes.gpu.sharing: found any with the objective seconds_to_target, "
        "allowed none: seconds on a shared GPU can't be compared; an objective in steps can"
    )


# -- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{namespase: ml}", "5:14 kubernetes.namespase: found an unknown field 'namespase'"),
        ("{gpu: {prodcut: [A]}}", "did you mean product?"),
        ("{volumes: [{name: a, mount_path: /a, source: {emptyDir: {}}, readonly: true}]}", "did you mean read_only?"),
        ("{secret_env: {A: {secret: b, kye: c}}}", "did you mean key?"),
        ("{namespace: Team_A}", "kubernetes.namespace: found the text 'Team_A', allowed a DNS label"),
        ("{resources: {cpu: 4 GB}}", "kubernetes.resources.cpu: found the text '4 GB', allowed a quantity"),
        ("{resources: {cpu: 0}}", "kubernetes.resources.cpu: found 0, allowed more than nothing"),
        ("{deadline: 2 hours}", "kubernetes.deadline: found the text '2 hours', allowed a whole number of seconds"),
        ("{deadline: 0}", "kubernetes.deadline: found 0"),
        ("{run_as_user: 0}", "kubernetes.run_as_user: found 0"),
        ("{queue_priority: high}", "kubernetes.queue_priority: found high, allowed a queue beside it"),
        ("{labels: {kgen.dev/x: y}}", "allowed a key without the prefix kgen.dev/"),
        ("{labels: {a: 'b c'}}", "kubernetes.labels.a: found the text 'b c', allowed the value of a label"),
        ("{secret_env: {KGEN_X: {secret: a, key: b}}}", "allowed a name that does not begin with KGEN_"),
        ("{volumes: [{name: a, mount_path: data, source: {emptyDir: {}}}]}", "allowed an absolute path"),
        (
            "{volumes: [{name: a, mount_path: /a, source: {b: c}}, {name: a, mount_path: /b, source: {b: c}}]}",
            "kubernetes.volumes[1].name: found a again, allowed each name once (first in volumes[0])",
        ),
        ("{template: ../job.yaml}", "kubernetes.template: found the text '../job.yaml', allowed a path below"),
        ("{template: gone.yaml.j2}", "kubernetes.template: found gone.yaml.j2: no such file or directory"),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed(block: str, message: str) -> None:
    assert message in only_message(kubernetes=block)


def test_finished_jobs_must_stay_where_they_are_all_that_says_that_a_trial_is_done() -> None:
    block = "{ttl_seconds_after_finished: 60}"
    assert "results in a claim" in only_message(kubernetes=block, results="pvc://results")
    assert kubernetes(block, results="s3://bucket").ttl_seconds_after_finished == 60  # its rows are seen from anywhere
    assert kubernetes(block, results="/shared").ttl_seconds_after_finished == 60


def test_a_variable_comes_from_one_place() -> None:
    message = only_message(trainer="{env: {A: 1}}", kubernetes="{secret_env: {A: {secret: s, key: k}}}")
    assert "kubernetes.secret_env.A: found A, which trainer.env sets" in message


def test_mistakes_in_several_fields_come_together() -> None:
    found = messages(text(kubernetes="{queue: Q, run_as_user: x, resources: {cpu: y}}", execution="{max_parallel: 0}"))
    assert len(found) == 4


# -- what is passed on --------------------------------------------------------------------------------------------


def test_secrets_and_volumes() -> None:
    made = kubernetes(
        "{secret_env: {TOKEN: {secret: tracker, key: token}}, volumes: [{name: data, mount_path: /data, "
        "read_only: true, sub_path: mnist, source: {persistentVolumeClaim: {claimName: data}}}]}"
    )
    assert made.secret_env == {"TOKEN": SecretKey("tracker", "token")}
    (volume,) = made.volumes
    assert (volume.name, volume.mount_path, volume.read_only, volume.sub_path) == ("data", "/data", True, "mnist")
    assert volume.source == {"persistentVolumeClaim": {"claimName": "data"}}


def test_a_template_is_read_beside_the_sweep_file(tmp_path: Path) -> None:
    (tmp_path / "job.yaml.j2").write_text("kind: Job\n", encoding="utf-8")
    spec = loads(text(kubernetes="{template: job.yaml.j2}"), file=str(tmp_path / "sweep.yaml"))
    assert spec.kubernetes.template == Template(tmp_path / "job.yaml.j2", "kind: Job\n")


def test_given_contents_stand_for_files_that_are_not_there() -> None:
    made = loads(
        text(kubernetes="{template: job.yaml.j2}", trainer="{command: [python, a.py], files: [a.py]}"),
        files={"job.yaml.j2": b"kind: Job\n", "a.py": b"pass\n"},
    )
    assert made.trainer.files == {"a.py": b"pass\n"}
    assert made.kubernetes.template is not None
    assert made.kubernetes.template.text == "kind: Job\n"


# -- identity -----------------------------------------------------------------------------------------------------


def test_nothing_here_changes_a_trial() -> None:
    elsewhere = text(
        kubernetes="{namespace: ml, queue: team, resources: {cpu: 8}, labels: {a: b}}",
        execution="{max_parallel: 4}",
        results="pvc://results/team",
    )
    assert ids(elsewhere) == ids(text())


# -- results ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "location"),
    [
        ("pvc://results", Location(Scheme.PVC, "results", "sweep")),
        ("pvc://results/team/", Location(Scheme.PVC, "results", "team/sweep")),
        ("s3://my.bucket/a/b", Location(Scheme.S3, "my.bucket", "a/b/sweep")),
        ("gs://bucket/", Location(Scheme.GS, "bucket", "sweep")),
        ("results/", Location(Scheme.FOLDER, "", "results/sweep")),
        ("/data", Location(Scheme.FOLDER, "", "/data/sweep")),
    ],
)
def test_results_lie_below_the_sweeps_name(written: str, location: Location) -> None:
    assert loads(text(results=written)).location == location


def test_a_buckets_service_may_be_another_than_the_clouds() -> None:
    given = "{url: s3://lab/a, endpoint: 'https://minio.example:9000/', region: eu-1}"
    location = loads(text(results=given)).location
    assert location == Location(Scheme.S3, "lab", "a/sweep", "https://minio.example:9000", "eu-1")
    assert (str(location), location.in_bucket) == ("s3://lab/a/sweep", True)
    assert location.variables == {"AWS_ENDPOINT_URL": "https://minio.example:9000", "AWS_REGION": "eu-1"}
    emulator = loads(text(results="{url: gs://lab, endpoint: 'http://127.0.0.1:4443'}")).location
    assert emulator.variables == {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443"}
    assert loads(text(results="{url: out}")).location == Location(Scheme.FOLDER, "", "out/sweep")
    assert loads(text(results="s3://lab")).location.variables == {}


def test_other_results_are_the_same_trials_elsewhere() -> None:
    spec = loads(text(results="s3://bucket/a"))
    here = spec.with_results(Path("here"))
    assert here.results == Path("here/sweep")
    assert expand(here) == expand(spec)


def test_commands_that_read_files_say_that_they_need_a_folder() -> None:
    spec = loads(text(results="pvc://results/team"))
    with pytest.raises(InputError, match=r"results: found pvc://results/team/sweep, allowed here a folder"):
        _ = spec.results
