"""What a pool works off at a time: a sweep, or a part of it, with the trials that wait and the slots that they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from kgen.backends.local.deal import Deal, in_order_of_programs
from kgen.backends.local.devices import Slot
from kgen.backends.local.events import OnEvent
from kgen.backends.local.launch import Launcher
from kgen.backends.local.worker import Worker
from kgen.spec import Packing, TrialSpec
from kgen.sweep import SweepSpec


@dataclass(frozen=True, slots=True)
class Part:
    """Some trials of one sweep that are trained in one way."""

    spec: SweepSpec
    packing: Packing
    slots: Sequence[Slot]
    """No more than there are trials."""
    deal: Deal
    """The trials that wait."""
    launcher: Launcher
    on_event: OnEvent

    @classmethod
    def of(
        cls,
        spec: SweepSpec,
        trials: Sequence[TrialSpec],
        on_event: OnEvent,
        *,
        packing: Packing,
        slots: Sequence[Slot],
        results: str,
        environ: Mapping[str, str],
    ) -> Self:
        """``results``: address of the place that rows are written to."""
        slots = slots[: max(1, len(trials))]
        deal = Deal(in_order_of_programs(trials), len(slots)) if packing is Packing.FUSED else Deal(trials)
        return cls(spec, packing, slots, deal, Launcher(spec, packing, results, environ), on_event)

    @property
    def is_fused(self) -> bool:
        """Whether a process trains many trials at a time."""
        return self.packing is Packing.FUSED

    def needs(self, worker: Worker) -> bool:
        """Whether a worker that waits is what would be started for this part in its slot."""
        if worker.place >= len(self.slots) or not self.deal:
            return False
        return self.launcher.suits(worker, self.slots[worker.place], self.deal.first)
