"""Several trials in a pod: where each stands, and what commands do with the Job that they share."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kgen.names import ANNOTATION_RETRY, ANNOTATION_TRIALS, pack_row_file
from kgen.pack_message import Failure, PackMessage, write
from kgen.results.rows import State, TrialRow
from kgen.status import State as Status
from kgen.workflow.follow import Following
from tests.cluster.planned import with_quota
from tests.cluster.proxy import Act, Proxy
from tests.cluster.shell import Shell, finish, interrupt, numbers, read_until, sweep_text, uids
from tests.cluster.test_act import answered
from tests.unit.results import made

PACKED = "execution: {trials_per_pod: 4}\n"
EIGHT = numbers(8)


def in_folder(shell: Shell, parameters: str = EIGHT, **more: str) -> str:
    """A sweep whose results lie in a volume of its pods that this machine has too."""
    share = shell.folder / "share"
    share.mkdir(exist_ok=True)
    volume = f"[{{name: share, mount_path: {share}, source: {{nfs: {{server: files, path: /}}}}}}]"
    return sweep_text("first", parameters, results=str(share), volumes=volume, more=PACKED, **more)


def in_bucket(**more: str) -> str:
    """A sweep whose rows can't be read from here."""
    return sweep_text("first", EIGHT, more=PACKED, **more)


def packs(shell: Shell) -> dict[str, list[str]]:
    """Job → its trials, in the file's order."""
    found = {
        name: str(job["metadata"]["annotations"][ANNOTATION_TRIALS]).split(",") for name, job in shell.jobs().items()
    }
    order = list(shell.statuses())
    return dict(sorted(found.items(), key=lambda item: order.index(item[1][0])))


def pod_of(shell: Shell, job: str) -> dict[str, Any]:
    """The Job's newest pod, which runs."""

    def one() -> dict[str, Any] | None:
        found = [pod for name, pod in shell.pods().items() if name.startswith(job)]
        return next((pod for pod in found if pod["status"]["phase"] == "Running"), None)

    pod = shell.cluster.until(one, what=f"a pod of {job} runs")
    assert pod is not None
    return pod


def end_pod(shell: Shell, job: str, code: int, message: PackMessage | None = None) -> None:
    """End the Job's pod as its node would, with what the program left, and wait until the Job has failed."""
    pod = pod_of(shell, job)
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    [status] = pod["status"]["containerStatuses"]
    started = status["state"]["running"]["startedAt"]
    terminated = {"exitCode": code, "reason": "Error", "startedAt": started, "finishedAt": now}
    if message is not None:
        terminated["message"] = write(message)
    status |= {"ready": False, "started": False, "state": {"terminated": terminated}}
    patch = {"status": {"phase": "Failed", "containerStatuses": [status]}}
    name = pod["metadata"]["name"]
    shell.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", f"--patch={json.dumps(patch)}")
    shell.kubectl("wait", f"job/{job}", "--for=condition=failed", "--timeout=60s")


def leave_rows(shell: Shell, job: str, **states: tuple[State, int]) -> None:
    """One row file of the Job's pod, as its process writes it: trial → state and exit code."""
    uid = pod_of(shell, job)["metadata"]["uid"]
    ended = (dt.datetime.now(dt.UTC) - made.START).total_seconds()
    rows: list[TrialRow] = [
        made.row(trial, uid, state, ended=ended, exit_code=code, exit_reason=f"reason {code}", log=f"log of {trial}")
        for trial, (state, code) in states.items()
    ]
    made.write(shell.folder / "share" / "first", *rows, name=pack_row_file(rows[0].trial, uid, 1))


COMPLETE = (State.COMPLETE, 0)


def half_done(shell: Shell) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Two Jobs that run, with their trials; of the first one's two have a result, and two have failed."""
    shell.submit(in_folder(shell, fate="run"))
    shell.until_all("Running")
    jobs = packs(shell)
    first, (a, b, c, d) = next(iter(jobs.items()))
    leave_rows(shell, first, **{a: COMPLETE, b: COMPLETE, c: (State.FAILED, 64), d: (State.FAILED, 1)})
    return {first: jobs[first]}, {job: trials for job, trials in jobs.items() if job != first}


