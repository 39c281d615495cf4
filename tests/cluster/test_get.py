"""`kgen get`, `describe`, `logs`: what is there, from any machine, and never an empty table because a call failed."""

from __future__ import annotations

import json
import re

import pytest

from tests.cluster.planned import running, with_quota
from tests.cluster.shell import Shell, finish, interrupt, read_until, sweep_text

LONG = "a_parameter_of_a_long_name_that_fills_the_line"


def test_the_table_is_kubectls(shell: Shell) -> None:
    shell.submit(sweep_text(parameters=f"{{optimizer: [sgd, adam], {LONG}: [{'x' * 60}]}}"), "--wait")
    shown = shell.kgen("get", "trials", "first").ok().lines
    assert shown[0].split() == ["NAME", "STATUS", "PARAMETERS", "AGE"]
    assert len(shown) == 3
    assert max(map(len, shown)) <= 80
    assert all(re.fullmatch(r"[a-z2-7]{10} +Succeeded +optimizer=\S+… +\d+m?s", line) for line in shown[1:])
    bare = shell.kgen("get", "trials", "first", "--no-headers").ok().lines
    assert [line.split()[0] for line in bare] == [line.split()[0] for line in shown[1:]]

    wide = shell.kgen("get", "trials", "first", "-o", "wide").ok().lines
    assert wide[0].split() == [
        "NAME", "STATUS", "PARAMETERS", "ATTEMPTS", "OUTCOME", "POD", "NODE", "MESSAGE", "AGE",
    ]  # fmt: skip
    assert f"{LONG}={'x' * 60}" in wide[1]

    sweeps = shell.kgen("get", "sweeps").ok().lines
    assert sweeps[0].split() == [
        "NAME", "TRIALS", "SUCCEEDED", "RUNNING", "PENDING", "QUEUED", "FAILED", "MISSING", "AGE",
    ]  # fmt: skip
    assert sweeps[1].split()[:-1] == ["first", "2", "2", "0", "0", "0", "0", "0"]
    assert len(sweeps[0]) <= 80


