"""The steps of Keras' optimizers for many lanes at once, each with its own learning rate.

One function for each kind, over the lanes that share its settings: w, g [lanes, weights] are weights and gradients, h
[lanes, 1] the learning rates, e the setting ``epsilon``, the others the optimizer's own variables; all are changed in
place, element by element, so that no lane sees another. Formulas, and the places of e, are those of Keras 3
(``keras/src/optimizers``); b, b1, b2, r are ``momentum``, ``beta_1``, ``beta_2``, ``rho``.

========  ==========================================================================================================
sgd       w ← w - hg                                                                             (Robbins, Monro, 1951)
momentum  m ← bm - hg;  w ← w + m;  Nesterov: w ← w + bm - hg                                            (Polyak, 1964)
adam      m ← m + (1-b1)(g-m);  v ← v + (1-b2)(g²-v);  w ← w - am / (√v + e),  a = h √(1-b2ᵗ) / (1-b1ᵗ);
          AMSGrad: the largest v so far in place of v                             (Kingma, Ba, 2015; Reddi et al., 2018)
adagrad   s ← s + g²;  w ← w - hg / √(s + e)                                                        (Duchi et al., 2011)
adadelta  s ← rs + (1-r)g²;  d = g √(u + e) / √(s + e);  u ← ru + (1-r)d²;  w ← w - hd                  (Zeiler, 2012)
rmsprop   v ← rv + (1-r)g²;  d = hg / √(v + e);  centered: c ← rc + (1-r)g, and v - c² in place of v;
          with momentum: m ← bm + d in place of d;  w ← w - d                                   (Tieleman, Hinton, 2012)
========  ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgen_trainer.optimizers import OPTIMIZERS, Overrides

Floats = NDArray[np.float32]
SLOTS: Final = 3
"""Variables of its own that an optimizer has at most, each as large as the weights."""
_ONE: Final = np.float32(1)
_DEFAULTS: Final[Mapping[str, Mapping[str, float]]] = {
    "sgd": {},
    "momentum": {"nesterov": False},
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "adagrad": {"initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "adadelta": {"rho": 0.95, "epsilon": 1e-7},
    "rmsprop": {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False, "initial_accumulator_value": 0.0},
}
"""Keras' own, where a sweep says nothing."""


def known_settings(kind: str) -> frozenset[str]:
    """Settings of an optimizer that are understood here."""
    return frozenset({*_DEFAULTS[kind], *OPTIMIZERS[kind].defaults})


def fresh_slots(kind: str, overrides: Overrides, weights: int) -> Floats:
    """The variables of one lane before the first step [:data:`SLOTS`, weights]."""
    slots = np.zeros((SLOTS, weights), np.float32)
    if kind in ("adagrad", "rmsprop"):
        slots[0] = _settings(kind, overrides)["initial_accumulator_value"]
    return slots


def update(
    kind: str, overrides: Overrides, step: int, rates: Floats, weights: Floats, slots: Floats, gradients: Floats
) -> None:
    """One step, the ``step``-th from 1, of lanes with the same optimizer and settings: ``rates`` [lanes, 1], ``slots``
    [lanes, :data:`SLOTS`, weights]. The gradients are spoilt."""
    own = [slots[:, slot] for slot in range(SLOTS)]
    _UPDATES[kind](_settings(kind, overrides), step, rates, weights, own, gradients)


def _settings(kind: str, overrides: Overrides) -> Mapping[str, Any]:
    return {**_DEFAULTS[kind], **OPTIMIZERS[kind].defaults, **dict(overrides)}


_Settings = Mapping[str, Any]
_Update = Callable[[_Settings, int, Floats, Floats, list[Floats], Floats], None]


def _sgd(_: _Settings, step: int, rates: Floats, w: Floats, slots: list[Floats], g: Floats) -> None:
    g *= rates
    w -= g


def _momentum(settings: _Settings, step: int, rates: Floats, w: Floats, slots: list[Floats], g: Floats) -> None:
    m, beta = slots[0], np.float32(settings["momentum"])
    g *= rates
    if not beta:  # as Keras does, for which it is no momentum then
        w -= g
        return
    m *= beta
    m -= g
    w += m * beta - g if settings["nesterov"] else m


def _adam(settings: _Settings, step: int, rates: Floats, w: Floats, slots: list[Floats], g: Floats) -> None:
    m, v, largest = slots
    beta_1, beta_2 = np.float32(settings["beta_1"]), np.float32(settings["beta_2"])
    alpha = rates * np.sqrt(_ONE - beta_2 ** np.float32(step)) / (_ONE - beta_1 ** np.float32(step))
    m += (g - m) * np.float32(1 - settings["beta_1"])
    np.square(g, out=g)
    g -= v
    g *= np.float32(1 - settings["beta_2"])
    v += g
    if settings["amsgrad"]:
        v = np.maximum(largest, v, out=largest)
    root = np.sqrt(v, out=g)
    root += np.float32(settings["epsilon"])
    w -= m * alpha / root


def _adagrad(settings: _Settings, step: int, rates: Floats, w: Floats, slots: list[Floats], g: Floats) -> None:
    a = slots[0]
    a += np.square(g)
    g *= rates
    g /= np.sqrt(a + np.float32(settings["epsilon"]))
    w -= g


def _adadelta(settings: _Settings, step: int, rates: Floats, w: Floats, slots: list[Floats], g: Floats) -> None:
    (a, u, _), rho, epsilon = slots, np.float32(settings["rho"]), np.float32(settings["epsilon"])
    rest = np.float32(1 - settings["rho"])
    a *= rho
    a += np.square(g) * rest
    g *= np.sqrt(u + epsilon)
    g /= np.sqrt(a + epsilon)  # the step the other way round
    u *= rho
    u += np.square(g) * rest
    g *= rates
    w -= g


def _rmsprop(settings: _Settings, step: int, rates: Floats, w: Floats, slots: list[Floats], g: Floats) -> None:
    (v, m, c), rho, momentum = slots, np.float32(settings["rho"]), np.float32(settings["momentum"])
    rest = np.float32(1 - settings["rho"])
    v *= rho
    v += np.square(g) * rest
    spread = v + np.float32(settings["epsilon"])
    if settings["centered"]:
        c *= rho
        c += g * rest
        spread -= np.square(c)
    g *= rates
    g /= np.sqrt(spread, out=spread)
    if momentum:
        m *= momentum
        m += g
        g = m
    w -= g


_UPDATES: Final[Mapping[str, _Update]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "adam": _adam,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "rmsprop": _rmsprop,
}
