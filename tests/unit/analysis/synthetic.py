"""Trials made up for tests: small tables by hand, and a sweep with the shape of the article's."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from kgen.spec import Budget, Objective, Target

TARGET = Target("train_accuracy", 0.97)
BUDGET = Budget(target=TARGET, steps=2000, seconds=120.0)
STEPS = Objective()

_FIXED: dict[str, Any] = {
    "steps": None,
    "steps_to_target": None,
    "seconds_to_target": None,
    "seconds": None,
    "total_seconds": None,
    "timing": None,
    "resumed_from_step": None,
    "exit_reason": None,
    "attempt": None,
    "node": None,
    "device": None,
    "image": None,
    "revision": None,
    "kgen": None,
    "trainer": None,
    "framework": None,
    "framework_version": None,
    "python": None,
    "started": None,
    "ended": None,
    "log": None,
}
_COMPLETE: dict[str, Any] = {
    "timing": "exclusive",
    "attempt": "a1",
    "node": "node-1",
    "device": "Tesla K80",
    "image": "registry.example/trainer:1",
    "revision": "r1",
    "kgen": "0.1.0",
    "trainer": "kgen_trainer 0.1.0",
    "framework": "tensorflow",
    "framework_version": "2.18.0",
    "python": "3.11.9",
    "started": pd.Timestamp("2026-01-02 03:04:05", tz="UTC"),
    "ended": pd.Timestamp("2026-01-02 03:05:05", tz="UTC"),
}
NO_CURVES = pd.DataFrame({"trial": [], "step": [], "seconds": [], "metric": [], "value": []})


def reached(steps: int, seconds: float | None = None) -> dict[str, Any]:
    """A trial that got there."""
    took = steps / 100 if seconds is None else seconds
    return {"status": "reached", "steps": steps, "steps_to_target": steps, "seconds_to_target": took, "seconds": took}


def capped(steps: int = 2000, seconds: float = 20.0) -> dict[str, Any]:
    """A trial that spent its budget."""
    return {"status": "capped", "steps": steps, "seconds": seconds}


def diverged(steps: int = 50) -> dict[str, Any]:
    """A trial that can't get there any more."""
    return {"status": "diverged", "steps": steps, "seconds": steps / 100, "exit_reason": "loss is nan at step 50"}


def failed(reason: str = "ValueError: no") -> dict[str, Any]:
    """A trial that crashed."""
    return {"status": "failed", "exit_reason": reason, "log": "Traceback …\n" + reason}


def missing() -> dict[str, Any]:
    """A trial of which nothing is known."""
    return {"status": "missing"}


def finished(**metrics: float) -> dict[str, Any]:
    """A trial that ran to its end, with its final metrics."""
    found: dict[str, Any] = {"status": "finished", "steps": 2000, "seconds": 20.0}
    for name, value in metrics.items():
        found |= {f"final.{name}": value, f"min.{name}": value - 0.01, f"max.{name}": value + 0.01}
    return found


def table(trials: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], seeds: Sequence[int] = ()) -> pd.DataFrame:
    """The trials' table of (parameters, what came of it) pairs, as ``kgen collect`` types it."""
    names = list(dict.fromkeys(name for parameters, _ in trials for name in parameters))
    rows = []
    for number, (parameters, outcome) in enumerate(trials):
        known = _COMPLETE if outcome["status"] not in ("failed", "missing") else {}
        row = {"trial": f"trial{number:05d}", "stage": "main", "seed": seeds[number] if seeds else 1}
        row |= {f"param.{name}": parameters.get(name) for name in names}
        rows.append({**row, **_FIXED, **known, **outcome})
    frame = pd.DataFrame(rows)
    for name in ("steps", "steps_to_target", "resumed_from_step"):
        frame[name] = frame[name].astype("Int64")
    for name in ("seconds_to_target", "seconds", "total_seconds"):
        frame[name] = frame[name].astype("float64")
    for name in names:
        present = [value for value in frame[f"param.{name}"] if not pd.isna(value)]
        if present and all(type(value) is int for value in present):
            frame[f"param.{name}"] = frame[f"param.{name}"].astype("Int64")
    return frame


RATES = [10 ** (k / 6) for k in range(-36, 13) if k != 0]
# Optimizer: lowest and highest rate of its band (as powers of ten), steps at the bottom of its valley.
_VALLEYS = {
    "sgd": (-1.35, -0.45, 700),
    "momentum": (-1.7, -0.6, 750),
    "adam": (-4.4, -1.95, 350),
    "adagrad": (-1.7, -0.8, 600),
    "adadelta": (-0.55, 1.7, 550),
    "rmsprop": (-3.55, -2.8, 800),
}


def article(repeats: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six optimizers by 48 rates: a noisy valley each, too low a rate capped, too high a rate capped or diverged.

    One trial crashed and one is missing; RMSProp's band has a hole. Returns the trials and their curves.
    """
    noise = random.Random(7)
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
    seeds: list[int] = []
    curves: list[dict[str, Any]] = []
    for optimizer, (low, high, steps) in _VALLEYS.items():
        for rate in RATES:
            for repeat in range(repeats):
                outcome = _outcome(optimizer, math.log10(rate), low, high, steps, noise)
                curves.extend(_curve(f"trial{len(rows):05d}", outcome))
                rows.append(({"optimizer": optimizer, "learning_rate": rate}, outcome))
                seeds.append(3141592 + repeat)
    rows[40] = (rows[40][0], failed("MemoryError: 12 GB"))
    rows[repeats * 100] = (rows[repeats * 100][0], missing())
    return table(rows, seeds), pd.DataFrame(curves)


def _outcome(optimizer: str, rate: float, low: float, high: float, steps: int, noise: random.Random) -> dict[str, Any]:
    if low <= rate <= high and not (optimizer == "rmsprop" and round(rate * 6) == -19):
        edge = abs(rate - (low + high) / 2) / ((high - low) / 2)
        took = steps * (1 + 1.2 * edge**2) * noise.choice([0.8, 0.9, 1, 1, 1.1, 1.3, 1.9])
        took = min(50 * math.ceil(took / 50), 2000)
        return {**reached(took, took / 97 * noise.uniform(0.98, 1.03)), "final.train_accuracy": 0.972}
    if rate > high + 1.5 or (rate > high and noise.random() < 0.4):
        return {**diverged(50 * noise.randint(1, 8)), "final.train_accuracy": 0.098}
    gap = min(abs(rate - low), abs(rate - high))
    return {**capped(2000, 20.4), "final.train_accuracy": round(max(0.1, 0.95 - 0.25 * gap), 4)}


def _curve(trial: str, outcome: Mapping[str, Any]) -> list[dict[str, Any]]:
    end, last = outcome["final.train_accuracy"], outcome["steps"]
    lines = []
    for step in range(50, last + 1, 50):
        value = end * (1 - math.exp(-4 * step / last)) / (1 - math.exp(-4))
        lines.append({"trial": trial, "step": step, "seconds": step / 97, "metric": "train_accuracy", "value": value})
    return lines
