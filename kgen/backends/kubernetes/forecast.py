"""What a look at a cluster says of a sweep, as plain values that are printed and dumped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kgen.capacity.finding import Finding, Severity
from kgen.errors import ClusterError, InputError, Problem
from kgen.sweep.document import field_name, parse
from kgen.sweep.sweepspec import SweepSpec


@dataclass(frozen=True, slots=True)
class ShapeFit:
    """How the pods of one shape fit. Pods at the same time are None where the nodes can't be read."""

    trials: int
    """Not ended."""
    requests: Mapping[str, str]
    """Resource → quantity, of one pod."""
    seconds: int | None
    """A pod's worst case, per attempt; None without a deadline."""
    hours: Mapping[str, float] | None
    """Worst case of all of them, an attempt each: resource → units × hours, of accelerators and CPUs."""
    nodes: int | None
    """That can hold a pod."""
    now: int | None
    """Pods at the same time beside what else runs now."""
    free: int | None
    """Pods at the same time when nothing else runs."""
    limited_by: str
    """What sets ``now``: nodes, a quota, or execution.max_parallel."""
    pods: int
    """Not ended; as many as trials where each has its own."""

    @property
    def parallel(self) -> int | None:
        """Pods at the same time that an ETA counts with: once there is room, where there is none now."""
        return self.now or self.free or None

    @property
    def worst_seconds(self) -> float | None:
        """Until all have ended, in waves of pods that each take their worst case."""
        if self.parallel is None or self.seconds is None:
            return None
        return -(-self.pods // self.parallel) * self.seconds

    def expected_seconds(self, per_pod: float) -> float | None:
        """Until all have ended, from a pod's mean."""
        return None if self.parallel is None else max(1.0, self.pods / self.parallel) * per_pod


@dataclass(frozen=True, slots=True)
class Forecast:
    """What can be known before anything is created."""

    namespace: str
    server_version: str
    trials: int
    """Not ended."""
    attempts: int
    """How often a pod may run at most, if each attempt crashes or reaches its deadline."""
    shapes: tuple[ShapeFit, ...]
    """Those that the server takes, most trials first."""
    nodes: int | None
    """Of the cluster; None where they can't be read."""
    seconds_per_pod: float | None
    """Mean of those whose trials are done."""
    findings: tuple[Finding, ...]
    """The gravest first."""

    @property
    def hours(self) -> Mapping[str, float] | None:
        """Worst case of all trials, every attempt to its deadline, such as GPU-hours; None where one has none."""
        hours: dict[str, float] = {}
        for shape in self.shapes:
            if shape.hours is None:
                return None
            for name, amount in shape.hours.items():
                hours[name] = hours.get(name, 0) + amount * self.attempts
        return hours

    @property
    def worst_seconds(self) -> float | None:
        """Until all have ended, one shape after another, every attempt to its deadline; None where something is not
        known."""
        once = _sum([shape.worst_seconds for shape in self.shapes])
        return None if once is None else once * self.attempts

    @property
    def expected_seconds(self) -> float | None:
        """The same from the mean of those that are done."""
        mean = self.seconds_per_pod
        return None if mean is None else _sum([shape.expected_seconds(mean) for shape in self.shapes])

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Because of which nothing is created."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.REFUSE)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "namespace": self.namespace,
            "server_version": self.server_version,
            "trials": self.trials,
            "attempts": self.attempts,
            "nodes": self.nodes,
            "hours": self.hours,
            "worst_seconds": self.worst_seconds,
            "expected_seconds": self.expected_seconds,
            "shapes": [{**asdict(shape), "worst_seconds": shape.worst_seconds} for shape in self.shapes],
            "findings": [
                {
                    "severity": str(finding.severity),
                    "field": field_name(finding.field) if finding.field else "",
                    "found": finding.found,
                    "allowed": finding.allowed,
                }
                for finding in self.findings
            ],
        }

    def raise_refusals(self, spec: SweepSpec) -> None:
        """Raises what is refused: InputError, with its lines, if the sweep file can be changed; else ClusterError."""
        if not self.refusals:
            return
        if not any(finding.field for finding in self.refusals):
            raise ClusterError("\n".join(map(str, self.refusals)))
        document = parse(spec.text, str(spec.file))
        raise InputError(
            [
                document.problem(finding.field, finding.found, finding.allowed)
                if finding.field
                else Problem("the cluster", 0, 0, f"namespace {self.namespace}", finding.found, finding.allowed)
                for finding in self.refusals
            ]
        )


def _sum(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
