"""Help: quick, because it imports nothing heavy; complete; and every command is in the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kgen.cli.app import app
from tests.unit.cli.ran import Kgen

ROOT = Path(__file__).parents[3]
SINGLE = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
GROUPS = {
    str(group.name): [command.name for command in group.typer_instance.registered_commands if not command.hidden]
    for group in app.registered_groups
    if group.typer_instance
}
COMMANDS = [*SINGLE, *(f"{group} {command}" for group, commands in GROUPS.items() for command in commands)]
HEAVY = ["jinja2", "keras", "kubernetes", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "ruamel", "scipy",
         "sklearn", "tensorflow", "kgen.sweep", "kgen.backends", "kgen.results", "kgen.trial", "kgen.workflow",
         "kgen.render", "kgen.status"]  # fmt: skip
DOCUMENTS = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def imported_by(*arguments: str) -> set[str]:
    program = f"import sys\nsys.argv = ['kgen', *{list(arguments)!r}]\nfrom kgen.cli.app import main\n"
    listing = "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program + listing], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["plan", "--help"], ["run", "-h"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    loaded = imported_by(*arguments)
    assert "typer" in loaded
    of_typer = {"pydantic"} if len(arguments) > 1 else set()  # which looks at the types of a command's options with it
    assert [name for name in HEAVY if name in loaded - of_typer] == []


def test_the_commands_are_those_of_the_design() -> None:
    assert SINGLE == [
        "init", "check", "schema", "plan", "run", "collect", "report",
        "recommend", "diff", "render", "submit", "logs", "wait", "cancel", "retry", "delete", "doctor",
    ]  # fmt: skip
    assert GROUPS == {"get": ["sweeps", "trials"], "describe": ["trial", "sweep"]}


def test_help_lists_every_command_with_what_it_does(kgen: Kgen) -> None:
    lines = kgen("--help").ok().lines
    for command in [*SINGLE, *GROUPS]:
        (line,) = [line for line in lines if line.startswith(f"  {command} ")]
        assert len(line.split()) > 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(command: str, kgen: Kgen) -> None:
    out = kgen(*command.split(), "-h").ok().out
    assert f"kgen {command} [OPTIONS]" in out
    assert out == kgen(*command.split(), "--help").ok().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_documentation(command: str) -> None:
    assert f"kgen {command}" in DOCUMENTS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help(command: str, kgen: Kgen) -> None:
    options = [line for line in kgen(*command.split(), "-h").ok().lines if line.startswith("  -")]
    assert options
    assert all(len(line.split("  ")) > 2 for line in options)
