"""The parameters of a file or stage → the values of each, or the range that a search chooses from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from kgen.spec import Value
from kgen.sweep import space
from kgen.sweep.document import Path
from kgen.sweep.findings import Findings
from kgen.sweep.grids import GridModel, IntParameter
from kgen.sweep.sweepspec import Dimension, Range, Spacing

Values = Mapping[str, tuple[Value, ...]]
_COUNTS: Final = {"linear": ("num", "step"), "log": ("num", "per_decade")}


def alternatives(parameters: Any) -> list[tuple[Path, Mapping[str, Any]]]:
    """Each alternative as the file has it, with its place; none where there are no parameters."""
    if isinstance(parameters, list):
        return [(("parameters", number), grid) for number, grid in enumerate(parameters)]
    return [] if parameters is None else [(("parameters",), parameters)]


def listed(findings: Findings, grids: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[Values]:
    """The values of each parameter; that a range has none is a mistake."""
    for place, grid in grids:
        for name, given in grid.items():
            if isinstance(given, GridModel) and given.ends is not None:
                one, other = _COUNTS[given.kind]
                allowed = f"exactly one of {one} and {other}, or a search beside the parameters"
                findings.wrong((*place, name, given.kind), f"no {one} or {other}", allowed)
        yield MappingProxyType({name: _values(given) for name, given in grid.items()})


def dimensions(grids: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[Mapping[str, Dimension]]:
    """What a search chooses each parameter from."""
    for _, grid in grids:
        yield MappingProxyType({name: _dimension(given) for name, given in grid.items()})


def _dimension(given: Any) -> Dimension:
    if isinstance(given, GridModel) and given.ends is not None:
        return Range(Spacing(given.kind), *given.ends)
    if isinstance(given, IntParameter) and given.int.step == 1 and len(given.points) > 1 and not given.except_:
        return Range(Spacing.INT, given.int.start, given.int.stop)
    return _values(given)


def _values(given: Any) -> tuple[Value, ...]:
    if isinstance(given, GridModel):
        return given.points
    return space.same_type(given if isinstance(given, list) else [given])
