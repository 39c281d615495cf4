"""What kgen's own trainer takes and reports: one list, for :mod:`kgen.sweep`, which checks a file before anything
starts, and for the trainer itself, which the command line can't ask, because it needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DATASETS: Final = ("digits", "mnist", "cifar10", "npz")
MODELS: Final = ("cnn-small", "cnn-tutorial")
_COMMON: Final = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
OPTIMIZERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sgd": _COMMON,
        "momentum": ("momentum", "nesterov", *_COMMON),
        "adam": ("beta_1", "beta_2", "epsilon", "amsgrad", *_COMMON),
        "adagrad": ("initial_accumulator_value", "epsilon", *_COMMON),
        "adadelta": ("rho", "epsilon", *_COMMON),
        "rmsprop": ("rho", "momentum", "epsilon", "centered", "initial_accumulator_value", *_COMMON),
    }
)
"""Each with the settings that it may have in ``optimizers`` of the configuration."""
OPTIMIZER_PRESETS: Final = ("article",)
"""Names that may stand there in place of settings."""

CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"dataset": DATASETS, "model": MODELS, "optimizer": tuple(OPTIMIZERS)}
)
"""Settings that are one of these names."""
PARAMETERS: Final = ("dataset", "data", "model", "scale", "batch_size", "dropout", "optimizer", "learning_rate")
"""Settings that a sweep may vary; each may stand in ``trainer.config`` as well."""
CONFIG_ONLY: Final = ("optimizers", "range_test", "checkpoint_every_seconds", "stop_dead")

METRICS: Final = ("train_accuracy", "running_accuracy", "loss", "val_accuracy", "val_loss")
"""What it reports at checks, and so what a target may be of."""
OTHER_METRICS: Final = ("weights", "learning_rate")
"""What it reports beside them: the first report says how many weights there are, those of a range test its rate."""
