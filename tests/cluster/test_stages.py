"""A sweep with stages, or with a search, on a cluster: part after part, killed anywhere, seen from anywhere."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kgen import names
from kgen.choice import Choice, Chosen
from kgen.render.sweep_object import choices_in
from kgen.results.folder import FolderStore
from kgen.results.store import RowFile
from kgen.status import read
from kgen.sweep import expand, load
from kgen.workflow.choices import ClusterShelf
from tests.cluster.pods import AsPod, created_jobs
from tests.cluster.shell import IMAGE, TOLERATED, Shell, finish, read_until, uids
from tests.cluster.test_in_cluster import CLAIM, accounts, job_of, pod
from tests.cluster.trained import Trainers
from tests.unit.workflow.staged import BEST, GRID, train

__all__ = ["accounts", "pod"]


def text_of(results: str, stages: str = GRID + BEST, *, fate: str = "run", more: str = "", **kubernetes: str) -> str:
    """The sweep file of a sweep with stages, whose pods run until they are let go."""
    settings = {
        "resources": "{nvidia.com/gpu: 0, cpu: 1, memory: 1Gi}",
        "tolerations": TOLERATED,
        "deadline": "1h",
        "backoff_limit": "0",
        "annotations": f"{{kwok.kgen.dev/fate: {fate}}}",
    } | kubernetes
    return (
        f"version: 1\nname: first\nseed: 1\nresults: {results}\n"
        f"trainer: {{command: [python, -m, train], image: {IMAGE!r}}}\n{more}stages:\n{stages}"
        "kubernetes:\n" + "".join(f"  {field}: {value}\n" for field, value in settings.items())
    )


@pytest.fixture
def share(shell: Shell, tmp_path: Path) -> Path:
    """A folder that pods have as a volume, and this machine too."""
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


def shared(share: Path, *arguments: str, **more: str) -> str:
    """A sweep file whose results lie in that folder."""
    volume = f"[{{name: share, mount_path: {share}, source: {{nfs: {{server: files, path: /}}}}}}]"
    return text_of(str(share), *arguments, **({"volumes": volume} | more))


@pytest.fixture
def trainers(shell: Shell, share: Path) -> Trainers:
    """The trials of a sweep in that folder, which has been written."""
    shell.write(shared(share))
    return Trainers(shell, load("sweep.yaml").with_results(share))


def finish_stage(trainers: Trainers, trials: int) -> None:
    """Let so many trials end, and wait until their Jobs have."""
    done = 0

    def ended() -> bool:
        nonlocal done
        done += trainers.work()
        return done >= trials

    trainers.shell.cluster.until(ended, what=f"{trials} trials have ended")
    jobs = trainers.shell.jobs
    trainers.shell.cluster.until(lambda: all(map(ended_job, jobs().values())), what="their Jobs have ended")


def ended_job(job: Any) -> bool:
    return bool(read.condition(job, "Complete", "Failed"))


def stage_of(shell: Shell) -> Counter[str]:
    """How many Jobs each stage has."""
    labels = [job["metadata"]["labels"] for job in shell.jobs().values()]
    return Counter(found[names.LABEL_STAGE] for found in labels if names.LABEL_STAGE in found)


def choices(shell: Shell) -> dict[str, Choice]:
    """The choices that the sweep's ConfigMap holds."""
    found = shell.cluster.get("configmap", "kgen-sweep-first", f"--namespace={shell.namespace}")
    return {stage: Choice.from_json(text) for stage, text in choices_in(found).items()}


def chosen(choice: Choice) -> list[dict[str, Any]]:
    return [dict(point) for one in choice.chosen for point in one.points]


BEST_POINTS = [{"optimizer": "a", "rate": 1e-2}, {"optimizer": "b", "rate": 1e-1}]


# -- submit, without staying


