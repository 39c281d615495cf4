"""Which trials can be trained together here."""

from __future__ import annotations

from typing import Final

from kgen_trainer.backend import tf
from kgen_trainer.fused.updates import known_settings
from kgen_trainer.models import PRESETS
from kgen_trainer.settings import Settings

MOST_FILTERS: Final = 64
"""Of both convolutions' filters multiplied: beyond that a framework's own kernels keep a core busy with one trial."""


def is_fusable(settings: Settings) -> str | None:
    """Why a trial can't be trained among others, in words; None where it can."""
    if tf.config.list_physical_devices("GPU"):
        return "fused training runs on processors, and this trial has a GPU"
    if settings.range_test is not None:
        return "the learning rate of a range test rises while it trains"
    widths = PRESETS[settings.model].scaled(settings.scale)
    if widths.conv1 * widths.conv2 > MOST_FILTERS:
        return f"a model with {widths.conv1} and {widths.conv2} filters keeps a core busy by itself"
    unknown = sorted({name for name, _ in settings.overrides} - known_settings(settings.optimizer))
    if unknown:
        return f"fused training does not know {', '.join(unknown)} of {settings.optimizer}"
    return None
