from __future__ import annotations

from typing import Any

import pytest

from kgen.capacity import limit_range as limit_ranges
from kgen.capacity import quota as quotas
from kgen.capacity.finding import Severity
from kgen.capacity.pod import with_defaults
from tests.unit.capacity.made import Object, limit_range, pod, quota

TRIAL = pod({"cpu": "2", "memory": "4Gi"}, {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"})


def said(found: Any) -> list[str]:
    return [f"{each.severity} {each}" for each in found]


@pytest.mark.parametrize(
    ("hard", "field"),
    [
        ({"cpu": "1"}, "cpu"),
        ({"requests.cpu": "1500m"}, "cpu"),
        ({"limits.memory": "3Gi"}, "memory"),
        ({"requests.nvidia.com/gpu": "0"}, "nvidia.com/gpu"),
    ],
)
def test_what_a_quota_never_allows_is_refused(hard: dict[str, str], field: str) -> None:
    (found,) = quotas.pod_findings([quota(hard)], TRIAL, "")
    assert found.severity is Severity.REFUSE
    assert found.field == ("kubernetes", "resources", field)
    assert f"at most {next(iter(hard.values()))}: ResourceQuota q allows no more" in found.allowed


def test_a_quota_for_no_pods_refuses_all() -> None:
    (found,) = quotas.pod_findings([quota({"pods": "0"})], TRIAL, "")
    assert found.severity is Severity.REFUSE


def test_what_fits_is_not_refused() -> None:
    hard = {"cpu": "2", "limits.memory": "4Gi", "requests.nvidia.com/gpu": "1", "pods": "1", "requests.storage": "0"}
    assert not list(quotas.pod_findings([quota(hard | {"services": "0", "count/secrets": "0"})], TRIAL, ""))


def test_what_a_quota_counts_must_be_stated() -> None:
    bare = pod({"cpu": "1"})
    assert (
        "nothing for limits.cpu of container trainer"
        in said(quotas.pod_findings([quota({"limits.cpu": "9"})], bare, ""))[0]
    )
    filled = with_defaults(bare, [limit_range("Container", default={"cpu": "2"})])
    assert not list(quotas.pod_findings([quota({"limits.cpu": "9"})], filled, ""))


def test_the_tightest_quota_gives_the_room() -> None:
    one = quota({"cpu": "10", "requests.nvidia.com/gpu": "8"}, {"cpu": "1", "requests.nvidia.com/gpu": "6"})
    found = quotas.room([quota({"pods": "50"}), one], TRIAL, "")
    assert found == quotas.Room(2, "ResourceQuota q (requests.nvidia.com/gpu)")
    assert quotas.room([quota({"cpu": "2"}, {"cpu": "3"})], TRIAL, "") == quotas.Room(0, "ResourceQuota q (cpu)")
    assert quotas.room([quota({"count/jobs.batch": "1"})], TRIAL, "") is None


@pytest.mark.parametrize(
    ("scope", "spec", "expected"),
    [
        ("BestEffort", pod(), True),
        ("BestEffort", TRIAL, False),
        ("NotBestEffort", TRIAL, True),
        ("NotBestEffort", pod(), False),
        ("Terminating", TRIAL | {"activeDeadlineSeconds": 60}, True),
        ("Terminating", TRIAL, False),
        ("NotTerminating", TRIAL, True),
        ("NotTerminating", TRIAL | {"activeDeadlineSeconds": 60}, False),
        ("CrossNamespacePodAffinity", TRIAL, False),
    ],
)
def test_scopes_choose_the_pods_that_a_quota_is_for(scope: str, spec: Object, expected: bool) -> None:
    assert quotas.applies(quota({}, scopes=[scope]), spec, "") is expected
    assert quotas.applies(quota({}, scopes=[scope, "Terminating", "NotTerminating"]), spec, "") is False


@pytest.mark.parametrize(
    ("operator", "values", "priority", "expected"),
    [
        ("In", ["high"], "high", True),
        ("In", ["high"], "low", False),
        ("In", ["high"], "", False),
        ("NotIn", ["high"], "low", True),
        ("NotIn", ["high"], "", True),
        ("Exists", [], "low", True),
        ("Exists", [], "", False),
        ("DoesNotExist", [], "", True),
    ],
)
def test_a_quota_for_a_priority_class(operator: str, values: list[str], priority: str, expected: bool) -> None:
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": values}]}
    assert quotas.applies(quota({}, scopeSelector=selector), TRIAL, priority) is expected


def test_jobs_beyond_their_quota_are_refused_unless_others_or_finished_ones_may_go() -> None:
    full = quota({"count/jobs.batch": "300"}, {"count/jobs.batch": "20"})
    assert not list(quotas.objects([full], quotas.Creation(280, 1, are_removed=False)))
    (found,) = quotas.objects([full], quotas.Creation(288, 1, are_removed=False))
    assert found.severity is Severity.WARN
    assert found.found == "ResourceQuota q allows 300 Jobs, 20 are there and 288 are to be created"
    (found,) = quotas.objects([full], quotas.Creation(301, 1, are_removed=False))
    assert found.severity is Severity.REFUSE
    (found,) = quotas.objects([full], quotas.Creation(301, 1, are_removed=True))
    assert found.severity is Severity.WARN


@pytest.mark.parametrize("resource", ["configmaps", "count/configmaps"])
def test_the_sweeps_own_config_map_must_fit_too(resource: str) -> None:
    full = quota({resource: "5"}, {resource: "5"})
    assert said(quotas.objects([full], quotas.Creation(1, 1, are_removed=False)))[0].startswith("refuse")
    assert not list(quotas.objects([full], quotas.Creation(1, 0, are_removed=False)))


@pytest.mark.parametrize(
    ("kind", "item", "field", "words"),
    [
        ("Container", {"max": {"nvidia.com/gpu": "0"}}, "nvidia.com/gpu", "at most 0: LimitRange lr"),
        ("Container", {"max": {"memory": "2Gi"}}, "memory", "at most 2Gi: LimitRange lr"),
        ("Container", {"min": {"cpu": "4"}}, "cpu", "at least 4: LimitRange lr"),
        ("Container", {"max": {"ephemeral-storage": "1Gi"}}, "ephemeral-storage", "one of at most 1Gi: LimitRange lr"),
        ("Container", {"min": {"ephemeral-storage": "1Gi"}}, "ephemeral-storage", "at least 1Gi: LimitRange lr"),
        ("Pod", {"max": {"cpu": "1"}}, "cpu", "at most 1: LimitRange lr"),
    ],
)
def test_what_a_limit_range_forbids_is_refused(kind: str, item: dict[str, Any], field: str, words: str) -> None:
    (found,) = limit_ranges.findings([limit_range(kind, **item)], TRIAL)
    assert found.severity is Severity.REFUSE
    assert (found.field, found.allowed) == (("kubernetes", "resources", field), words)


def test_the_ratio_of_limit_and_request() -> None:
    ranges = [limit_range("Container", maxLimitRequestRatio={"cpu": "2"})]
    assert not list(limit_ranges.findings(ranges, pod({"cpu": "1"}, {"cpu": "2"})))
    (found,) = limit_ranges.findings(ranges, pod({"cpu": "1"}, {"cpu": "3"}))
    assert found.found == "a limit of 3 for a request of 1 of cpu for container trainer"
    (found,) = limit_ranges.findings(
        [limit_range("Container", maxLimitRequestRatio={"cpu": "1500m"})], TRIAL | pod({"cpu": "1"}, {"cpu": "2"})
    )
    assert "1500m" in found.allowed


def test_what_keeps_to_a_limit_range_is_not_mentioned() -> None:
    ranges = [
        limit_range("Container", max={"cpu": "2", "nvidia.com/gpu": "1"}, min={"cpu": "2"}),
        limit_range("Pod", max={"cpu": "2"}),
        limit_range("PersistentVolumeClaim", max={"storage": "1"}),
    ]
    assert not list(limit_ranges.findings(ranges, TRIAL))
