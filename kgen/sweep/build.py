"""A valid file, or a stage of one → SweepSpec, and the mistakes that only several fields together show."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from kgen.spec import STEPS_TO_TARGET, TO_TARGET, Budget, Direction, Objective, Packing, Target, Value, text_of
from kgen.sweep import fields, model, space
from kgen.sweep.build_cluster import kubernetes
from kgen.sweep.cluster import ExecutionModel
from kgen.sweep.command import places_in
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.findings import Findings
from kgen.sweep.packing import packing_mistakes, packing_of
from kgen.sweep.results import ResultsModel, split_results, url_of
from kgen.sweep.sources import Sources
from kgen.sweep.sweepspec import BUILT_IN, Kubernetes, Local, Location, Scheme, SweepSpec, Template, Trainer
from kgen.sweep.translate import did_you_mean

MAX_TRIALS: Final = 1_000_000
MAX_FILES_BYTES: Final = 900_000
"""Of ``trainer.files`` together: they must fit into one ConfigMap of 1 MiB."""

MAX_TEMPLATE_BYTES: Final = 100_000

Grids = tuple[Mapping[str, tuple[Value, ...]], ...]
"""Alternatives, each with the values of its parameters."""


class Builder:
    """Makes the SweepSpec of a file, or of one stage of it as a file of its own, and collects its mistakes."""

    def __init__(self, findings: Findings, parsed: model.SweepFile, sources: Sources) -> None:
        self._findings = findings
        self._wrong = findings.wrong
        self._is_sound = findings.is_sound
        self._parsed = parsed
        self._sources = sources

    def build(self, stage: str, grids: Grids, known: list[str] | None) -> SweepSpec:
        """The sweep with these alternatives, which may be none; only worth something when there were no mistakes.

        ``known`` are the parameters of every trial, None if that can't be told.
        """
        parsed = self._parsed
        budget = self._budget()
        size = sum(math.prod(len(v) for v in grid.values()) for grid in grids) * parsed.repeats
        if size > MAX_TRIALS:
            self._wrong(("parameters",), f"{size:,} trials", f"at most {MAX_TRIALS:,} trials")
        elif self._is_sound(("parameters",)):
            self._check_twins(grids)
        if parsed.seed + parsed.repeats - 1 > fields.MAX_INT:
            self._wrong(("seed",), str(parsed.seed), f"at most {fields.MAX_INT} with all repeats")
        objective, trainer = self._objective(budget), self._trainer(known)
        if self._is_sound(("budget",), ("objective",), ("trainer",)):
            for path, found, allowed in packing_mistakes(parsed.execution, trainer, objective, budget):
                if self._is_sound(("execution",), path):
                    self._wrong(path, found, allowed)
        return SweepSpec(
            name=parsed.name,
            seed=parsed.seed,
            repeats=parsed.repeats,
            objective=objective,
            trainer=trainer,
            alternatives=grids,
            budget=budget,
            location=self._location(),
            local=Local(
                processes=None if parsed.local.processes == "auto" else parsed.local.processes, gpus=parsed.local.gpus
            ),
            kubernetes=self._kubernetes(),
            max_parallel=parsed.execution.max_parallel,
            published=parsed.report.published or "",
            packing=packing_of(asked_packing(parsed.execution), grids, trainer, objective, budget),
            trials_per_pod=parsed.execution.trials_per_pod,
            timing_sample=parsed.execution.timing_sample,
            file=self._sources.file,
            text=self._findings.document.text,
            stage=stage,
            size=size,
        )

    def _check_twins(self, alternatives: Grids) -> None:
        """Each alternative is free of twins, since its values differ; two of them may still meet."""
        owner: dict[frozenset[tuple[str, tuple[bool, Value]]], int] = {}
        for number, grid in enumerate(alternatives if len(alternatives) > 1 else ()):
            names = [*grid]
            pairs = [[(name, space.identity(value)) for value in grid[name]] for name in names]
            points = map(frozenset, itertools.product(*pairs))
            twins = [point for point in points if owner.setdefault(point, number) != number]
            if twins:
                values = {name: value for name, (_, value) in twins[0]}
                words = ", ".join(f"{name}={fields.show(values[name])}" for name in names)
                more = f" and {len(twins) - 1:,} more" if len(twins) > 1 else ""
                first = f"first in {self._findings.name(('parameters', owner[twins[0]]))}"
                self._wrong(("parameters", number), f"{words}{more} a second time", f"each trial once ({first})")

    def _budget(self) -> Budget:
        given = self._parsed.budget
        target = None
        for metric, bound in (given.target or {}).items():
            if isinstance(bound, float):
                target = Target(metric, bound)
            elif bound.at_least is not None:
                target = Target(metric, float(bound.at_least))
            elif bound.at_most is not None:
                target = Target(metric, float(bound.at_most), Direction.AT_MOST)
        endless = given.steps is None and given.seconds is None and tuple(self._parsed.trainer.command) == BUILT_IN
        if endless and self._is_sound(("budget",), ("trainer",)):
            self._findings.lacking(
                ("budget",),
                "neither steps nor seconds",
                "at least one of them, so that every trial ends",
                beside=("parameters",),
            )
        return Budget(
            target=target,
            steps=given.steps,
            seconds=given.seconds,
            check_every_steps=given.check_every_steps,
            evaluate_every_steps=given.evaluate_every_steps,
        )

    def _objective(self, budget: Budget) -> Objective:
        given = self._parsed.objective
        may_complain = budget.target is None and self._is_sound(("budget",), ("objective",))
        if given is None:
            if may_complain:
                target, metric = self._proposed()
                self._findings.lacking(
                    ("budget", "target"),
                    "nothing, and no objective",
                    f"target: {{{target}}} in budget, to compare trials by the steps to it; or "
                    f"objective: {{metric: {metric}}} beside budget, to compare them by what they report",
                    beside=("parameters",),
                )
            return Objective(STEPS_TO_TARGET)
        if given.metric in TO_TARGET and may_complain:
            self._wrong(
                ("objective", "metric"), given.metric, "a reported metric, or a budget.target to count to", here=True
            )
        return Objective(given.metric, given.goal, given.at)

    def _proposed(self) -> tuple[str, str]:
        """A target and a metric as somebody might write them."""
        if tuple(self._parsed.trainer.command) == BUILT_IN:
            return "train_accuracy: 0.97", "val_accuracy, goal: maximize"
        return "METRIC: 0.97", "METRIC"

    def _location(self) -> Location:
        given, name = self._parsed.results, self._parsed.name
        found = split_results(url_of(given))
        if found is None:
            return Location(Scheme.FOLDER, "", str(self._sources.file.parent / url_of(given) / name))
        scheme, root, path = found
        endpoint, region = (given.endpoint, given.region) if isinstance(given, ResultsModel) else (None, None)
        return Location(Scheme(scheme), root, f"{path}/{name}" if path else name, endpoint or "", region or "")

    def _kubernetes(self) -> Kubernetes:
        made, mistakes = kubernetes(self._parsed, self._read_template)
        for path, found, allowed in mistakes:
            if self._is_sound(*(path[:length] for length in range(1, len(path) + 1))):
                self._wrong(path, found, allowed)
        return made

    def _read_template(self, name: str) -> Template | None:
        path: FieldPath = ("kubernetes", "template")
        if not _is_inside(name):
            self._wrong(path, fields.show(name), "a path below the folder of the sweep file")
            return None
        content = self._read(name, path, "a readable template beside the sweep file", MAX_TEMPLATE_BYTES)
        if content is None:
            return None
        if len(content) > MAX_TEMPLATE_BYTES:
            self._wrong(path, f"{name}: a larger one", f"at most {MAX_TEMPLATE_BYTES:,} bytes")
            return None
        try:
            return Template(self._sources.file.parent / name, content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            self._wrong(path, f"{name}: byte {error.start} that is not UTF-8", "UTF-8 text")
            return None

    def _read(self, name: str, path: FieldPath, allowed: str, limit: int) -> bytes | None:
        """The content of a file beside the sweep file, at most one byte more than the limit."""
        try:
            return self._sources.read(name, limit)
        except OSError as error:
            self._wrong(path, f"{name}: {str(error.strerror).lower()}", allowed)
            return None

    def _trainer(self, known: list[str] | None) -> Trainer:
        given = self._parsed.trainer
        for i, word in enumerate(given.command):
            for place in places_in(word):
                if place != "seed" and known is not None and place not in known:
                    self._wrong(
                        ("trainer", "command", i),
                        f"the place {{{place}}}",
                        f"{{seed}} or a parameter that every trial has: {', '.join(known) or 'there is none'}"
                        f"{did_you_mean(place, known)}; write {{{{ for a brace",
                    )
        self._check_config(given.config, ("trainer", "config"))
        return Trainer(
            command=tuple(given.command),
            arguments=given.arguments,
            metrics=given.metrics,
            files=MappingProxyType(dict(self._files(given.files))),
            config=MappingProxyType(given.config),
            env=MappingProxyType({name: text_of(value) for name, value in given.env.items()}),
            revision=given.revision or "",
            image=given.image or "",
        )

    def _check_config(self, value: Any, path: FieldPath) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self._check_config(item, (*path, key))
        elif isinstance(value, list):
            for i, item in enumerate(value):
                self._check_config(item, (*path, i))
        else:
            for found, allowed in fields.number_mistakes(value):
                self._wrong(path, found, allowed)

    def _files(self, given: list[str]) -> Iterator[tuple[str, bytes]]:
        total = 0
        for i, name in enumerate(given):
            path: FieldPath = ("trainer", "files", i)
            if not _is_inside(name):
                self._wrong(path, fields.show(name), "a path below the folder of the sweep file")
                continue
            if name in given[:i]:
                self._wrong(path, f"{name} again", "each file once")
                continue
            content = self._read(name, path, "a readable file beside the sweep file", MAX_FILES_BYTES)
            if content is None:
                continue
            total += len(content)
            if total > MAX_FILES_BYTES:
                self._wrong(path, f"{total:,} bytes up to here", f"at most {MAX_FILES_BYTES:,} bytes in all files")
            yield name, content


def _is_inside(name: str) -> bool:
    return bool(name) and "\0" not in name and not name.startswith("/") and ".." not in re.split(r"[/\\]", name)


def asked_packing(given: ExecutionModel) -> Packing | None:
    """What the file says; None for ``auto``."""
    return None if given.packing == "auto" else Packing(given.packing)
