"""Searching instead of trying every combination: what to train next, from what was trained.

Pure: :func:`ask` is a function of the stage and its trials alone, so that a search can be killed anywhere, and go on
anywhere, from the row files. Nothing is kept between two calls. Optuna (extra ``search``) is imported for the method
``tpe`` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kgen.analysis.tried import Tried
from kgen.search.asked import Ask, Done
from kgen.search.asking import asking, together
from kgen.spec import Value
from kgen.sweep.sweepspec import DEFAULT_METHOD, Method, Stage

__all__ = ["DEFAULT_METHOD", "Ask", "Done", "Method", "Tried", "ask", "suggested"]


def ask(stage: Stage, tried: Sequence[Tried], pending: Sequence[Tried] = ()) -> Ask | Done:
    """What to train next.

    ``tried`` has one entry for each trial of the stage that has a result, and one for each failed attempt of those
    without; ``pending`` those that are being trained, or wait for it (``Status.MISSING``). Their order does not matter.
    All trials of one answer share a budget, so that rungs of different groups come in several answers. An answer
    without points means: wait for what is pending. A failed point is asked for once more.

    Raises MissingExtraError where the method needs an extra that is not installed, and InputError for a method that the
    stage's parameters or budget do not suit.
    """
    ordered, waiting = _ordered(tried), _ordered(pending)
    return together([(one.group, one.answer()) for one in asking(stage, ordered, waiting)])


def suggested(stage: Stage, tried: Sequence[Tried]) -> tuple[Mapping[str, Value], ...]:
    """Of each group the point that its range test says training goes well at, a hint that confirms nothing; without
    groups that have none."""
    points = (one.suggested() for one in asking(stage, _ordered(tried), ()))
    return tuple(point for point in points if point is not None)


def _ordered(tried: Sequence[Tried]) -> list[Tried]:
    """The same trials in one order, whatever order they come in."""
    return sorted(tried, key=lambda one: (sorted((n, str(v)) for n, v in one.parameters.items()), one.seed,
                                          one.steps_budget or 0, str(one.status)))  # fmt: skip
