"""Several trials in a pod, from the sweep file to the Jobs: created once, kept, cut anew only where there is none."""

from __future__ import annotations

import datetime as dt
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from kgen.backends.kubernetes.objects import Kind
from kgen.backends.kubernetes.watch import Mirror
from kgen.names import ANNOTATION_RETRY, ANNOTATION_TRIALS, COMPONENT_SUBMIT, LABEL_PACK, tool_name
from kgen.render import render
from kgen.render.tools import Tool, tool_job
from kgen.sweep import expand, loads
from kgen.workflow.stored import selector
from tests.cluster.planned import quota, running, with_quota
from tests.cluster.proxy import Exchange, Proxy
from tests.cluster.shell import IMAGE, Shell, finish, interrupt, numbers, sweep_text, uids
from tests.cluster.test_act import answered
from tests.cluster.test_requests import asked
from tests.unit.results import made

FOUR = "execution: {trials_per_pod: 4}\n"


def packed(trials: int = 10, size: int = 4, **fields: str) -> str:
    """A sweep of so many trials, so many of them in a pod; ``fields`` as of `sweep_text`."""
    execution = f"execution: {{trials_per_pod: {size}}}\n"
    return sweep_text(**{"parameters": numbers(trials), "more": execution, **fields})


def ids(text: str) -> list[str]:
    """The sweep's trials in the file's order."""
    return [trial.id for trial in expand(loads(text))]


def trials_of(job: dict[str, Any]) -> list[str]:
    return str(job["metadata"]["annotations"][ANNOTATION_TRIALS]).split(",")


def packs(shell: Shell) -> list[list[str]]:
    """The trials of each Job, in the file's order."""
    order = ids((shell.folder / "sweep.yaml").read_text())
    found = [trials_of(job) for job in shell.jobs().values()]
    return sorted(found, key=lambda trials: order.index(trials[0]))


def handed_over(shell: Shell, job: dict[str, Any]) -> list[str]:
    """Ids in the ConfigMap that the Job's pod mounts."""
    volumes = job["spec"]["template"]["spec"]["volumes"]
    (name,) = (volume["configMap"]["name"] for volume in volumes if volume["name"] == "kgen-trials")
    config_map = shell.cluster.get("configmap", name, f"--namespace={shell.namespace}")
    return [json.loads(line)["id"] for line in config_map["data"]["trials.jsonl"].splitlines()]


def let_none_start(shell: Shell) -> None:
    """Somebody else's pod is all that a quota has room for."""
    with_quota(shell.cluster, shell.namespace, {"pods": "1"})
    shell.cluster.apply(running("theirs", {}, "0", {}), namespace=shell.namespace)


# -- once, again --------------------------------------------------------------------------------------------------


def test_submit_creates_each_pack_and_its_config_map_and_again_nothing(shell: Shell) -> None:
    first = shell.submit(packed(fate="run"))
    order, jobs = ids(packed()), shell.jobs()
    assert packs(shell) == [order[:4], order[4:8], order[8:]]
    assert "  create: 10 in 3 Jobs" in first.lines
    assert "  3 ConfigMaps with the trials of these Jobs" in first.lines
    assert "10 trials in 3 pods of cpu: 1, memory: 1Gi, ephemeral-storage: 4Gi" in first.lines
    assert "3 Jobs created" in first.lines
    printed = [line.split()[0] for line in first.lines if line.endswith(" created") and "/" in line]
    assert sorted(printed) == sorted([
        *(f"job.batch/{name}" for name in jobs), *(f"configmap/{name}" for name in shell.config_maps())
    ])  # fmt: skip
    assert printed[0] == "configmap/kgen-sweep-first"
    assert all(line.startswith("configmap/") for line in printed[:4]), "each is there before the Job that mounts it"
    for job in jobs.values():
        assert handed_over(shell, job) == trials_of(job)
        assert job["metadata"]["name"] == f"first-{job['metadata']['labels'][LABEL_PACK]}"

    again = shell.kgen("submit", "sweep.yaml").ok()
    assert again.lines[-1] == "nothing to do"
    assert "  keep: 10 in 3 Jobs" in again.lines
    assert uids(shell.jobs()) == uids(jobs)
    assert shell.kgen("diff", "sweep.yaml").ok().out == ""


