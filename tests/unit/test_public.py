"""What users may import, and what an import costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kgen

ROOT = Path(__file__).parents[2]


def test_public_names_are_sorted_and_there() -> None:
    assert kgen.__all__ == sorted(kgen.__all__)
    assert all(getattr(kgen, name) is not None for name in kgen.__all__)


def test_a_star_import_gives_exactly_the_public_names() -> None:
    found: dict[str, object] = {}
    exec("from kgen import *", found)
    assert sorted(set(found) - {"__builtins__"}) == kgen.__all__


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'kgen' has no attribute 'nope'"):
        kgen.nope  # noqa: B018
    assert not hasattr(kgen, "_HOME")


def test_the_road_from_a_file_to_a_plan_needs_only_public_names(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text((ROOT / "examples/quickstart.yaml").read_text())
    spec = kgen.load(file)
    trials = kgen.expand(spec)
    made = kgen.make_plan(spec)
    assert isinstance(spec, kgen.SweepSpec)
    assert isinstance(made, kgen.Plan)
    assert isinstance(trials[0], kgen.TrialSpec)
    assert isinstance(trials[0].budget, kgen.Budget)
    assert isinstance(trials[0].budget.target, kgen.Target)
    assert isinstance(spec.objective, kgen.Objective)
    assert made.pending == trials


def test_it_is_typed() -> None:
    assert (Path(kgen.__file__).parent / "py.typed").is_file()


# -- what is imported ---------------------------------------------------------------------------------------------


def loaded_by(statement: str) -> set[str]:
    """Top-level packages, and kgen's own modules, after it."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name if name.startswith("kgen") else name.partition(".")[0] for name in done.stdout.split()}


def foreign(loaded: set[str]) -> set[str]:
    return {n for n in loaded if n not in sys.stdlib_module_names and not n.startswith(("kgen", "_", "__"))}


def test_importing_kgen_imports_nothing_else() -> None:
    loaded = loaded_by("import kgen")
    assert foreign(loaded) == set()
    assert {name for name in loaded if name.startswith("kgen.")} == set()


def test_the_command_line_imports_no_heavy_library_before_a_command_runs() -> None:
    loaded = loaded_by("import kgen.cli.app")
    assert "typer" in loaded
    heavy = {"jinja2", "keras", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "ruamel", "scipy", "tensorflow"}
    assert loaded & heavy == set()


@pytest.mark.parametrize("module", ["kgen.errors", "kgen.names", "kgen.spec", "kgen.plan"])
def test_the_contracts_need_the_standard_library_alone(module: str) -> None:
    assert foreign(loaded_by(f"import {module}")) == set()


def test_the_sweep_file_is_read_without_what_runs_collects_or_draws() -> None:
    loaded = loaded_by("import kgen; kgen.load, kgen.expand")
    assert {"pydantic", "ruamel"} <= loaded
    assert loaded & {"numpy", "pandas", "pyarrow", "scipy", "matplotlib", "typer", "rich"} == set()
    layers = {name.split(".")[1] for name in loaded if name.startswith("kgen.")}
    assert layers == {"built_in", "choice", "errors", "names", "spec", "sweep"}


def test_a_plan_without_results_needs_neither_pandas_nor_the_report() -> None:
    loaded = loaded_by("import kgen; kgen.make_plan")
    assert loaded & {"pandas", "scipy", "matplotlib", "tensorflow"} == set()
