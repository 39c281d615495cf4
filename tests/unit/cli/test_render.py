"""``kgen render`` and ``kgen init --template``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kgen.sweep.document import parse
from tests.unit.cli.ran import Kgen
from tests.unit.render.rendering import BLOCKS as OTHERS
from tests.unit.render.rendering import rendered, whole
from tests.unit.sweep.sweeps import text

BLOCKS = {
    **OTHERS,
    "parameters": "{batch_size: [1, 2]}",
    "budget": "{steps: 10, target: {train_accuracy: 0.9}}",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "sweep.yaml"
    file.write_text(text(**BLOCKS))
    return file


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_it_prints_every_object_as_yaml(file: Path, kgen: Kgen) -> None:
    documents = kgen("render", file, "-n", "ml").ok().out.split("---\n")
    assert documents[0] == ""
    assert [parse(one, "x").value for one in documents[1:]] == [m.object() for m in whole(rendered("ml", **BLOCKS))]


def test_it_writes_what_is_sent_to_the_byte(file: Path, tmp_path: Path, kgen: Kgen) -> None:
    folder = tmp_path / "new" / "manifests"
    ran = kgen("render", file, "-o", folder).ok()
    assert ran.lines == [f"{folder}: 3 objects, 3 new or changed", f"next: kubectl apply -f {folder}"]
    made = whole(rendered(**BLOCKS))
    assert contents(folder) == {f"{m.kind.lower()}-{m.name}.json": m.text for m in made}


def test_again_changes_nothing(file: Path, tmp_path: Path, kgen: Kgen) -> None:
    folder = tmp_path / "manifests"
    kgen("render", file, "-o", folder).ok()
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert kgen("render", file, "-o", folder).ok().lines[0] == f"{folder}: 3 objects, 0 new or changed"
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_only_files_of_its_own_objects_are_removed(file: Path, tmp_path: Path, kgen: Kgen) -> None:
    folder = tmp_path / "manifests"
    kgen("render", file, "-o", folder).ok()
    gone = next(folder.glob("job-*.json"))
    others = {
        "job-mine.json": "{}",
        "job-broken.json": "{",
        "job-list.json": "[]",
        "kustomization.yaml": "x",
        "other.json": gone.read_text(),
        "job-other-abc.json": gone.read_text().replace('"kgen.dev/sweep": "sweep"', '"kgen.dev/sweep": "other"'),
        "job-foreign.json": gone.read_text().replace('"kgen"', '"helm"'),
    }
    for name, content in others.items():
        (folder / name).write_text(content)
    (folder / "job-folder.json").mkdir()
    file.write_text(text(**{**BLOCKS, "parameters": "{batch_size: [2, 3]}"}))
    assert kgen("render", file, "-o", folder).ok().lines[0] == f"{folder}: 3 objects, 2 new or changed, 1 file removed"
    assert not gone.exists()
    assert (folder / "job-folder.json").is_dir()
    left = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    assert others.items() <= left.items()
    assert len(left) == 3 + len(others)


def test_what_it_changed_in_a_template_is_on_standard_error(file: Path, kgen: Kgen) -> None:
    file.write_text(text(**{**BLOCKS, "kubernetes": "{template: job.j2}"}))
    pod = "apiVersion: v1\nkind: Pod\nspec: {restartPolicy: Always, containers: [{name: x}]}"
    (file.parent / "job.j2").write_text(pod)
    ran = kgen("render", file)
    assert ran.code == 0
    assert ran.err == ("kgen: note: restartPolicy: Always becomes Never, each attempt of a trial is a pod of its own\n")


def test_mistakes_are_shown_with_their_line(file: Path, kgen: Kgen) -> None:
    file.write_text(text(**{**BLOCKS, "kubernetes": "{tolerations: [{key: x, operater: x}], template: job.j2}"}))
    (file.parent / "job.j2").write_text(
        "apiVersion: v1\nkind: Pod\nspec:\n  tolerations: {{ tolerations }}\n  containers: [{imagePullPolicy: x}]\n"
    )
    ran = kgen("render", file)
    assert (ran.code, ran.out) == (2, "")
    assert f"{file}:7:37: kubernetes.tolerations[0].operater: found an unknown field 'operater'" in ran.err
    assert "    kubernetes: {tolerations: [{key: x, operater: x}], template: job.j2}\n" in ran.err
    assert ran.err.endswith("kgen: 2 mistakes\n")


def test_a_program_that_is_only_here_is_refused(file: Path, kgen: Kgen) -> None:
    (file.parent / "train.sh").touch()
    file.write_text(text(**{**BLOCKS, "trainer": "{image: r/x, command: [sh, train.sh]}"}))
    ran = kgen("render", file)
    assert ran.code == 2
    assert "trainer.command[1]: found the text 'train.sh', which exists on this machine only" in ran.err


def test_a_folder_that_can_not_be_written_is_told(file: Path, kgen: Kgen) -> None:
    ran = kgen("render", file, "-o", file / "x")
    assert (ran.code, ran.out) == (3, "")
    assert "can't be written: " in ran.err


def test_init_writes_the_template_which_gives_the_same(file: Path, kgen: Kgen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert kgen("init", "--template").ok().out == (
        "wrote job.yaml.j2; next: edit it, and write kubernetes: {template: job.yaml.j2} into the sweep file beside "
        "it\n"
    )
    file.write_text(text(**{**BLOCKS, "kubernetes": "{template: job.yaml.j2}"}))
    after = kgen("render").ok().out
    jobs = [parse(document, "x").value for document in after.split("---\n")[2:]]
    assert jobs == [manifest.object() for manifest in rendered(**BLOCKS).jobs]
    ran = kgen("init", "--template")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "job.yaml.j2: the file: found one that exists, allowed a new file, or --force to overwrite it\n"
    Path("job.yaml.j2").write_text("mine")
    kgen("init", "--template", "--force").ok()
    assert Path("job.yaml.j2").read_text() != "mine"
    kgen("init", "--template", "deep/other.j2").ok()
    assert Path("deep/other.j2").read_text() == Path("job.yaml.j2").read_text()


def test_its_files_are_json(file: Path, tmp_path: Path, kgen: Kgen) -> None:
    kgen("render", file, "-o", tmp_path / "m", "-n", "ml").ok()
    for path in (tmp_path / "m").iterdir():
        assert json.loads(path.read_text())["metadata"]["namespace"] == "ml"


def test_of_a_search_it_says_that_nothing_trains_yet_and_how_it_comes_about(tmp_path: Path, kgen: Kgen) -> None:
    file = tmp_path / "sweep.yaml"
    space = "{learning_rate: {log: {start: 1e-3, stop: 1}}}"
    file.write_text(text(**{**BLOCKS, "parameters": space, "search": "{method: sobol}"}))
    ran = kgen("render", file, "-o", tmp_path / "out")
    assert ran.code == 0
    assert ran.lines[-1] == f"next: kgen submit {file} --wait"
    assert ran.err == (
        "kgen: note: the sweep: its search has not begun\n"
        f"kgen: note: what is not known yet is created by 'kgen submit {file} --wait', or by a Job with --in-cluster\n"
    )


@pytest.mark.parametrize("by_job", [True, False])
def test_a_dry_run_shows_the_job_that_would_submit(by_job: bool, file: Path, kgen: Kgen) -> None:
    flags = ["--in-cluster"] * by_job
    lines = kgen("submit", file, "--dry-run=client", *flags).ok().lines
    job = "job.batch/kgen-submit-sweep created (dry run), which creates what is missing:"
    assert lines[:1] == ([job] if by_job else ["configmap/kgen-sweep-sweep created (dry run)"])
    assert len(lines) == 3 + by_job
