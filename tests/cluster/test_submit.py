"""`kgen submit`: each Job once, whatever happens on the way, and nothing where it can't work."""

from __future__ import annotations

import itertools
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kgen.backends.kubernetes.create import Created, create
from kgen.backends.kubernetes.objects import Kind
from kgen.backends.kubernetes.watch import Mirror
from kgen.cli.printer import Printer
from kgen.sweep import load
from kgen.workflow.follow import Following
from kgen.workflow.observe import SeenTrial
from kgen.workflow.prepare import prepare
from kgen.workflow.stored import selector
from kgen.workflow.submit import submit
from tests.cluster.planned import quota, submitter_kubeconfig, with_quota
from tests.cluster.shell import Shell, finish, interrupt, numbers, read_until, sweep_text, uids
from tests.unit.cli.ran import Ran

# -- once, again, twice -------------------------------------------------------------------------------------------


def test_submit_creates_each_job_and_the_config_map_and_again_nothing(shell: Shell) -> None:
    first = shell.submit(sweep_text(fate="run"))
    jobs = shell.jobs()
    assert sorted(line for line in first.lines if " created" in line) == sorted(
        [f"job.batch/{name} created" for name in jobs] + ["configmap/kgen-sweep-first created", "4 Jobs created"]
    )
    assert len(jobs) == 4
    assert first.lines[-1] == "next: kgen get trials first, or kgen wait first"

    again = shell.kgen("submit", "sweep.yaml").ok()
    assert again.lines[-1] == "nothing to do"
    assert uids(shell.jobs()) == uids(jobs)


def test_two_submits_at_once_make_each_job_once(shell: Shell) -> None:
    shell.write(sweep_text(parameters=numbers(40)))
    runs = [shell.start("submit", "sweep.yaml") for _ in range(2)]
    done = [finish(run) for run in runs]
    assert [(each.code, each.err) for each in done] == [(0, ""), (0, "")]
    assert len(shell.jobs()) == 40
    created = [line for each in done for line in each.lines if line.startswith("job.batch") and "created" in line]
    assert len(created) == len(set(created)) == 40


def test_after_an_edit_only_the_difference_is_made(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    before = uids(shell.jobs())
    edited = sweep_text(parameters="{optimizer: [sgd, adam], learning_rate: [1e-3, 1e-2, 1e-1]}", fate="run")
    added = shell.submit(edited)
    after = uids(shell.jobs())
    assert before.items() <= after.items()
    assert added.lines[-2] == "2 Jobs created"
    assert "configmap/kgen-sweep-first configured" in added.lines


def test_a_changed_job_that_has_not_started_is_replaced_and_a_running_one_kept(shell: Shell) -> None:
    with_quota(shell.cluster, shell.namespace, {"pods": "2"})
    shell.submit(sweep_text(fate="run"))
    shell.cluster.until(lambda: sorted(shell.statuses().values()) == ["Queued:QuotaExceeded"] * 2 + ["Running"] * 2)
    running = {f"first-{trial}" for trial, status in shell.statuses().items() if status == "Running"}
    before = uids(shell.jobs())

    edited = shell.submit(sweep_text(fate="run", resources="{nvidia.com/gpu: 0, cpu: 2, memory: 1Gi}"))
    after = uids(shell.jobs())
    assert {name for name in before if before[name] == after[name]} == running
    assert len([line for line in edited.lines if line.endswith(" replaced")]) == 2
    assert "  keep: 2" in edited.lines

    forced = shell.submit(
        sweep_text(fate="run", resources="{nvidia.com/gpu: 0, cpu: 2, memory: 1Gi}"), "--replace-running"
    )
    assert not set(uids(shell.jobs()).values()) & {before[name] for name in running}
    assert len([line for line in forced.lines if line.endswith(" replaced")]) == 2


def test_what_is_done_stays_whatever_the_manifest(shell: Shell) -> None:
    shell.submit(sweep_text(), "--wait")
    before = uids(shell.jobs())
    edited = shell.submit(sweep_text(resources="{nvidia.com/gpu: 0, cpu: 2, memory: 1Gi}"))
    assert "  done: 4" in edited.lines
    assert uids(shell.jobs()) == before


def test_a_result_of_another_image_stays_until_it_is_called_stale(shell: Shell) -> None:
    shell.submit(sweep_text(), "--wait")
    before = uids(shell.jobs())
    other = sweep_text(image=f"registry.example/trainer@sha256:{'b' * 64}")
    assert "  done (other image): 4" in shell.submit(other).lines
    assert uids(shell.jobs()) == before
    shell.submit(other, "--rerun-stale")
    assert not set(uids(shell.jobs()).values()) & set(before.values())


def test_a_job_that_is_being_deleted_is_made_anew(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    shell.until_all("Running")
    before = uids(shell.jobs())
    name = min(before)
    held = json.dumps({"metadata": {"finalizers": ["example.test/hold"]}})
    shell.kubectl("patch", "job", name, "--type=merge", "--patch", held)
    shell.kubectl("delete", "job", name, "--wait=false")
    run = shell.start("submit", "sweep.yaml")
    read_until(run, lambda line: line == "  replace: 1\n")
    read_until(run, lambda line: name in line)
    shell.kubectl("patch", "job", name, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    finish(run).ok()
    after = uids(shell.jobs())
    assert after[name] != before[name]
    assert {**before, name: ""} == {**after, name: ""}


def test_orphans_are_named_and_left_and_many_of_them_need_a_yes(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    before = uids(shell.jobs())
    smaller = shell.submit(sweep_text(parameters="{optimizer: [sgd, adam], learning_rate: [1e-3]}", fate="run"), "-y")
    orphans = [
        line.strip() for line in smaller.lines[smaller.lines.index("  orphan: 2, not in the file; left alone") :]
    ]
    assert len(set(orphans) & set(before)) == 2

    shell.write(sweep_text(parameters="{optimizer: [sgd], learning_rate: [5]}", fate="run"))
    refused = shell.kgen("submit", "sweep.yaml")
    assert refused.code == 2
    assert "4 Jobs of a sweep first are there that this file does not ask for, beside 1 that it does" in refused.err
    assert "--yes" in refused.err
    assert uids(shell.jobs()) == before
    shell.kgen("submit", "sweep.yaml", "--yes").ok()
    assert before.items() < uids(shell.jobs()).items()


# -- what can't work ----------------------------------------------------------------------------------------------


def nothing_is_there(shell: Shell) -> bool:
    return not shell.jobs() and not shell.config_maps()


def test_a_job_of_somebody_else_with_the_same_name_is_a_conflict(shell: Shell) -> None:
    names = [line.split()[0] for line in shell.kgen("submit", shell.write(sweep_text()), "--dry-run=client").lines[1:]]
    shell.kubectl("create", "job", names[2].removeprefix("job.batch/"), "--image=other")
    refused = shell.kgen("submit", "sweep.yaml")
    assert refused.code == 2
    assert f"whose Job {names[2].removeprefix('job.batch/')} is there, not made by kgen" in refused.err
    assert nothing_is_there(shell)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"results": "results/"}, "sweep.yaml:5:10: results: found "),
        ({"image": ""}, "trainer.image"),
        ({"trainer": ", command: [./train.sh]"}, "trainer.files"),
        (
            {"trainer": ", env: {DATA: data.csv}"},
            "trainer.env.DATA: found the text 'data.csv', which exists on this machine only",
        ),
    ],
)
def test_what_pods_can_not_reach_is_refused(shell: Shell, change: dict[str, str], said: str) -> None:
    shell.write("#!/bin/sh\n", "train.sh")
    shell.write("1,2\n", "data.csv")
    refused = shell.kgen("submit", shell.write(sweep_text(**change)))
    assert refused.code == 2
    assert said in refused.err, refused.err
    assert nothing_is_there(shell)


