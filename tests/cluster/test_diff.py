"""`kgen diff`: what submit would change, with kubectl diff's exit codes."""

from __future__ import annotations

from tests.cluster.planned import running, with_quota
from tests.cluster.shell import Shell, sweep_text


def test_nothing_something_and_an_error(shell: Shell) -> None:
    text = sweep_text(fate="run")
    new = shell.kgen("diff", shell.write(text))
    assert (new.code, new.err) == (1, "")
    assert new.lines[0] == "+ configmap/kgen-sweep-first"
    assert [line.split()[0] for line in new.lines] == ["+"] * 5
    assert not shell.jobs()

    shell.submit(text)
    assert shell.kgen("diff", "sweep.yaml").ok().out == ""

    shell.write(text + "  colour: red\n")
    assert shell.kgen("diff", "sweep.yaml").code == 2
    refused = shell.kgen("diff", shell.write(text), "-n", "nowhere")
    assert refused.code in (2, 3)
    assert "nowhere, a namespace that is not there" in refused.err


def test_an_edit_is_shown_as_what_it_changes(shell: Shell) -> None:
    with_quota(shell.cluster, shell.namespace, {"pods": "1"})  # so that none starts
    shell.cluster.apply(running("theirs", {}, "0", {}), namespace=shell.namespace)
    shell.submit(sweep_text(fate="run"))
    edited = sweep_text(
        parameters="{optimizer: [sgd, adam], learning_rate: [1e-3, 1e-1]}",
        fate="run",
        resources="{nvidia.com/gpu: 0, cpu: 2, memory: 1Gi}",
    )
    shown = shell.kgen("diff", shell.write(edited))
    assert (shown.code, shown.err) == (1, "")
    signs = [line.split()[0] for line in shown.lines if not line.startswith(" ")]
    assert sorted(signs) == sorted(["~", "~", "~", "+", "+", "?", "?"])
    changed = [line.strip() for line in shown.lines if line.startswith(("    -", "    +"))]
    of_threads = {'-                "value": "1"', '+                "value": "2"'}
    of_cores = {'-                "cpu": "1",', '+                "cpu": "2",'}
    assert set(changed) == {"--- cluster", "+++ file"} | of_cores | of_threads


def test_only_orphans_are_no_difference(shell: Shell) -> None:
    shell.submit(sweep_text(fate="run"))
    smaller = sweep_text(parameters="{optimizer: [sgd, adam], learning_rate: [1e-3]}", fate="run")
    shell.submit(smaller, "--yes")
    shown = shell.kgen("diff", "sweep.yaml").ok()
    assert [line.split()[0] for line in shown.lines] == ["?", "?"]
