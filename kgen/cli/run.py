"""``kgen run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import SweepFile
from kgen.errors import TrialsFailedError

if TYPE_CHECKING:
    from kgen.workflow.run import Run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Run the sweep on this machine, to the finished report; again runs what is missing")(run)


def run(
    file: SweepFile = Path("sweep.yaml"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the answer")] = False,
    max_failures: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Stop after this many failed trials, 0 for never; by default after the first five if they fail for "
            "one cause and nothing has succeeded",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run, collect, report. Exit code 1 if a trial has no result."""
    from kgen.cli.progress import display
    from kgen.cli.text import answer_table
    from kgen.sweep import load
    from kgen.workflow.run import run_sweep

    spec = load(file)
    done = run_sweep(spec, display(spec, quiet=quiet), max_failures=max_failures)
    print(answer_table(done.collected.analysis))
    print(f"\nreport: {done.page}")
    if not done.collected.results.certificate.complete:
        raise TrialsFailedError(_failures(done, str(file)))


def _failures(done: Run, file: str) -> str:
    certificate = done.collected.results.certificate
    parts = []
    if done.stopped is not None:
        parts.append(f"stopped early: {done.stopped}")
    lacking = certificate.expected - certificate.accepted
    parts.append(f"{lacking:,} of {certificate.expected:,} trials have no result")
    parts += [f"  {item.trial}: {item.reason}" for item in certificate.failed[:3]]
    if len(certificate.failed) > 3:
        parts.append(f"  … and {len(certificate.failed) - 3} more; 'kgen collect {file}' names them all")
    parts.append(f"'kgen run {file}' tries them again")
    return "\n".join(parts)
