"""``trainer.config`` and the parameters of a trial, read and checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kgen.built_in import CHOICES, CONFIG_ONLY, PARAMETERS
from kgen.errors import BadParametersError
from kgen.trial import Trial
from kgen_trainer.optimizers import OPTIMIZERS, PRESETS, Overrides
from kgen_trainer.range_test import RangeTest
from kgen_trainer.values import COUNT, FRACTION, POSITIVE, SWITCH, TEXT, Rule, choose, unknown

_RULES: Final[Mapping[str, Rule]] = {
    "data": TEXT,
    "scale": POSITIVE,
    "batch_size": COUNT,
    "dropout": FRACTION,
    "learning_rate": POSITIVE,
    "checkpoint_every_seconds": POSITIVE,
    "stop_dead": SWITCH,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is trained, and how. Each is a key of ``trainer.config`` or a parameter of the sweep, which wins.

    ``optimizers`` in the configuration holds the other settings of the optimizers, for the trials that use them::

        optimizers: {adam: {epsilon: 1e-8}, momentum: {momentum: 0.9, nesterov: true}}

    or the name of one of :data:`kgen_trainer.optimizers.PRESETS`.
    """

    dataset: str = "digits"
    """One of :data:`kgen.built_in.DATASETS`; see :mod:`kgen_trainer.data`."""
    data: str | None = None
    """Path of a Keras-layout ``.npz``; needed for ``npz``, optional for ``mnist`` and ``cifar10``."""
    model: str = "cnn-small"
    """One of :data:`kgen.built_in.MODELS`; see :mod:`kgen_trainer.models`."""
    scale: float = 1.0
    """Factor of the number of convolutional filters and of the width of the first dense layer."""
    batch_size: int = 100
    """Examples per training step."""
    dropout: float = 0.4
    """Share of the first dense layer's units that a training step leaves out."""
    optimizer: str = "adam"
    """One of :data:`kgen_trainer.optimizers.OPTIMIZERS`."""
    learning_rate: float = OPTIMIZERS["adam"].learning_rate
    """Keras' default of the optimizer where a sweep does not name one."""
    overrides: Overrides = ()
    """Other settings of the optimizer."""
    checkpoint_every_seconds: float | None = None
    """How often a trial that may be killed saves itself at most, in seconds of the clock on the wall; None is never."""
    range_test: RangeTest | None = None
    """In place of a learning rate: one that rises while the trial trains (:mod:`kgen_trainer.range_test`)."""
    stop_dead: bool = True
    """Whether a trial ends when its network provably can't learn any more (:mod:`kgen_trainer.dead`)."""

    @classmethod
    def from_trial(cls, trial: Trial) -> Settings:
        """Raises BadParametersError for an unknown name, a value of the wrong type or out of range, or keys that
        don't go together."""
        _check_names("parameter", trial.parameters, PARAMETERS)
        _check_names("key in config", trial.config, (*PARAMETERS, *CONFIG_ONLY))
        given: dict[str, Any] = {}
        overrides = _read_optimizers(trial.config.get("optimizers", {}))
        for source, values in (("config", trial.config), ("parameter", trial.parameters)):
            for name, value in values.items():
                if name in CHOICES:
                    given[name] = choose(name, value, CHOICES[name])
                elif name in _RULES:
                    given[name] = _RULES[name].read(f"{source} {name}", value)
        if "range_test" in trial.config:
            given["range_test"] = _read_range_test(trial, given)
        optimizer = given.get("optimizer", cls().optimizer)
        given.setdefault("learning_rate", OPTIMIZERS[optimizer].learning_rate)
        settings = cls(**given, overrides=overrides.get(optimizer, ()))
        if settings.dataset == "npz" and settings.data is None:
            raise BadParametersError("dataset npz needs data: the path of a file with x_train, y_train, x_test, y_test")
        if settings.dataset == "digits" and settings.data is not None:
            raise BadParametersError("data is given, but dataset is digits: use dataset npz, mnist or cifar10")
        return settings

    def without_learning_rate(self) -> Settings:
        """The part that a compiled program depends on; the learning rate is a variable of it."""
        rate = OPTIMIZERS[self.optimizer].learning_rate
        return dataclasses.replace(
            self, learning_rate=rate, range_test=None, checkpoint_every_seconds=None, stop_dead=True
        )

    def shape(self) -> Settings:
        """The part that trials must share to train in one program: all but the optimizer and its settings."""
        one = self.without_learning_rate()
        default = Settings()
        return dataclasses.replace(
            one, optimizer=default.optimizer, learning_rate=default.learning_rate, overrides=default.overrides
        )


def _check_names(what: str, values: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for name in values:
        if name not in allowed:
            raise unknown(what, name, allowed)


def _read_range_test(trial: Trial, given: Mapping[str, Any]) -> RangeTest:
    read = RangeTest.read(trial.config["range_test"])
    if "learning_rate" in given:
        raise BadParametersError(
            "config range_test: found beside learning_rate, allowed one of the two: in a range test the rate rises"
        )
    read.check_budget(trial.budget)
    return read


def _read_optimizers(value: object) -> dict[str, Overrides]:
    """All of them are checked, not only this trial's: one mistake should not fail a sixth of a sweep."""
    if isinstance(value, str):
        value = PRESETS[choose("preset in config optimizers", value, PRESETS)]
    if not isinstance(value, Mapping):
        raise BadParametersError(
            f"config optimizers: found {value!r}, allowed a mapping from optimizer to its settings, or the name of a "
            f"preset: {', '.join(PRESETS)}"
        )
    read: dict[str, Overrides] = {}
    for name, settings in value.items():
        choose("optimizer in config optimizers", name, OPTIMIZERS)
        if not isinstance(settings, Mapping):
            raise BadParametersError(f"config optimizers.{name}: found {settings!r}, allowed a mapping of settings")
        read[name] = OPTIMIZERS[name].read(f"optimizers.{name}", settings)
    return read
