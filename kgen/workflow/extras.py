"""What a sweep needs that is not installed."""

from __future__ import annotations

import importlib.util

from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Method


def lacking_extra(spec: SweepSpec) -> str:
    """What of the sweep's searches needs an extra that is not installed here, in words; empty where nothing does."""
    stages = [stage.name for stage in spec.stages if stage.search and stage.search.method is Method.TPE]
    if not stages or importlib.util.find_spec("optuna"):
        return ""
    return f"the search method tpe (stage {', '.join(stages)})"
