"""A valid file → SweepSpec: of one stage, of several, or with a search."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kgen.errors import Problem
from kgen.names import DEFAULT_STAGE
from kgen.sweep import model
from kgen.sweep.build import MAX_TRIALS, Builder, asked_packing
from kgen.sweep.build_from import choice_of
from kgen.sweep.build_grids import alternatives, dimensions, listed
from kgen.sweep.build_search import packing_of_search, search_of
from kgen.sweep.document import Document
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.findings import Findings
from kgen.sweep.own_trainer import check_own_trainer
from kgen.sweep.sources import Sources
from kgen.sweep.stage_model import ChoiceParameters, StageModel
from kgen.sweep.stages import grids_of, most
from kgen.sweep.sweepspec import Stage, SweepSpec


def build(
    document: Document,
    parsed: model.SweepFile,
    broken: Collection[FieldPath],
    files: Mapping[str, bytes],
    *,
    strict: bool = False,
) -> tuple[SweepSpec | None, list[Problem]]:
    """The sweep, and the mistakes that no single field shows; the sweep is only worth something without any,
    and None where nothing is right of it.

    ``broken`` fields have mistakes of their own. ``files`` stand for files of those names beside the sweep file.
    ``strict``: what kgen's own trainer would refuse is a mistake, too.
    """
    findings = Findings(document, broken)
    sources = Sources(Path(document.file), files)
    if parsed.stages is None and not ("stages" in document.value and ("stages",) in broken):
        if strict:
            check_own_trainer(findings, parsed)
        return _plain(findings, parsed, sources), findings.problems
    for name in ("parameters", "search"):
        if name in document.value and findings.is_sound((name,)):
            findings.wrong((name,), f"{name} beside stages", f"{name} in each stage", key=True)
    made = _Stages(findings, sources)
    for number, given in enumerate(parsed.stages or ()):
        if ("stages", number) not in broken:
            made.add(number, given, _as_file(parsed, given))
            if strict:
                check_own_trainer(findings.of_stage(number), _as_file(parsed, given))
    return made.whole(), findings.problems


def _plain(findings: Findings, parsed: model.SweepFile, sources: Sources) -> SweepSpec:
    if parsed.parameters is None and findings.is_sound(("parameters",)):
        findings.wrong(("parameters",), "nothing", "a value, it is required")
    known = names_in_every_trial(findings.raw("parameters"))
    if parsed.search is not None or not findings.is_sound(("search",)):
        stage = _search_stage(findings, parsed, sources, DEFAULT_STAGE, known)
        return replace(stage.base, stages=(stage,))
    grids = tuple(listed(findings, alternatives(parsed.parameters)))
    return Builder(findings, parsed, sources).build(DEFAULT_STAGE, grids, known)


def _search_stage(
    findings: Findings, parsed: model.SweepFile, sources: Sources, name: str, known: list[str] | None
) -> Stage:
    base = Builder(findings, parsed, sources).build(name, (), known)
    grids = alternatives(parsed.parameters)
    search = search_of(findings, parsed, base, grids, tuple(dimensions(grids)))
    asked = asked_packing(parsed.execution)
    base = replace(base, packing=packing_of_search(asked, search, base))
    made = Stage(base, search=search, packing=asked)
    _check_size(findings, made, (), ("search", "trials"))
    return made


def _check_size(findings: Findings, stage: Stage, before: Iterable[Stage], path: FieldPath) -> None:
    size = most(stage, before)
    if size > MAX_TRIALS:
        findings.wrong(path, f"up to {size:,} trials", f"at most {MAX_TRIALS:,} trials")


def _as_file(parsed: model.SweepFile, given: StageModel) -> model.SweepFile:
    """The stage as a file without stages."""
    config = {**parsed.trainer.config, **(given.trainer.config if given.trainer else {})}
    own = given.execution.model_dump(exclude_none=True) if given.execution else {}
    changes = {
        "parameters": given.parameters,
        "search": given.search,
        "budget": given.budget or parsed.budget,
        "seed": parsed.seed if given.seed is None else given.seed,
        "repeats": given.repeats or parsed.repeats,
        "objective": given.objective or parsed.objective,
        "trainer": parsed.trainer.model_copy(update={"config": config}),
        "execution": parsed.execution.model_copy(update=own),
        "stages": None,
    }
    return parsed.model_copy(update=changes)


class _Stages:
    """The stages so far: a later one may only name these."""

    def __init__(self, findings: Findings, sources: Sources) -> None:
        self._findings = findings
        self._sources = sources
        self._made: dict[str, Stage] = {}
        self._known: dict[str, list[str] | None] = {}
        self._numbers: dict[str, int] = {}

    def add(self, number: int, given: StageModel, parsed: model.SweepFile) -> None:
        """One more."""
        findings = self._findings.of_stage(number)
        known = self._names(findings)
        stage = self._stage(findings, given, parsed, known)
        first = self._numbers.setdefault(given.name, number) if findings.is_sound(("name",)) else number
        if first != number:
            findings.wrong(("name",), f"{given.name} again", f"each name once (first in stages[{first}])")
            return
        self._known[given.name] = known
        self._made[given.name] = stage

    def _stage(self, findings: Findings, given: StageModel, parsed: model.SweepFile, known: list[str] | None) -> Stage:
        parameters = given.parameters
        builder = Builder(findings, parsed, self._sources)
        asked = asked_packing(parsed.execution)
        if isinstance(parameters, ChoiceParameters):
            if given.search is not None:
                findings.wrong(("search",), "a search beside from", "one of them: a search has ranges", key=True)
            base = builder.build(given.name, (), known)
            place: FieldPath = ("parameters",)
            (beside,) = listed(findings, [(place, parameters.beside)])
            source = choice_of(findings, parameters, self._made)
            made = Stage(base, source=source, beside=beside, packing=asked)
            order = dict.fromkeys(name for grid in grids_of(made, self._made.values()) for name in grid)
            made = replace(made, order=tuple(order))
            _check_size(findings, made, self._made.values(), ("parameters",))
            return made
        if given.search is not None or not findings.is_sound(("search",)):
            return _search_stage(findings, parsed, self._sources, given.name, known)
        grids = tuple(listed(findings, alternatives(parameters)))
        whole = builder.build(given.name, grids, known)
        return Stage(replace(whole, alternatives=(), size=0), alternatives=grids, packing=asked)

    def _names(self, findings: Findings) -> list[str] | None:
        raw = findings.raw("parameters")
        if not isinstance(raw, dict) or not isinstance(raw.get("from"), dict):
            return names_in_every_trial(raw)
        source = raw["from"].get("stage")
        given = self._known.get(source) if isinstance(source, str) else None
        return None if given is None else list(dict.fromkeys([*given, *(name for name in raw if name != "from")]))

    def whole(self) -> SweepSpec | None:
        """The sweep of all stages, with those parts that are known before anything has run; None without a stage."""
        stages = tuple(self._made.values())
        if not stages:
            return None
        sizes = [most(stage, stages) for stage in stages]
        if max(sizes) <= MAX_TRIALS < sum(sizes):  # a single one has said it
            self._findings.wrong(("stages",), f"up to {sum(sizes):,} trials", f"at most {MAX_TRIALS:,} trials")
        parts = [stage.given(stage.alternatives) for stage in stages if stage.alternatives is not None]
        return replace(stages[0].base, stages=stages).with_parts(parts)


def names_in_every_trial(raw: Any) -> list[str] | None:
    """Parameters that each alternative names, also where their values are wrong; None if that can't be told."""
    grids = raw if isinstance(raw, list) else [raw]
    if not grids or not all(isinstance(grid, dict) for grid in grids):
        return None
    return [name for name in grids[0] if all(name in grid for grid in grids)]
