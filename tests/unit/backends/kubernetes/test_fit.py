"""What needs no cluster of the look at one: rights against rules, shapes, arithmetic, faults that none makes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kgen.backends.kubernetes import access, dry_run
from kgen.backends.kubernetes.access import COLLECTOR, NEEDED, PLANNED, Permission, is_granted
from kgen.backends.kubernetes.api import Api, ApiError
from kgen.backends.kubernetes.fit import look
from kgen.backends.kubernetes.forecast import Forecast, ShapeFit
from kgen.backends.kubernetes.shape import Shape, shapes
from kgen.capacity.finding import Severity, note, refuse, warn
from kgen.errors import ClusterError, InputError
from kgen.render import render
from kgen.sweep import SweepSpec, expand, load, loads

ROOT = Path(__file__).parents[4]
TEXT = (
    "version: 1\nname: fit\nparameters: {a: [1, 2, 3]}\nbudget: {steps: 10, target: {accuracy: 0.9}}\n"
    "results: s3://bucket/x\ntrainer: {image: 'registry.example/a:1', command: [run]}\nkubernetes:\n"
    "  resources: {nvidia.com/gpu: 2}\n"
)


def sweep(more: str = "") -> SweepSpec:
    return loads(TEXT + more)


# --- rights


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"verbs": ["create"], "apiGroups": ["batch"], "resources": ["jobs"]}, True),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["jobs"]}, False),
        ({"verbs": ["get"], "apiGroups": ["batch"], "resources": ["jobs"]}, False),
        ({"verbs": ["create"], "apiGroups": ["batch"], "resources": ["jobs/status", "cronjobs"]}, False),
        ({"verbs": ["create"], "apiGroups": ["batch"], "resources": ["jobs"], "resourceNames": ["a"]}, False),
    ],
)
def test_whether_a_rule_grants_a_verb(rule: dict[str, Any], expected: bool) -> None:
    assert is_granted(Permission("jobs", "create", "batch"), [rule]) is expected


def test_a_part_of_an_object_has_rights_of_its_own() -> None:
    log = Permission("pods/log", "get")
    assert str(log) == "pods/log: get"
    assert not is_granted(log, [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}])
    assert is_granted(log, [{"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}])


@pytest.mark.parametrize(
    ("role", "needed"),
    [
        ("kgen-submitter", {*PLANNED, *(each for several in NEEDED.values() for each in several)}),
        ("kgen-collector", {*COLLECTOR}),
    ],
)
def test_a_role_in_manifests_grants_what_is_needed_and_no_more(role: str, needed: set[Permission]) -> None:
    documents = list(YAML(typ="safe").load_all((ROOT / "manifests/rbac.yaml").read_text()))
    (found,) = [each for each in documents if (each["kind"], each["metadata"]["name"]) == ("Role", role)]
    granted = [
        Permission(resource, verb, group)
        for rule in found["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert sorted(granted) == sorted(needed)


class FakeApi(Api):
    """Answers of servers that no test has: with a webhook for rights, of an old version, with failing webhooks."""

    def __init__(self, answers: dict[str, dict[str, Any] | ApiError]) -> None:
        self.answers = answers
        self.asked: list[Any] = []

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        return self._answer(path)

    def post(self, path: str, body: Any, *, stop: threading.Event | None = None, **params: str | int) -> dict[str, Any]:
        self.asked.append(body)
        return self._answer(path)

    def _answer(self, path: str) -> dict[str, Any]:
        answer = self.answers.get(path.rpartition("/")[2], {"items": [], "metadata": {}})
        if isinstance(answer, ApiError):
            raise answer
        return answer


def api_error(status: int, message: str) -> ApiError:
    return ApiError(message, status=status, reason="", message=message, details={})


def test_rights_that_the_server_can_not_list_are_asked_for_one_by_one() -> None:
    listed = {
        "verbs": ["*"],
        "apiGroups": ["batch", ""],
        "resources": ["jobs", "configmaps", "pods", "pods/exec", "events"],
    }
    api = FakeApi(
        {
            "selfsubjectrulesreviews": {"status": {"resourceRules": [listed], "incomplete": True}},
            "selfsubjectaccessreviews": {"status": {"allowed": True}},
        }
    )
    assert access.review(api, "team") == []
    _, asked = api.asked
    assert asked["spec"]["resourceAttributes"] == {
        "namespace": "team",
        "group": "",
        "resource": "pods",
        "subresource": "log",
        "verb": "get",
    }


def test_what_a_user_lacks_is_said_once_for_the_first_command_that_needs_it() -> None:
    api = FakeApi(
        {
            "selfsubjectrulesreviews": {"status": {"resourceRules": [], "incomplete": False}},
            "selfsubjectreviews": {"status": {"userInfo": {"username": "jo"}}},
        }
    )
    found = access.review(api, "team")
    assert [each.severity for each in found] == [Severity.REFUSE, *[Severity.WARN] * (len(found) - 1)]
    assert found[0].found.startswith("jo may not do what kgen submit needs in namespace team: jobs.batch: create, ")
    listed = [words for each in found for words in each.found.partition("team: ")[2].split(", ")]
    assert sorted(listed) == sorted({str(each) for needed in NEEDED.values() for each in needed})


# --- the server's opinion


@pytest.mark.parametrize(
    ("status", "message", "severity"),
    [
        (500, 'failed calling webhook "x": context deadline exceeded', Severity.WARN),
        (503, "the server is currently unable to handle the request", Severity.WARN),
        (400, 'admission webhook "x" does not support dry run', Severity.NOTE),
        (400, 'admission webhook "x" denied the request: no', Severity.REFUSE),
        (403, "admission denied: no", Severity.REFUSE),
        (403, 'User "jo" cannot create resource "jobs" in API group "batch"', None),
        (403, 'jobs.batch "x" is forbidden: exceeded quota: q', Severity.WARN),
        (409, "already exists", None),
    ],
)
def test_what_an_answer_to_a_dry_run_means(status: int, message: str, severity: Severity | None) -> None:
    found = dry_run.create(FakeApi({"jobs": api_error(status, message)}), "team", {}, has_template=False)
    assert [each.severity for each in found] == ([] if severity is None else [severity])
    assert all(message in each.found for each in found)


# --- a whole look


def server(minor: str = "31") -> dict[str, dict[str, Any] | ApiError]:
    return {
        "version": {"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.0"},
        "selfsubjectrulesreviews": {
            "status": {"resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}
        },
        "team": {},
    }


def one_shape(spec: SweepSpec) -> list[Shape]:
    jobs = render(spec, expand(spec), namespace="team").jobs
    return shapes(jobs, {job.name for job in jobs})


def test_a_server_that_is_too_old_is_refused() -> None:
    spec = sweep()
    forecast = look(FakeApi(server("30+")), one_shape(spec), spec, "team")
    with pytest.raises(ClusterError, match=r"the server is Kubernetes 1\.30; .*podReplacementPolicy.* 1\.31"):
        forecast.raise_refusals(spec)
    assert not look(FakeApi(server("31+")), one_shape(spec), spec, "team").refusals


def test_a_cluster_without_nodes_may_get_some() -> None:
    spec = sweep()
    forecast = look(FakeApi(server()), one_shape(spec), spec, "team")
    assert forecast.nodes == 0
    assert [each.severity for each in forecast.findings if "no nodes" in each.found] == [Severity.WARN]


def test_without_a_deadline_the_worst_case_is_said_to_be_unknown() -> None:
    spec = sweep()
    forecast = look(FakeApi(server()), one_shape(spec), spec, "team")
    assert forecast.hours is None
    assert any(each.field == ("kubernetes", "deadline") for each in forecast.findings)
    assert look(FakeApi(server()), one_shape(sweep("  deadline: 1h\n")), spec, "team").hours == {
        "nvidia.com/gpu": 3 * 6.0,
        "cpu": 3 * 6.0,
    }


def test_a_cluster_that_fails_is_an_error_and_no_forecast() -> None:
    spec = sweep()
    with pytest.raises(ClusterError, match="broken"):
        look(FakeApi(server() | {"nodes": api_error(500, "broken")}), one_shape(spec), spec, "team")


def test_execution_max_parallel_bounds_what_runs_at_the_same_time() -> None:
    spec = loads(TEXT + "  deadline: 1h\nexecution: {max_parallel: 2}\n")
    allocatable = {"cpu": "64", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "99", "nvidia.com/gpu": "8"}
    node = {"metadata": {"name": "n"}, "spec": {}, "status": {"allocatable": allocatable}}
    api = FakeApi(server() | {"nodes": {"items": [node], "metadata": {}}})
    (fit,) = look(api, one_shape(spec), spec, "team").shapes
    assert (fit.now, fit.free, fit.limited_by, fit.worst_seconds) == (2, 2, "execution.max_parallel", 7200)


# --- shapes


def test_trials_of_a_sweep_have_one_shape_whatever_their_parameters() -> None:
    spec = sweep()
    jobs = render(spec, expand(spec), namespace="team").jobs
    (shape,) = shapes(jobs, {jobs[1].name})
    assert (shape.trials, shape.creates) == (3, 1)
    assert shape.job["metadata"]["name"] == jobs[1].name, "one that is to be created is tried"


def test_a_template_may_give_trials_several_shapes(tmp_path: Path) -> None:

    template = tmp_path / "job.yaml.j2"
    template.write_text(
        "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n"
        "      containers:\n      - name: trainer\n        resources:\n          limits:\n"
        "            nvidia.com/gpu: {{ 2 if trial.parameters.a == 3 else 1 }}\n"
    )
    file = tmp_path / "sweep.yaml"
    file.write_text(TEXT.replace("  resources: {nvidia.com/gpu: 2}", "  template: job.yaml.j2"))
    spec = load(file)
    jobs = render(spec, expand(spec), namespace="team").jobs
    found = shapes(jobs, {job.name for job in jobs})
    assert [shape.trials for shape in found] == [2, 1]


def test_what_only_a_template_says_is_told_of_the_template(tmp_path: Path) -> None:
    template = tmp_path / "job.yaml.j2"
    template.write_text(
        "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n      nodeSelector: {pool: a100}\n"
        "      containers:\n      - name: trainer\n"
    )
    file = tmp_path / "sweep.yaml"
    file.write_text(TEXT.replace("  resources: {nvidia.com/gpu: 2}", "  template: job.yaml.j2"))
    spec = load(file)
    node = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}}
    forecast = look(FakeApi({**server(), "nodes": {"items": [node], "metadata": {}}}), one_shape(spec), spec, "team")
    (refused,) = forecast.refusals
    assert (refused.field, refused.found) == (("kubernetes", "template"), "pool=a100")


# --- a forecast


def fit(trials: int, seconds: int | None, now: int | None, free: int | None = 8) -> ShapeFit:
    hours = None if seconds is None else {"nvidia.com/gpu": trials * seconds / 3600}
    return ShapeFit(trials, {"nvidia.com/gpu": "1"}, seconds, hours, 1, now, free, "nodes", trials)


def forecast_of(*fits: ShapeFit, findings: tuple[Any, ...] = ()) -> Forecast:
    return Forecast("team", "v1.37.2", sum(each.trials for each in fits), 3, fits, 1, 60.0, findings)


def test_shapes_come_one_after_another_in_waves() -> None:
    made = forecast_of(fit(20, 3600, 8), fit(4, 100, 0, 3))
    assert made.worst_seconds == 3 * (3 * 3600 + 2 * 100), "where there is no room now, once there is"
    assert made.hours is not None
    assert made.hours["nvidia.com/gpu"] == pytest.approx(3 * (20 + 4 * 100 / 3600))
    assert made.expected_seconds == pytest.approx(20 / 8 * 60 + 4 / 3 * 60)
    assert forecast_of(fit(3, 3600, 8)).expected_seconds == 60, "less than a trial's time it can't be"


@pytest.mark.parametrize("other", [fit(1, None, 8), fit(1, 60, None, None), fit(1, 60, 0, 0)])
def test_what_is_not_known_of_one_shape_is_not_known_of_all(other: ShapeFit) -> None:
    assert forecast_of(fit(20, 3600, 8), other).worst_seconds is None
    assert forecast_of().worst_seconds is None


def test_what_can_be_mended_in_the_file_is_an_input_error_with_its_line() -> None:
    spec = sweep()
    mine = refuse(("kubernetes", "resources", "nvidia.com/gpu"), "2", "at most 1")
    theirs = refuse((), "the namespace is gone", "another")
    with pytest.raises(InputError) as caught:
        forecast_of(findings=(mine, theirs, warn((), "x"), note("y"))).raise_refusals(spec)
    assert [str(problem) for problem in caught.value.problems] == [
        "sweep.yaml:8:31: kubernetes.resources.nvidia.com/gpu: found 2, allowed at most 1",
        "the cluster: namespace team: found the namespace is gone, allowed another",
    ]
    with pytest.raises(ClusterError, match="the namespace is gone; another"):
        forecast_of(findings=(theirs,)).raise_refusals(spec)
    forecast_of(findings=(warn((), "x"), note("y"))).raise_refusals(spec)
