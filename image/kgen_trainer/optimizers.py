"""The six optimizers of the article: Keras' own, with the framework's defaults but where a sweep says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from kgen.errors import BadParametersError
from kgen_trainer.values import FRACTION, NOT_NEGATIVE, POSITIVE, SWITCH, Rule, unknown

Overrides = tuple[tuple[str, float | bool], ...]
"""Settings of an optimizer other than its learning rate, sorted by name; hashable, as a key of programs."""

_COMMON: Final = {
    "weight_decay": NOT_NEGATIVE,
    "clipnorm": POSITIVE,
    "clipvalue": POSITIVE,
    "global_clipnorm": POSITIVE,
}


_INITIAL: Final = "initial_accumulator_value"


@dataclass(frozen=True, slots=True)
class Optimizer:
    """One choice of ``optimizer``."""

    keras_name: str
    learning_rate: float
    """Keras' default."""
    rules: Mapping[str, Rule]
    """Its own settings, beside those that all have."""
    defaults: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Where they are not Keras' own."""

    def read(self, where: str, values: Mapping[str, object]) -> Overrides:
        """Settings as a sweep wrote them. Raises BadParametersError for a wrong name or value."""
        rules = {**self.rules, **_COMMON}
        for name in values:
            if name not in rules:
                raise unknown(f"setting of {where}", name, rules)
        return tuple(sorted((name, rules[name].read(f"{where}.{name}", value)) for name, value in values.items()))


OPTIMIZERS: Final[Mapping[str, Optimizer]] = MappingProxyType(
    {
        "sgd": Optimizer("SGD", 0.01, {}),
        "momentum": Optimizer("SGD", 0.01, {"momentum": FRACTION, "nesterov": SWITCH}, {"momentum": 0.5}),
        "adam": Optimizer(
            "Adam", 0.001, {"beta_1": FRACTION, "beta_2": FRACTION, "epsilon": POSITIVE, "amsgrad": SWITCH}
        ),
        "adagrad": Optimizer("Adagrad", 0.001, {_INITIAL: NOT_NEGATIVE, "epsilon": POSITIVE}),
        "adadelta": Optimizer("Adadelta", 0.001, {"rho": FRACTION, "epsilon": POSITIVE}),
        "rmsprop": Optimizer(
            "RMSprop",
            0.001,
            {
                "rho": FRACTION,
                "momentum": FRACTION,
                "epsilon": POSITIVE,
                "centered": SWITCH,
                _INITIAL: NOT_NEGATIVE,
            },
        ),
    }
)
"""``momentum`` is gradient descent with the article's momentum of 0.5."""

PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, float]]]] = MappingProxyType(
    {
        "article": {
            "momentum": {"momentum": 0.5},
            "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
            "adagrad": {_INITIAL: 0.1},
            "adadelta": {"rho": 0.95, "epsilon": 1e-8},
            "rmsprop": {"rho": 0.9, "epsilon": 1e-10, _INITIAL: 1.0},
        }
    }
)
"""Settings of all optimizers under one name. ``article``: the defaults of TensorFlow 1 (``tensorflow/python/training``:
``adam.py``, ``adagrad.py``, ``adadelta.py``, ``rmsprop.py``), which the article *Which optimizer and learning rate
should I use for deep learning?* used, and its momentum. The formulas are those of Keras 3; what differs is the size of
epsilon, which Keras has as 1e-7 everywhere (Adagrad had none), and that RMSProp's accumulators began with 1, not 0."""


def build_optimizer(name: str, overrides: Overrides, weights: Sequence[Any]) -> Any:
    """A Keras optimizer of these variables, whose learning rate is one too. Raises BadParametersError for settings that
    exclude each other, such as two kinds of clipping."""
    from kgen_trainer.backend import keras  # here, so that settings can be read without TensorFlow

    kind = OPTIMIZERS[name]
    settings = {**kind.defaults, **dict(overrides)}
    # Keras' own RMSprop has no such setting.
    initial = settings.pop(_INITIAL, None) if name == "rmsprop" else None
    try:
        optimizer = getattr(keras.optimizers, kind.keras_name)(learning_rate=kind.learning_rate, **settings)
    except ValueError as error:
        raise BadParametersError(f"optimizers.{name}: {error}") from error
    optimizer.build(weights)
    if initial is not None:
        for velocity in optimizer._velocities:  # there is no other way to them
            velocity.assign(keras.ops.full_like(velocity, initial))
    return optimizer


def residual_shrinks(name: str, overrides: Overrides) -> bool:
    """Whether the steps that an optimizer still takes when all gradients are zero only get smaller.

    SGD, Adagrad, Adadelta and RMSprop take none. Momentum's is multiplied by ``momentum`` < 1 each time. Adam's at
    step t is proportional to sqrt(b2^-t - 1) / (b1^-t - 1) times sqrt(v) / (sqrt(v) + epsilon), where sqrt(v) falls:
    with x / (1 - e^-x) rising in x, the logarithm of the first factor falls for every t > 0 if b1^2 < b2, as it does
    with Adam's defaults, so Adam counts only then. (AMSGrad's v stays, and the same holds.)
    """
    if name != "adam":
        return True
    settings = {"beta_1": 0.9, "beta_2": 0.999, **dict(overrides)}
    return bool(settings["beta_1"] ** 2 < settings["beta_2"])
