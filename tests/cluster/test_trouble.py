"""What others do, or did before, must neither end a command too early, nor hide one sweep behind another."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgen.status import FIRST_FAILURES
from tests.cluster.client import Cluster
from tests.cluster.shell import Shell, finish, numbers, read_until, sweep_text

BLIND = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: blind}
rules:
  - {apiGroups: [batch], resources: [jobs], verbs: ["*"]}
  - {apiGroups: [""], resources: [configmaps, pods], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: blind}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: blind}
subjects: [{kind: ServiceAccount, name: default}]
"""


# -- a sweep that can't be read


@pytest.fixture
def two(shell: Shell) -> Shell:
    """Two sweeps, the file of the first of which somebody has spoilt."""
    shell.submit(sweep_text(fate="run", parameters="{a: [1, 2]}"))
    shell.submit(sweep_text("second", "{a: [1, 2, 3]}"))
    shell.kubectl(
        "patch", "configmap", "kgen-sweep-first", "--type=merge", '--patch={"data": {"sweep.yaml": "version: 7\\n"}}'
    )
    return shell


def test_a_spoilt_file_hides_neither_its_jobs_nor_other_sweeps(two: Shell) -> None:
    listed = two.kgen("get", "sweeps")
    assert listed.code == 0
    assert [line.split()[:2] for line in listed.lines[1:]] == [["first", "2"], ["second", "3"]]
    assert listed.err.startswith("kgen: configmap/kgen-sweep-first holds no sweep that this kgen can read: ")
    assert len(two.kgen("get", "trials", "first").lines) == 3
    assert len(two.kgen("get", "trials").lines) == 6


def test_its_jobs_can_be_cancelled_but_not_retried(two: Shell) -> None:
    assert two.kgen("cancel", "first").ok().lines[-1] == "2 Jobs deleted"
    refused = two.kgen("retry", "second", "--failed").ok()
    assert refused.lines == ["nothing to retry"]
    assert two.kgen("retry", "first", "--missing").code == 2


def test_files_that_are_gone_hide_nothing(shell: Shell) -> None:
    (shell.folder / "train.py").write_text("pass\n")
    shell.submit(sweep_text(fate="run", trainer=", command: [python, train.py], files: [train.py]"))
    (files,) = [name for name in shell.config_maps() if name.startswith("kgen-files-")]
    shell.kubectl("delete", "configmap", files)
    listed = shell.kgen("get", "trials", "first")
    assert (listed.code, len(listed.lines)) == (0, 5)
    assert f"configmap/{files} is not there" in listed.err
    assert shell.kgen("cancel", "first").ok().lines[-1] == "4 Jobs deleted"


# -- rights


def test_without_the_right_to_read_events_everything_but_some_reasons_is_known(
    shell: Shell, fake_cluster: Cluster
) -> None:
    shell.submit(sweep_text(fate="image-pull"))
    shell.until_all("Pending:ImagePull")
    fake_cluster.kubectl("apply", f"--namespace={shell.namespace}", "-f", "-", input=BLIND)
    shell.kubeconfig.write_text(fake_cluster.token(shell.namespace, "default").read_text())
    assert len(shell.kgen("get", "trials", "first").ok().lines) == 5
    waited = shell.kgen("wait", "first", "--timeout", "5s")
    assert waited.code == 124
    assert "events" in waited.err
    assert "so not every reason for waiting is known" in waited.err
    assert shell.kgen("cancel", "first").ok().lines[-1] == "4 Jobs deleted"


# -- an attached submission


def test_a_quota_full_of_jobs_that_fail_does_not_keep_the_fuse_from_blowing(shell: Shell) -> None:
    shell.kubectl("create", "quota", "jobs", f"--hard=count/jobs.batch={FIRST_FAILURES + 1}")
    shell.cluster.until(lambda: shell.kubectl("get", "quota", "jobs", "-o=jsonpath={.status.used}"))
    shell.kubectl("create", "job", "theirs", "--image=other")
    run = shell.start(
        "submit", shell.write(sweep_text(fate="exit-1", parameters=numbers(FIRST_FAILURES + 1))), "--wait"
    )
    done = finish(run)
    assert done.code == 1
    assert f"stopped early: the first {FIRST_FAILURES} trials failed" in done.err


def test_what_failed_before_says_nothing_of_what_is_new(shell: Shell) -> None:
    shell.submit(sweep_text(fate="exit-1", parameters=numbers(FIRST_FAILURES)))
    shell.until_all("Failed:Crash")
    done = shell.kgen(
        "submit", shell.write(sweep_text(parameters=numbers(FIRST_FAILURES + 2), fate="")), "--wait", "-y"
    )
    assert "stopped early" not in done.err


def test_waiting_beside_it_goes_on_while_it_holds_jobs_back(shell: Shell) -> None:
    text = sweep_text(seconds="1", parameters=numbers(4), more="execution: {max_parallel: 1}\n")
    attached = shell.start("submit", shell.write(text), "--wait")
    read_until(attached, lambda line: line.startswith("0/4 succeeded"))
    assert shell.kgen("wait", "first").ok().lines[-1] == "all 4 trials of sweep/first succeeded"
    assert finish(attached).code == 0


# -- results that can be read


def test_a_complete_job_without_a_row_is_no_success(shell: Shell, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    volume = f"[{{name: results, mount_path: {results}, source: {{hostPath: {{path: {results}}}}}}}]"
    shell.write(sweep_text(results=str(results), volumes=volume))
    done = shell.kgen("submit", "sweep.yaml", "--wait")
    assert done.code == 1
    assert "4 of 4 trials have no result" in done.err
    assert shell.kgen("wait", "first").code == 1
    assert set(shell.statuses().values()) == {"Succeeded:NoRow"}


# -- commands to paste


def test_commands_to_paste_mean_the_same_cluster(shell: Shell) -> None:
    other = shell.cluster.new_namespace()
    shell.write(sweep_text())
    given = ("-n", other, "--kubeconfig", str(shell.kubeconfig))
    planned = shell.kgen("plan", "sweep.yaml", *given).ok()
    assert planned.lines[-1] == f"next: kgen submit sweep.yaml {' '.join(given)}"
    submitted = shell.kgen("submit", "sweep.yaml", *given).ok()
    assert submitted.lines[-1].endswith(f"kgen wait first {' '.join(given)}")
    shell.cluster.kubectl("delete", "namespace", other, "--wait=false")
