"""Whole sweeps on this machine into a bucket, and that a secret stays where it belongs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kgen.sweep import expand, load
from tests.stores import front, servers
from tests.stores.place import Place
from tests.unit.trial.trainers import body

TRAINER = body(
    "if trial.parameters['x'] == 3 and not os.path.exists('mended'):",
    "    print('about to fail')",
    "    raise RuntimeError('x is 3')",
    "for step in range(1, 6):",
    "    trial.report(step=step, loss=trial.parameters['x'] / step)",
)
FILE = """\
version: 1
name: sweep
objective: {{metric: loss}}
budget: {{steps: 100}}
parameters: {{x: [1, 2, 3, 4]}}
trainer: {{command: [python, train.py], files: [train.py]}}
local: {{processes: 2}}
results: {results}
{more}"""


def write(folder: Path, place: Place, more: str = "", results: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(TRAINER)
    (folder / "sweep.yaml").write_text(FILE.format(results=results or place.results, more=more))


def kgen(folder: Path, place: Place, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command as somebody types it who has exported what reaches the bucket."""
    program = "from kgen.cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        env=place.environment(**more),
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


def test_a_sweep_runs_into_a_bucket_and_goes_on_where_it_was(place: Place, tmp_path: Path) -> None:
    write(tmp_path, place)
    first = kgen(tmp_path, place, "run", "-q")
    assert first.returncode == 1, first.stderr
    assert "1 failed: RuntimeError: x is 3" in first.stderr
    files = [file.name for file in place.store().row_files()]
    assert len(files) == 4
    assert place.store().read("sweep.yaml").decode() == (tmp_path / "sweep.yaml").read_text()
    (tmp_path / "mended").touch()
    second = kgen(tmp_path, place, "run", "-q")
    assert second.returncode == 0, second.stderr
    assert "report: " in second.stdout
    again = {file.name for file in place.store().row_files()} - set(files)
    assert len(again) == 1  # only what had failed was trained
    collected = kgen(tmp_path, place, "collect")
    assert (collected.returncode, collected.stderr) == (0, ""), collected.stderr
    here = tmp_path / "results" / "sweep" / "collected"
    trials = pd.read_parquet(here / "trials.parquet")
    assert list(trials.trial) == [trial.id for trial in expand(load(tmp_path / "sweep.yaml"))]
    assert set(trials.status) == {"finished"}
    assert json.loads((here / "certificate.json").read_text())["complete"]


def test_results_can_be_kept_here_instead(place: Place, tmp_path: Path) -> None:
    write(tmp_path, place)
    (tmp_path / "mended").touch()
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", place, results="pvc://claim")
    (tmp_path / "other" / "mended").touch()
    planned = kgen(tmp_path, place, "plan", "--results", "here", "-o", "json")
    for folder in (tmp_path, tmp_path / "other"):
        done = kgen(folder, place, "run", "-q", "--results", "here")
        assert done.returncode == 0, done.stderr
        names = {path.name.partition(".")[0] for path in (folder / "here" / "sweep" / "rows").iterdir()}
        assert names == {item["trial"] for item in json.loads(planned.stdout)["plan"]}  # the same ids wherever they lie
    assert place.store().row_files() == []
    again = kgen(tmp_path, place, "plan", "--results", "here", "-o", "json")
    assert json.loads(again.stdout)["counts"]["done"] == 4


def test_a_run_into_a_claim_says_what_can_be_done(place: Place, tmp_path: Path) -> None:
    write(tmp_path, place, results="pvc://claim")
    done = kgen(tmp_path, place, "run", "-q")
    assert (done.returncode, done.stdout) == (2, "")
    assert "results: found pvc://claim/sweep, allowed here a folder (--results names one) or a bucket" in done.stderr


