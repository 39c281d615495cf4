"""The chart's README, from its values: `python -m tests.chart.readme`, or `make chart-docs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cluster import build, golang

CHARTS = Path(__file__).parents[2] / "charts"


def write_readme(program: Path, charts: Path) -> None:
    """Write it anew, in every chart of a folder; raises `subprocess.CalledProcessError`."""
    command = [str(program), f"--chart-search-root={charts}", "--sort-values-order=file", "--skip-version-footer"]
    subprocess.run([*command, "--log-level=error"], check=True)


if __name__ == "__main__":
    try:
        write_readme(build.ensure(build.HELM_DOCS) / "helm-docs", CHARTS)
    except golang.NoGoError as error:
        sys.exit(f"kgen: {error}")