def test_it_works_from_another_folder_with_files_and_template(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shell.write("print('{}')\n", "train.py")
    shell.kgen("init", "--template", "job.yaml.j2").ok()
    text = sweep_text(trainer=", command: [python, train.py], files: [train.py]", template="job.yaml.j2", fate="run")
    shell.submit(text)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for file in shell.folder.iterdir():
        file.unlink()
    name = min(shell.jobs())
    shell.kubectl("delete", "job", name)
    trials = {job.removeprefix("first-") for job in [*shell.jobs(), name]}
    shell.cluster.until(lambda: name not in {pod.rpartition("-")[0] for pod in shell.pods()}, what="its pod is gone")
    shown = shell.statuses()
    assert set(shown) == trials
    assert shown[name.removeprefix("first-")] == "Missing"
    assert shell.kgen("retry", "first", "--missing").ok().lines == [f"job.batch/{name} created", "1 Job created"]
    assert shell.kgen("get", "sweeps", "-o", "name").ok().lines == ["sweep/first"]
    assert not any(status.startswith("Missing") for status in shell.statuses().values())


def test_names_pipe_into_kubectl(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    names = shell.kgen("get", "trials", "first", "-o", "name").ok().lines
    assert shell.kubectl("get", *names, "-o", "name").split() == names
    assert {name.removeprefix("job.batch/") for name in names} == set(shell.jobs())


def test_trials_are_chosen_and_sorted(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run", labels="{team: vision}"))
    shell.submit(sweep_text("second", "{optimizer: [sgd]}", fate="run"))

    def parameters(*arguments: str) -> list[str]:
        return [
            re.split(r" {2,}", line)[2] for line in shell.kgen("get", "trials", *arguments, "--no-headers").ok().lines
        ]

    assert parameters("first", "--where", "optimizer=adam,learning_rate<5e-3") == ["optimizer=adam,learning_rate=0.001"]
    rates = [line.partition("learning_rate=")[2] for line in parameters("first", "--sort-by", "learning_rate")]
    assert rates == ["0.001", "0.001", "0.01", "0.01"]
    names = shell.kgen("get", "trials", "first", "--sort-by", "name", "-o", "name").ok().lines
    assert names == sorted(names)
    assert len(shell.kgen("get", "trials", "--no-headers").ok().lines) == 5
    assert len(shell.kgen("get", "trials", "-l", "team=vision", "--no-headers").ok().lines) == 4
    assert len(shell.kgen("get", "trials", "first", "-l", "team!=vision").lines) == 0
    both = shell.kgen("get", "trials", "-o", "json").ok()
    assert {item["sweep"] for item in json.loads(both.out)["items"]} == {"first", "second"}

    for wrong, said in {
        ("--where", "optimiser=adam"): "optimizer",
        ("--sort-by", "speed"): "name, status, age, attempts, optimizer, learning_rate",
        ("-l", "a b c"): "--selector: found a b c, allowed a label selector",
        ("-w", "-o", "json"): "--watch: found -o json",
    }.items():
        refused = shell.kgen("get", "trials", "first", *wrong)
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err


def test_the_machine_formats_say_the_same(shell: Shell) -> None:
    from ruamel.yaml import YAML

    shell.submit(sweep_text(), "--wait")
    as_json = json.loads(shell.kgen("get", "trials", "first", "-o", "json").ok().out)
    as_yaml = YAML(typ="safe").load(shell.kgen("get", "trials", "first", "-o", "yaml").ok().out)
    assert as_json == as_yaml
    trial = as_json["items"][0]
    assert trial["state"] == "Succeeded"
    assert trial["parameters"] == {"optimizer": "sgd", "learning_rate": 1e-3}
    assert trial["job"] == f"first-{trial['trial']}"
    assert trial["ended"] >= trial["started"] >= trial["created"]


def test_watching_prints_a_line_per_change_and_ends_with_ctrl_c(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run", parameters="{optimizer: [sgd, adam]}"))
    shell.until_all("Running")
    run = shell.start("get", "trials", "first", "-w")
    assert run.stdout is not None
    table = [run.stdout.readline() for _ in range(3)]
    assert table[0].split() == ["NAME", "STATUS", "PARAMETERS", "AGE"]
    gone = table[1].split()[0]
    shell.kubectl("delete", "job", f"first-{gone}")
    assert read_until(run, lambda line: "Missing" in line).startswith(gone)
    done = interrupt(run)
    assert (done.code, done.err) == (130, "")


def test_a_cluster_that_fails_is_an_error_and_no_empty_table(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    config = json.loads(shell.kubeconfig.read_text())

    def with_change(**change: str) -> str:
        changed = json.loads(json.dumps(config))
        changed["clusters"][0]["cluster"].update({k: v for k, v in change.items() if k == "server"})
        if "token" in change:
            changed["users"][0]["user"] = {"token": change["token"]}
        file = shell.kubeconfig.with_name("changed")
        file.write_text(json.dumps(changed))
        return str(file)

    shell.kubectl("create", "serviceaccount", "nobody")
    cases = {
        with_change(server="https://127.0.0.1:1"): "can't be reached",
    }
    for kubeconfig, said in cases.items():
        for command in (
            ("get", "trials", "first"),
            ("get", "sweeps"),
            ("wait", "first"),
            ("describe", "sweep", "first"),
        ):
            failed = shell.kgen(*command, "--kubeconfig", kubeconfig)
            assert (failed.code, failed.out) == (3, ""), command
            assert said in failed.err
            assert len(failed.err.splitlines()) == 1
    failed = shell.kgen("get", "trials", "first", "--kubeconfig", with_change(token="expired"))
    assert (failed.code, failed.out) == (3, "")
    assert "does not accept the credentials" in failed.err
    nobody = shell.cluster.token(shell.namespace, "nobody")
    failed = shell.kgen("get", "trials", "first", "--kubeconfig", nobody)
    assert (failed.code, failed.out) == (3, "")
    assert "may not list configmaps in namespace" in failed.err


def test_a_sweep_or_trial_that_is_not_there(shell: Shell) -> None:
    empty = shell.kgen("get", "sweeps")
    assert (empty.code, empty.out, empty.err) == (0, "", f"No resources found in namespace {shell.namespace}.\n")
    shell.submit(sweep_text(fate="run"))
    for command in (
        ("get", "trials"),
        ("wait",),
        ("cancel",),
        ("describe", "sweep"),
        ("delete",),
        ("get", "trials", "-w"),
    ):
        unknown = shell.kgen(*command, "secnod")
        assert (unknown.code, unknown.out) == (2, ""), command
        assert f"SWEEP: found secnod, allowed a sweep in namespace {shell.namespace}: first" in unknown.err
    for command in (("describe", "trial"), ("logs",), ("retry",)):
        for unknown_trial in ("aaaaaaaaaa", "first-aaaaaaaaaa", "nonsense"):
            unknown = shell.kgen(*command, unknown_trial)
            assert (unknown.code, unknown.out) == (2, ""), command
            assert f"TRIAL: found {unknown_trial}" in unknown.err


def test_a_trial_in_detail_says_why_it_waits(shell: Shell) -> None:
    pool = {"pool": shell.namespace}
    nodes = shell.cluster.add_nodes(1, gpus=0, labels=pool)
    resources = "{nvidia.com/gpu: 0, cpu: 100, memory: 1Gi}"
    shell.submit(sweep_text(fate="run", node_selector=json.dumps(pool), resources=resources))
    shell.cluster.until(lambda: sorted(shell.statuses().values()) == ["Pending:Unschedulable"] * 3 + ["Running"])
    waits = next(trial for trial, status in shell.statuses().items() if status == "Pending:Unschedulable")
    shown = shell.kgen("describe", "trial", waits).ok()
    shell.cluster.remove_nodes(nodes)
    assert re.search(r"^Message: +none of 3 nodes fits: 1 has less than cpu: 100 free", shown.out, re.MULTILINE)
    assert "FailedScheduling" in shown.out
    assert re.search(r"^Job: +first-" + waits, shown.out, re.MULTILINE)
    assert re.search(r"^  learning_rate +0\.0", shown.out, re.MULTILINE)


def test_a_failed_trial_in_detail_and_again_after_a_retry(shell: Shell) -> None:
    shell.submit(sweep_text(fate="exit-64", parameters="{optimizer: [sgd]}"))
    shell.until_all("Failed:BadParameters")
    (trial,) = shell.statuses()
    shown = shell.kgen("describe", "trial", f"job.batch/first-{trial}").ok()
    assert re.search(r"^Status: +Failed:BadParameters$", shown.out, re.MULTILINE)
    assert re.search(r"^Attempts: +1$", shown.out, re.MULTILINE)
    shell.kgen("retry", trial).ok()
    shell.until_all("Failed:BadParameters")
    again = shell.kgen("describe", "trial", trial).ok()
    # Events of the Job that was replaced are still there, and are not this one's.
    assert re.search(r"^Attempts: +1$", again.out, re.MULTILINE), again.out
    assert again.out.count("SuccessfulCreate") == 1
    summary = shell.kgen("describe", "sweep", "first").ok()
    assert re.search(rf"Failed:BadParameters +1 +{trial} ", summary.out)


def test_trials_of_two_sweeps_that_train_the_same_are_told_apart(shell: Shell) -> None:
    for name in ("first", "second"):
        shell.submit(sweep_text(name, "{optimizer: [sgd]}", fate="run"))
    (trial,) = shell.statuses()
    either = shell.kgen("describe", "trial", trial)
    assert either.code == 2
    assert f"its Job: first-{trial} or second-{trial}" in either.err
    one = shell.kgen("describe", "trial", f"second-{trial}").ok()
    assert f"first-{trial}" not in one.out


def test_a_log_that_can_not_be_read_is_one_line(shell: Shell) -> None:
    shell.submit(sweep_text(parameters="{optimizer: [sgd]}"), "--wait")
    (trial,) = shell.statuses()
    failed = shell.kgen("logs", trial)
    assert (failed.code, failed.out) == (3, "")
    assert len(failed.err.splitlines()) == 1
    assert f"the log of pod first-{trial}-" in failed.err
    none = shell.kgen("logs", trial, "--previous")
    assert none.code == 3
    assert f"{trial} has no earlier pod, and rows of one can't be read: s3://bucket/sweeps/first" in none.err


def test_a_trial_without_a_pod_has_no_log(shell: Shell) -> None:
    with_quota(shell.cluster, shell.namespace, {"pods": "1"})
    shell.cluster.apply(running("theirs", {}, "0", {}), namespace=shell.namespace)
    shell.submit(sweep_text(fate="run", parameters="{optimizer: [sgd]}"))
    (trial,) = shell.statuses()
    none = shell.kgen("logs", trial)
    assert none.code == 2
    assert f"{trial}, which has no pod" in none.err
    assert finish(shell.start("logs", trial)).code == 2
