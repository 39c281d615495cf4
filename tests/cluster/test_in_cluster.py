"""`--in-cluster`: the Jobs that commands start, and what the same commands do in their pods."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kgen import names
from kgen.backends.kubernetes.tool import stay
from kgen.names import row_file
from kgen.results.rows import State, rows_to_bytes
from kgen.status import State as Status
from kgen.sweep import expand, load
from kgen.workflow.in_cluster import collect_job
from kgen.workflow.wait import wait
from tests.cluster.planned import submitter_kubeconfig
from tests.cluster.pods import AsPod, created_jobs
from tests.cluster.shell import Shell, finish, interrupt, numbers, read_until, sweep_text
from tests.cluster.test_wait import Hurried, Nobody
from tests.stores import servers
from tests.unit.results.made import row

TWO_AT_A_TIME = "execution: {max_parallel: 2}\n"
CLAIMS = ("data", "other")
CLAIM = {"KGEN_CLAIM": "data"}


@pytest.fixture
def accounts(shell: Shell) -> Iterator[Shell]:
    """Accounts and rights as `manifests/` give them, and two claims, in a namespace that lets nothing in but restricted
    pods."""
    submitter_kubeconfig(shell.cluster, shell.namespace)
    shell.kubectl("label", "namespace", shell.namespace, "pod-security.kubernetes.io/enforce=restricted")
    volumes = [f"{shell.namespace}-{name}" for name in CLAIMS]
    for volume, name in zip(volumes, CLAIMS, strict=True):
        shell.cluster.apply(*bound(volume, name, shell.namespace), namespace=shell.namespace)
    yield shell
    shell.cluster.kubectl("delete", "persistentvolume", "--wait=false", *volumes)


def bound(volume: str, name: str, namespace: str) -> list[dict[str, Any]]:
    """A claim, and the volume that it is bound to, so that pods are scheduled."""
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    spec = common | {
        "capacity": {"storage": "1Gi"},
        "claimRef": {"namespace": namespace, "name": name},
        "nfs": {"server": "nfs.example", "path": "/"},
    }
    claim = common | {"volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": claim},
    ]


@pytest.fixture
def pod(accounts: Shell, tmp_path: Path) -> Callable[[str], AsPod]:
    """A pod with one of the accounts."""
    return lambda account: AsPod.of(accounts.cluster, accounts.namespace, account, tmp_path / account)


def job_of(shell: Shell, component: str, sweep: str = "first") -> dict[str, Any]:
    """A Job of kgen's own. Its pod meets the fate of the sweep's trials, as it has their annotations."""
    job: dict[str, Any] = shell.cluster.get("job", f"kgen-{component}-{sweep}", f"--namespace={shell.namespace}")
    return job


def tools(shell: Shell) -> list[str]:
    """The names of all Jobs that are no trials."""
    return shell.kubectl("get", "jobs", f"--selector=!{names.LABEL_TRIAL}", "-o", "name").split()


def text_of(*arguments: str, **settings: str) -> str:
    """A sweep file whose results lie in a claim, so that they can't be read from outside."""
    return sweep_text(*arguments, **({"results": "pvc://data/sweeps"} | settings))


# -- submit, outside


