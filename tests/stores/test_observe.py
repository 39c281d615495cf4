"""Commands against a cluster, with results in a bucket that this machine can read, or can't."""

from __future__ import annotations

import dataclasses
import json
import threading

import pytest

from kgen.results.bucket import BucketStore
from kgen.results.rows import rows_to_bytes
from kgen.sweep import expand, load
from tests.cluster.shell import IMAGE, Shell, sweep_text
from tests.stores import front, servers
from tests.stores.place import Place
from tests.unit.plan.rows import row

UNREAD = "; so a finished Job counts as a result"


def leave(place: Place, shell: Shell, count: int = 99) -> None:
    """What the pods' programs would have written, had they run: rows of the first so many trials."""
    store = BucketStore(f"{place.results}/first")
    for trial in expand(load(shell.folder / "sweep.yaml"))[:count]:
        made = row(trial)
        made = dataclasses.replace(made, environment=dataclasses.replace(made.environment, image=IMAGE))
        assert store.write_row_file(f"{trial.id}.{made.attempt}.parquet", rows_to_bytes([made]))


def counts(shell: Shell) -> dict[str, int]:
    """Actions that a plan has, and how many trials each."""
    found: dict[str, int] = json.loads(shell.kgen("plan", "-o", "json").ok().out)["counts"]
    return {action: number for action, number in found.items() if number}


def test_rows_in_a_bucket_are_seen(place: Place, shell: Shell) -> None:
    shell.submit(sweep_text(results=place.results))
    shell.until_all("Succeeded:NoRow")
    leave(place, shell, 3)
    assert sorted(shell.statuses().values()) == [*["Succeeded"] * 3, "Succeeded:NoRow"]
    (sweep,) = json.loads(shell.kgen("get", "sweeps", "-o", "json").ok().out)["items"]
    assert (sweep["rows_read"], sweep["rows_unread"]) == (True, None)
    assert "unchecked" not in shell.kgen("describe", "sweep", "first").ok().out


def test_what_has_a_row_is_done_without_its_job(place: Place, shell: Shell) -> None:
    shell.submit(sweep_text(results=place.results, ttl_seconds_after_finished="1"))
    leave(place, shell)
    shell.cluster.until(lambda: not shell.jobs(), what="its Jobs are gone")
    assert set(shell.statuses().values()) == {"Succeeded"}
    assert counts(shell) == {"done": 4}
    assert "nothing to do" in shell.kgen("submit", "sweep.yaml", "--yes").ok().out
    assert shell.kgen("diff").ok().out == ""
    assert shell.kgen("wait", "first").ok().code == 0
    changed = sweep_text(results=place.results, image="registry.example/other:1")
    shell.write(changed)
    assert counts(shell) == {"done (other image)": 4}


def test_few_requests_whatever_the_number_of_rows(place: Place, shell: Shell) -> None:
    shell.submit(sweep_text(results=place.results, fate="run"))
    shell.kgen("get", "trials", "first")
    place.front.seen.clear()
    assert len(shell.statuses()) == 4
    assert len(place.front.seen) == 1  # nothing is there yet
    leave(place, shell)
    place.front.seen.clear()
    assert len(shell.statuses()) == 4
    assert place.front.count("GET", "list-type") <= 2
    assert place.front.count("GET", ".1.parquet") == 4
    assert len(place.front.seen) <= 7


@pytest.mark.parametrize("fault", ["403", "silent"])
def test_a_bucket_that_cannot_be_read_is_said_in_one_line_and_no_obstacle(
    place: Place, shell: Shell, fault: str
) -> None:
    over = threading.Event()
    act = front.says(403, "AccessDenied") if fault == "403" else front.hangs(over)
    shell.submit(sweep_text(results=place.results))
    shell.until_all("Succeeded:NoRow")
    place.front.on("GET", "", act, times=999)
    why = "access denied (403 AccessDenied)" if fault == "403" else "timed out"
    try:
        got = shell.kgen("get", "trials", "first")
        waited = shell.kgen("wait", "first")
        described = shell.kgen("describe", "sweep", "first").ok()
        planned = shell.kgen("plan").ok()
        differs = shell.kgen("diff")
    finally:
        over.set()
    assert got.out.count(" Succeeded ") == 4
    for ran in (got, waited, differs):
        (line,) = [line for line in ran.err.splitlines() if place.results in line]
        assert line.startswith("kgen: ") or ran is waited
        assert why in line
        assert line.endswith(UNREAD)
        assert ran.code == 0
    assert why in "".join(line for line in described.lines if line.startswith("Rows:"))
    assert [line for line in planned.lines if why in line and line.startswith("note: ")]
    assert "done: 4" in planned.out


def test_a_secret_stays_out_of_the_cluster_and_of_what_is_said(s3: Place, shell: Shell) -> None:
    keys = "{AWS_ACCESS_KEY_ID: {secret: bucket, key: id}, AWS_SECRET_ACCESS_KEY: {secret: bucket, key: secret}}"
    shell.kubectl("create", "secret", "generic", "bucket", "--from-literal=id=x", "--from-literal=secret=y")
    where = f"{{url: '{s3.results}', endpoint: '{s3.front.url}', region: {servers.REGION}}}"
    done = shell.submit(sweep_text(results=where, secret_env=keys))
    printed = done.out
    for words in (["get", "trials", "first", "-o", "yaml"], ["get", "sweeps", "-o", "json"], ["plan", "-o", "yaml"]):
        printed += shell.kgen(*words).ok().out
    held = json.dumps(
        [shell.cluster.get(kind, "-n", shell.namespace) for kind in ("jobs", "pods", "configmaps", "events")]
    )
    for text in (printed, held):
        assert servers.SECRET not in text
        assert servers.KEY not in text
    (job, *_) = shell.jobs().values()
    variables = {v["name"]: v for v in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["AWS_ENDPOINT_URL"]["value"] == s3.front.url
    assert variables["AWS_REGION"]["value"] == servers.REGION
    assert variables["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "bucket", "key": "secret"}
