"""Trials of the built-in trainer, trained in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgen.spec import Budget, TrialSpec
from kgen.trial import Trial
from kgen_trainer import train

Train = Callable[..., Trial]
WriteNpz = Callable[..., str]


@pytest.fixture
def new_trial(tmp_path: Path) -> Train:
    """A trial from parameters, configuration, seed and budget."""

    def make(
        parameters: Mapping[str, Any],
        config: Mapping[str, Any] | None = None,
        seed: int = 1,
        clock: Callable[[], float] = time.perf_counter,
        **budget: Any,
    ) -> Trial:
        spec = TrialSpec("aaaaaaaaaa", "sweep", "main", parameters, seed, Budget(**budget), config=config or {})
        return Trial(spec, checkpoints=tmp_path / "checkpoints", clock=clock)

    return make


@pytest.fixture
def run(new_trial: Train) -> Train:
    """Such a trial, after training."""

    def run_trial(*args: Any, **kwargs: Any) -> Trial:
        trial = new_trial(*args, **kwargs)
        train(trial)
        return trial

    return run_trial


@pytest.fixture
def write_npz(tmp_path: Path) -> WriteNpz:
    """A small Keras-layout file: 40 random gray images of 8×8 in three classes, ten of them held out; arrays given by
    name replace its own, None leaves one out."""

    def write(**arrays: Any) -> str:
        random = np.random.default_rng(0)
        own = {
            "x_train": random.integers(0, 256, (30, 8, 8), np.uint8),
            "y_train": np.arange(30, dtype=np.uint8) % 3,
            "x_test": random.integers(0, 256, (10, 8, 8), np.uint8),
            "y_test": np.arange(10, dtype=np.uint8) % 3,
        }
        path = tmp_path / "data.npz"
        np.savez(path, **{name: array for name, array in {**own, **arrays}.items() if array is not None})
        return str(path)

    return write
