"""Which places for trials a machine has, and whether each is alone: on the machines that we have not got, too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kgen import names
from kgen.backends.local import devices
from kgen.backends.local.devices import Slot, slots
from kgen.spec import Timing

EXCLUSIVE, SHARED = Timing.EXCLUSIVE, Timing.SHARED


class Machine:
    """A machine with cores of so many threads each, and GPUs."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self._folder = folder

    def __call__(
        self, cores: int, threads: int = 1, *, allowed: set[int] | None = None, gpus: str = "", limit: int | None = None
    ) -> None:
        """Siblings are numbered as Linux mostly does: the second threads after all the first ones."""
        for cpu in range(cores * threads):
            mates = [cpu % cores + cores * thread for thread in range(threads)]
            (self._folder / str(cpu)).write_text(",".join(map(str, mates)) + "\n")
        everything = set(range(cores * threads))
        self._patch.setattr(devices, "_SIBLINGS", f"{self._folder}/{{}}")
        self._patch.setattr(os, "sched_getaffinity", lambda pid: allowed or everything)
        self._patch.setattr(devices, "cpu_limit", lambda: limit)
        self._patch.setenv("CUDA_VISIBLE_DEVICES", gpus)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def shape(found: tuple[Slot, ...]) -> list[tuple[tuple[int, ...], Timing, int]]:
    return [(slot.cpus, slot.timing, slot.mates) for slot in found]


def test_one_slot_per_core_each_alone_on_it(machine: Machine) -> None:
    machine(3)
    assert shape(slots()) == [((0,), EXCLUSIVE, 0), ((1,), EXCLUSIVE, 0), ((2,), EXCLUSIVE, 0)]


def test_two_hyper_threads_are_one_core(machine: Machine) -> None:
    machine(2, threads=2)
    assert shape(slots()) == [((0,), EXCLUSIVE, 0), ((1,), EXCLUSIVE, 0)]
    # Four workers use them all, and so are no longer alone.
    assert shape(slots(4)) == [((0,), SHARED, 1), ((1,), SHARED, 1), ((2,), SHARED, 1), ((3,), SHARED, 1)]


def test_only_those_that_share_a_core_are_shared(machine: Machine) -> None:
    machine(2)
    assert shape(slots(3)) == [((0,), SHARED, 1), ((1,), EXCLUSIVE, 0), ((0,), SHARED, 1)]


def test_processors_that_may_not_be_used_are_left_out(machine: Machine) -> None:
    machine(4, threads=2, allowed={2, 5, 6})
    assert shape(slots()) == [((2,), EXCLUSIVE, 0), ((5,), EXCLUSIVE, 0)]


def test_a_containers_limit_is_kept(machine: Machine) -> None:
    machine(8, limit=2)
    assert len(slots()) == 2
    # More than the limit share it, however many cores there are.
    assert shape(slots(3)) == [((0,), SHARED, 2), ((1,), SHARED, 2), ((2,), SHARED, 2)]


def test_fewer_workers_than_cores(machine: Machine) -> None:
    machine(4)
    assert shape(slots(1)) == [((0,), EXCLUSIVE, 0)]


def test_one_slot_per_gpu_with_its_share_of_the_cores(machine: Machine) -> None:
    machine(4, gpus="0, GPU-8f,MIG-1")
    found = slots()
    assert [slot.gpu for slot in found] == ["0", "GPU-8f", "MIG-1"]
    assert shape(found) == [((0, 3), EXCLUSIVE, 0), ((1,), EXCLUSIVE, 0), ((2,), EXCLUSIVE, 0)]


def test_more_workers_than_gpus_share_them(machine: Machine) -> None:
    machine(4, gpus="0,1")
    assert [(slot.gpu, slot.timing, slot.mates) for slot in slots(3)] == [
        ("0", SHARED, 1), ("1", EXCLUSIVE, 0), ("0", SHARED, 1),
    ]  # fmt: skip


def test_gpus_can_be_limited_or_left_alone(machine: Machine) -> None:
    machine(2, gpus="0,1,2")
    assert [slot.gpu for slot in slots(gpus=2)] == ["0", "1"]
    assert [slot.gpu for slot in slots(gpus=0)] == [None, None]


def test_where_pinning_is_not_known_only_one_is_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(4)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert shape(slots(1)) == [((), EXCLUSIVE, 0)]
    assert shape(slots(2)) == [((), SHARED, 1)] * 2


def test_a_slot_tells_its_process_where_it_is() -> None:
    cpu = Slot((3,), None, EXCLUSIVE, 0).environment()
    assert (cpu[names.ENV_TIMING], cpu[names.ENV_MATES], cpu[names.ENV_GPUS]) == ("exclusive", "0", "0")
    assert cpu["CUDA_VISIBLE_DEVICES"] == ""
    assert {value for name, value in cpu.items() if name.endswith("_THREADS")} == {"1"}
    gpu = Slot((3, 4), "GPU-8f", SHARED, 2).environment()
    assert (gpu["CUDA_VISIBLE_DEVICES"], gpu[names.ENV_GPUS]) == ("GPU-8f", "1")
    assert not any(name.endswith("_THREADS") for name in gpu)


def test_pinning_ends_with_its_block() -> None:
    before = os.sched_getaffinity(0)
    with Slot((min(before),), None, EXCLUSIVE, 0).pinned():
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_this_machine_has_places() -> None:
    found = slots()
    assert found
    assert {cpu for slot in found for cpu in slot.cpus} <= os.sched_getaffinity(0)
