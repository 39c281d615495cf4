"""Results in a bucket as a copy on this machine, their last lines of output, and their removal with the sweep."""

from __future__ import annotations

from pathlib import Path

from kgen.names import ROWS_DIR
from kgen.results.bucket import BucketStore
from kgen.results.rows import rows_to_bytes
from kgen.sweep import expand, load
from tests.cluster.shell import Shell, sweep_text
from tests.stores.place import Place
from tests.unit.results.made import row

PARAMETERS = "{optimizer: [sgd, adam]}"


def leave(place: Place, shell: Shell, count: int) -> list[str]:
    """Rows of the first so many trials in the bucket, and their trials."""
    store = BucketStore(f"{place.results}/first")
    trials = [trial.id for trial in expand(load(shell.folder / "sweep.yaml"))[:count]]
    for trial in trials:
        store.write_row_file(f"{trial}.a.parquet", rows_to_bytes([row(trial, log=f"of {trial}")]))
    return trials


def test_what_is_new_in_a_bucket_is_fetched_without_a_cluster(place: Place, shell: Shell) -> None:
    shell.write(sweep_text(parameters=PARAMETERS, results=place.results))
    shell.kubeconfig.unlink()
    leave(place, shell, 1)
    said = f"from {place.results}/first to results/first"
    first = shell.kgen("collect").ok()
    assert first.lines[0] == f"fetched 1 row file {said}"
    assert first.lines[-1] == "tables: results/first/collected"
    leave(place, shell, 2)
    assert shell.kgen("report").ok().lines[0] == f"fetched 1 row file {said}"
    assert shell.kgen("collect").ok().lines[0] == "2 of 2 trials have a result: complete"
    copy = Path("results", "first")
    assert (copy / "report" / "index.html").is_file()
    store = BucketStore(f"{place.results}/first")
    assert {path.name: path.read_bytes() for path in (copy / ROWS_DIR).iterdir()} == dict(
        store.read_row_files(file.name for file in store.row_files())
    )


def test_logs_and_delete_reach_a_bucket(place: Place, shell: Shell) -> None:
    shell.submit(sweep_text(parameters=PARAMETERS, results=place.results, fate="run"))
    shell.until_all("Running")
    one, _ = leave(place, shell, 2)
    shell.kubectl("delete", "job", f"first-{one}")
    shell.cluster.until(lambda: len(shell.pods()) == 1)
    log = shell.kgen("logs", one)
    assert (log.code, log.lines) == (0, [f"of {one}"])
    gone = shell.kgen("delete", "first", "--results", "--yes").ok()
    assert gone.lines == ["sweep/first deleted: 1 Job, 1 ConfigMap; 2 files of results"]
    assert BucketStore(f"{place.results}/first").row_files() == []