def test_after_an_edit_only_what_is_new_gets_packs(shell: Shell) -> None:
    shell.submit(packed(10, fate="run"))
    before, there = uids(shell.jobs()), packs(shell)
    added = shell.submit(packed(16, fate="run"))
    order = ids(packed(16))
    assert added.lines[-2] == "2 Jobs created"
    assert packs(shell) == [*there, order[10:14], order[14:]]
    assert before.items() <= uids(shell.jobs()).items()

    shell.submit(packed(20, 16, fate="run"))
    assert packs(shell) == [*there, order[10:14], order[14:], ids(packed(20))[16:]], "what is there keeps its size"
    shell.submit(packed(21, 1, fate="run"))
    assert len(shell.jobs()) == 7
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"


def test_single_jobs_stay_when_several_are_asked_for(shell: Shell) -> None:
    shell.submit(packed(3, 1, fate="run"))
    before = uids(shell.jobs())
    shell.submit(packed(7, 4, fate="run"))
    new = [job for name, job in shell.jobs().items() if name not in before]
    assert before.items() <= uids(shell.jobs()).items()
    assert [trials_of(job) for job in new] == [ids(packed(7))[3:]]
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"


def test_a_pack_that_has_not_started_is_replaced_once_and_a_running_one_kept(shell: Shell) -> None:
    with_quota(shell.cluster, shell.namespace, {"pods": "1"})
    shell.submit(packed(8, fate="run"))
    shell.cluster.until(lambda: sorted(shell.statuses().values()) == ["Queued:QuotaExceeded"] * 4 + ["Running"] * 4)
    before, there = uids(shell.jobs()), packs(shell)
    larger = "{nvidia.com/gpu: 0, cpu: 2, memory: 1Gi}"
    shown = shell.kgen("diff", shell.write(packed(8, fate="run", resources=larger)))
    assert shown.code == 1
    assert len([line for line in shown.lines if line.startswith("~ job.batch/")]) == 1
    assert "4 trials, first a=" in shown.out
    edited = shell.kgen("submit", "sweep.yaml").ok()
    assert "  keep: 4 in 1 Job" in edited.lines
    assert "  replace: 4 in 1 Job" in edited.lines
    assert len([line for line in edited.lines if line.endswith(" replaced")]) == 1
    after = uids(shell.jobs())
    assert after.keys() == before.keys(), "a pack keeps its name"
    assert len({*after.values()} & {*before.values()}) == 1
    assert packs(shell) == there


def test_trials_that_the_file_drops_leave_a_waiting_pack(shell: Shell) -> None:
    let_none_start(shell)
    shell.submit(packed(4, fate="run"))
    shell.until_all("Queued:QuotaExceeded")
    (name,) = shell.jobs()
    shell.submit(packed(3, fate="run"))
    assert packs(shell) == [ids(packed(3))]
    assert [*shell.jobs()] == [name]
    assert handed_over(shell, shell.jobs()[name]) == ids(packed(3))
    assert len(shell.config_maps()) == 2, "that which no Job mounts any more is gone"
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"


def test_a_config_map_that_is_lost_is_put_back(shell: Shell) -> None:
    shell.submit(packed(4, fate="run"))
    (lost,) = (name for name in shell.config_maps() if name.startswith("kgen-trials-"))
    shell.kubectl("delete", "configmap", lost)
    assert shell.kgen("diff", "sweep.yaml").lines == [f"+ configmap/{lost}"]
    assert f"configmap/{lost} created" in shell.kgen("submit", "sweep.yaml").ok().lines
    assert lost in shell.config_maps()


