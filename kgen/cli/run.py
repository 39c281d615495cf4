"""``kgen run``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import Results, SweepFile
from kgen.errors import TrialsFailedError

if TYPE_CHECKING:
    from kgen.workflow.run import Run


_CAUSES = 3
"""Different causes of failure that are shown."""


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
    results: Results = None,
) -> None:
    """Run, collect, report. Exit code 1 if a trial has no result."""
    from kgen.cli.progress import display
    from kgen.cli.text import answer_table
    from kgen.sweep import load
    from kgen.workflow.run import run_sweep

    spec = load(file)
    if results is not None:
        spec = spec.with_results(results)
    done = run_sweep(spec, display(spec, quiet=quiet), max_failures=max_failures)
    print(answer_table(done.collected.analysis))
    print(f"\nreport: {done.page}")
    if not done.collected.results.certificate.complete:
        raise TrialsFailedError(_failures(done, str(file)))


def _failures(done: Run, file: str) -> str:
    from kgen.cli.text import command

    certificate = done.collected.results.certificate
    parts = []
    if done.stopped is not None:
        parts.append(f"stopped early: {done.stopped}")
    lacking = certificate.expected - certificate.accepted
    parts.append(f"{lacking:,} of {certificate.expected:,} trials have no result")
    causes = Counter(item.reason for item in certificate.failed)
    parts += [f"  {number:,} failed: {reason}" for reason, number in causes.most_common(_CAUSES)]
    if len(causes) > _CAUSES:
        parts.append(f"  … and {len(causes) - _CAUSES:,} other causes")
    rest = lacking - len(certificate.failed)
    if rest:
        parts.append(f"  {rest:,} not run to an end")
    parts.append(f"'{command('collect', file)}' names them all, '{command('run', file)}' tries them again")
    return "\n".join(parts)