def test_what_is_known_is_created_and_the_same_command_goes_on(shell: Shell, trainers: Trainers) -> None:
    plan = shell.kgen("plan", "sweep.yaml", "-n", shell.namespace).ok()
    assert "stage grid: 8 trials" in plan.lines
    assert "stage best: after stage grid: 2 points × 3 repeats, up to 6 trials" in plan.lines
    first = shell.kgen("submit", "sweep.yaml").ok()
    assert first.lines[-4:] == [
        "8 Jobs created",
        "stage best: its trials are chosen when stage grid is complete",
        "to go on when these Jobs have ended: kgen submit sweep.yaml; or with --wait or --in-cluster",
        "next: kgen get trials first, or kgen wait first",
    ]
    again = shell.kgen("submit", "sweep.yaml").ok()
    assert "stage best: its trials are chosen when stage grid is complete" in again.lines
    assert stage_of(shell) == {"grid": 8}
    finish_stage(trainers, 8)
    onward = shell.kgen("submit", "sweep.yaml").ok()
    assert "6 Jobs created" in onward.lines
    assert any(line.startswith("stage best: chosen from stage grid: ") for line in onward.lines)
    assert stage_of(shell) == {"grid": 8, "best": 6}
    assert chosen(choices(shell)["best"]) == BEST_POINTS
    assert "orphan" not in shell.kgen("plan", "sweep.yaml", "-n", shell.namespace).ok().out
    assert shell.kgen("diff", "sweep.yaml").ok().out == ""
    finish_stage(trainers, 6)
    assert shell.kgen("submit", "sweep.yaml").ok().lines[-1] == "nothing to do"
    assert len(trainers.trained) == len({trial.id for trial in trainers.trained}) == 14


def test_a_diff_and_a_dry_run_say_what_is_not_known(shell: Shell, trainers: Trainers) -> None:
    del trainers
    differs = shell.kgen("diff", "sweep.yaml")
    assert differs.code == 1
    assert sum(line.startswith("+ job.batch/") for line in differs.lines) == 8
    assert "kgen: stage best: its trials are chosen when stage grid is complete" in differs.err
    for how in ("client", "server"):
        dry = shell.kgen("submit", "sweep.yaml", f"--dry-run={how}").ok()
        assert sum(line.startswith("job.batch/") for line in dry.lines) == 8
    rendered = shell.kgen("render", "sweep.yaml")
    assert rendered.code == 0
    assert rendered.out.count('kind: "Job"') == 8
    waits, how = rendered.err.splitlines()
    assert waits == "kgen: note: stage best: its trials are chosen when stage grid is complete"
    assert "what is not known yet is created by 'kgen submit sweep.yaml --wait'" in how
    assert not shell.config_maps()


# -- submit --wait


def test_wait_goes_through_all_stages(shell: Shell, trainers: Trainers) -> None:
    with trainers.at_work():
        done = shell.kgen("submit", "sweep.yaml", "--wait", "--yes").ok()
    assert done.lines[-1] == "all 14 trials of sweep/first succeeded"
    assert stage_of(shell) == {"grid": 8, "best": 6}
    kept = Choice.from_json((trainers.results.results / "choices/best.json").read_text())
    assert kept == choices(shell)["best"]
    after = shell.cluster.audit_position()
    again = shell.kgen("submit", "sweep.yaml", "--wait").ok()
    assert again.lines[-1] == done.lines[-1]
    assert not created_jobs(shell.cluster, shell.namespace, after)


def test_a_submission_that_is_killed_anywhere_goes_on(shell: Shell, trainers: Trainers) -> None:
    """In the middle of the first stage, before it is seen that it has ended, and in the middle of the second one."""
    after = shell.cluster.audit_position()
    killed: list[int] = []
    with trainers.at_work():
        for jobs in (3, 9):
            process = shell.start("submit", "sweep.yaml", "--wait", "--yes")
            kill_at(process, shell, jobs)
            killed.append(sum(stage_of(shell).values()))
        last = finish(shell.start("submit", "sweep.yaml", "--wait", "--yes"))
    assert last.code == 0, last
    assert last.lines[-1] == "all 14 trials of sweep/first succeeded"
    made = created_jobs(shell.cluster, shell.namespace, after)
    assert set(made.values()) == {1}
    assert len(made) == 14
    assert killed[0] < 14


def has_trial_jobs(shell: Shell, number: int) -> bool:
    return sum(stage_of(shell).values()) >= number