def test_a_running_pack_keeps_its_config_map_after_an_edit(shell: Shell) -> None:
    """The objective is handed over with the trials, and is no part of their identity."""
    shell.submit(packed(4, fate="run"))
    shell.until_all("Running")
    before = shell.config_maps()
    edited = shell.submit(packed(4, fate="run", more=f"objective: {{metric: accuracy}}\n{FOUR}"))
    assert "  keep: 4 in 1 Job" in edited.lines
    assert shell.config_maps() == before, "none that nobody mounts"
    (own,) = (name for name in before if name.startswith("kgen-trials-"))
    shell.kubectl("delete", "configmap", own)
    (name,) = shell.jobs()
    planned = shell.kgen("plan", "sweep.yaml").ok()
    gone = f"note: job.batch/{name}: its ConfigMap {own} is gone, without which none of its pods can start again"
    assert gone in planned.lines
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"


def test_a_pack_is_not_made_anew_for_a_trainer_that_takes_one_trial(shell: Shell) -> None:
    let_none_start(shell)
    command = ", command: [python, train.py]"
    shell.submit(packed(4, fate="run", trainer=command))
    shell.until_all("Queued:QuotaExceeded")
    ((name, before),) = shell.jobs().items()
    one = packed(4, 1, fate="run", trainer=f"{command}, metrics: stdout")
    refused = shell.kgen("submit", shell.write(one))
    assert refused.code == 2
    found = f"trainer: found 4 trials in a pod with trainer.metrics: stdout, those of job.batch/{name}"
    assert found in refused.err
    assert uids(shell.jobs()) == {name: before["metadata"]["uid"]}
    shell.kubectl("delete", "job", name)
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-2] == "4 Jobs created"


# -- what is done, failed, stale ----------------------------------------------------------------------------------


def in_folder(shell: Shell, trials: int, **more: str) -> str:
    """A sweep whose results lie in a volume of its pods that this machine has too."""
    share = shell.folder / "share"
    share.mkdir(exist_ok=True)
    volume = f"[{{name: share, mount_path: {share}, source: {{nfs: {{server: files, path: /}}}}}}]"
    return packed(trials, 4, **{"results": str(share), "volumes": volume, **more})


def test_what_has_a_row_is_not_packed_again(shell: Shell) -> None:
    text = in_folder(shell, 10)
    order = ids(text)
    made.write(
        shell.folder / "share" / "first",
        *(made.row(trial, "1") for trial in order[2:5]),
        name=f"{order[2]}.1.1.parquet",
    )
    planned = shell.kgen("plan", shell.write(text), "-n", shell.namespace).ok()
    assert "  done: 3" in planned.lines
    assert "  create: 7 in 2 Jobs" in planned.lines
    named = shell.kgen("plan", "sweep.yaml", "-n", shell.namespace, "-o", "name").ok()
    assert len(named.lines) == 2
    shell.submit(text)
    left = [*order[:2], *order[5:]]
    assert packs(shell) == [left[:4], left[4:]]
    plan = json.loads(shell.kgen("plan", "sweep.yaml", "-n", shell.namespace, "-o", "json").ok().out)
    assert [item["job"] is None for item in plan["plan"]] == [trial in order[2:5] for trial in order]

    shell.kubectl("wait", "jobs", "--all", "--for=condition=complete", "--timeout=60s")
    shell.kubectl("delete", "jobs", "--all")
    made.write(
        shell.folder / "share" / "first", *(made.row(trial, "2") for trial in left), name=f"{left[0]}.2.1.parquet"
    )
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"
    assert not shell.jobs()


def test_a_failed_pack_stays_and_is_retried_with_the_same_trials_and_name(shell: Shell) -> None:
    shell.submit(packed(4, fate="exit-1"))
    shell.until_all("Failed:Crash")
    ((name, before),) = shell.jobs().items()
    assert "  failed: 4 in 1 Job" in shell.kgen("submit", "sweep.yaml").ok().lines
    assert uids(shell.jobs()) == {name: before["metadata"]["uid"]}
    shell.kgen("retry", "first", "--failed").ok()
    ((again, after),) = shell.jobs().items()
    assert again == name
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert trials_of(after) == trials_of(before) == handed_over(shell, after)
    assert json.loads(after["metadata"]["annotations"][ANNOTATION_RETRY])["count"] == 1
    assert len(shell.config_maps()) == 2