# -- where they stand ---------------------------------------------------------------------------------------------


def test_all_wait_as_their_job_does(shell: Shell) -> None:
    """There is room for one pod."""
    with_quota(shell.cluster, shell.namespace, {"pods": "1"})
    shell.submit(in_folder(shell, fate="run"))
    jobs = packs(shell)
    assert [len(trials) for trials in jobs.values()] == [4, 4]

    def shown() -> list[set[str]]:
        statuses = shell.statuses()
        return [{statuses[trial] for trial in trials} for trials in jobs.values()]

    either = [{"Running"}, {"Queued:QuotaExceeded"}]
    shell.cluster.until(lambda: shown() in (either, either[::-1]), timeout=90)


def test_an_image_that_can_not_be_pulled_is_told_of_each(shell: Shell) -> None:
    shell.submit(in_folder(shell, fate="image-pull"))
    shell.until_all("Pending:ImagePull")
    job, trials = next(iter(packs(shell).items()))
    shown = shell.kgen("describe", "trial", trials[2]).ok()
    assert re.search(rf"^Job: +{job}, which 4 trials share$", shown.out, re.MULTILINE)
    assert re.search(r"^Status: +Pending:ImagePull$", shown.out, re.MULTILINE)
    assert "SuccessfulCreate" in shown.out


def test_some_have_a_result_while_the_others_are_trained(shell: Shell) -> None:
    one, other = half_done(shell)
    ((job, (a, b, c, d)),) = one.items()
    ((other_job, others),) = other.items()
    assert shell.statuses() == {
        a: "Succeeded", b: "Succeeded", c: "Failed:BadParameters", d: "Running", **dict.fromkeys(others, "Running"),
    }  # fmt: skip

    wide = shell.kgen("get", "trials", "first", "-o", "wide").ok().lines
    assert wide[0].split()[:5] == ["NAME", "STATUS", "PARAMETERS", "JOB", "ATTEMPTS"]
    assert [line.split()[3] for line in wide[1:]] == [job] * 4 + [other_job] * 4
    assert "tried again in its pod's next attempt: reason 1" in wide[4]
    names = shell.kgen("get", "trials", "first", "-o", "name").ok().lines
    assert names == [f"job.batch/{job}", f"job.batch/{other_job}"]
    items = {item["trial"]: item for item in json.loads(shell.kgen("get", "trials", "-o", "json").ok().out)["items"]}
    assert [items[trial]["job"] for trial in (a, d)] == [job, job]
    assert (items[c]["exit_code"], items[a]["exit_code"], items[a]["outcome"]) == (64, None, "reached")
    sweeps = shell.kgen("get", "sweeps").ok().lines[1].split()
    assert sweeps[:8] == ["first", "8", "2", "5", "0", "0", "1", "0"]

    shown = shell.kgen("describe", "trial", job).ok().out
    assert re.search(rf"^Job: +{job}$", shown, re.MULTILINE)
    assert re.search(r"^Trials: +4, 2 with a result$", shown, re.MULTILINE)
    assert re.search(rf"^  {a} +Succeeded +", shown, re.MULTILINE)
    assert re.search(rf"^  {c} +Failed:BadParameters +the trainer refuses .*: reason 64$", shown, re.MULTILINE)
    assert re.search(r"^Status: +Running$", shown, re.MULTILINE)


def test_a_complete_job_where_rows_are_read(shell: Shell) -> None:
    shell.submit(in_folder(shell, seconds="2"))
    for job, trials in packs(shell).items():
        leave_rows(shell, job, **dict.fromkeys(trials[:3], COMPLETE))
    shell.kubectl("wait", "jobs", "--all", "--for=condition=complete", "--timeout=60s")
    assert sorted(shell.statuses().values()) == ["Succeeded"] * 6 + ["Succeeded:NoRow"] * 2
    waited = shell.kgen("wait", "first")
    assert waited.code == 1
    assert "2 of 8 trials have no result" in waited.err
    retried = shell.kgen("retry", "first", "--failed").ok()
    assert retried.lines[-1] == "2 Jobs created"