def kill_at(process: subprocess.Popen[str], shell: Shell, jobs: int) -> None:
    """Kill a submission as soon as there are so many Jobs."""
    try:
        shell.cluster.until(partial(has_trial_jobs, shell, jobs), timeout=300, what=f"{jobs} Jobs")
    except TimeoutError as error:
        process.kill()
        raise AssertionError(f"{error}: {finish(process)}") from error
    process.kill()
    finish(process)


def test_a_choice_that_was_made_stays(shell: Shell, trainers: Trainers) -> None:
    """Of two that submit with different results in sight, the second takes what the first one chose."""
    shell.kgen("submit", "sweep.yaml").ok()
    finish_stage(trainers, 8)
    made = made_up([{"optimizer": "b", "rate": 1.0}])
    ClusterShelf(shell.api(), "first").keep("best", made.to_json())
    done = shell.kgen("submit", "sweep.yaml").ok()
    assert "3 Jobs created" in done.lines
    assert chosen(choices(shell)["best"]) == [{"optimizer": "b", "rate": 1.0}]
    anew = shell.kgen("submit", "sweep.yaml", "--rechoose", "best").ok()
    assert "6 Jobs created" in anew.lines
    assert chosen(choices(shell)["best"]) == BEST_POINTS
    assert "orphan: 3, not in the file; left alone" in shell.kgen("plan", "sweep.yaml", "-n", shell.namespace).ok().out


def made_up(points: list[dict[str, Any]]) -> Choice:
    """A choice that nobody would make."""
    source = load("sweep.yaml").stages[1].source
    assert source is not None
    one = Chosen({"optimizer": "b"}, points[0], tuple(points), 1.0, None, None, ())
    return Choice("best", "grid", source.to_json(), "made up", (one,), {}, ())


def test_an_edited_question_is_refused_until_it_is_chosen_anew(shell: Shell, trainers: Trainers) -> None:
    with trainers.at_work():
        shell.kgen("submit", "sweep.yaml", "--wait", "--yes").ok()
        shell.write((shell.folder / "sweep.yaml").read_text().replace("per: optimizer}", "per: optimizer, top: 1}"))
        for command in (("plan",), ("submit",), ("submit", "--wait"), ("diff",)):
            refused = shell.kgen(command[0], "sweep.yaml", *command[1:])
            assert refused.code == 2
            assert "--rechoose best" in refused.err
        wrong = shell.kgen("submit", "sweep.yaml", "--rechoose", "grid")
        assert wrong.code == 2
        assert "--rechoose: found grid, allowed a stage with from: best" in wrong.err
        anew = shell.kgen("submit", "sweep.yaml", "--wait", "--rechoose", "best").ok()
    assert anew.lines[-1] == "all 11 trials of sweep/first succeeded"
    assert len(trainers.trained) == 14  # the point that stays was not trained again


def test_a_stage_that_lacks_results_holds_the_next_one_up(shell: Shell, trainers: Trainers) -> None:
    trainers.fate = lambda trial: "exit-1" if trial.parameters == {"optimizer": "a", "rate": 1e-3} else "exit-0"
    with trainers.at_work():
        done = shell.kgen("submit", "sweep.yaml", "--wait", "--yes")
        assert done.code == 1
        assert "stage best needs stage grid, which lacks 1 of 8 trials" in done.err
        assert "1 of 8 trials have no result" in done.err
        assert "kgen retry first --failed" in done.err
        assert stage_of(shell) == {"grid": 8}
        allowed = shell.kgen("submit", "sweep.yaml", "--wait", "--allow-incomplete")
    assert allowed.code == 1
    assert "1 of 14 trials have no result" in allowed.err
    assert stage_of(shell) == {"grid": 8, "best": 6}
    assert len(choices(shell)["best"].missing) == 1


# -- looking


