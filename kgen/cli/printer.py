"""What a submission does about each object, in lines as kubectl has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgen.cli.boundary import drop_output
from kgen.cli.text import count

if TYPE_CHECKING:
    from kgen.backends.kubernetes.create import Progress, Waiting
    from kgen.workflow.prepare import Prepared
    from kgen.workflow.prepare_stages import PreparedSweep
    from kgen.workflow.submit import Going, Stored


class Printer:
    """Says what is done about each object in a line of its own, as kubectl does; to nobody, once nobody listens."""

    def __init__(self, prepared: Prepared | PreparedSweep | None = None) -> None:
        """``prepared`` tells which Jobs replace another."""
        from kgen.plan import Action

        self._replaced = {m.name for m in prepared.having(Action.REPLACE)} if prepared is not None else set()

    def event(self, event: Progress | Waiting | Stored | Going) -> None:
        """One more object, or that a quota is waited for."""
        from kgen.backends.kubernetes.create import Outcome, Waiting
        from kgen.workflow.submit import Going, Stored

        if isinstance(event, Waiting):
            self.say(f"waiting for room in a quota: {event.why}")
        elif isinstance(event, Going):
            self.say(f"waiting for {count(event.jobs, 'Job')} to go, so that others can take their names")
        elif isinstance(event, Stored):
            self.say(f"configmap/{event.name} {event.outcome}")
        elif event.outcome is Outcome.CREATED:
            self.say(f"job.batch/{event.name} {'replaced' if event.name in self._replaced else 'created'}")
        elif event.outcome is Outcome.UNCHANGED:
            self.say(f"job.batch/{event.name} unchanged")

    def say(self, line: str) -> None:
        """A line."""
        try:
            print(line, flush=True)
        except BrokenPipeError:  # `kgen submit | head`: half a sweep would be worse than lines that nobody reads
            drop_output()
