"""Small texts that several commands print."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kgen.names import DEFAULT_STAGE
from kgen.spec import Packing, TrialSpec, shown

if TYPE_CHECKING:
    from kgen.analysis import Analysis
    from kgen.plan import Plan


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 5 min``.

    >>> duration(4.2), duration(200), duration(7500)
    ('4 s', '3 min 20 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 and whole < 600 else f"{whole // 60} min"
    minutes = whole % 3600 // 60
    return f"{whole // 3600:,} h {minutes} min" if minutes else f"{whole // 3600:,} h"


def command(verb: str, file: str | Path) -> str:
    """A command that can be pasted: ``kgen run 'my sweep.yaml'``."""
    return f"kgen {verb} {shlex.quote(str(file))}"


def typed() -> str:
    """The command line as it was typed, to be pasted again."""
    return shlex.join(["kgen", *sys.argv[1:]])


def count(number: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def titled(stage: str, words: str) -> str:
    """A line of a plan about a stage; that of a file without stages needs no name."""
    return words if stage == DEFAULT_STAGE else f"stage {stage}: {words}"


def at_a_time(plan: Plan) -> str:
    """How many trials a run trains at the same time, in words."""
    if plan.packing is Packing.FUSED:
        return "fused in one process" if plan.workers == 1 else f"fused in {plan.workers} processes"
    return f"{plan.workers} at a time"


def parameters(trial: TrialSpec, *, seed: bool = False) -> str:
    """``optimizer=adam learning_rate=0.001``, where repeats are told apart, the seed too."""
    words = [f"{name}={short(value)}" for name, value in trial.parameters.items()]
    return " ".join([*words, f"seed={trial.seed}"] if seed else words)


def short(value: bool | int | float | str) -> str:
    """A value in a line or a table cell; text that would be lost there, or break it, in quotes."""
    text = shown(value)
    return text if text.isprintable() and text.split() == [text] else json.dumps(text, ensure_ascii=False)


def answers(analyses: Sequence[Analysis]) -> str:
    """The answers of all stages, each under its name where there are several."""
    if len(analyses) == 1:
        return answer_table(analyses[0])
    return "\n\n".join(f"stage {analysis.stage}: {answer_table(analysis)}" for analysis in analyses)


def answer_table(analysis: Analysis) -> str:
    """The answer of one stage, as a small table under its headline."""
    from kgen.analysis.text import number

    answer = analysis.answer
    header = [answer.group or "", f"best {answer.x}" if answer.x else "best", answer.measure, answer.band]
    rows = [[row.group, row.best, number(row.value), row.band] for row in answer.rows]
    columns = [i for i, name in enumerate(header) if name or any(row[i] for row in rows)]
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(line[i].ljust(widths[i]) for i in columns).rstrip() for line in [header, *rows]]
    said = [textwrap.fill(text, 100, initial_indent="- ", subsequent_indent="  ") for text in answer.sentences]
    table = ["", *lines] if answer.x or answer.group else []
    return "\n".join([answer.headline, *table, "", *said])