def test_a_bucket_that_refuses_is_one_line_before_any_training(place: Place, tmp_path: Path) -> None:
    write(tmp_path, place)
    place.front.on("PUT", ".tmp-", front.says(403, "AccessDenied"), times=99)
    done = kgen(tmp_path, place, "run", "-q")
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert f"{place.location}: can't be written: access denied (403 AccessDenied)" in line
    assert place.store().row_files() == []


@pytest.mark.parametrize(
    "results",
    ["{url: 's3://lab/x', endpoint: 'http://me:hunter2@host'}", "s3://me:hunter2@lab/x", "http://me:hunter2@lab"],
)
def test_a_password_in_the_sweep_file_is_not_repeated(s3: Place, tmp_path: Path, results: str) -> None:
    write(tmp_path, s3, results=results)
    done = kgen(tmp_path, s3, "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert "found a URL with a user in it" in done.stderr
    assert "hunter2" not in done.stderr


def test_the_files_endpoint_reaches_workers(place: Place, tmp_path: Path) -> None:
    where = f"{{url: '{place.results}', endpoint: '{place.front.url}'"
    where += f", region: {servers.REGION}}}" if place.scheme == "s3" else "}"
    write(tmp_path, place, results=where)
    (tmp_path / "mended").touch()
    keys = {name: value for name, value in place.variables.items() if "ACCESS" in name}
    done = subprocess.run(
        [sys.executable, "-c", "from kgen.cli.app import main; main()", "run", "-q"],
        cwd=tmp_path,
        env={name: v for name, v in place.environment().items() if name not in place.variables} | keys,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(place.store().row_files()) == 4


def test_a_secret_is_nowhere(s3: Place, tmp_path: Path) -> None:
    """Neither in what is printed, nor in any file or object, nor in a column of a table."""
    secret = (
        "    AWS_SECRET_ACCESS_KEY: {secret: bucket, key: secret}\n    AWS_ACCESS_KEY_ID: {secret: bucket, key: id}\n"
    )
    write(tmp_path, s3, f"kubernetes:\n  secret_env:\n{secret}")
    file = tmp_path / "sweep.yaml"
    file.write_text(file.read_text().replace("{command:", "{image: 'registry.example/t:1', command:"))
    wrong = {"AWS_ACCESS_KEY_ID": "AKIACANARYOTHER"}
    refused = {"AWS_SECRET_ACCESS_KEY": servers.SECRET + "-wrong"}
    printed = [
        kgen(tmp_path, s3, *words, **more)
        for words, more in (
            (["check"], {}),
            (["run"], refused),
            (["run"], wrong),
            (["run"], {}),
            (["collect"], {}),
            (["report"], {}),
            (["collect"], refused),
            (["render", "-o", "manifests"], {}),
            (["plan", "--results", "here"], {}),
        )
    ]
    assert [done.returncode for done in printed] == [0, 3, 3, 1, 0, 0, 3, 0, 0], [done.stderr for done in printed]
    (tmp_path / "printed").write_text("".join(done.stdout + done.stderr for done in printed))
    looked = 0
    for folder in (tmp_path, s3.objects):
        for path in folder.rglob("*"):
            if path.is_file():
                looked += 1
                assert_without(servers.SECRET, path)
                if folder is tmp_path:
                    assert_without("CANARY", path)
    assert looked > 20
    manifest = next(path for path in (tmp_path / "manifests").rglob("*") if "job" in path.name).read_text()
    assert '"secretKeyRef"' in manifest or "secretKeyRef:" in manifest


def assert_without(secret: str, path: Path) -> None:
    data = path.read_bytes()
    assert secret.encode() not in data, path
    if path.suffix == ".parquet":
        text = repr(pq.read_table(path).to_pylist()) + repr(pq.read_schema(path).metadata)
        assert secret not in text, path


@pytest.mark.parametrize("column", ["log", "exit_reason"])
def test_the_canary_would_be_found(column: str, tmp_path: Path) -> None:
    pd.DataFrame({column: [servers.SECRET]}).to_parquet(tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(AssertionError):
        assert_without(servers.SECRET, tmp_path / "a.parquet")
