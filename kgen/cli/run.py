"""``kgen run``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import AllowIncomplete, Rechoose, Results, SweepFile
from kgen.errors import TrialsFailedError
from kgen.names import stage_title

if TYPE_CHECKING:
    from kgen.analysis import Analysis
    from kgen.sweep import SweepSpec
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
    allow_incomplete: AllowIncomplete = False,
    rechoose: Rechoose = None,
    recommend: Annotated[
        bool,
        typer.Option(
            "--recommend",
            help="Search the file's parameters, confirm the best with new seeds, and say which values to use: by "
            "FILE.recommend.yaml, a file of stages that is written beside FILE",
        ),
    ] = False,
    results: Results = None,
) -> None:
    """Run, stage after stage, collect, report. Exit code 1 if a trial has no result, or a stage could not start."""
    from kgen.cli.progress import display
    from kgen.sweep import load
    from kgen.workflow.run import run_sweep

    if recommend:
        from kgen.workflow.derive import derive

        file = derive(file)
    spec = load(file)
    if results is not None:
        spec = spec.with_results(results)
    done = run_sweep(
        spec,
        display(spec, quiet=quiet),
        max_failures=max_failures,
        allow_incomplete=allow_incomplete,
        rechoose=rechoose or (),
    )
    print(_answer(spec, done))
    print(f"\nreport: {done.page}")
    if recommend:
        print(f"\n{_recommendation(spec)}\n\nstages: {file}")
    if not done.collected.results.certificate.complete:
        raise TrialsFailedError(_failures(done, str(file)))


def _answer(spec: SweepSpec, done: Run) -> str:
    """Of all stages, but those that are range tests: of these what they hint at."""
    from kgen.cli.text import answers
    from kgen.sweep.sweepspec import Method

    rising = [stage.name for stage in spec.stages if stage.search and stage.search.method is Method.RANGE_TEST]
    said = [one for one in done.collected.analyses if one.stage not in rising or _has_value(one)]
    parts = [answers(said)] if said else []
    if rising:
        from kgen.cli.advice import hint_lines
        from kgen.workflow.recommend import hints_of

        parts += ["\n".join(hint_lines(hints_of(spec)) or ["The range tests have nothing to hint at."])]
    return "\n\n".join(parts)


def _has_value(analysis: Analysis) -> bool:
    return any(row.value is not None for row in analysis.answer.rows)


def _recommendation(spec: SweepSpec) -> str:
    from kgen.cli.advice import table
    from kgen.workflow.recommend import recommend as recommend_sweep

    return table(recommend_sweep(spec))


def _failures(done: Run, file: str) -> str:
    from kgen.cli.text import command

    certificate = done.collected.results.certificate
    parts = []
    if done.stopped is not None:
        parts.append(f"stopped early: {done.stopped}")
    if done.blocked is not None:
        parts.append(done.blocked)
    lacking = certificate.expected - certificate.accepted
    if lacking:
        parts.append(f"{lacking:,} of {certificate.expected:,} trials have no result")
    causes = Counter(item.reason for item in certificate.failed)
    parts += [f"  {number:,} failed: {reason}" for reason, number in causes.most_common(_CAUSES)]
    if len(causes) > _CAUSES:
        parts.append(f"  … and {len(causes) - _CAUSES:,} other causes")
    rest = lacking - len(certificate.failed)
    if rest:
        parts.append(f"  {rest:,} not run to an end")
    if lacking:
        parts.append(f"'{command('collect', file)}' names them all, '{command('run', file)}' tries them again")
    elif done.blocked is None:
        parts += [f"{stage_title(stage)}: {why}" for stage, why in certificate.waiting.items()]
    return "\n".join(parts)
