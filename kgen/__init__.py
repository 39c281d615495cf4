"""kgen: deep-learning sweeps from one file. The names in ``__all__`` are the public API, imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kgen.analysis import Analysis, analyse
    from kgen.plan import Plan
    from kgen.report import write_report
    from kgen.results.collect import Certificate, Results, collect
    from kgen.results.rows import TrialRow
    from kgen.spec import Budget, Objective, Target, TrialSpec
    from kgen.sweep import SweepSpec, expand, load
    from kgen.workflow.plan import make_plan
    from kgen.workflow.run import run_sweep

_HOMES: Final = {
    "Analysis": "kgen.analysis",
    "Budget": "kgen.spec",
    "Certificate": "kgen.results.collect",
    "Objective": "kgen.spec",
    "Plan": "kgen.plan",
    "Results": "kgen.results.collect",
    "SweepSpec": "kgen.sweep",
    "Target": "kgen.spec",
    "TrialRow": "kgen.results.rows",
    "TrialSpec": "kgen.spec",
    "analyse": "kgen.analysis",
    "collect": "kgen.results.collect",
    "expand": "kgen.sweep",
    "load": "kgen.sweep",
    "make_plan": "kgen.workflow.plan",
    "run_sweep": "kgen.workflow.run",
    "write_report": "kgen.report",
}

__all__ = [
    "Analysis",
    "Budget",
    "Certificate",
    "Objective",
    "Plan",
    "Results",
    "SweepSpec",
    "Target",
    "TrialRow",
    "TrialSpec",
    "__version__",
    "analyse",
    "collect",
    "expand",
    "load",
    "make_plan",
    "run_sweep",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kgen' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
