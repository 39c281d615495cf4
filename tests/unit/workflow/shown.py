"""A display that shows nothing."""

from __future__ import annotations

from kgen.backends.local.events import Event
from kgen.plan import Plan
from kgen.trial.channel import Ended


class Show:
    """Notes what a display would show."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.ended: list[str] = []
        self.plans: list[Plan] = []
        self.notes: list[str] = []
        self.told: list[str] = []
        self.over = 0

    def begin(self, plan: Plan) -> None:
        self.plan = self.plan or plan
        self.plans.append(plan)

    def event(self, message: Event) -> None:
        if isinstance(message, Ended):
            self.ended.append(message.state)

    def end(self) -> None:
        self.over += 1

    def tell(self, line: str) -> None:
        self.told.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)
