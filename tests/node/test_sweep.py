"""Whole sweeps on a real node, from the file to the figures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.client import RealNode
from tests.node.digits import NAME, Both, run_here, sweep_text, table
from tests.node.fates import RESOURCES
from tests.node.terminal import Rows, Terminal

EXAMPLES = Path(__file__).parents[2] / "examples" / "custom-trainer"


@pytest.fixture
def terminal(node: RealNode, tmp_path: Path) -> Iterator[Terminal]:
    """A folder and a namespace with a claim for results."""
    terminal = Terminal.open(node, tmp_path)
    yield terminal
    terminal.close()


def test_as_kgen_run(terminal: Terminal, image: str) -> None:
    """Submitted, waited for, reported from the claim: the same trials with the same outcomes as by `kgen run`."""
    terminal.node.claim(terminal.namespace)
    text = sweep_text(image, ["sgd", "adam"], ["0.01", "100"], steps=300)
    terminal.write("sweep.yaml", text)
    submitted = terminal.kgen("submit", "sweep.yaml", "--wait").ok()
    assert f"all 4 trials of sweep/{NAME} succeeded" in submitted.out
    reported = terminal.kgen("report", "sweep.yaml")
    assert reported.code == 0, reported
    results = terminal.folder / "results" / NAME
    assert (results / "report" / "index.html").is_file()
    both = Both(table(results), run_here(terminal, text))
    assert set(both.pods["status"]) >= {"reached", "diverged"}
    assert both.differences() == []


def test_a_script_that_knows_nothing_of_kgen_on_the_stock_image(terminal: Terminal, image: str) -> None:
    """An edit of it needs no new image: it travels with the sweep, and its trials are new ones."""
    claim = terminal.node.claim(terminal.namespace)
    shutil.copy(EXAMPLES / "argparse_script.py", terminal.folder)
    text = (EXAMPLES / "argparse-script.yaml").read_text().replace("trainer:\n", f"trainer:\n  image: {image}\n")
    text = text.replace("[0.01, 0.1, 0.5]", "[0.1]").replace("[0.0, 0.9]", "[0.9]")
    settings = f"kubernetes: {{resources: {RESOURCES}, image_pull_policy: IfNotPresent}}"
    file = terminal.write("sweep.yaml", f"{text}\nresults: pvc://results/sweeps\n{settings}\n")
    rows = Rows(claim / "sweeps" / "argparse-script")

    def run() -> tuple[str, str]:
        """Submit and wait; the trial's id and its log."""
        assert terminal.kgen("submit", file, "--wait", "--yes").code == 0
        done = {trial["trial"] for trial in terminal.trials("argparse-script")} - seen
        [trial] = done
        [row] = rows.of(trial)
        seen.add(trial)
        return trial, row.log

    seen: set[str] = set()
    _, before = run()
    script = terminal.folder / "argparse_script.py"
    script.write_text(script.read_text() + '\nprint("edited")\n')
    _, after = run()
    assert "edited" not in before
    assert "edited" in after
    assert len(seen) == 2
