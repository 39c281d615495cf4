"""Numbers that others have published, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What was published of one optimizer."""

    working: int
    """Learning rates that reached the target."""
    tried: int
    low: float
    """Lowest rate that did."""
    high: float
    best: float
    """Fastest at this rate."""
    seconds: float
    """There."""
    holes: bool = False
    """Whether rates inside the band failed."""
    accuracy: float | None = None
    """Highest validation accuracy."""
    accuracy_at: float | None = None
    """The rate at which that was; ``None`` where it is the fastest one."""


@dataclass(frozen=True, slots=True)
class Size:
    """What was published of one learning rate on growing models: seconds to 96 % against the factor."""

    slope: float
    """Seconds for each 1 more of scale."""
    r2: float
    failed: int = 0
    """Sizes of 36 that did not get there."""


@dataclass(frozen=True, slots=True)
class Work:
    """One published experiment."""

    name: str
    source: str
    hardware: str
    framework: str
    data: str
    target: str
    cap: str
    optimizers: Mapping[str, Optimizer]
    """By our names."""
    sizes: Mapping[float, Size]
    """By learning rate, of Adam."""
    regret_mean: float
    regret_worst: float


ARTICLE: Final = Work(
    name="Which optimizer and learning rate should I use for deep learning?",
    source="the author's published data, which are in the public domain",
    hardware="one Tesla K80, trials one after another",
    framework="TensorFlow 1, its optimizers with their defaults (momentum 0.5)",
    data="MNIST, all of it",
    target="97 % training accuracy (96 % in the scale stage), TensorFlow's cumulative metric with dropout on",
    cap="120 s",
    optimizers=MappingProxyType(
        {
            "sgd": Optimizer(6, 47, 0.0464, 0.316, 0.215, 7.0, accuracy=0.936),
            "momentum": Optimizer(7, 48, 0.0215, 0.215, 0.215, 12.4, accuracy=0.942),
            "adagrad": Optimizer(6, 48, 0.0215, 0.147, 0.1, 7.8, accuracy=0.937),
            "adam": Optimizer(15, 48, 0.0000464, 0.01, 0.00147, 8.3, accuracy=0.959),
            "adadelta": Optimizer(13, 48, 0.316, 46.4, 21.5, 8.4, accuracy=0.951, accuracy_at=3.16),
            "rmsprop": Optimizer(4, 48, 0.000316, 0.00147, 0.00147, 83.7, holes=True, accuracy=0.605),
        }
    ),
    sizes=MappingProxyType(
        {
            1e-4: Size(14.0, 0.98),
            5e-4: Size(8.0, 0.96),
            1e-3: Size(8.3, 0.94),
            1.46e-3: Size(9.9, 0.93),
            5e-3: Size(18.6, 0.85),
            1e-2: Size(17.3, 0.79, failed=13),
        }
    ),
    regret_mean=0.14,
    regret_worst=0.67,
)
WORKS: Final[Mapping[str, Work]] = MappingProxyType({"article": ARTICLE})
"""By the name that a sweep file calls them by."""
