"""A trial whose results lie in a bucket, in a process of its own as a pod would start it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from kgen import names
from kgen.results.rows import TrialRow, bytes_to_rows
from tests.stores import front, servers
from tests.stores.place import Place
from tests.unit.trial.trainers import body, spec

TRIAL = spec({"x": 1}, steps=3)
TRAINER = body(
    "print('begun', flush=True)",
    "for step in (1, 2, 3):",
    "    trial.report(step=step, loss=1 / step)",
)


def start(place: Place, trainer: str = TRAINER, attempt: str = "one", **more: str) -> subprocess.Popen[str]:
    environment = place.environment(
        **{names.ENV_RESULTS: place.location, names.ENV_TRIAL: TRIAL.to_json(), names.ENV_ATTEMPT: attempt, **more}
    )
    return subprocess.Popen(
        [sys.executable, "-c", trainer],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Exit code, standard output, the lines of standard error."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err.splitlines()


def rows(place: Place) -> list[TrialRow]:
    store = place.store()
    return [row for file in store.row_files() for row in bytes_to_rows(store.read_row_file(file.name))]


def test_it_leaves_one_row_and_is_not_run_again(place: Place) -> None:
    assert end(start(place))[0] == 0
    (row,) = rows(place)
    place.front.on("PUT", "", front.says(403, "AccessDenied"), times=99)  # nothing is left to write
    assert (row.trial, row.attempt, row.state, row.steps) == (TRIAL.id, "one", "complete", 3)
    code, out, _ = end(start(place, attempt="two"))
    assert code == 0
    assert "has a result already (aaaaaaaaaa.one.parquet)" in out
    assert "begun" not in out
    assert len(rows(place)) == 1


def test_a_container_started_again_in_its_pod_takes_another_name(place: Place) -> None:
    failing = body("raise RuntimeError('no luck')")
    assert [end(start(place, failing))[0] for _ in range(2)] == [1, 1]
    assert sorted(row.attempt for row in rows(place)) == ["one", "one-2"]


def test_what_is_wrong_is_said_before_any_training(s3: Place) -> None:
    for wrong in ({"AWS_SECRET_ACCESS_KEY": "no"}, {names.ENV_RESULTS: "s3://no-such-bucket/x"}):
        code, out, err = end(start(s3, **wrong))
        assert (code, out) == (66, "")
        (line,) = err
        assert line.startswith("kgen: s3://")
        assert "access denied" in line or "there is no bucket" in line


def test_a_bucket_that_cannot_be_written_is_said_before_any_training(place: Place) -> None:
    place.front.on("PUT", ".tmp-", front.says(403, "AccessDenied"), times=99)
    code, out, err = end(start(place))
    assert (code, out, len(err)) == (66, "", 1)
    assert f"kgen: {place.location}: can't be written: access denied (403 AccessDenied)" in err[0]


def test_a_bucket_that_says_nothing_is_given_up_before_any_training(place: Place) -> None:
    over = threading.Event()
    place.front.on("GET", "list-type", front.hangs(over), times=99)
    try:
        code, out, err = end(start(place, "from kgen.trial import process\nprocess.START_SECONDS = 1\n" + TRAINER))
    finally:
        over.set()
    assert (code, out) == (66, "")
    assert err == [f"kgen: {place.location}/rows: can't be listed: no answer from {place.front.url}: timed out"]


@pytest.mark.parametrize(("method", "part"), [("GET", "list-type"), ("PUT", ".tmp-")])
def test_a_bucket_that_is_gone_for_ten_seconds_costs_no_trial(s3: Place, method: str, part: str) -> None:
    fault = s3.front.on(method, part, front.says(503, "SlowDown"), times=6)
    code, _, err = end(start(s3))
    assert (code, fault.met) == (0, 6)
    verb = "listed" if method == "GET" else "written"
    assert err == [f"kgen: {s3.location} can't be {verb} yet: {s3.front.url} answers 503 SlowDown"]
    assert len(rows(s3)) == 1


def test_an_image_without_obstore_says_what_it_lacks(place: Place) -> None:
    code, out, err = end(start(place, "import sys\nsys.modules['obstore'] = None\n" + TRAINER))
    assert (code, out) == (66, "")
    assert err == [f"kgen: {place.location}: results in a bucket need obstore: pip install obstore"]


def test_only_a_trial_with_a_bucket_loads_obstore(place: Place, tmp_path: Path) -> None:
    tells = TRAINER.replace("print('begun'", "print('obstore' in sys.modules")
    assert end(start(place, tells, **{names.ENV_RESULTS: str(tmp_path)}))[1].startswith("False")
    assert end(start(place, tells))[1].startswith("True")


def test_a_trained_row_outlasts_a_bucket_that_is_gone_for_a_while(place: Place) -> None:
    process = start(place)
    fault = place.front.on("PUT", ".one.parquet", front.breaks_before, times=4)
    place.front.wait_for(fault, 2)
    place.front.server.stop()
    try:
        place.front.wait_for(fault, 4)
    finally:
        place.front.server.start()
    code, _, err = end(process)
    assert code == 0
    assert err[0].startswith("kgen: the row can't be written yet: no answer from")
    (row,) = rows(place)
    assert row.steps == 3


def test_an_interrupted_trial_writes_its_row_into_the_bucket(place: Place) -> None:
    waits = body(
        "trial.report(step=1, loss=0.5)",
        "print('begun', flush=True)",
        "while not trial.stopping:",
        "    time.sleep(0.01)",
    )
    process = start(place, waits)
    assert process.stdout is not None
    while "begun" not in process.stdout.readline():
        assert process.poll() is None
    process.terminate()
    assert end(process)[0] == 143
    (row,) = rows(place)
    assert (row.state, row.exit_reason) == ("interrupted", "SIGTERM")


def test_checkpoints_are_scratch_and_go_with_the_attempt(place: Place, tmp_path: Path) -> None:
    saves = body(
        "(trial.checkpoint_dir / 'weights').write_text('w')",
        "print('saved', trial.checkpoint_dir, flush=True)",
        "trial.report(step=1, loss=0.5)",
    )
    code, out, _ = end(start(place, saves, TMPDIR=str(tmp_path)))
    assert code == 0
    folder = Path(out.partition("saved ")[2].splitlines()[0])
    assert folder.parent == tmp_path
    assert not folder.exists()
    assert tempfile.gettempdir() not in "".join(place.front.seen)


def test_what_a_trial_says_of_its_bucket_has_no_secret(s3: Place) -> None:
    leaks = body("raise RuntimeError('failed')")
    code, out, err = end(start(s3, leaks))
    assert code == 1
    assert servers.SECRET not in out + "".join(err) + repr(rows(s3))
