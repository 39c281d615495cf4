"""Run, collect, report: the verbs on a real sweep of a toy trainer, in this process."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kgen.backends.local.events import Event
from kgen.errors import InputError, InterruptedRunError, MissingExtraError, StoreError
from kgen.sweep import SweepSpec, load
from kgen.workflow.collect import collect_sweep
from kgen.workflow.report import report_sweep
from kgen.workflow.run import Run, run_sweep
from tests.unit.backends.sweeps import body, sweep
from tests.unit.results.made import write_bytes
from tests.unit.workflow.shown import Show

GOOD = body("trial.report(step=1, loss=1 / trial.parameters['x'])")
HALF = body("if trial.parameters['x'] % 2: raise ValueError('odd')", "trial.report(step=1, loss=1)")


def go(spec: SweepSpec, **more: Any) -> tuple[Run, Show]:
    show = Show()
    return run_sweep(spec, show, **more), show


def test_a_run_ends_with_everything_in_its_place(tmp_path: Path) -> None:
    spec = sweep(tmp_path, GOOD)
    done, show = go(spec)
    root = tmp_path / "results" / "toy"
    assert spec.results == root
    assert (root / "sweep.yaml").read_text() == spec.text
    assert done.page == root / "report" / "index.html"
    assert done.page.is_file()
    assert {path.name for path in (root / "collected").iterdir()} == {
        "trials.parquet", "curves.parquet", "summary.csv", "certificate.json", "rows.parquet",
    }  # fmt: skip
    assert done.stopped is None
    assert (show.ended, show.over > 0) == (["complete"] * 4, True)
    assert done.collected.results.certificate.complete
    assert json.loads((root / "collected" / "certificate.json").read_text())["accepted"] == 4
    assert pd.read_parquet(root / "collected" / "trials.parquet")["status"].tolist() == ["finished"] * 4
    assert len(pd.read_csv(root / "collected" / "summary.csv")) == 1


def test_a_second_run_runs_what_has_no_result(tmp_path: Path) -> None:
    spec = sweep(tmp_path, HALF)
    _, show = go(spec)
    assert sorted(show.ended) == ["complete", "complete", "failed", "failed"]
    done, show = go(spec)
    assert show.ended == ["failed", "failed"]
    assert len(done.collected.results.certificate.failed) == 2
    assert len(list((spec.results / "rows").iterdir())) == 6


def test_too_many_failures_stop_a_run_with_their_cause(tmp_path: Path) -> None:
    done, show = go(sweep(tmp_path, body("raise ValueError('no luck')"), count=40))
    assert done.stopped == "the first 5 trials failed for one cause: ValueError: no luck"
    assert 5 <= show.ended.count("failed") < 40
    done, show = go(sweep(tmp_path / "limit", HALF, count=40), max_failures=2)
    assert done.stopped == "2 trials failed, 2 of them with: ValueError: odd"


def test_only_one_run_at_a_time_works_on_a_folder(tmp_path: Path) -> None:
    spec = sweep(tmp_path, GOOD)
    spec.results.mkdir(parents=True)
    with (spec.results / ".lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match=r"another kgen run \(process 4711\) is at work there"):
            go(spec)
        assert not (spec.results / "rows").exists()
    go(spec)
    assert (spec.results / ".lock").read_text() == str(os.getpid())


def test_a_file_system_without_locks_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: object, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    done, _ = go(sweep(tmp_path, GOOD, count=1))
    assert done.collected.results.certificate.complete


def test_results_where_nothing_can_be_written_are_said_before_the_first_trial(tmp_path: Path) -> None:
    spec = sweep(tmp_path, GOOD)
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StoreError, match="can't be written"):
        go(spec)


def test_a_missing_extra_is_said_before_the_first_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else real(name))
    spec = sweep(tmp_path, GOOD)
    with pytest.raises(MissingExtraError, match="report"):
        go(spec)
    assert not spec.results.exists()


def test_ctrl_c_ends_a_run_with_a_word_on_how_to_go_on(tmp_path: Path) -> None:
    class Impatient(Show):
        def event(self, message: Event) -> None:
            super().event(message)
            if self.ended == ["complete"] * 2:
                raise KeyboardInterrupt

    spec = sweep(tmp_path, GOOD, count=50)
    show = Impatient()
    with pytest.raises(InterruptedRunError, match=r"'kgen run .*sweep.yaml' goes on with the rest"):
        run_sweep(spec, show)
    assert show.over
    done, again = go(spec)
    assert done.collected.results.certificate.complete
    assert again.plan is not None
    assert len(again.plan.pending) < 50


def test_collecting_takes_what_is_there(tmp_path: Path) -> None:
    spec = sweep(tmp_path, GOOD)
    collected = collect_sweep(spec)
    assert len(collected.results.certificate.missing) == 4
    write_bytes(spec.results, "torn.parquet", b"PAR1")
    assert collect_sweep(spec).results.certificate.damaged[0].file == "torn.parquet"
    assert (spec.results / "collected" / "summary.csv").is_file()


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    spec = sweep(tmp_path, GOOD)
    go(spec)

    def everything() -> dict[str, bytes]:
        folders = (spec.results / "collected", spec.results / "report")
        return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}

    first = everything()
    for path in (spec.results / "collected").iterdir():
        path.unlink()
    page, _ = report_sweep(spec)
    assert page.is_file()
    assert everything() == first


def test_a_report_leaves_no_figure_of_an_earlier_one(tmp_path: Path) -> None:
    spec = sweep(tmp_path, GOOD)
    go(spec)
    figures = spec.results / "figures"
    drawn = {path.name for path in figures.iterdir()}
    (figures / "of_another_objective.svg").write_text("<svg/>")
    (figures / "notes.txt").write_text("the user's own")
    report_sweep(spec)
    assert {path.name for path in figures.iterdir()} == drawn | {"notes.txt"}


def test_seconds_on_shared_cores_are_refused_before_the_first_trial(tmp_path: Path) -> None:
    made = sweep(tmp_path, GOOD)
    text = made.text.replace("metric: loss", "metric: seconds_to_target").replace("steps: 100", "target: {acc: 1}")
    made.file.write_text(text + "local: {processes: 4096, gpus: 0}\n")
    show = Show()
    with pytest.raises(InputError, match=r"local\.processes: found 4096 at a time, which have to share"):
        run_sweep(load(made.file), show)
    assert show.plan is None
    assert not (made.results / "rows").exists()
