"""SweepSpec → TrialSpecs: the order, the seeds, and the identity of each trial."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kgen.errors import InputError
from kgen.names import TRIAL_ID_LENGTH
from kgen.spec import TrialSpec, Value, dump_json, text_of
from kgen.sweep.sweepspec import BUILT_IN, SweepSpec


def expand(spec: SweepSpec) -> tuple[TrialSpec, ...]:
    """Every trial of the sweep: alternatives in the file's order, the first parameter slowest, seeds fastest.

    Of a sweep with stages those of its ``parts``, stage after stage.
    """
    if spec.stages:
        return tuple({trial.id: trial for part in spec.parts for trial in _expand(part)}.values())
    return _expand(spec)


def _expand(spec: SweepSpec) -> tuple[TrialSpec, ...]:
    trials: dict[str, TrialSpec] = {}
    common = hashlib.sha256(dump_json(_common_identity(spec)).encode())
    lineage = hashlib.sha256(dump_json(["lineage", _common_identity(spec, steps=False)]).encode())
    config = MappingProxyType(dict(spec.trainer.config))
    for parameters in _points(spec):
        identity = {name: canonical(value) for name, value in parameters.items()}
        for seed in spec.seeds:
            text = dump_json([identity, seed])
            trial_id = _id(common, text)
            if trial_id in trials:
                raise _twice(spec, parameters)
            trials[trial_id] = TrialSpec(
                id=trial_id,
                sweep=spec.name,
                stage=spec.stage,
                parameters=parameters,
                seed=seed,
                budget=spec.budget,
                objective=spec.objective,
                config=config,
                lineage=_id(lineage, text) if spec.lineage else "",
            )
    return tuple(trials.values())


def _id(common: hashlib._Hash, own: str) -> str:
    digest = common.copy()
    digest.update(own.encode())
    return base64.b32encode(digest.digest()[:10])[:TRIAL_ID_LENGTH].decode().lower()


def _points(spec: SweepSpec) -> Iterator[Mapping[str, Value]]:
    for grid in spec.alternatives:
        for values in itertools.product(*grid.values()):
            yield MappingProxyType(dict(zip(grid, values, strict=True)))


def _common_identity(spec: SweepSpec, *, steps: bool = True) -> dict[str, Any]:
    """What all trials of the sweep share of their identity: what is trained, not where or to what end. Without
    ``budget.steps`` it is that of their lineage."""
    trainer = spec.trainer
    budget = spec.budget if steps else replace(spec.budget, steps=None)
    identity: dict[str, Any] = canonical(
        {
            "stage": spec.stage,
            "budget": budget.to_json(),
            "command": list(trainer.command) if trainer.command != BUILT_IN else None,
            "arguments": str(trainer.arguments),
            "config": dict(trainer.config),
            "env": dict(trainer.env),
            "revision": trainer.revision,
            "files": trainer.file_hashes(),
        }
    )
    return identity


def canonical(value: Any) -> Any:
    """Equal numbers become one spelling: ``1``, ``1.0`` and ``1e0`` are the same trial, and so are ``0`` and ``-0.0``.

    A double that is a whole number becomes that integer; others keep their shortest text by ``json.dumps``, which has
    all their bits.
    """
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(value)
    return value


def _twice(spec: SweepSpec, parameters: Mapping[str, Value]) -> InputError:
    """Trials differ by their parameters or seeds, so this is one chance in 2**50 for each pair."""
    words = ", ".join(f"{name}={text_of(value)}" for name, value in parameters.items())
    return InputError.of(str(spec.file), "parameters", f"two trials with one id, the second {words}", "another seed")
