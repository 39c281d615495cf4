"""What kgen's own trainer would refuse, found before it starts: unknown settings, names and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kgen.built_in import (
    CHOICES,
    CONFIG_ONLY,
    METRICS,
    OPTIMIZER_PRESETS,
    OPTIMIZERS,
    OTHER_METRICS,
    PARAMETERS,
)
from kgen.spec import TO_TARGET
from kgen.sweep import model
from kgen.sweep.build_grids import alternatives
from kgen.sweep.document import Path
from kgen.sweep.fields import show
from kgen.sweep.findings import Findings
from kgen.sweep.grids import GridModel
from kgen.sweep.stage_model import ChoiceParameters
from kgen.sweep.translate import did_you_mean

_OWN = "of kgen's own trainer"


def check_own_trainer(findings: Findings, parsed: model.SweepFile) -> None:
    """Note every mistake of a file, or of a stage as a file of its own, whose trainer is kgen's own; of others none."""
    if tuple(parsed.trainer.command) != model.BUILT_IN or not findings.is_sound(("trainer", "command")):
        return
    _Check(findings).all_of(parsed)


class _Check:
    """Finds the mistakes of one sweep."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def all_of(self, parsed: model.SweepFile) -> None:
        """Parameters, configuration and metrics."""
        given: Any = parsed.parameters
        of_choice = isinstance(given, ChoiceParameters)
        for place, grid in [(("parameters",), given.beside)] if of_choice else alternatives(given):
            self._parameters(place, grid)
        self._config(parsed.trainer.config)
        for metric in parsed.budget.target or {}:
            self._one_of(("budget", "target", metric), metric, METRICS, f"a metric {_OWN}", key=True)
        reported = (*TO_TARGET, *METRICS, *OTHER_METRICS)
        if parsed.objective is not None:
            self._one_of(("objective", "metric"), parsed.objective.metric, reported, f"a metric {_OWN}")
        if of_choice and given.from_.best is not None:
            self._one_of(("parameters", "from", "best"), given.from_.best, reported, f"a metric {_OWN}")

    def _parameters(self, place: Path, grid: Mapping[str, Any]) -> None:
        for name, given in grid.items():
            path = (*place, name)
            if name in CONFIG_ONLY:
                self._findings.wrong(path, name, f"{name} in trainer.config: it is the same for all trials", key=True)
            elif self._one_of(path, name, PARAMETERS, f"a setting {_OWN}", key=True) and name in CHOICES:
                for inner, value in _values(given):
                    self._one_of((*path, *inner), value, CHOICES[name], f"one of {_OWN[3:]}'s")

    def _config(self, config: Mapping[str, Any]) -> None:
        for name, value in config.items():
            path = ("trainer", "config", name)
            is_known = self._one_of(path, name, (*PARAMETERS, *CONFIG_ONLY), f"a setting {_OWN}", key=True)
            if is_known and name in CHOICES:
                self._one_of(path, value, CHOICES[name], f"one of {_OWN[3:]}'s")
        self._optimizers(config.get("optimizers"))

    def _optimizers(self, given: Any) -> None:
        path = ("trainer", "config", "optimizers")
        if isinstance(given, str):
            self._one_of(path, given, OPTIMIZER_PRESETS, "settings of optimizers, or the name of a preset")
        for name, settings in given.items() if isinstance(given, dict) else ():
            known = self._one_of((*path, name), name, tuple(OPTIMIZERS), f"an optimizer {_OWN}", key=True)
            for setting in settings if known and isinstance(settings, dict) else ():
                place = (*path, name, setting)
                self._one_of(place, setting, OPTIMIZERS[name], f"a setting of {name}", key=True)

    def _one_of(self, path: Path, value: Any, known: Sequence[str], what: str, *, key: bool = False) -> bool:
        if value in known:
            return True
        meant = did_you_mean(value, known) if isinstance(value, str) else ""
        first = 1 if path[0] == "parameters" else 2  # of other blocks what is right is left when a field is wrong
        if self._findings.is_sound(*(path[:length] for length in range(first, len(path) + 1))):
            found = str(value) if isinstance(value, str) else show(value)
            self._findings.wrong(path, found, f"{what}: {', '.join(known)}{meant}", key=key)
        return False


def _values(given: Any) -> Iterator[tuple[Path, Any]]:
    """Each value of a parameter as the file has it, with its place there."""
    if isinstance(given, GridModel):
        listed: Iterable[Any] = getattr(given, given.kind) if given.kind == "values" else ()
        if given.kind != "values":
            yield (given.kind,), f"a {given.kind} range"
        yield from (((given.kind, i), value) for i, value in enumerate(listed))
    elif isinstance(given, list):
        yield from (((i,), value) for i, value in enumerate(given))
    else:
        yield (), given
