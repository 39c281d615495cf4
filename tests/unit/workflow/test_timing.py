"""Some of the fused trials are trained once more, alone, so that seconds per step are known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kgen.backends.local import devices
from kgen.backends.local.devices import Slot
from kgen.backends.local.pool import Pool
from kgen.errors import InterruptedRunError
from kgen.results.folder import FolderStore
from kgen.results.rows import Outcome, State, TrialRow, bytes_to_rows
from kgen.spec import Timing
from kgen.sweep import SweepSpec, expand, load
from kgen.trial.channel import Ended
from kgen.workflow import run as run_module
from kgen.workflow.plan import plan_on
from kgen.workflow.run import run_sweep
from kgen.workflow.timing import timing_sample, untimed
from tests.unit.backends.sweeps import fused, slot, sweep
from tests.unit.sweep.sweeps import trials
from tests.unit.workflow.shown import Show

ALONE = """
def train(trial):
    with trial.training():
        time.sleep(0.001)
    trial.report(step=100, loss=trial.parameters["x"] / 100)
"""
DIVERGED = (3, 4)


def test_the_time_that_fused_trials_took_is_no_estimate_for_others(tmp_path: Path) -> None:
    spec = sweep(tmp_path, fused().replace("main(None", ALONE + "main(train"), count=3, packing="fused")
    places = [slot()]
    with Pool(FolderStore(spec.results)) as pool:
        pool.run(spec, expand(spec)[:1], slots=places)
    spec.file.write_text(spec.file.read_text().replace("packing: fused", "packing: sequential"))
    spec = load(spec.file)
    assert plan_on(spec, places).seconds_per_trial is None
    with Pool(FolderStore(spec.results)) as pool:
        pool.run(spec, expand(spec)[1:2], slots=places)
    assert plan_on(spec, places).seconds_per_trial is not None


def timed_sweep(folder: Path, *, number: int = 4, count: int = 12, alone: str = ALONE) -> SweepSpec:
    code = fused("loss = float('nan') if x in (3, 4) else loss").replace("main(None", alone + "main(train")
    spec = sweep(folder, code, count=count, packing="fused")
    text = spec.file.read_text().replace("packing: fused", f"packing: fused, timing_sample: {number}")
    spec.file.write_text(text + "local: {processes: 2, gpus: 0}\n")
    return load(spec.file)


def rows(spec: SweepSpec) -> list[TrialRow]:
    store = FolderStore(spec.results)
    return [row for file in store.row_files() for row in bytes_to_rows(store.read_row_file(file.name))]


def alone(spec: SweepSpec) -> list[int]:
    """``x`` of each result that was trained alone."""
    return sorted(
        int(str(row.parameters["x"]))
        for row in rows(spec)
        if row.timing is Timing.EXCLUSIVE and row.state is State.COMPLETE
    )


@pytest.fixture(autouse=True)
def exclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two places that count as each alone on its core, though tests share them."""
    monkeypatch.setattr(run_module, "slots", lambda *_: (slot(timing=Timing.EXCLUSIVE), slot(timing=Timing.EXCLUSIVE)))


def test_some_are_trained_again_alone_and_only_once(tmp_path: Path) -> None:
    spec = timed_sweep(tmp_path)
    show = Show()
    done = run_sweep(spec, show)
    assert alone(spec) == [2, 6, 9, 11]  # evenly of 1, 2, 5, … 12: the others diverged
    assert done.collected.results.certificate.complete
    assert done.collected.results.certificate.duplicates == ()
    assert [plan.name for plan in show.plans] == ["toy", "toy, timed alone"]
    assert (len(show.ended), show.over) == (16, 2)
    table = pd.read_parquet(spec.results / "collected" / "trials.parquet")
    assert table["alone_steps"].notna().sum() == 4
    assert set(table["timing"]) == {"shared"}
    before = len(rows(spec))
    again = Show()
    run_sweep(spec, again)
    assert (len(rows(spec)), len(again.plans)) == (before, 1)


def test_a_run_that_is_stopped_while_it_times_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    class Impatient(Show):
        def event(self, message: object) -> None:
            super().event(message)  # type: ignore[arg-type]
            if isinstance(message, Ended) and len(self.ended) == 14:
                raise KeyboardInterrupt

    spec = timed_sweep(tmp_path)
    with pytest.raises(InterruptedRunError):
        run_sweep(spec, Impatient())
    assert 2 <= len(alone(spec)) < 4
    assert len(timing_sample(spec)) == 4 - len(alone(spec))
    assert run_sweep(spec, Show()).collected.results.certificate.complete
    assert alone(spec) == [2, 6, 9, 11]


def test_places_that_are_shared_time_nothing_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(*_: object) -> tuple[Slot, ...]:
        return slot(), slot(1)

    monkeypatch.setattr(run_module, "slots", shared)
    spec = timed_sweep(tmp_path)
    show = Show()
    assert run_sweep(spec, show).collected.results.certificate.complete
    assert show.notes == ["no timing sample: 2 processes have to share their cores or GPUs (local.processes)"]
    assert alone(spec) == []


def test_trials_that_fail_alone_spoil_nothing(tmp_path: Path) -> None:
    spec = timed_sweep(tmp_path, number=8, alone="def train(trial):\n    raise RuntimeError('slow machine')\n")
    show = Show()
    done = run_sweep(spec, show)
    assert done.collected.results.certificate.complete
    assert done.stopped is None
    assert show.notes == ["no timing sample: the first 5 trials failed for one cause: RuntimeError: slow machine"]
    assert {row.outcome for row in rows(spec) if row.state is State.COMPLETE} == {Outcome.FINISHED, Outcome.DIVERGED}


def test_nothing_is_timed_where_nothing_is_asked_for_or_there_is_nothing(tmp_path: Path) -> None:
    assert timing_sample(timed_sweep(tmp_path)) == ()
    assert timing_sample(timed_sweep(tmp_path, number=0)) == ()


def test_a_sample_is_spread_evenly_and_never_grows_beyond_its_number() -> None:
    some = trials(parameters="{x: {int: {start: 0, stop: 99}}}")
    sample = untimed(some, (), 5)
    assert [trial.parameters["x"] for trial in sample] == [10, 30, 50, 70, 90]
    timed = {some[10].id, some[70].id}
    assert [trial.parameters["x"] for trial in untimed(some, timed, 5)] == [30, 50, 90]
    elsewhere = {some[1].id, some[2].id, some[3].id, some[4].id}
    assert len(untimed(some, elsewhere, 5)) == 1
    assert untimed(some, {trial.id for trial in some[:5]}, 5) == ()
    assert untimed(some[:3], (), 5) == some[:3]
    assert devices.slots(1)[0].timing is Timing.EXCLUSIVE, "and a laptop has a place to time them in"
