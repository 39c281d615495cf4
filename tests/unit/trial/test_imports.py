"""``kgen.trial`` drops into any image: pyarrow is all that it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.trial.trainers import Job, environment, spec

ONLY_PYARROW = """\
import sys
from importlib.abc import MetaPathFinder


class Bare(MetaPathFinder):
    # As in an image with Python and pyarrow: nothing else that is installed here can be found.
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ("pyarrow", "kgen", "__main__"):
            return None
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Bare())
"""
TRAINER = """\
from kgen.trial import Trial, main

def train(trial: Trial) -> None:
    for step in range(10):
        with trial.training():
            pass
        if trial.report(step=step, loss=1 / (step + 1), accuracy=step / 10).stop:
            return

main(train)
"""


def run(program: str, results: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment(results), text=True, capture_output=True, check=True
    )
    return process.stdout


def test_importing_it_loads_nothing_of_others_but_pyarrow(tmp_path: Path) -> None:
    """numpy and cloudpickle are pyarrow's own: it loads them where it finds them and does without elsewhere."""
    loaded = run(
        "import sys\nbefore = set(sys.modules)\nimport kgen.trial\n"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names))",
        tmp_path,
    )
    others = {name for name in loaded.split() if not name.startswith(("_", "cython"))}
    assert others - {"numpy", "cloudpickle"} == {"kgen", "pyarrow"}


def test_importing_it_loads_of_kgen_only_what_a_trial_needs(tmp_path: Path) -> None:
    loaded = run("import sys, kgen.trial\nprint(*(m for m in sys.modules if m.startswith('kgen.')))", tmp_path)
    assert {name for name in loaded.split() if not name.startswith("kgen.trial")} == {
        "kgen.errors", "kgen.names", "kgen.spec", "kgen.pack_message",
        "kgen.results", "kgen.results.rows", "kgen.results.store",
    }  # fmt: skip


def test_a_whole_trial_runs_with_pyarrow_alone(tmp_path: Path) -> None:
    job = Job(tmp_path, ONLY_PYARROW + TRAINER, spec({"x": 1, "y": 0.5, "z": "a", "t": True}, steps=5))
    assert job.end() == 0, job.output
    assert (job.row.steps, job.row.parameters) == (5, {"x": 1, "y": 0.5, "z": "a", "t": True})


def test_a_wrapped_program_runs_with_pyarrow_alone(tmp_path: Path) -> None:
    wrapper = "from kgen.trial.wrap import main\nmain(['--', 'echo', '{\"step\": 3, \"loss\": 0.5}'])\n"
    job = Job(tmp_path, ONLY_PYARROW + wrapper)
    assert job.end() == 0, job.output
    assert job.row.steps == 3