def test_a_complete_job_where_rows_can_not_be_read(shell: Shell) -> None:
    done = shell.submit(in_bucket(), "--wait")
    assert done.lines[-1] == "all 8 trials of sweep/first succeeded"
    assert set(shell.statuses().values()) == {"Succeeded"}
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"


def test_a_failed_job_whose_rows_can_not_be_read_tells_what_its_pod_left(shell: Shell) -> None:
    shell.submit(in_bucket(fate="run"))
    shell.until_all("Running")
    jobs = packs(shell)
    job, (a, b, c, d) = next(iter(jobs.items()))
    end_pod(shell, job, 1, PackMessage(2, 4, (Failure(b, 64, "no such optimizer"), Failure(c, 1, "ValueError: no"))))
    shown = shell.statuses()
    assert [shown[trial] for trial in (a, b, c, d)] == [
        "Succeeded", "Failed:BadParameters", "Failed:Crash", "Succeeded",
    ]  # fmt: skip
    assert shell.kgen("get", "sweeps").ok().lines[1].split()[:8] == ["first", "8", "2", "4", "0", "0", "2", "0"]
    before = uids(shell.jobs())
    assert shell.kgen("retry", "first", c).ok().lines[-1] == "1 Job created"
    after = uids(shell.jobs())
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} == {job}
    assert packs(shell) == jobs
    note = json.loads(shell.jobs()[job]["metadata"]["annotations"][ANNOTATION_RETRY])
    assert note == {"count": 1, "reason": "Crash: the trainer crashed (exit code 1): ValueError: no"}
    shell.until_all("Running")


def test_a_job_that_was_deleted_leaves_its_trials_missing(shell: Shell) -> None:
    shell.submit(in_folder(shell, fate="run"))
    jobs = packs(shell)
    job, lost = next(iter(jobs.items()))
    shell.kubectl("delete", "job", job)
    shell.cluster.until(lambda: len(shell.pods()) == 1, what="its pod is gone")
    shell.cluster.until(lambda: list(shell.statuses().values()).count("Running") == 4)
    shown = shell.statuses()
    assert {shown[trial] for trial in lost} == {"Missing"}
    assert shell.kgen("retry", "first", "--missing").ok().lines[-2:] == [f"job.batch/{job} created", "1 Job created"]
    assert packs(shell) == jobs


# -- what is done with them ---------------------------------------------------------------------------------------


def test_a_log_is_the_rows_where_the_pod_has_none(shell: Shell) -> None:
    one, other = half_done(shell)
    ((job, (a, b, _, _)),) = one.items()
    end_pod(shell, job, 1)
    log = shell.kgen("logs", b)  # a fake node has no log
    assert (log.code, log.lines) == (0, [f"log of {b}"])
    (uid,) = (pod["metadata"]["uid"] for name, pod in shell.pods().items() if name.startswith(job))
    assert f"the log of attempt {uid}, which ended" in log.err
    ((other_job, others),) = other.items()
    for named in (others[0], other_job):
        none = shell.kgen("logs", named)
        assert (none.code, none.out) == (3, "")
        assert f"the log of pod {other_job}-" in none.err
    for pod in shell.pods():
        shell.kubectl("delete", "pod", pod, "--wait=true")
    assert shell.kgen("logs", a, "--tail", "1").lines == [f"log of {a}"]


def test_what_trains_others_is_not_replaced(shell: Shell) -> None:
    one, _ = half_done(shell)
    ((job, (a, _, c, d)),) = one.items()
    before = uids(shell.jobs())
    refused = shell.kgen("retry", "first", c)
    assert refused.code == 2
    assert f"TRIAL: found {c}, whose Job {job} still trains others, allowed a trial whose Job has ended" in refused.err
    assert shell.kgen("retry", "first", "--failed").ok().lines == ["nothing to retry"]
    for trial, state in ((a, "succeeded"), (d, "running")):
        assert f"{trial}, which is {state}, allowed a trial that failed" in shell.kgen("retry", "first", trial).err
    assert uids(shell.jobs()) == before
    end_pod(shell, job, 1)
    shown = shell.statuses()
    assert [shown[trial] for trial in (a, c, d)] == ["Succeeded", "Failed:BadParameters", "Failed:Crash"]
    assert shell.kgen("retry", "first", job).ok().lines[-1] == "1 Job created"
    shell.cluster.until(lambda: shell.statuses()[c] == "Running", what="what failed before is tried again")
    assert shell.statuses()[a] == "Succeeded"


