"""Every example runs, from a copy of its folder, by the command that its reader would type."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
CUSTOM = sorted(file.stem for file in (EXAMPLES / "custom-trainer").glob("*.yaml"))


def run(file: Path) -> pd.DataFrame:
    done = subprocess.run(
        [sys.executable, "-m", "kgen", "run", str(file)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    results = next((file.parent / "results").iterdir())
    assert (results / "report" / "index.html").is_file()
    return pd.read_parquet(results / "collected" / "trials.parquet")


@pytest.mark.parametrize("name", CUSTOM)
def test_custom_trainer(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "custom-trainer"
    shutil.copytree(EXAMPLES / "custom-trainer", folder, ignore=shutil.ignore_patterns("results"))
    trials = run(folder / f"{name}.yaml")
    assert set(trials["status"]) <= {"reached", "capped", "finished"}
    assert trials["steps"].min() > 0


def test_trials_that_are_trained_together_come_to_what_they_come_to_alone(tmp_path: Path) -> None:
    """Curves to the bit, and only those trained alone have seconds of their own."""
    found = {}
    for packing in ("fused", "sequential"):
        folder = tmp_path / packing
        shutil.copytree(EXAMPLES / "custom-trainer", folder, ignore=shutil.ignore_patterns("results"))
        file = folder / "fused-trainer.yaml"
        text = file.read_text()
        assert "packing: fused" in text
        file.write_text(text.replace("packing: fused", f"packing: {packing}").replace("repeats: 3", "repeats: 2"))
        trials = run(file)
        curves = pd.read_parquet(folder / "results/fused-trainer/collected/curves.parquet")
        found[packing] = trials.set_index("trial"), curves[["trial", "step", "metric", "value"]]
    (fused, many), (sequential, single) = found["fused"], found["sequential"]
    assert len(fused) == 72
    assert set(fused["status"]) == {"reached", "capped"}
    same = ["status", "steps", "steps_to_target", "final.loss", "final.train_accuracy"]
    pd.testing.assert_frame_equal(fused[same], sequential[same], check_exact=True)
    pd.testing.assert_frame_equal(many, single, check_exact=True)
    assert set(fused["timing"]) == {"shared"}
    assert set(sequential["timing"]) == {"exclusive"}
    assert fused["seconds_to_target"].isna().all()
    assert sequential["seconds_to_target"].notna().any()


def test_the_argparse_script_gets_its_flags(tmp_path: Path) -> None:
    folder = tmp_path / "custom-trainer"
    shutil.copytree(EXAMPLES / "custom-trainer", folder, ignore=shutil.ignore_patterns("results"))
    trials = run(folder / "argparse-script.yaml")
    # 0.5 without momentum converges within ten steps on both axes; 0.01 does not within its 200.
    fast = trials[(trials["param.learning-rate"] == 0.5) & (trials["param.momentum"] == 0)]
    slow = trials[(trials["param.learning-rate"] == 0.01) & (trials["param.momentum"] == 0)]
    assert fast["status"].tolist() == ["reached"]
    assert slow["status"].tolist() == ["capped"]


def test_a_cut_of_the_quickstart(tmp_path: Path) -> None:
    text = (EXAMPLES / "quickstart.yaml").read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("learning_rate:"))
    file = tmp_path / "quickstart.yaml"
    file.write_text(text.replace(line, "  learning_rate: [0.01, 100]").replace("steps: 2000", "steps: 200"))
    trials = run(file)
    assert len(trials) == 12
    assert set(trials["status"]) <= {"reached", "capped", "diverged"}
    assert (trials["timing"] == "shared").all(), "many are trained in one program"
    assert "diverged" in set(trials["status"])
