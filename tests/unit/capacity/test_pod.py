from __future__ import annotations

from kgen.capacity import pod as pods
from tests.unit.capacity.made import Object, limit_range, pod


def container(cpu: str, **more: str) -> Object:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}


def test_what_has_a_limit_and_no_request_requests_the_limit() -> None:
    made = pod({"cpu": "1"}, {"cpu": "2", "nvidia.com/gpu": "1"})
    assert pods.requests(made) == {"cpu": 1000, "nvidia.com/gpu": 1000}
    assert pods.limits(made) == {"cpu": 2000, "nvidia.com/gpu": 1000}


def test_init_containers_run_before_and_sidecars_beside() -> None:
    made = {
        "containers": [container("1"), container("2")],
        "initContainers": [container("1", restartPolicy="Always"), container("5"), container("3")],
    }
    assert pods.requests(made)["cpu"] == 6000  # the second beside the sidecar; later 1 + 2 + 1
    made["initContainers"] = [container("5"), container("4", restartPolicy="Always")]
    assert pods.requests(made)["cpu"] == 7000  # 1 + 2 + 4 once all are up


def test_overhead_and_what_is_said_of_the_whole_pod_count() -> None:
    made = pod({"cpu": "1"}, {"memory": "1"}, overhead={"cpu": "250m", "memory": "1"})
    assert pods.requests(made) == {"cpu": 1250, "memory": 2000}
    assert pods.limits(made) == {"memory": 2000}, "overhead makes no limit where there is none"
    assert pods.requests(pod({"cpu": "1"}, resources={"requests": {"cpu": "4"}})) == {"cpu": 4000}


def test_limit_ranges_fill_in_what_is_left_out_and_nothing_else() -> None:
    ranges = [limit_range("Container", default={"cpu": "4", "memory": "8"}, defaultRequest={"cpu": "2", "memory": "6"})]
    made = pods.with_defaults(pod({"cpu": "1"}, {"memory": "7"}), ranges)
    assert pods.requests(made) == {"cpu": 1000, "memory": 7000}
    assert pods.limits(made) == {"cpu": 4000, "memory": 7000}


def test_a_pod_without_cpu_and_memory_is_best_effort() -> None:
    assert pods.is_best_effort(pod(limits={"nvidia.com/gpu": "1"}))
    assert pods.is_best_effort(pod({"cpu": "0"}))
    assert not pods.is_best_effort(pod(limits={"memory": "1"}))
