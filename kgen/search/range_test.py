"""The learning-rate range test: one short run of each group with a rising rate says where to look.

L. N. Smith (2017), "Cyclical learning rates for training neural networks", WACV. The rate is read off where the
smoothed loss falls fastest on the logarithm of the rate, the rule that fastai's ``lr_find`` calls ``steep``. Its other
rule, a tenth of the rate with the smallest loss, was a decade too low for three of six optimizers on digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from kgen.analysis.tried import Tried
from kgen.search.bisection import line_of
from kgen.search.space import Group, Point
from kgen.sweep.stages import RISES_TO

RATE: Final = "learning_rate"
LOSS: Final = "loss"
_SMOOTH: Final = 3.0
"""Checks: standard deviation of the weights of the moving mean."""


def rising_point(group: Group) -> Point | None:
    """The range test of a group, from the lowest rate to the highest; ``None`` where it chooses something else."""
    found = line_of(group)
    if found is None or found[1].name != RATE:
        return None
    space, axis = found
    return {**space.point([0.0]), RISES_TO: axis.at(1.0)}


def suggested(test: Tried) -> float | None:
    """The rate that a range test suggests; ``None`` where its curve shows no fall of the loss."""
    losses = dict(test.curve.get(LOSS, ()))
    pairs = [(rate, losses[step]) for step, rate in test.curve.get(RATE, ()) if step in losses]
    pairs = [(math.log10(rate), loss) for rate, loss in pairs if rate > 0 and math.isfinite(loss)]
    if len(pairs) < 3:
        return None
    places, loss = np.array(pairs).T
    order = np.argsort(places, kind="stable")
    # A loss that explodes must not drag the mean of those before it up.
    smooth = gaussian_filter1d(np.minimum(loss, 2 * loss[0])[order], _SMOOTH, mode="nearest")
    places = places[order]
    lowest = int(np.argmin(smooth))
    if lowest == 0:
        return None
    falls = np.gradient(smooth[: lowest + 1], places[: lowest + 1])
    return float(10 ** places[int(np.argmin(falls))])


def suggestion(group: Group, tried: Sequence[Tried]) -> Point | None:
    """The point that the range tests of a group suggest, of those allowed; ``None`` where they say nothing."""
    found = line_of(group)
    places = [math.log10(rate) for one in tried if one.is_range_test and (rate := suggested(one)) is not None]
    if found is None or not places:
        return None
    space, axis = found
    return space.point([min(max((float(np.mean(places)) - axis.low) / axis.span, 0.0), 1.0)])