def test_submit_stores_the_sweep_and_starts_a_job(accounts: Shell) -> None:
    text = text_of(more=TWO_AT_A_TIME, run_as_user="2000",
                      image_pull_policy="IfNotPresent", image_pull_secrets="[login]")  # fmt: skip
    done = accounts.submit(text, "--in-cluster", "--max-failures", 3, "--rerun-stale")
    assert done.lines[-3:] == [
        "configmap/kgen-sweep-first created",
        "job.batch/kgen-submit-first created",
        f"next: kgen wait first; its log: kubectl logs job/kgen-submit-first -n {accounts.namespace} -f",
    ]
    assert tools(accounts) == ["job.batch/kgen-submit-first"]
    job = job_of(accounts, "submit")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == [
        "kgen", "submit", "sweep/first", "--wait", "--in-cluster", "--yes", "--rerun-stale", "--max-failures", "3",
    ]  # fmt: skip
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("kgen-submitter", True)
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 2000
    assert (container["imagePullPolicy"], pod["imagePullSecrets"]) == ("IfNotPresent", [{"name": "login"}])
    assert not [name for name in container["resources"]["limits"] if "/" in name]
    final = next(rule for rule in job["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob")
    assert final["onExitCodes"]["values"] == [1, 2]
    # Restricted Pod Security is enforced here: its pod was let in.
    chosen = "--selector=app.kubernetes.io/component=submit"
    accounts.cluster.until(lambda: accounts.kubectl("get", "pods", chosen, "-o", "name"), what="its pod is there")


def test_a_submission_that_is_at_work_is_left_at_it(accounts: Shell) -> None:
    text = text_of(fate="run")
    accounts.submit(text, "--in-cluster")
    before = job_of(accounts, "submit")["metadata"]["uid"]
    again = accounts.kgen("submit", "sweep.yaml", "--in-cluster").ok()
    assert "job.batch/kgen-submit-first unchanged: it is at work already" in again.lines
    accounts.write(text.replace("steps: 10", "steps: 11"))
    edited = accounts.kgen("submit", "sweep.yaml", "--in-cluster")
    assert edited.code == 2
    assert "FILE: found first, which was edited since job.batch/kgen-submit-first submits it" in edited.err
    assert job_of(accounts, "submit")["metadata"]["uid"] == before


def test_a_submission_that_has_ended_makes_room(accounts: Shell) -> None:
    accounts.submit(text_of(), "--in-cluster")
    accounts.kubectl("wait", "--for=condition=Complete", "job/kgen-submit-first", "--timeout=60s")
    before = job_of(accounts, "submit")["metadata"]["uid"]
    replaced = accounts.kgen("submit", "sweep.yaml", "--in-cluster").ok()
    assert "job.batch/kgen-submit-first replaced" in replaced.lines
    assert job_of(accounts, "submit")["metadata"]["uid"] != before


def test_a_service_account_that_is_not_there_is_said_before_anything_is_created(accounts: Shell) -> None:
    shell = accounts
    shell.kubectl("delete", "serviceaccounts", "kgen-submitter", "kgen-collector")
    shell.write(text_of())
    for command, account in (("submit", "kgen-submitter"), ("collect", "kgen-collector")):
        if command == "collect":
            shell.kgen("submit", "sweep.yaml").ok()
        refused = shell.kgen(command, "sweep.yaml", "--in-cluster")
        assert refused.code == 2
        found = f"--service-account: found {account}, which namespace {shell.namespace} does not have"
        assert found in refused.err
        assert not tools(shell)
        assert bool(shell.config_maps()) == (command == "collect")


def test_a_foreign_job_of_its_name_is_left_alone(accounts: Shell) -> None:
    accounts.kubectl("create", "job", "kgen-submit-first", "--image=other", "--dry-run=none")
    refused = accounts.kgen("submit", accounts.write(text_of()), "--in-cluster")
    assert refused.code == 3
    assert "Job kgen-submit-first can't be created: it is there, but kgen did not make it" in refused.err


def test_where_nothing_is_to_be_done_no_job_is_started(accounts: Shell) -> None:
    accounts.submit(text_of(), "--wait")
    assert accounts.kgen("submit", "sweep.yaml", "--in-cluster").ok().lines[-1] == "nothing to do"
    assert not tools(accounts)


def test_an_edit_that_needs_no_job_is_stored(accounts: Shell) -> None:
    accounts.submit(text_of(), "--wait")
    edited = text_of(more="objective: {metric: loss, goal: minimize}\n")
    again = accounts.kgen("submit", accounts.write(edited), "--in-cluster").ok()
    assert again.lines[-1] == "configmap/kgen-sweep-first configured"
    assert not tools(accounts)


def test_waiting_goes_on_where_no_job_is_needed(accounts: Shell) -> None:
    accounts.submit(text_of(seconds="2"))
    again = accounts.kgen("submit", "sweep.yaml", "--in-cluster", "--wait").ok()
    assert again.lines[-1] == "all 4 trials of sweep/first succeeded"
    assert not tools(accounts)


# -- Jobs and pods of kgen's own among the trials


def test_they_are_no_trials_and_go_first(accounts: Shell) -> None:
    accounts.submit(text_of(fate="run"), "--in-cluster")
    accounts.kgen("submit", "sweep.yaml").ok()
    accounts.until_all("Running")
    assert len(accounts.statuses()) == 4
    (seen,) = [line for line in accounts.kgen("get", "sweeps").ok().lines if line.startswith("first")]
    assert "4" in seen.split()
    assert "kgen-submit" not in accounts.kgen("describe", "sweep", "first").ok().out
    assert "orphan" not in accounts.kgen("plan", "sweep.yaml").ok().out
    assert accounts.kgen("wait", "first", "--timeout", "1s").code == 124

    after = accounts.cluster.audit_position()
    cancelled = accounts.kgen("cancel", "first").ok()
    assert cancelled.lines[0] == "job.batch/kgen-submit-first deleted"
    assert cancelled.lines[-1] == "5 Jobs deleted"
    gone = [
        event["objectRef"].get("name")
        for event in accounts.cluster.audit(agent="kgen/", after=after)
        if event["verb"] == "delete" and event["objectRef"]["resource"] == "jobs"
    ]
    assert gone[0] == "kgen-submit-first"
    assert not accounts.jobs()


def test_a_job_of_its_own_makes_no_sweep(accounts: Shell) -> None:
    accounts.submit(text_of(fate="run"))
    collect_job(accounts.api(), load("sweep.yaml"))
    accounts.kubectl("delete", "configmap", "kgen-sweep-first")
    accounts.kubectl("delete", "jobs", f"--selector={names.LABEL_TRIAL}")
    for command in (("get", "trials"), ("describe", "sweep"), ("wait",)):
        gone = accounts.kgen(*command, "first")
        assert gone.code == 2
        assert "found first, allowed a sweep" in gone.err


def test_whoever_waits_knows_that_a_job_creates_the_trials(accounts: Shell) -> None:
    """Its pod may take minutes until it creates the first: its image is pulled, say."""
    accounts.submit(text_of(fate="image-pull"), "--in-cluster")
    api, watcher = accounts.api(), Nobody()
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(wait, api, "first", watcher, clock=Hurried())
        accounts.cluster.until(lambda: [line for line in watcher.said if "ImagePull" in line])
        assert watcher.said[-1].startswith("job.batch/kgen-submit-first, which creates the trials: Pending:ImagePull, ")
        assert not waiting.done()
        accounts.kubectl("delete", "job", "kgen-submit-first")
        seen = waiting.result(60).seen
    assert {trial.status.state for trial in seen.asked} == {Status.MISSING}


def test_delete_takes_them_too(accounts: Shell) -> None:
    accounts.submit(text_of(fate="run"), "--in-cluster")
    deleted = accounts.kgen("delete", "first").ok()
    assert deleted.lines[-1].startswith("sweep/first deleted: 1 Job, 1 ConfigMap")
    assert not tools(accounts)


# -- submit, inside


def test_a_submitter_that_is_killed_again_and_again_ends_as_one_clean_run(
    accounts: Shell, pod: Callable[[str], AsPod]
) -> None:
    submitter = pod("kgen-submitter")
    text = text_of(seconds="0.2", parameters=numbers(12), more=TWO_AT_A_TIME)
    command = ("submit", "sweep/first", "--wait", "--in-cluster", "--yes")
    accounts.submit(text, "--in-cluster")
    after = accounts.cluster.audit_position()
    for number in (2, 7):
        process = submitter.start(*command)
        accounts.cluster.until(partial(has_jobs, accounts, number))
        process.kill()
        finish(process)
    last = finish(submitter.start(*command))
    assert last.code == 0, last
    assert last.lines[-1] == "all 12 trials of sweep/first succeeded"
    assert set(created_jobs(accounts.cluster, accounts.namespace, after).values()) == {1}
    assert len(created_jobs(accounts.cluster, accounts.namespace, after)) == 12
    assert most_at_once(accounts, after) <= 2


def has_jobs(shell: Shell, number: int) -> bool:
    return count_jobs(shell) >= number


def count_jobs(shell: Shell) -> int:
    return len(shell.kubectl("get", "jobs", f"--selector={names.LABEL_TRIAL}", "-o", "name").split())


def most_at_once(shell: Shell, after: int) -> int:
    """Jobs of the sweep that were unfinished at the same time, as the server saw them begin and end."""
    moments: list[tuple[str, int]] = []
    for job in shell.jobs().values():
        if names.LABEL_TRIAL in job["metadata"]["labels"]:
            moments.append((job["metadata"]["creationTimestamp"], 1))
            moments.append((job["status"]["completionTime"], -1))
    most = now = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most


def test_a_fuse_counts_what_failed_before_the_submitter_was_killed(
    accounts: Shell, pod: Callable[[str], AsPod]
) -> None:
    """Three of the first five failures happen while nobody watches: they still count."""
    submitter = pod("kgen-submitter")
    # As a cluster that can't be reached, that code is no end: the Job is at work for minutes.
    text = text_of(fate="exit-3", parameters=numbers(30), more=TWO_AT_A_TIME)
    accounts.submit(text, "--in-cluster")
    process = submitter.start("submit", "sweep/first", "--wait", "--in-cluster", "--yes", "--max-failures", 6)
    accounts.cluster.until(lambda: count_jobs(accounts) >= 3)
    process.kill()
    finish(process)
    again = finish(submitter.start("submit", "sweep/first", "--wait", "--in-cluster", "--yes", "--max-failures", 6))
    assert again.code == 1
    assert "stopped early: 6 trials failed" in again.err
    assert 6 <= count_jobs(accounts) <= 8


def test_a_submitter_that_is_told_to_end_does_so_at_once(accounts: Shell, pod: Callable[[str], AsPod]) -> None:
    submitter = pod("kgen-submitter")
    accounts.submit(text_of(fate="run", more=TWO_AT_A_TIME), "--in-cluster")
    process = submitter.start("submit", "sweep/first", "--wait", "--in-cluster", "--yes")
    read_until(process, lambda line: "2 running" in line)
    process.send_signal(signal.SIGTERM)
    ended = finish(process)
    assert ended.code == 130
    assert "what was held back is not created" in ended.err
    assert count_jobs(accounts) == 2


def test_only_a_pod_submits_by_name(accounts: Shell, pod: Callable[[str], AsPod]) -> None:
    refused = accounts.kgen("submit", "sweep/first", "--in-cluster")
    assert refused.code == 2
    assert "sweep/first" in refused.err
    missing = finish(pod("kgen-submitter").start("submit", "sweep/none", "--in-cluster"))
    assert missing.code == 2
    assert f"found none, allowed a sweep in namespace {accounts.namespace}" in missing.err


def test_a_pod_that_has_a_file_submits_that_file(accounts: Shell, pod: Callable[[str], AsPod]) -> None:
    """A notebook: what the cluster holds of the sweep may be older, or nothing."""
    file = accounts.folder / accounts.write(text_of())
    ended = finish(pod("kgen-submitter").start("submit", file, "--in-cluster", "--yes"))
    assert ended.code == 0, ended
    assert ended.lines[-1] == "all 4 trials of sweep/first succeeded"
    refused = finish(pod("kgen-collector").start("submit", "sweep/first", "--in-cluster", "--dry-run=client"))
    assert (refused.code, "a sweep file" in refused.err) == (2, True)


# -- collect


def leave_rows(folder: Path, *trials: str, **more: Any) -> None:
    """What trials left in the claim."""
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    for trial in trials:
        made = row(trial, f"attempt-of-{trial}", State.COMPLETE, **more)
        (folder / "rows" / row_file(made.trial, made.attempt)).write_bytes(rows_to_bytes([made]))


def files(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_collect_starts_a_job_shows_its_end_and_deletes_it(accounts: Shell) -> None:
    accounts.submit(text_of(seconds="2"))
    process = accounts.start("collect", "sweep.yaml", "--in-cluster", "--image", "other:1")
    accounts.cluster.until(lambda: tools(accounts))
    job = job_of(accounts, "collect")
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "kgen-collector"
    assert pod["containers"][0]["image"] == "other:1"
    assert pod["containers"][0]["command"] == ["kgen", "collect", "sweep/first", "--in-cluster"]
    assert {"name": "KGEN_CLAIM", "value": "data"} in pod["containers"][0]["env"]
    assert {"name": "kgen-results", "persistentVolumeClaim": {"claimName": "data"}} in pod["volumes"]
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    done = finish(process)
    assert done.code == 0
    assert "job.batch/kgen-collect-first created" in done.err.splitlines()
    assert "the output of pod kgen-collect-first-" in done.err  # fake nodes have none to give
    accounts.cluster.until(lambda: not tools(accounts), what="it is gone")


def test_a_collection_that_fails_stays_for_its_log(accounts: Shell) -> None:
    accounts.submit(text_of(fate="exit-2"))
    failed = accounts.kgen("collect", "sweep/first", "--in-cluster")
    assert failed.code == 2
    assert "kgen: job.batch/kgen-collect-first failed:" in failed.err
    assert f"its log: kubectl logs job/kgen-collect-first -n {accounts.namespace}" in failed.err
    assert tools(accounts) == ["job.batch/kgen-collect-first"]
    again = accounts.kgen("collect", "sweep/first", "--in-cluster")
    assert again.err.splitlines()[0] == "job.batch/kgen-collect-first replaced"


def test_who_watches_a_collection_may_leave_and_come_back(accounts: Shell) -> None:
    accounts.submit(text_of(fate="run"))
    process = accounts.start("collect", "sweep/first", "--in-cluster")
    assert process.stderr is not None
    assert process.stderr.readline() == "job.batch/kgen-collect-first created\n"
    left = interrupt(process)
    assert left.code == 130
    assert "no longer watching; job.batch/kgen-collect-first goes on" in left.err
    back = accounts.start("collect", "sweep/first", "--in-cluster")
    assert back.stderr is not None
    assert back.stderr.readline() == "job.batch/kgen-collect-first unchanged\n"
    accounts.kubectl("delete", "job", "kgen-collect-first")
    deleted = finish(back)
    assert deleted.code == 3
    assert "was deleted while it was waited for" in deleted.err


def test_a_collection_that_cannot_start_is_given_up_with_the_reason(accounts: Shell) -> None:
    accounts.submit(text_of(fate="image-pull"))
    api = accounts.api()
    begun = collect_job(api, load("sweep.yaml"))
    said: list[str] = []
    ended = stay(api, begun.job, lambda line: None, said.append, clock=Hurried())
    assert ended.code is None
    assert "could not start for" in ended.why
    assert "Pending:ImagePull" in said[-1]
    accounts.cluster.until(lambda: not tools(accounts), what="it is deleted")


def test_a_collection_whose_pod_is_refused_is_given_up_with_the_reason(accounts: Shell) -> None:
    """Of which only events tell."""
    accounts.submit(text_of(), "--wait")
    limits = {"limits": [{"type": "Container", "max": {"memory": "1Mi"}}]}
    tiny = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tiny"}, "spec": limits}
    accounts.cluster.apply(tiny, namespace=accounts.namespace)
    api = accounts.api()
    ended = stay(api, collect_job(api, load("sweep.yaml")).job, lambda line: None, lambda text: None, clock=Hurried())
    assert ended.code is None
    assert "maximum memory usage per Container is 1Mi" in ended.why
    accounts.cluster.until(lambda: not tools(accounts), what="it is deleted")


def test_inside_a_sweep_is_collected_beside_its_rows(accounts: Shell, pod: Callable[[str], AsPod]) -> None:
    accounts.submit(text_of(fate="oom"))
    accounts.until_all("Failed:OutOfMemory")
    trials = [trial.id for trial in expand(load("sweep.yaml"))]
    collector = pod("kgen-collector")
    folder = collector.folder / "results" / "sweeps" / "first"
    leave_rows(folder, *trials[:2])
    done = finish(collector.start("collect", "sweep/first", "--in-cluster", **CLAIM))
    assert done.code == 0, done
    assert done.lines[0] == "2 of 4 trials have a result"
    for trial in trials[2:]:
        said = f"failed: {trial} (OutOfMemory: killed for using more than its memory (1Gi); no row)"
        assert said in done.lines
    assert done.lines[-1] == f"report: {folder}/report/index.html"
    table = pd.read_parquet(folder / "collected/trials.parquet").set_index("trial")
    assert list(table["status"]) == ["reached", "reached", "failed", "failed"]
    uid = {pod["metadata"]["labels"][names.LABEL_TRIAL]: pod["metadata"]["uid"] for pod in accounts.pods().values()}
    assert list(table["attempt"][2:]) == [uid[trial] for trial in trials[2:]]
    assert all(digest.startswith("sha256:") for digest in table["image_digest"][2:])
    assert (folder / "report/index.html").exists()
    assert (folder / "collected/summary.csv").exists()
    before = {path: Path(path).read_bytes() for path in files(folder)}
    # The same rows and pods: the same bytes. And when the pods are gone, what they said is still there.
    assert finish(collector.start("collect", "sweep/first", "--in-cluster", **CLAIM)).code == 0
    assert {path: Path(path).read_bytes() for path in files(folder)} == before
    accounts.kubectl("delete", "jobs", "--all")
    accounts.cluster.until(lambda: not accounts.pods())
    assert finish(collector.start("collect", "sweep/first", "--in-cluster", **CLAIM)).out == done.out
    other = finish(collector.start("collect", "sweep/first", "--in-cluster", KGEN_CLAIM="other"))
    assert other.code == 2
    assert "KGEN_CLAIM: found other, allowed data, the claim of first's results, mounted at" in other.err


def test_every_sweep_is_collected_when_something_is_new(accounts: Shell, pod: Callable[[str], AsPod]) -> None:
    one = "{optimizer: [adam]}"
    for name, results in (
        ("broken", "pvc://data"),
        ("first", "pvc://data"),
        ("far", "pvc://other"),
        ("second", "pvc://data/sub"),
    ):
        accounts.write(sweep_text(name, one, results=results))
        accounts.kgen("submit", "sweep.yaml", "--wait").ok()
    (trial,) = [trial.id for trial in expand(load("sweep.yaml"))]
    collector = pod("kgen-collector")
    root = collector.folder / "results"
    for folder in (root / "first", root / "sub" / "second"):
        leave_rows(folder, trial)
    (root / "broken").write_text("no folder")
    command = ("collect", "--all", "--in-cluster")
    done = finish(collector.start(*command, **CLAIM))
    assert done.code == 1
    assert done.lines == [
        "sweep/far: skipped, its results lie in the claim other, here is data",
        "sweep/first: 1 of 1 trials have a result: complete",
        "sweep/second: 1 of 1 trials have a result: complete",
    ]
    assert f"sweep/broken: {root}/broken" in done.err
    assert "1 of 4 sweeps could not be collected: broken" in done.err
    (root / "broken").unlink()
    assert finish(collector.start(*command, **CLAIM)).code == 0
    before = files(root)
    quiet = finish(collector.start(*command, **CLAIM))
    assert (quiet.code, quiet.lines[2:]) == (0, ["sweep/first: nothing new", "sweep/second: nothing new"])
    assert files(root) == before
    leave_rows(root / "first", trial, ended=5, steps=1)
    last = finish(collector.start(*command, **CLAIM))
    assert last.lines[2:] == ["sweep/first: 1 of 1 trials have a result: complete", "sweep/second: nothing new"]
    assert {path for path, when in files(root).items() if before.get(path) != when} >= {
        str(root / "first/collected/trials.parquet"), str(root / "first/collected/collection.json"),
    }  # fmt: skip


def test_a_sweep_in_a_bucket_is_collected_there(
    accounts: Shell, pod: Callable[[str], AsPod], programs: Path, tmp_path: Path
) -> None:
    with servers.s3(tmp_path / "s3", "bucket") as server:
        results = f"{{url: s3://bucket/sweeps, endpoint: '{server.url}', region: {servers.REGION}}}"
        text = text_of(parameters="{optimizer: [adam]}", results=results)
        accounts.kgen("submit", accounts.write(text))
        accounts.cluster.until(lambda: count_jobs(accounts) == 1)
        (trial,) = [trial.id for trial in expand(load("sweep.yaml"))]
        folder = tmp_path / "s3/data/bucket/sweeps/first"
        leave_rows(folder, trial)
        secrets = {"AWS_ACCESS_KEY_ID": servers.KEY, "AWS_SECRET_ACCESS_KEY": servers.SECRET}
        collector = pod("kgen-collector")
        for said in ("1 of 1 trials have a result: complete", "nothing new"):
            done = finish(collector.start("collect", "--all", "--in-cluster", **secrets))
            assert (done.code, done.lines) == (0, [f"sweep/first: {said}"]), done
        assert (folder / "report/index.html").is_file()
        named = finish(collector.start("collect", "first", "--in-cluster", **secrets))
        assert named.lines[-1] == "report: s3://bucket/sweeps/first/report/index.html"


def test_all_is_for_pods(shell: Shell) -> None:
    for arguments, words in (
        (("--all", "--in-cluster"), "--all is for the chart's CronJob"),
        (("--all",), "--all without --in-cluster"),
        (("--service-account", "me"), "--service-account without --in-cluster"),
    ):
        refused = shell.kgen("collect", shell.write(text_of()), *arguments)
        assert refused.code == 2
        assert words in refused.err
