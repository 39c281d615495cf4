"""What this machine can run trials on: slots of pinned cores, or of GPUs, and whether each is alone on its device."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgen import names
from kgen.spec import Timing

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one trial at a time."""

    cpus: tuple[int, ...]
    """Logical processors to pin to; empty where pinning is not possible."""
    gpu: str | None
    """As in CUDA_VISIBLE_DEVICES; None for CPU work."""
    timing: Timing
    """Exclusive if no other slot uses the same GPU, or for CPU work the same core or its hyper-thread, or a part of a
    CPU limit that is too small for all."""
    mates: int
    """Other slots on the same device."""

    def environment(self) -> dict[str, str]:
        """Variables for a process in this slot. On a CPU one thread per core: faster for many small trials, and the
        order of float additions, so each bit of a result, no longer depends on what else runs."""
        out = {names.ENV_TIMING: str(self.timing), names.ENV_MATES: str(self.mates)}
        if self.gpu is None:
            out |= dict.fromkeys(names.THREAD_VARIABLES, str(max(1, len(self.cpus))))
            out |= {"CUDA_VISIBLE_DEVICES": "", names.ENV_GPUS: "0"}
        else:
            out |= {"CUDA_VISIBLE_DEVICES": self.gpu, names.ENV_GPUS: "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        return out

    @contextlib.contextmanager
    def pinned(self) -> Iterator[None]:
        """Pin this thread, so that a process started inside inherits it before its first instruction."""
        if not self.cpus:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cpus)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def slots(processes: int | None = None, gpus: int | None = None) -> tuple[Slot, ...]:
    """The slots of this machine.

    ``processes`` None means one per GPU, or per core where there is none (a core with two hyper-threads counts once,
    and a container's CPU limit is kept). ``gpus`` None means all that are visible.
    """
    visible = visible_gpus()
    visible = visible if gpus is None else visible[:gpus]
    cores = physical_cores()
    if visible:
        return _gpu_slots(visible, cores, processes or len(visible))
    limit = cpu_limit()
    return _cpu_slots(cores, processes or max(1, min(len(cores), limit or len(cores))), limit)


def _gpu_slots(gpus: Sequence[str], cores: Sequence[tuple[int, ...]], count: int) -> tuple[Slot, ...]:
    out = []
    for i in range(count):
        mates = len(range(i % len(gpus), count, len(gpus))) - 1
        share = [cpu for core in cores[i::count] for cpu in core]
        timing = Timing.SHARED if mates else Timing.EXCLUSIVE
        out.append(Slot(tuple(share), gpus[i % len(gpus)], timing, mates))
    return tuple(out)


def _cpu_slots(cores: Sequence[tuple[int, ...]], count: int, limit: int | None) -> tuple[Slot, ...]:
    if not cores:
        timing = Timing.EXCLUSIVE if count == 1 else Timing.SHARED
        return (Slot((), None, timing, count - 1),) * count
    out = []
    crowded = limit is not None and count > limit
    for i in range(count):
        core = cores[i % len(cores)]
        mates = count - 1 if crowded else len(range(i % len(cores), count, len(cores))) - 1
        cpu = core[(i // len(cores)) % len(core)]
        out.append(Slot((cpu,), None, Timing.SHARED if mates else Timing.EXCLUSIVE, mates))
    return tuple(out)


def physical_cores() -> list[tuple[int, ...]]:
    """Logical processors that this process may use, by the core they share; empty where pinning is not known."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    allowed = os.sched_getaffinity(0)
    cores: dict[tuple[int, ...], list[int]] = {}
    for cpu in sorted(allowed):
        cores.setdefault(_siblings(cpu), []).append(cpu)
    return [tuple(cpus) for cpus in cores.values()]


def _siblings(cpu: int) -> tuple[int, ...]:
    try:
        text = Path(_SIBLINGS.format(cpu)).read_text(encoding="ascii").strip()
    except OSError:
        return (cpu,)
    out: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        out.extend(range(int(first), int(last or first) + 1))
    return tuple(out)


def cpu_limit() -> int | None:
    """Whole processors that the container's limit allows; None where there is no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text(encoding="ascii").strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit():
        return None
    return max(1, int(quota) // int(period))


def visible_gpus() -> list[str]:
    """NVIDIA GPUs as CUDA_VISIBLE_DEVICES names them; that variable, if it is set, is obeyed."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [part.strip() for part in given.split(",") if re.fullmatch(r"\s*(\d+|(GPU|MIG)-\S+)\s*", part)]
    try:
        return [str(i) for i, _ in enumerate(sorted(Path("/proc/driver/nvidia/gpus").iterdir()))]
    except OSError:
        return []