def test_every_look_is_at_all_stages(shell: Shell, trainers: Trainers) -> None:
    """Also on a machine that has neither the file nor the results."""
    shell.kgen("submit", "sweep.yaml").ok()
    finish_stage(trainers, 8)
    waited = shell.kgen("wait", "first")
    assert waited.code == 1
    assert waited.err == (
        "kgen: all that is known has succeeded: 8 trials\n"
        "stage best is not done: its trials are chosen when stage grid is complete\n"
        "to go on: kgen submit, with the sweep's file\n"
    )
    described = shell.kgen("describe", "sweep", "first").ok()
    assert "  STAGE   TRIALS   RESULTS   WAITS FOR" in described.lines
    assert "  best    0        0         its trials are chosen when stage grid is complete" in described.lines
    shell.kgen("submit", "sweep.yaml").ok()
    (shell.folder / "sweep.yaml").unlink()
    header, *lines = shell.kgen("get", "trials", "first").ok().lines
    assert header.split()[:3] == ["NAME", "STAGE", "STATUS"]
    assert Counter(line.split()[1] for line in lines) == {"grid": 8, "best": 6}
    best = shell.kgen("get", "trials", "first", "-l", "kgen.dev/stage=best", "--no-headers").ok().lines
    assert {line.split()[1] for line in best} == {"best"}
    assert len(best) == 6
    found = json.loads(shell.kgen("get", "trials", "first", "-o", "json").ok().out)["items"]
    assert Counter(each["stage"] for each in found) == {"grid": 8, "best": 6}
    trial = best[0].split()[0]
    assert "Stage:       best" in shell.kgen("describe", "trial", trial).ok().lines
    trainers.fate = lambda one: "exit-1" if one.id == trial else "exit-0"
    finish_stage(trainers, 6)
    failed = shell.kgen("wait", "first")
    assert failed.code == 1
    assert "1 of 14 trials have no result" in failed.err
    before = uids(shell.jobs())
    assert "1 Job created" in shell.kgen("retry", "first", "--failed").ok().lines
    assert len(before.keys() & shell.jobs().keys()) == 14
    assert uids(shell.jobs())[f"first-{trial}"] != before[f"first-{trial}"]
    trainers.fate = lambda _: "exit-0"
    finish_stage(trainers, 1)
    assert shell.kgen("wait", "first").ok().lines[-1] == "all 14 trials of sweep/first succeeded"
    assert shell.kgen("collect", "first").ok().lines[0] == "14 of 14 trials have a result: complete"
    assert shell.kgen("delete", "first", "--yes").ok().lines[-1].startswith("sweep/first deleted: 14 Jobs")
    assert not shell.jobs()


def test_who_waits_beside_a_submission_waits_for_its_next_stage(shell: Shell, trainers: Trainers) -> None:
    trainers.hold = lambda _: True
    submitting = shell.start("submit", "sweep.yaml", "--wait", "--yes")
    shell.cluster.until(partial(has_trial_jobs, shell, 8), timeout=150, what="the Jobs of the first stage")
    waiting = shell.start("wait", "first")
    assert waiting.stdout is not None
    assert "8 running" in read_until(waiting, lambda line: "0/8 succeeded" in line)
    trainers.hold = lambda _: False
    with trainers.at_work():
        waited, submitted = finish(waiting), finish(submitting)
    assert (waited.code, submitted.code) == (0, 0), (waited, submitted)
    assert waited.lines[-1] == "all 14 trials of sweep/first succeeded"


# -- submit --in-cluster


