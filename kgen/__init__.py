"""kgen: deep-learning sweeps from one file. The names in ``__all__`` are the public API, imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kgen.analysis import Analysis, analyse
    from kgen.backends.kubernetes.api import Api, connect
    from kgen.plan import Plan
    from kgen.render import Rendered
    from kgen.render.manifest import Manifest
    from kgen.report import write_report
    from kgen.results.certificate import Certificate
    from kgen.results.collect import Results, collect
    from kgen.results.rows import TrialRow
    from kgen.spec import Budget, Objective, Target, TrialSpec
    from kgen.status import TrialStatus
    from kgen.sweep import SweepSpec, expand, load
    from kgen.workflow.observe import SeenSweep, see_sweep
    from kgen.workflow.plan import make_plan
    from kgen.workflow.prepare import prepare
    from kgen.workflow.recommend import Advice, recommend
    from kgen.workflow.render import render_sweep
    from kgen.workflow.run import run_sweep
    from kgen.workflow.submit import submit
    from kgen.workflow.wait import wait

_HOMES: Final = {
    "Advice": "kgen.workflow.recommend",
    "Analysis": "kgen.analysis",
    "Api": "kgen.backends.kubernetes.api",
    "Budget": "kgen.spec",
    "Certificate": "kgen.results.certificate",
    "Manifest": "kgen.render.manifest",
    "Objective": "kgen.spec",
    "Plan": "kgen.plan",
    "Rendered": "kgen.render",
    "Results": "kgen.results.collect",
    "SeenSweep": "kgen.workflow.observe",
    "SweepSpec": "kgen.sweep",
    "Target": "kgen.spec",
    "TrialRow": "kgen.results.rows",
    "TrialSpec": "kgen.spec",
    "TrialStatus": "kgen.status",
    "analyse": "kgen.analysis",
    "collect": "kgen.results.collect",
    "connect": "kgen.backends.kubernetes.api",
    "expand": "kgen.sweep",
    "load": "kgen.sweep",
    "make_plan": "kgen.workflow.plan",
    "prepare": "kgen.workflow.prepare",
    "recommend": "kgen.workflow.recommend",
    "render_sweep": "kgen.workflow.render",
    "run_sweep": "kgen.workflow.run",
    "see_sweep": "kgen.workflow.observe",
    "submit": "kgen.workflow.submit",
    "wait": "kgen.workflow.wait",
    "write_report": "kgen.report",
}

__all__ = [
    "Advice",
    "Analysis",
    "Api",
    "Budget",
    "Certificate",
    "Manifest",
    "Objective",
    "Plan",
    "Rendered",
    "Results",
    "SeenSweep",
    "SweepSpec",
    "Target",
    "TrialRow",
    "TrialSpec",
    "TrialStatus",
    "__version__",
    "analyse",
    "collect",
    "connect",
    "expand",
    "load",
    "make_plan",
    "prepare",
    "recommend",
    "render_sweep",
    "run_sweep",
    "see_sweep",
    "submit",
    "wait",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kgen' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
