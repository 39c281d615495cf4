"""A display that shows nothing."""

from __future__ import annotations

from kgen.plan import Plan
from kgen.trial.channel import Ended, Message


class Show:
    """Notes what a display would show."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.ended: list[str] = []
        self.over = 0

    def begin(self, plan: Plan) -> None:
        self.plan = plan

    def event(self, message: Message) -> None:
        if isinstance(message, Ended):
            self.ended.append(message.state)

    def end(self) -> None:
        self.over += 1