def test_a_namespace_that_is_not_there(shell: Shell) -> None:
    refused = shell.kgen("submit", shell.write(sweep_text()), "-n", "nowhere")
    assert refused.code in (2, 3)
    assert "nowhere, a namespace that is not there" in refused.err
    assert "kubectl create namespace nowhere" in refused.err


def test_a_role_that_lacks_a_verb_is_named(shell: Shell) -> None:
    kubeconfig = submitter_kubeconfig(shell.cluster, shell.namespace)
    role = shell.cluster.get("role", "kgen-submitter", "-n", shell.namespace)
    for rule in role["rules"]:
        if "jobs" in rule["resources"] and "create" in rule["verbs"]:
            rule["verbs"].remove("create")
    shell.cluster.apply({"kind": "Role", "apiVersion": role["apiVersion"], "metadata": {
        "name": role["metadata"]["name"]}, "rules": role["rules"]}, namespace=shell.namespace)  # fmt: skip
    refused = shell.kgen("submit", shell.write(sweep_text()), "--kubeconfig", kubeconfig)
    assert refused.code == 3
    assert "jobs.batch: create" in refused.err
    assert "Traceback" not in refused.err
    assert nothing_is_there(shell)


def test_dry_runs_create_nothing(shell: Shell) -> None:
    shell.write(sweep_text())
    client = shell.kgen("submit", "sweep.yaml", "--dry-run=client").ok()
    server = shell.kgen("submit", "sweep.yaml", "--dry-run=server").ok()
    assert client.lines[0] == "configmap/kgen-sweep-first created (dry run)"
    assert len([line for line in client.lines if line.startswith("job.batch/") and "(dry run)" in line]) == 4
    assert len([line for line in server.lines if line.endswith(" created (server dry run)")]) == 5
    assert nothing_is_there(shell)


# -- interrupted --------------------------------------------------------------------------------------------------


def test_ctrl_c_says_what_is_there_and_the_command_that_goes_on(shell: Shell) -> None:
    shell.write(sweep_text(parameters=numbers(300)), "my sweep.yaml")
    run = shell.start("submit", "my sweep.yaml")
    read_until(run, lambda line: line.startswith("job.batch/"))
    stopped = interrupt(run)
    assert stopped.code == 130
    there = len(shell.jobs())
    assert 0 < there < 300
    assert stopped.err == f"kgen: stopped: {there} of 300 Jobs are there; to go on: kgen submit 'my sweep.yaml'\n"
    shell.kgen("submit", "my sweep.yaml").ok()
    assert len(shell.jobs()) == 300