def test_cancel_and_delete_count_jobs(shell: Shell) -> None:
    one, other = half_done(shell)
    ((_, (a, b, c, d)),) = one.items()
    ((other_job, others),) = other.items()
    end_pod(shell, other_job, 1)
    assert answered(shell, "n", "delete", "first")[1:4] == [
        "  unfinished: 1 Job, 1 running; what those have done is lost",
        "  ended: 1 Job",
        f"  results: 1 row file in {shell.folder}/share/first; they stay",
    ]
    assert shell.kgen("cancel", "first").ok().lines[-1] == "1 Job deleted"
    shell.cluster.until(lambda: len(shell.pods()) == 1, what="the pod of the other is gone")
    shown = shell.statuses()
    assert [shown[trial] for trial in (a, b, c, d)] == ["Succeeded", "Succeeded", "Failed:Crash", "Failed:Crash"]
    assert {shown[trial] for trial in others} == {"Failed:Crash"}
    again = shell.kgen("retry", "first", "--failed", "--missing").ok()
    assert again.lines[-1] == "2 Jobs created"
    assert packs(shell) == {**one, **other}, "also the one that is gone comes back as it was"
    gone = shell.kgen("delete", "first", "--results", "--yes").ok()
    assert re.fullmatch(r"sweep/first deleted: 2 Jobs, \d ConfigMaps; 1 file of results", gone.lines[-1])
    assert not shell.config_maps()


def test_watching_tells_of_each_trial(shell: Shell) -> None:
    shell.submit(in_folder(shell, fate="run"))
    shell.until_all("Running")
    job, lost = next(iter(packs(shell).items()))
    run = shell.start("get", "trials", "first", "-w", "-o", "wide")
    assert run.stdout is not None
    table = [run.stdout.readline() for _ in range(9)]
    assert table[0].split()[3] == "JOB"
    shell.kubectl("delete", "job", job)
    missing = [read_until(run, lambda line: " Missing" in line) for _ in lost]
    assert {line.split()[0] for line in missing} == set(lost)
    assert all("its Job was deleted" in line for line in missing)
    assert interrupt(run).code == 130


