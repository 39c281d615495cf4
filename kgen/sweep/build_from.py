"""``parameters: {from: …}`` of a stage → :class:`From`, and the mistakes that only several fields show."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kgen.spec import SECONDS_TO_TARGET, TO_TARGET, At, Goal, Objective, Packing, Value, text_of
from kgen.sweep import space
from kgen.sweep.fields import show
from kgen.sweep.findings import Findings
from kgen.sweep.stage_model import ChoiceParameters, FromModel
from kgen.sweep.stages import grids_of
from kgen.sweep.sweepspec import Dimension, From, Method, Range, Stage
from kgen.sweep.translate import did_you_mean

_PATH = ("parameters", "from")


def choice_of(findings: Findings, parameters: ChoiceParameters, earlier: Mapping[str, Stage]) -> From:
    """The choice; ``earlier`` are the stages before this one."""
    given = parameters.from_
    source = earlier.get(given.stage)
    check = _Check(findings, given)
    if source is None:
        check.no_such_stage(list(earlier))
    elif source.search is not None and source.search.method is Method.RANGE_TEST:
        check.no_trials(source)
    else:
        check.best(source)
        check.names(source, grids_of(source, earlier.values()), parameters.beside)
    check.alone()
    return From(
        stage=given.stage,
        objective=_objective(given, source),
        per=tuple(given.per or ()),
        top=given.top,
        along=given.along or "",
        neighbours=given.neighbours or 0,
        factor=given.around.factor if given.around else None,
        num=given.around.num if given.around else 0,
        where=MappingProxyType({name: space.same_type(values) for name, values in (given.where or {}).items()}),
    )


def _objective(given: FromModel, source: Stage | None) -> Objective:
    own = source.base.objective if source else Objective()
    if given.best in (None, own.metric):
        return Objective(own.metric, given.goal or own.goal, given.at or own.at)
    return Objective(given.best or own.metric, given.goal or Goal.MINIMIZE, given.at or At.FINAL)


class _Check:
    """Finds the mistakes of one ``from``."""

    def __init__(self, findings: Findings, given: FromModel) -> None:
        self._findings = findings
        self._given = given

    def _wrong(self, *path: str | int, found: str, allowed: str, key: bool = False) -> None:
        self._findings.wrong((*_PATH, *path), found, allowed, key=key)

    def _is_sound(self, *fields: str) -> bool:
        return self._findings.is_sound(*((*_PATH, field) for field in fields))

    def no_trials(self, source: Stage) -> None:
        """The stage that it names trains at no rate."""
        others = ", ".join(method for method in Method if method is not Method.RANGE_TEST)
        allowed = (
            f"a stage of trials, or of a search by {others}: a range test has none at one rate that could be taken; "
            "'kgen run' and 'kgen recommend' show what it hints at"
        )
        self._wrong("stage", found=f"{source.name}, a range test", allowed=allowed)

    def no_such_stage(self, earlier: list[str]) -> None:
        """The stage that it names does not come before this one."""
        name, here = self._given.stage, self._findings.stage or 0
        names = self._findings.names_of_stages()
        if name in names[:here]:  # it has mistakes of its own
            return
        found = f"{name}, which comes later" if name in names[here + 1 :] else name
        if here < len(names) and name == names[here]:
            found = f"{name}, which is this stage itself"
        allowed = f"a stage before this one: {', '.join(earlier)}{did_you_mean(name, earlier)}"
        self._wrong("stage", found=found, allowed=allowed if earlier else "a stage before this one, and there is none")

    def alone(self) -> None:
        """What needs no earlier stage to be seen."""
        given = self._given
        if given.best is None and self._is_sound("best"):
            for name in ("goal", "at"):
                if getattr(given, name) is not None:
                    self._wrong(name, found=f"{name} without best", allowed="best beside it, a metric", key=True)
        if given.best in TO_TARGET and given.goal is Goal.MAXIMIZE:
            self._wrong("goal", found="maximize", allowed="minimize, because the metric is a time")
        if given.neighbours is not None and given.around is not None:
            self._wrong("around", found="around beside neighbours", allowed="one of the two", key=True)
        if given.along and not given.neighbours and given.around is None and self._is_sound("neighbours", "around"):
            allowed = "neighbours or around beside it, which have it as their line"
            self._wrong("along", found=f"{given.along} with neither neighbours nor around", allowed=allowed)
        if given.top is not None and given.top > 1 and not given.per and self._is_sound("per"):
            allowed = "per beside it: the best is one, and neighbours or around give more points"
            self._wrong("top", found=f"{given.top} without per", allowed=allowed)

    def best(self, source: Stage) -> None:
        """The metric must be one that the earlier stage can have."""
        best, name, base = self._given.best, source.name, source.base
        if best in TO_TARGET and base.budget.target is None and not self._is_broken(name, "budget"):
            allowed = f"a metric that its trials report, or a budget.target in {name}"
            self._wrong("best", found=f"{best}, to which {name} has no target", allowed=allowed)
        elif best == SECONDS_TO_TARGET and base.objective.metric != best and _is_fused(source):
            allowed = f"steps_to_target, or {name} with packing: sequential"
            self._wrong("best", found=f"{best} of trials that are fused", allowed=allowed)
        elif best is not None and best not in TO_TARGET and best != base.objective.metric:
            if meant := did_you_mean(best, TO_TARGET, 0.85):
                allowed = f"{' or '.join(TO_TARGET)}, or a metric that the trainer reports{meant}"
                self._wrong("best", found=best, allowed=allowed)
            elif self._given.goal is None and self._is_sound("goal"):
                allowed = "goal: maximize or goal: minimize beside it"
                self._wrong("best", found=f"{best} without a goal", allowed=allowed)

    def names(self, source: Stage, grids: tuple[Mapping[str, Dimension], ...], beside: Mapping[str, Any]) -> None:
        """Every parameter must be one that each trial of the earlier stage has."""
        if self._is_broken(source.name, "parameters") or self._is_broken(source.name, "search") or not grids:
            return
        given = self._given
        common = [name for name in grids[0] if all(name in grid for grid in grids)]
        values = {name: [grid[name] for grid in grids] for name in common}
        listed = [name for name in common if not any(isinstance(one, Range) for one in values[name])]
        for name, path in self._named("per"):
            self._check_name(name, path, listed if name in common else common, source.name)
        for name, wanted in (given.where or {}).items():
            if self._check_name(name, ("where", name), common, source.name):
                self._check_values(name, wanted, values[name], source.name)
        if given.along is not None and self._check_name(given.along, ("along",), common, source.name):
            self._check_along(given.along, values[given.along])
        lines = [name for name in common if name not in (given.per or ()) and all(map(_has_numbers, values[name]))]
        for field in ("neighbours", "around"):
            if getattr(given, field) and given.along is None and not lines:
                allowed = f"a parameter of {source.name} with numbers, which per does not name"
                self._wrong(field, found=f"{field} without a line", allowed=allowed, key=True)
        every = {name for grid in grids for name in grid}
        for name in beside:
            if name in every:
                allowed = f"parameters that trials of {source.name} do not have"
                self._findings.wrong(("parameters", name), f"{name}, which comes from there", allowed, key=True)

    def _named(self, field: str) -> list[tuple[str, tuple[str | int, ...]]]:
        raw = self._findings.raw("parameters")["from"].get(field)
        names = getattr(self._given, field) or []
        return [(name, (field, i) if isinstance(raw, list) else (field,)) for i, name in enumerate(names)]

    def _check_name(self, name: str, path: tuple[str | int, ...], known: list[str], source: str) -> bool:
        if name in known:
            return True
        allowed = f"a parameter of every trial of {source}: {', '.join(known)}{did_you_mean(name, known)}"
        self._wrong(*path, found=name, allowed=allowed if known else f"none: trials of {source} have none in common")
        return False

    def _check_values(self, name: str, wanted: list[Value], there: list[Dimension], source: str) -> None:
        if any(isinstance(dimension, Range) for dimension in there):
            return
        known = [value for dimension in there if not isinstance(dimension, Range) for value in dimension]
        texts = list(dict.fromkeys(map(text_of, known)))
        raw = self._findings.raw("parameters")["from"]["where"].get(name)
        for i, value in enumerate(wanted):
            if space.identity(value) not in map(space.identity, known):
                path = ("where", name, i) if isinstance(raw, list) else ("where", name)
                words = ", ".join(texts[:12]) + (", …" if len(texts) > 12 else "") + did_you_mean(text_of(value), texts)
                self._wrong(*path, found=show(value), allowed=f"values of {name} in {source}: {words}")

    def _check_along(self, along: str, there: list[Dimension]) -> None:
        if along in (self._given.per or ()):
            self._wrong("along", found=f"{along}, of which per takes each value", allowed="another parameter")
        elif not all(map(_has_numbers, there)):
            self._wrong("along", found=f"{along}, whose values are not numbers", allowed="a parameter with numbers")
        elif self._given.around is not None and not all(map(_is_positive, there)):
            allowed = "neighbours: a factor needs numbers above 0"
            self._wrong("around", found=f"around, and values of {along} that are 0 or less", allowed=allowed, key=True)

    def _is_broken(self, stage: str, block: str) -> bool:
        number = self._findings.names_of_stages().index(stage)
        return not self._findings.of_stage(number).is_sound((block,))


def _is_fused(stage: Stage) -> bool:
    if stage.alternatives is None:
        return stage.packing is Packing.FUSED
    return stage.given(stage.alternatives).packing is Packing.FUSED


def _has_numbers(dimension: Dimension) -> bool:
    if isinstance(dimension, Range):
        return True
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in dimension)


def _is_positive(dimension: Dimension) -> bool:
    ends = (dimension.start, dimension.stop) if isinstance(dimension, Range) else dimension
    return all(space.exact(value) > 0 for value in ends)
