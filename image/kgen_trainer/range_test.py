"""The learning-rate range test: one short run in which the rate rises from check to check until training breaks down.

After L. N. Smith, *Cyclical Learning Rates for Training Neural Networks*, WACV 2017 (arXiv:1506.01186), with a rate
that rises by a constant factor and the end that fastai's ``lr_find`` gives it: a loss over four times its smallest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kgen.errors import BadParametersError
from kgen.spec import Budget, text_of
from kgen_trainer.values import POSITIVE, unknown

WORSE: Final = 4.0
"""The test ends when the loss is over so many times its smallest."""
_KEYS: Final = ("start", "stop")


@dataclass(frozen=True, slots=True)
class RangeTest:
    """``range_test: {start: 1e-6, stop: 100}`` of ``trainer.config``."""

    start: float
    """Rate of the steps before the first check."""
    stop: float
    """Rate of the steps before the last one, were training to get that far."""

    @classmethod
    def read(cls, value: object) -> RangeTest:
        """Raises BadParametersError for anything but two positive numbers, the second one larger."""
        if not isinstance(value, Mapping):
            raise BadParametersError(f"config range_test: found {value!r}, allowed a mapping of start and stop")
        for name in value:
            if name not in _KEYS:
                raise unknown("key in config range_test", name, _KEYS)
        for name in _KEYS:
            if name not in value:
                raise BadParametersError(f"config range_test: {name} is missing, allowed a mapping of start and stop")
        start, stop = (POSITIVE.read(f"config range_test.{name}", value[name]) for name in _KEYS)
        if stop <= start:
            raise BadParametersError(
                f"config range_test.stop: found {text_of(stop)}, allowed a number above start, {text_of(start)}"
            )
        return cls(start, stop)

    def check_budget(self, budget: Budget) -> None:
        """Raises BadParametersError for one that says not over how many steps the rate rises, or leaves it one rate."""
        if budget.steps is None or budget.steps <= budget.check_every_steps:
            found = "none" if budget.steps is None else str(budget.steps)
            raise BadParametersError(
                f"config range_test: found budget.steps {found}, allowed a number above budget.check_every_steps, "
                f"{budget.check_every_steps}: the rate rises from check to check over budget.steps"
            )


class Rise:
    """The rate of one range test, and whether it has gone too far."""

    def __init__(self, test: RangeTest, budget: Budget) -> None:
        assert budget.steps is not None, "checked before"
        self._test = test
        self._every = budget.check_every_steps
        self._last = math.ceil(budget.steps / self._every) - 1
        self._smallest = math.inf

    def rate(self, step: int) -> float:
        """Learning rate of the steps from this one to the next check."""
        share = step // self._every / self._last
        return self._test.start * math.pow(self._test.stop / self._test.start, share)

    def note(self, losses: Iterable[float]) -> None:
        """Losses of earlier checks."""
        self._smallest = min([self._smallest, *losses])

    def check(self, loss: float, rate: float) -> str | None:
        """Take in the loss of a check; the reason to end the test, or None."""
        self.note([loss])
        if loss > WORSE * self._smallest:
            return (
                f"loss {loss:.4g} at learning_rate {rate:.4g} is over {WORSE:g} times its smallest, "
                f"{self._smallest:.4g}: the range test is at its end"
            )
        return None