def test_who_watches_sees_rows_while_their_job_runs(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgen.workflow.follow._ROWS_AGAIN", 0.2)
    shell.submit(in_folder(shell, fate="run"))
    shell.until_all("Running")
    job, (a, b, *_) = next(iter(packs(shell).items()))
    with Following.stored(shell.api(), "first") as following:
        leave_rows(shell, job, **{a: COMPLETE, b: COMPLETE})
        found: set[str] = set()

        def seen() -> bool:
            found.update(trial.id for trial in following.wait(5) if trial.has_result)
            return found == {a, b}

        shell.cluster.until(seen, what="both have a result")
        assert following.see().counts[Status.RUNNING] == 6


def test_a_forecast_takes_the_time_of_pods(shell: Shell) -> None:
    """Not from the start of the last pod to the end of rows that an earlier one left."""
    shell.submit(in_folder(shell, numbers(4), seconds="2"))
    rows = [made.row(trial, "earlier") for trial in packs(shell).popitem()[1]]
    made.write(shell.folder / "share" / "first", *rows, name=pack_row_file(rows[0].trial, "earlier", 1))
    shell.kubectl("wait", "jobs", "--all", "--for=condition=complete", "--timeout=60s")
    plan = json.loads(shell.kgen("plan", shell.write(in_folder(shell)), "-n", shell.namespace, "-o", "json").ok().out)
    assert plan["counts"] == {**dict.fromkeys(plan["counts"], 0), "done": 4, "create": 4}
    assert plan["forecast"]["expected_seconds"] > 0


def test_waiting_says_once_that_a_job_failed_for_all(shell: Shell) -> None:
    shell.submit(in_folder(shell, fate="oom", seconds="10"))  # long after somebody waits, who tells what he saw happen
    waited = finish(shell.start("wait", "first"))
    assert waited.code == 1
    said = [line for line in waited.err.splitlines() if line.startswith("failed: ")]
    assert sorted(said) == sorted(
        f"failed: {job} with 4 trials: killed for using more than its memory (1Gi)" for job in packs(shell)
    )
    assert "8 of 8 trials have no result\n  8 failed: killed for using more than its memory (1Gi)" in waited.err


def test_a_few_jobs_that_fail_do_not_stop_a_sweep(shell: Shell) -> None:
    """Eight trials fail in two pods, which is no five failures of one cause; five pods are, one after the other."""
    ended = shell.kgen("submit", shell.write(in_folder(shell, fate="exit-1")), "--wait")
    assert ended.code == 1
    assert "stopped early" not in ended.err
    shell.kgen("delete", "first", "--yes").ok()
    one_at_a_time = "execution: {trials_per_pod: 4, max_parallel: 1}\n"
    text = in_folder(shell, numbers(28), fate="exit-1").replace(PACKED, one_at_a_time)
    stopped = shell.kgen("submit", shell.write(text), "--wait")
    assert stopped.code == 1
    assert "stopped early: the first 5 Jobs failed" in stopped.err


def test_a_collection_counts_a_failed_pod_for_each_trial_without_a_row(shell: Shell, tmp_path: Path) -> None:
    shell.submit(in_folder(shell, fate="oom", seconds="2"))
    job, (a, b, c, d) = next(iter(packs(shell).items()))
    leave_rows(shell, job, **{a: COMPLETE, b: (State.FAILED, 64)})
    shell.kubectl("wait", "jobs", "--all", "--for=condition=failed", "--timeout=60s")
    shell.kgen("collect", "first").ok()
    certificate = json.loads((shell.folder / "share/first/collected/certificate.json").read_text())
    assert (certificate["expected"], certificate["accepted"], certificate["missing"]) == (8, 1, [])
    reasons = {each["trial"]: each["reason"] for each in certificate["failed"]}
    assert len(reasons) == 7
    assert reasons[b] == "reason 64"
    assert {reasons[trial] for trial in (c, d)} == {"OutOfMemory: killed for using more than its memory (1Gi)"}
    assert len(certificate["digests"]) == 1


def test_a_log_is_the_lines_that_name_the_trial(shell: Shell) -> None:
    """A fake node keeps no log, so the proxy answers for it."""
    one, _ = half_done(shell)
    ((job, (a, b, c, d)),) = one.items()
    last = write(PackMessage(2, 4, (Failure(c, 64, "reason 64"),), (d,)))
    past = [f'{{"loss": {number}, "trial": "{trial}", "step": 25}}' for number in range(3) for trial in (a, b)]
    new = [f'{{"loss": 9, "trial": "{trial}", "step": 25}}' for trial in (b, a)]

    def text(*lines: str) -> Act:
        return lambda exchange: exchange.answer(200, "".join(f"{line}\n" for line in [*lines, *end]).encode())

    end: list[str] = []
    with Proxy(shell.cluster) as proxy:
        proxy.on("GET", "follow=false", text("imports", *past), times=99)
        proxy.on("GET", "follow=true", text("imports", *past, *new), times=99)

        def log(*arguments: str) -> list[str]:
            printed = shell.kgen("logs", *arguments, "--kubeconfig", proxy.kubeconfig, "-n", shell.namespace)
            assert printed.code == 0
            said.append(printed.err)
            return printed.lines

        said: list[str] = []
        assert log(a) == past[::2]
        assert log(b, "--tail", "2") == past[3::2]
        assert log(b, "--tail", "0") == []
        assert log(a, "-f") == [*past[::2], new[1]]
        assert log(b, "-f", "--tail", "1") == [past[5], new[0]]
        assert log(job) == ["imports", *past]
        assert set(said) == {""}
        end.append(last)
        assert log(c) == [f"log of {c}"]
        assert f"names {c} nowhere; the last lines that its row keeps:" in said[-1]
        assert log(d, "-f") == [f"log of {d}"], "the line in which a pod names all that have no result says nothing"
        assert log(job, "--tail", "2") == ["imports", *past, last]  # the API server counts them
    assert any("tailLines=2" in line for line in proxy.seen)
    assert sum("tailLines" in line for line in proxy.seen) == 1