def test_a_retry_by_a_newer_kgen_finds_the_config_map(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.submit(packed(4, fate="exit-1"))
    shell.until_all("Failed:Crash")
    monkeypatch.setattr("kgen.__version__", "99.0.0")
    retried = shell.kgen("retry", "first", "--failed").ok()
    assert retried.lines[-1] == "1 Job created"
    assert not [line for line in retried.lines if line.startswith("configmap/")]


def test_a_retry_that_has_no_room_for_a_config_map_leaves_the_job(shell: Shell) -> None:
    shell.submit(packed(4, fate="exit-1"))
    shell.until_all("Failed:Crash")
    before = uids(shell.jobs())
    (lost,) = (name for name in shell.config_maps() if name.startswith("kgen-trials-"))
    shell.kubectl("delete", "configmap", lost)
    with_quota(shell.cluster, shell.namespace, {"count/configmaps": "2"})
    refused = shell.kgen("retry", "first", "--failed")
    assert refused.code == 3
    assert "no room for the ConfigMaps of Jobs of several trials: " in refused.err
    assert "0 of 1 ConfigMaps are there; to go on: kgen retry first --failed --missing" in refused.err
    assert uids(shell.jobs()) == before


@pytest.mark.parametrize("by", ["trial", "Job"])
def test_a_retry_that_was_killed_brings_the_whole_pack_back(shell: Shell, by: str) -> None:
    """Killed after the Job was deleted and before it is there again."""
    shell.submit(packed(4, fate="exit-1"))
    shell.until_all("Failed:Crash")
    ((name, before),) = shell.jobs().items()
    named = trials_of(before)[2] if by == "trial" else name
    asked, over = threading.Event(), threading.Event()

    def never_comes(exchange: Exchange) -> None:
        asked.set()
        over.wait()
        exchange.reset()

    with Proxy(shell.cluster) as proxy:
        proxy.on("POST", "/jobs", never_comes)
        run = shell.start("retry", "first", named, "--kubeconfig", proxy.kubeconfig, "-n", shell.namespace)
        assert asked.wait(60), finish(run)
        run.kill()
        over.set()
        finish(run)
    assert not shell.jobs()
    assert shell.kgen("retry", "first", named).ok().lines[-1] == "1 Job created"
    ((again, after),) = shell.jobs().items()
    assert again == name
    assert trials_of(after) == trials_of(before) == handed_over(shell, after)


def test_after_an_edit_a_failed_pack_is_replaced_by_its_name(shell: Shell) -> None:
    shell.submit(packed(4, fate="exit-1"))
    shell.until_all("Failed:Crash")
    before = uids(shell.jobs())
    done = shell.submit(packed(4), "--wait")
    assert done.lines[-1] == "all 4 trials of sweep/first succeeded"
    assert uids(shell.jobs()).keys() == before.keys()
    assert uids(shell.jobs()) != before


def test_stale_results_of_a_pack_can_not_be_run_again(shell: Shell) -> None:
    shell.submit(packed(4), "--wait")
    before = uids(shell.jobs())
    other = packed(4, image=IMAGE.replace("a" * 64, "b" * 64))
    assert "  done (other image): 4 in 1 Job" in shell.submit(other).lines
    refused = shell.kgen("submit", "sweep.yaml", "--rerun-stale")
    assert refused.code == 2
    assert "--rerun-stale: found 4 results that another image made, of Jobs of several trials" in refused.err
    assert uids(shell.jobs()) == before


def test_delete_takes_the_config_maps_along(shell: Shell) -> None:
    shell.submit(packed(8, fate="run"))
    gone = shell.kgen("delete", "first", "--yes").ok()
    assert gone.lines == ["sweep/first deleted: 2 Jobs, 3 ConfigMaps; results stay"]
    assert shell.config_maps() == []


# -- Jobs that overlap ---------------------------------------------------------------------------------------------


def apply_packs(shell: Shell, text: str, *numbers: int) -> list[str]:
    """Apply the Jobs of another file with their ConfigMaps, as somebody does who renders; later than those there."""
    newest = max(job["metadata"]["creationTimestamp"] for job in shell.jobs().values())
    shell.cluster.until(lambda: f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}" > newest, what="the next second")
    spec = loads(text)
    rendered = render(spec, expand(spec), namespace=shell.namespace)
    jobs = [rendered.jobs[number] for number in numbers]
    wanted = {job.name for job in jobs}
    config_maps = [each for job, each in rendered.config_maps if job in wanted]
    shell.cluster.apply(*(each.object() for each in (*config_maps, *jobs)), namespace=shell.namespace)
    return [job.name for job in jobs]


def test_a_job_that_newer_ones_cover_is_seen_all_the_same(shell: Shell) -> None:
    shell.submit(packed(4, fate="run"))
    (covered,) = shell.jobs()
    apply_packs(shell, packed(4, 2, fate="run"), 0, 1)
    shell.cluster.until(lambda: len(shell.pods()) == 3 and set(shell.statuses().values()) == {"Running"})
    planned = shell.kgen("plan", shell.write(packed(4, 2, fate="run"))).ok()
    assert "  orphan: 1, not in the file; left alone" in planned.lines
    assert f"    {covered}" in planned.lines
    assert "  unfinished: 3 Jobs, 3 running; what those have done is lost" in answered(shell, "n", "delete", "first")
    assert shell.kgen("cancel", "first").ok().lines[-1] == "3 Jobs deleted"
    assert not shell.jobs()


@pytest.mark.parametrize("command", ["retry", "submit"])
def test_a_job_that_is_made_anew_has_only_the_trials_that_no_newer_one_has(shell: Shell, command: str) -> None:
    shell.submit(packed(4, fate="exit-1"))
    shell.until_all("Failed:Crash")
    (name,) = shell.jobs()
    order = ids(packed(4))
    apply_packs(shell, packed(4, 2, fate="run"), 0)
    shell.cluster.until(lambda: list(shell.statuses().values()) == ["Running"] * 2 + ["Failed:Crash"] * 2)
    if command == "retry":
        shell.kgen("retry", "first", "--failed").ok()
    else:
        shell.submit(packed(4, fate="run"))
    assert packs(shell) == [order[:2], order[2:]]
    assert handed_over(shell, shell.jobs()[name]) == order[2:]


def test_what_is_held_back_leaves_out_what_somebody_else_has_started(shell: Shell) -> None:
    two = "execution: {trials_per_pod: 2, max_parallel: 2}\n"
    text = packed(8, fate="run", more=two)
    order = ids(text)
    run = shell.start("submit", shell.write(text), "--wait", "--yes")
    try:
        shell.cluster.until(lambda: packs(shell) == [order[:2], order[2:4]], what="two Jobs are there")
        before = [*shell.jobs()]
        (other,) = apply_packs(shell, packed(8, 3, fate="run"), 1)  # trials 3 to 5
        shell.kubectl("delete", "job", *before)
        expected = [order[3:6], order[6:]]
        shell.cluster.until(lambda: packs(shell) == expected, what="what nobody has is created, up to two")
        shell.kubectl("delete", "job", other)
    finally:
        interrupt(run)


def test_of_what_is_held_back_only_the_rest_is_created(shell: Shell) -> None:
    two = "execution: {trials_per_pod: 2, max_parallel: 2}\n"
    text = packed(6, fate="run", more=two)
    order = ids(text)
    run = shell.start("submit", shell.write(text), "--wait", "--yes")
    try:
        shell.cluster.until(lambda: packs(shell) == [order[:2], order[2:4]], what="two Jobs are there")
        before = [*shell.jobs()]
        apply_packs(shell, packed(6, 5, fate="run"), 0)  # all but the last one
        shell.kubectl("delete", "job", *before)
        shell.cluster.until(lambda: packs(shell) == [order[:5], order[5:]], what="the last trial has a Job")
        (last,) = (job for job in shell.jobs().values() if trials_of(job) == order[5:])
        assert handed_over(shell, last) == order[5:]
    finally:
        interrupt(run)


def test_a_retry_of_what_is_held_back_makes_the_same_job(shell: Shell) -> None:
    text = packed(4, fate="run", more="execution: {trials_per_pod: 2, max_parallel: 1}\n")
    order = ids(text)
    run = shell.start("submit", shell.write(text), "--wait", "--yes")
    try:
        shell.cluster.until(lambda: packs(shell) == [order[:2]], what="one Job is there")
        first = [*shell.jobs()]
        assert shell.kgen("retry", "first", order[3]).ok().lines[-1] == "1 Job created"
        assert packs(shell) == [order[:2], order[2:]]
        shell.kubectl("delete", "job", *first)
        shell.kubectl("delete", "job", "--all")
        ended = finish(run)
    finally:
        run.kill()
    assert ended.code == 1
    assert "4 of 4 trials have no result" in ended.err
    assert not shell.jobs(), "none of them was held back any more"


def test_what_is_missing_is_left_to_the_job_that_submits(shell: Shell) -> None:
    shell.submit(packed(8, fate="run"))
    lost, kept = shell.jobs()
    shell.kubectl("delete", "job", lost)
    tool = Tool.of(loads(packed(8, fate="run")), COMPONENT_SUBMIT, ("kgen",), image=IMAGE, service_account="default")
    job = tool_job(tool, tool_name(COMPONENT_SUBMIT, "first"), shell.namespace, backoff_limit=0, final_codes=(1,))
    shell.cluster.apply(job.object(), namespace=shell.namespace)
    refused = shell.kgen("retry", "first", "--missing")
    assert refused.code == 2
    assert "while job.batch/kgen-submit-first creates what is missing" in refused.err
    assert shell.jobs().keys() == {kept, "kgen-submit-first"}


# -- kubectl ------------------------------------------------------------------------------------------------------


def test_kubectl_applies_what_submit_creates(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    shell.kgen("render", shell.write(packed(10, fate="run")), "-o", folder, "-n", shell.namespace).ok()
    shell.kubectl("apply", "-f", str(folder))
    assert shell.kgen("diff", "sweep.yaml", "-n", shell.namespace).ok().out == ""
    assert shell.kgen("submit", "sweep.yaml", "-n", shell.namespace).ok().lines[-1] == "nothing to do"
    applied = {**shell.jobs()}
    shell.kgen("delete", "first", "--yes").ok()
    shell.cluster.until(lambda: not shell.jobs(), what="they are gone")

    shell.kgen("submit", "sweep.yaml", "-n", shell.namespace).ok()
    assert shell.jobs().keys() == applied.keys()
    differs = shell.cluster.try_kubectl("diff", "-f", str(folder), f"--namespace={shell.namespace}")
    assert (differs.returncode, differs.stdout) == (0, "")


def test_a_pack_of_fused_trials_is_taken_by_the_server_field_by_field(shell: Shell) -> None:
    def own(**settings: str) -> str:
        parameters = "{optimizer: [sgd, adam], learning_rate: [1e-3, 1e-2, 1e-1]}"
        made = sweep_text(parameters=parameters, more=FOUR, trainer=", command: [python, -m, kgen_trainer]", **settings)
        return made.replace("accuracy: 0.9", "train_accuracy: 0.9")

    dry = shell.kgen("submit", shell.write(own()), "--dry-run=server").ok()
    assert len([line for line in dry.lines if line.startswith("job.batch/")]) == 2
    assert len([line for line in dry.lines if line.startswith("configmap/")]) == 3
    assert not shell.jobs()
    shell.submit(own(fate="run"))
    job = next(iter(shell.jobs().values()))
    variables = {item["name"]: item.get("value") for item in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (variables["KGEN_PACKING"], variables["KGEN_TIMING"]) == ("fused", "shared")
    shell.until_all("Running")


# -- limits -------------------------------------------------------------------------------------------------------


def test_max_parallel_counts_jobs(shell: Shell) -> None:
    text = sweep_text(parameters=numbers(24), seconds="0.3", more="execution: {trials_per_pod: 4, max_parallel: 2}\n")
    assert "execution.max_parallel" in shell.kgen("submit", shell.write(text)).err
    ended: set[str] = set()
    unfinished: set[str] = set()
    together: list[int] = []
    with Mirror(shell.api(), selector("first"), [Kind.JOB]) as mirror:
        run = shell.start("submit", "sweep.yaml", "--wait")

        def all_ended() -> bool:
            assert run.poll() in (None, 0), finish(run)
            for change in mirror.changes(1.0):
                name = change.item["metadata"]["name"]
                if any(each["status"] == "True" for each in change.item["status"].get("conditions", ())):
                    ended.add(name)
                    unfinished.discard(name)
                elif name not in ended:
                    unfinished.add(name)
                together.append(len(unfinished))
            return len(ended) == 6

        shell.cluster.until(all_ended, timeout=120, what="six Jobs have ended")
    assert finish(run).ok().lines[-1] == "all 24 trials of sweep/first succeeded"
    assert max(together) == 2


def test_max_parallel_holds_nothing_back_that_few_enough_jobs_have(shell: Shell) -> None:
    three = "execution: {trials_per_pod: 4, max_parallel: 3}\n"
    shell.submit(sweep_text(parameters=numbers(8), fate="run", more=three))
    shell.submit(sweep_text(parameters=numbers(12), fate="run", more=three))
    assert len(shell.jobs()) == 3
    refused = shell.kgen("submit", shell.write(sweep_text(parameters=numbers(16), fate="run", more=three)))
    assert refused.code == 2
    assert "execution.max_parallel: found 3 without --wait" in refused.err


def test_max_parallel_counts_a_job_that_is_replaced_once(shell: Shell) -> None:
    let_none_start(shell)
    two = "execution: {trials_per_pod: 4, max_parallel: 2}\n"
    shell.submit(sweep_text(parameters=numbers(8), fate="run", more=two))
    shell.until_all("Queued:QuotaExceeded")
    larger = "{nvidia.com/gpu: 0, cpu: 2, memory: 1Gi}"
    edited = shell.submit(sweep_text(parameters=numbers(8), fate="run", more=two, resources=larger))
    assert "  replace: 8 in 2 Jobs" in edited.lines
    assert len(shell.jobs()) == 2


def test_quotas_count_jobs_and_config_maps(shell: Shell) -> None:
    shell.cluster.apply(quota({"count/jobs.batch": "2", "count/configmaps": "20"}), namespace=shell.namespace)
    refused = shell.kgen("plan", shell.write(packed(10)))
    assert refused.code == 3
    assert "allows 2 Jobs, 0 are there and 3 are to be created" in refused.err
    shell.cluster.apply(quota({"count/jobs.batch": "3", "count/configmaps": "4"}), namespace=shell.namespace)
    shell.cluster.until(
        lambda: "allows 4 ConfigMaps, 1 are there and 4 are needed" in shell.kgen("plan", "sweep.yaml").err,
        what="the quota on ConfigMaps counts",
    )
    assert not shell.jobs()


def test_a_plan_counts_the_hours_of_pods(shell: Shell) -> None:
    plan = json.loads(shell.kgen("plan", shell.write(packed(10, deadline="2h")), "-o", "json").ok().out)
    forecast = plan["forecast"]
    assert forecast["hours"]["cpu"] == 3 * 2
    assert forecast["trials"] == 10
    (shape,) = forecast["shapes"]
    assert (shape["trials"], shape["pods"], shape["seconds"]) == (10, 3, 7200)


@pytest.mark.alone
def test_288_trials_make_few_requests(shell: Shell) -> None:
    with asked(shell) as first:
        shell.submit(packed(288, 16, fate="run"))
    assert first["create jobs"] == 18
    assert first["create configmaps"] == 1 + 18
    assert first["create jobs (dry run)"] == 1, "all packs have one shape"
    assert first.requests.total() - 2 * 18 <= 14, first.requests
    with asked(shell) as again:
        shell.kgen("submit", "sweep.yaml").ok()
    assert again["create jobs"] == again["create configmaps"] == 0
    assert again.requests.total() <= 13, again.requests
