"""``kgen collect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kgen.cli.arguments import SweepFile

if TYPE_CHECKING:
    from kgen.results.collect import Certificate


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Merge row files into tables, with a certificate of completeness")(collect)


def collect(file: SweepFile = Path("sweep.yaml")) -> None:
    """Write ``collected/`` and say what is there and what is not."""
    from kgen.names import COLLECTED_DIR
    from kgen.sweep import load
    from kgen.workflow.collect import collect_sweep

    spec = load(file)
    collected = collect_sweep(spec)
    print("\n".join(certificate_lines(collected.results.certificate)))
    print(f"tables: {spec.results / COLLECTED_DIR}")


def certificate_lines(certificate: Certificate) -> list[str]:
    """The certificate in words; every id and file that is not as it should be is named."""
    c = certificate
    lines = [f"{c.accepted:,} of {c.expected:,} trials have a result" + (": complete" if c.complete else "")]
    if c.missing:
        lines.append(f"missing: {', '.join(c.missing)}")
    for word, files in (("failed", c.failed), ("interrupted", c.interrupted), ("on a shared device", c.shared)):
        lines += [f"{word}: {item.trial} ({item.reason}; {item.file})" for item in files]
    lines += [f"more than one result: {d.trial}, {d.accepted} counts, not {', '.join(d.others)}" for d in c.duplicates]
    lines += [f"damaged: {item.file} ({item.reason})" for item in c.damaged]
    lines += [f"foreign: {item.file} (trial {item.trial}: {item.reason})" for item in c.foreign]
    for word, different in (("images", c.images), ("revisions", c.revisions)):
        if len(different) > 1:
            lines.append(f"mixed {word}: {', '.join(different)}")
    return lines
