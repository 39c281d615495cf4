"""Types the console blocks of a document as they stand, and holds what comes against what they show."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path


def type_out(document: Path, heading: str, folder: Path, environment: Mapping[str, str]) -> int:
    """Type everything below a heading, up to the next of its level, in a folder; returns how many commands that was.

    A command has to end with 0 and to print what is shown after it, where ``…`` on a line of its own stands for any
    lines, elsewhere for any text.
    """
    typed = list(_commands(document.read_text(encoding="utf-8"), heading))
    for command, shown in typed:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        assert _pattern(shown).fullmatch(done.stdout), "\n".join(
            [f"$ {command}", done.stdout, "is not as shown:", *shown]
        )
    return len(typed)


def _commands(text: str, heading: str) -> Iterator[tuple[str, list[str]]]:
    """What is typed in the section's console blocks, each with the lines that are shown after it."""
    level = heading.partition(" ")[0]
    section = text.split(f"\n{heading}\n", 1)[1].split(f"\n{level} ", 1)[0]
    for block in re.findall(r"^```console\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, shown = part.split("\n", 1)
            if here := re.search(r"<<'(\w+)'$", typed):
                body, shown = shown.split(f"\n{here[1]}\n", 1)
                typed = f"{typed}\n{body}\n{here[1]}"
            yield typed, shown.splitlines()


def _pattern(shown: list[str]) -> re.Pattern[str]:
    parts = [
        r"(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"[^\S\n]*\n" for line in shown
    ]
    return re.compile("".join(parts))
