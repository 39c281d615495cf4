"""Seconds of trials that had company, predicted from trials that were trained alone as well.

A trial in a fused program, or on a shared device, has no seconds of its own. Where some trials of the sweep also have a
result for which they had their device to themselves, seconds per step are known from these: steps to the target times
that is a prediction, and stands nowhere under another name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kgen.results.rows import PARAMETER_PREFIX
from kgen.results.tables import to_frame
from kgen.spec import SECONDS_TO_TARGET, STEPS_TO_TARGET

ALONE_STEPS: Final = "alone_steps"
"""Column: last step of the trial's result that was trained alone; null where there is none."""
ALONE_SECONDS: Final = "alone_seconds"
"""Column: counted seconds of that result."""
ALONE_DEVICE: Final = "alone_device"
"""Column: the device that it had to itself."""
PREDICTED_SECONDS_TO_TARGET: Final = "predicted_seconds_to_target"
"""Column: steps to the target times seconds per step alone; null where the target was not reached."""


def with_predictions(trials: pa.Table, rows: pa.Table, alone: Sequence[int | None]) -> pa.Table:
    """The table of trials with the four columns above, right of the measured seconds.

    ``alone`` has for each trial the position among ``rows`` of its result that was trained alone. Only those of the
    commonest kind of device are taken, because seconds of different devices have nothing in common.
    """
    picked = rows.select(["steps", "seconds", "device"]).take(pa.array(alone, pa.int64()))
    devices = Counter(name for name in picked["device"].to_pylist() if name is not None)
    chosen = min(devices, key=lambda name: (-devices[name], name))
    keep = [i if name == chosen else None for i, name in zip(alone, picked["device"].to_pylist(), strict=True)]
    picked = rows.select(["steps", "seconds", "device"]).take(pa.array(keep, pa.int64()))
    place = trials.schema.get_field_index(SECONDS_TO_TARGET) + 1
    for name, column in ((ALONE_DEVICE, "device"), (ALONE_SECONDS, "seconds"), (ALONE_STEPS, "steps")):
        trials = trials.add_column(place, name, picked[column])
    frame = to_frame(trials)
    predicted = frame[STEPS_TO_TARGET].astype("Float64").astype(float) * seconds_per_step(frame)
    return trials.add_column(place, PREDICTED_SECONDS_TO_TARGET, pa.array(predicted, pa.float64(), from_pandas=True))


def _sized_parameters(trials: pd.DataFrame) -> tuple[str, ...]:
    """Columns of the parameters that may make a step dearer, such as the batch size: all but the learning rate."""
    names = (str(name) for name in trials.columns if str(name).startswith(PARAMETER_PREFIX))
    return tuple(name for name in names if name != f"{PARAMETER_PREFIX}learning_rate")


def text_parameters(trials: pd.DataFrame) -> tuple[str, ...]:
    """Columns of the parameters that are text, such as the optimizer: by their values seconds per step differ."""
    names = [str(name) for name in trials.columns if str(name).startswith(PARAMETER_PREFIX)]
    return tuple(name for name in names if not pd.api.types.is_numeric_dtype(trials[name]))


def seconds_per_step(trials: pd.DataFrame, *, without_itself: bool = False) -> pd.Series[float]:
    """Of each trial, were it trained alone: the median over those of its stage that were and have the same parameters
    but for the learning rate; where there are none such, over those with the same text parameters, else over all of the
    stage; NaN where there are none at all.

    ``without_itself`` leaves the trial's own measurement out, which shows how far such a prediction can be trusted.
    """
    seconds = trials[ALONE_SECONDS].astype(float).to_numpy()
    steps = trials[ALONE_STEPS].astype("Float64").astype(float).to_numpy()
    paces = seconds / steps
    timed: list[int] = np.flatnonzero(np.isfinite(paces)).tolist()
    # Another stage may have another model or other data.
    own = ("stage",) if "stage" in trials else ()
    levels = [_Groups(trials, (*own, *by), timed) for by in (_sized_parameters(trials), text_parameters(trials), ())]
    out = np.full(len(trials), np.nan)
    for i in range(len(trials)):
        excluded = i if without_itself else None
        found = next(filter(None, (level.alike(i, excluded) for level in levels)), [])
        if found:
            out[i] = np.median(paces[found])
    return pd.Series(out, index=trials.index)


class _Groups:
    """Trials that were trained alone, by their values of some parameters."""

    def __init__(self, trials: pd.DataFrame, names: Sequence[str], timed: Sequence[int]) -> None:
        texts = [trials[name].astype("string").fillna("").tolist() for name in names]
        self._kinds: list[tuple[str, ...]] = list(zip(*texts, strict=True)) or [()] * len(trials)
        self._members: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i in timed:
            self._members[self._kinds[i]].append(i)

    def alike(self, trial: int, excluded: int | None) -> list[int]:
        """Those with the same values as this trial, but for one."""
        return [i for i in self._members.get(self._kinds[trial], ()) if i != excluded]
