"""What a search chooses from, and what ends it: in words and as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kgen.cli.text import count, duration, short

if TYPE_CHECKING:
    from kgen.sweep.sweepspec import Dimension, Search, Stage

_LISTED = 8
"""Values of a parameter that are named one by one."""


def search_lines(stage: Stage) -> Iterator[str]:
    """The parameters of each alternative, then the limits; of a stage without a search nothing."""
    search = stage.search
    if search is None:
        return
    if len(search.spaces) > 1:
        for space in search.spaces:
            yield f"- {'; '.join(f'{name} {_dimension(dimension)}' for name, dimension in space.items())}"
    else:
        width = max((len(name) for space in search.spaces for name in space), default=0)
        for name, dimension in ((name, dimension) for space in search.spaces for name, dimension in space.items()):
            yield f"{name:<{width}}  {_dimension(dimension)}"
    yield _limits(search)


def search_json(stage: Stage) -> dict[str, Any]:
    """The same as plain values; of a stage without a search nothing."""
    search = stage.search
    if search is None:
        return {}
    limits = {name: getattr(search, name) for name in ("trials", "steps", "seconds", "improvement")}
    return {
        "search": {
            "method": str(search.method),
            "spaces": [{name: _plain(dimension) for name, dimension in space.items()} for space in search.spaces],
            "per": list(search.per),
            "limits": {name: value for name, value in limits.items() if value is not None and _counts(search, name)},
        }
    }


def _dimension(dimension: Dimension) -> str:
    from kgen.sweep.sweepspec import Range, Spacing

    if not isinstance(dimension, Range):
        few = len(dimension) <= _LISTED
        return ", ".join(map(short, dimension)) if few else f"{len(dimension):,} values, {_ends(dimension)}"
    kind = {Spacing.LOG: ", logarithmic", Spacing.LINEAR: "", Spacing.INT: ", whole"}[dimension.spacing]
    return f"{short(dimension.start)} to {short(dimension.stop)}{kind}"


def _ends(values: tuple[Any, ...]) -> str:
    return f"{short(values[0])} to {short(values[-1])}"


def _plain(dimension: Dimension) -> Mapping[str, Any] | list[Any]:
    from kgen.sweep.sweepspec import Range

    if isinstance(dimension, Range):
        return {str(dimension.spacing): {"start": dimension.start, "stop": dimension.stop}}
    return list(dimension)


def _counts(search: Search, name: str) -> bool:
    from kgen.sweep.sweepspec import Method

    return name != "trials" or search.method is not Method.RANGE_TEST


def _limits(search: Search) -> str:
    said = [count(search.trials, "trial")] if _counts(search, "trials") else ["one run"]
    said += [] if search.steps is None else [f"{search.steps:,} training steps"]
    said += [] if search.seconds is None else [f"{duration(search.seconds)} of training"]
    words = " or ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    if search.improvement is not None:
        words += f", or when another trial would better the best by less than {100 * search.improvement:.3g} %"
    return f"{_whose(search)}: at most {words}"


def _whose(search: Search) -> str:
    if len(search.per) > 1:
        return f"for each combination of {', '.join(search.per)}"
    return f"for each {search.per[0]}" if search.per else "in all"