def test_a_killed_submitter_in_the_cluster_goes_on_with_what_was_chosen(
    accounts: Shell, pod: Callable[[str], AsPod]
) -> None:
    submitter, collector = pod("kgen-submitter"), pod("kgen-collector")
    accounts.write(text_of("pvc://data/sweeps"))
    started = accounts.kgen("submit", "sweep.yaml", "--in-cluster", "--allow-incomplete").ok()
    assert "job.batch/kgen-submit-first created" in started.lines
    made = job_of(accounts, "submit")["spec"]["template"]["spec"]
    assert made["containers"][0]["command"][-1] == "--allow-incomplete"
    assert {"name": "KGEN_CLAIM", "value": "data"} in made["containers"][0]["env"]
    assert {"name": "kgen-results", "persistentVolumeClaim": {"claimName": "data"}} in made["volumes"]
    folder = submitter.folder / "results" / "sweeps"
    trainers = Trainers(accounts, load("sweep.yaml").with_results(folder))
    command = ("submit", "sweep/first", "--wait", "--in-cluster", "--yes")
    after = accounts.cluster.audit_position()
    with trainers.at_work():
        for jobs in (3, 9):
            process = submitter.start(*command, **CLAIM)
            kill_at(process, accounts, jobs)
        last = finish(submitter.start(*command, **CLAIM))
    assert last.code == 0, last
    assert last.lines[-1] == "all 14 trials of sweep/first succeeded"
    assert set(created_jobs(accounts.cluster, accounts.namespace, after).values()) == {1}
    written = (folder / "first/choices/best.json").read_text()
    assert Choice.from_json(written) == choices(accounts)["best"]
    # From outside nobody sees the claim: the choice is known all the same.
    assert Counter(line.split()[1] for line in accounts.kgen("get", "trials", "first", "--no-headers").ok().lines) == {
        "grid": 8, "best": 6,
    }  # fmt: skip
    # And whoever collects finds in the results what was chosen elsewhere.
    (folder / "first/choices/best.json").unlink()
    (collector.folder / "results").rmdir()
    (collector.folder / "results").symlink_to(submitter.folder / "results")
    collected = finish(collector.start("collect", "sweep/first", "--in-cluster", **CLAIM))
    assert collected.lines[0] == "14 of 14 trials have a result: complete"
    assert (folder / "first/choices/best.json").read_text() == written


def test_a_laptop_chooses_from_a_copy_of_a_claim(accounts: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are brought from there; what only an old copy has, of a sweep that was deleted, does not count."""
    far = accounts.folder / "claim"
    spec = load(accounts.write(text_of("pvc://data/sweeps")))
    trainers = Trainers(accounts, spec.with_results(far))
    monkeypatch.setattr("kgen.backends.kubernetes.claim.Claim", partial(NearClaim, far / "first"))
    copy = accounts.folder / "results/first"
    train(spec.with_results(accounts.folder / "results"), expand(spec), attempt="old")
    (copy / "choices").mkdir()
    (copy / "choices/best.json").write_text(made_up([{"optimizer": "b", "rate": 1.0}]).to_json())
    trainers.fate = lambda trial: "exit-1" if trial.parameters == {"optimizer": "a", "rate": 1e-3} else "exit-0"
    with trainers.at_work():
        held_up = accounts.kgen("submit", "sweep.yaml", "--wait", "--yes")
        assert held_up.code == 1
        assert "stage best needs stage grid, which lacks 1 of 8 trials" in held_up.err
        assert not choices(accounts)
        trainers.fate = lambda _: "exit-0"
        accounts.kgen("retry", "first", "--failed").ok()
        done = accounts.kgen("submit", "sweep.yaml", "--wait", "--yes")
    assert done.code == 0, done
    assert done.lines[-1] == "all 14 trials of sweep/first succeeded"
    assert chosen(choices(accounts)["best"]) == BEST_POINTS
    assert Choice.from_json((copy / "choices/best.json").read_text()) == choices(accounts)["best"]
    assert not (far / "first/choices").exists()
    # In the claim it counts, and only a pod can take it away.
    (far / "first/choices").mkdir()
    (far / "first/choices/best.json").write_text((copy / "choices/best.json").read_text())
    refused = accounts.kgen("submit", "sweep.yaml", "--rechoose", "best")
    assert refused.code == 2
    assert (
        "--rechoose: found best, whose choice lies in pvc://data/sweeps/first, where only pods can write" in refused.err
    )


class NearClaim:
    """A claim whose files are at hand: fake nodes run no program that could read one."""

    def __init__(self, folder: Path, *_: object, **__: object) -> None:
        self._store = FolderStore(folder)

    def __enter__(self) -> NearClaim:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def row_files(self) -> list[RowFile]:
        return self._store.row_files()

    def read_row_files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        return self._store.read_row_files(names)

    def find(self, name: str) -> bytes | None:
        return self._store.read(name) if self._store.exists(name) else None
