"""Reports made of synthetic trials, kept in memory."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from kgen.analysis import Analysis, analyse
from kgen.report import write_report
from kgen.spec import Budget, Objective
from tests.unit.analysis.synthetic import BUDGET, NO_CURVES, STEPS, article

REPRODUCE = "kgen run sweep.yaml"
SWEEP = "version: 1\nname: optimizers\n"


def certificate_of(trials: pd.DataFrame, **changes: Any) -> dict[str, Any]:
    """What a collector says of these trials when nothing else is wrong."""
    status = trials.set_index("trial")["status"]
    complete = status.isin(["reached", "capped", "diverged", "finished"])
    failed = [
        {"trial": trial, "file": f"rows/{trial}.a1.parquet", "reason": reason}
        for trial, reason in zip(trials["trial"], trials["exit_reason"], strict=True)
        if status[trial] == "failed"
    ]
    return {
        "expected": len(trials),
        "accepted": int(complete.sum()),
        "missing": [trial for trial in trials["trial"] if status[trial] == "missing"],
        "failed": failed,
        "duplicates": [],
        "interrupted": [trial for trial in trials["trial"] if status[trial] == "interrupted"],
        "damaged": [],
        "foreign": [],
        "images": ["registry.example/trainer:1"],
        "revisions": ["r1"],
        "complete": bool(complete.all()),
        **changes,
    }


def report_of(
    trials: pd.DataFrame,
    curves: pd.DataFrame = NO_CURVES,
    *,
    name: str = "optimizers",
    objective: Objective = STEPS,
    budget: Budget = BUDGET,
    certificate: Mapping[str, Any] | None = None,
    reproduce: str = REPRODUCE,
    sweep_text: str = SWEEP,
) -> tuple[Analysis, dict[str, bytes]]:
    """The analysis and every file of its report."""
    analysis = analyse(trials, curves, name=name, objective=objective, budget=budget)
    files: dict[str, bytes] = {}
    names = write_report(
        [analysis],
        trials,
        certificate_of(trials) if certificate is None else certificate,
        reproduce=reproduce,
        sweep_text=sweep_text,
        write=files.__setitem__,
    )
    assert tuple(files) == names
    return analysis, files


def digests(files: Mapping[str, bytes]) -> str:
    """One line per file."""
    return "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in files.items())


if __name__ == "__main__":
    sys.stdout.write(digests(report_of(*article())[1]))