def test_killed_and_submitted_again_ends_the_same(shell: Shell) -> None:
    shell.write(sweep_text(parameters=numbers(60), fate="run"))
    run = shell.start("submit", "sweep.yaml")
    read_until(run, lambda line: line.startswith("job.batch/"))
    run.send_signal(signal.SIGKILL)
    finish(run)
    before = uids(shell.jobs())
    shell.kgen("submit", "sweep.yaml").ok()
    assert before.items() <= uids(shell.jobs()).items()
    assert len(shell.jobs()) == 60


def test_who_stops_reading_does_not_stop_the_submission(shell: Shell) -> None:
    shell.write(sweep_text(parameters=numbers(60), fate="run"))
    run = shell.start("submit", "sweep.yaml")
    read_until(run, lambda line: line.startswith("job.batch/"))
    assert run.stdout is not None
    run.stdout.close()
    run.stdout = None
    assert finish(run) == Ran(0, "", "")
    assert len(shell.jobs()) == 60


# -- limits -------------------------------------------------------------------------------------------------------


def test_a_full_quota_is_waited_for(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is full from the beginning is refused by the plan; this one comes after it."""
    lines: list[str] = []
    monkeypatch.setattr(Printer, "say", lambda self, line: lines.append(line))
    api = shell.api()
    prepared = prepare(load(shell.write(sweep_text(fate="run"))), api)
    with_quota(shell.cluster, shell.namespace, {"count/jobs.batch": "2"})
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(submit, prepared, api, Printer(prepared).event, again="again")
        try:
            shell.cluster.until(lambda: done.done() or (len(shell.jobs()) == 2 and len(lines) == 4))
            (said,) = [line for line in lines if line.startswith("waiting for room in a quota: ")]
            assert "exceeded quota: team" in said
            assert len(shell.jobs()) == 2
        finally:  # or nobody would ever end it
            shell.cluster.apply(quota({"count/jobs.batch": "10"}), namespace=shell.namespace)
        assert len(done.result(timeout=60).created) == 4
    assert len(shell.jobs()) == 4


def test_max_parallel_needs_somebody_who_stays(shell: Shell) -> None:
    shell.write(sweep_text(more="execution: {max_parallel: 2}\n"))
    refused = shell.kgen("submit", "sweep.yaml")
    assert refused.code == 2
    assert "execution.max_parallel" in refused.err
    assert "--wait" in refused.err
    assert "kubernetes.queue" in refused.err
    assert nothing_is_there(shell)
    # Where it holds nothing back, nobody needs to stay.
    shell.submit(sweep_text(more="execution: {max_parallel: 4}\n", fate="run"))
    shell.kgen("submit", "sweep.yaml").ok()


def test_max_parallel_is_never_passed_and_all_complete(shell: Shell) -> None:
    shell.write(sweep_text(parameters=numbers(12), seconds="0.3", more="execution: {max_parallel: 3}\n"))
    unfinished: set[str] = set()
    most = 0
    with Mirror(shell.api(), selector("first"), [Kind.JOB]) as mirror:
        run = shell.start("submit", "sweep.yaml", "--wait")
        ended: set[str] = set()
        while len(ended) < 12:
            assert run.poll() in (None, 0), finish(run)
            for change in mirror.changes(1.0):  # in the order in which it happened
                name = change.item["metadata"]["name"]
                if any(each["status"] == "True" for each in change.item["status"].get("conditions", ())):
                    ended.add(name)
                    unfinished.discard(name)
                elif name not in ended:
                    unfinished.add(name)
                most = max(most, len(unfinished))
    assert finish(run).ok().lines[-1] == "all 12 trials of sweep/first succeeded"
    assert most == 3


def test_what_is_created_but_not_seen_yet_counts(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view of the cluster lags behind: after each creation, three looks show what was there before."""
    wait = Following.wait
    blind = 0

    def noted_create(*arguments: Any, **more: Any) -> Created:
        nonlocal blind
        blind = 3
        return create(*arguments, **more)

    def late_wait(self: Following, timeout: float) -> list[SeenTrial]:
        nonlocal blind
        blind = max(0, blind - 1)
        return [] if blind else wait(self, timeout)

    monkeypatch.setattr("kgen.workflow.submit.create", noted_create)
    monkeypatch.setattr(Following, "wait", late_wait)
    shell.submit(sweep_text(parameters=numbers(3), seconds="1.5", more="execution: {max_parallel: 1}\n"), "--wait")
    jobs = sorted(shell.jobs().values(), key=lambda job: str(job["metadata"]["creationTimestamp"]))
    for one, next_one in itertools.pairwise(jobs):
        assert one["status"]["completionTime"] <= next_one["metadata"]["creationTimestamp"]
