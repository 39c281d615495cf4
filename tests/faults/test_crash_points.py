"""The process dies in front of, in the middle of and behind each single write: a second one ends as if nothing was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgen.results.folder import FolderStore
from kgen.workflow.collect import collect_sweep
from kgen.workflow.plan import make_plan
from kgen.workflow.run import run_sweep
from tests.unit.backends.sweeps import body, fused, play, slot, sweep
from tests.unit.workflow.shown import Show

# Counts each step at which a write can be cut off, and kills the process at the one that is asked for: a temporary
# file half written, whole but without its name, under both names, and before the folder is on the disk.
HOOK = '''\
import os
import signal

import kgen.results.folder as store

point = int(os.environ.get("CRASH_AT", "0"))
seen = 0


def step(before=lambda: None):
    global seen
    seen += 1
    if seen == point:
        before()
        os.kill(os.getpid(), signal.SIGKILL)


class Os:
    """As the module os, for the store alone."""

    def __getattr__(self, name):
        return getattr(os, name)

    def fsync(self, descriptor):
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):
            step(lambda: os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2))
            os.fsync(descriptor)
            step()
        else:
            step()
            os.fsync(descriptor)

    def link(self, source, target):
        os.link(source, target)
        step()


store.os = Os()
'''
PER_ROW = 4


def test_a_worker_that_dies_at_any_step_of_writing_its_row(tmp_path: Path) -> None:
    code = HOOK + body("trial.report(step=1, loss=trial.parameters['x'])")
    for point in range(1, 2 * PER_ROW + 1):
        spec = sweep(tmp_path / str(point), code, count=3)
        story = play(spec, [slot()], environ={**os.environ, "CRASH_AT": str(point)})
        # Until its name is given there is no row, from then on there is a whole one: nothing in between.
        has_name = point % PER_ROW in (3, 0)
        hit = 1 if point <= PER_ROW else 2
        state = "complete" if has_name else "failed"
        expected = {**dict.fromkeys((1, 2, 3), "complete"), hit: state}
        if point > PER_ROW:
            assert story.states == expected, point
        else:  # the next worker counts anew, and dies at its first row, too
            assert set(story.states.values()) == {state}, point
        told = {trial.parameters["x"]: story.ended[trial.id].state for trial in story.trials}
        assert told == story.states, point
        failed = list(story.states.values()).count("failed")
        again = play(spec, [slot()], trials=make_plan(spec).pending)
        assert [message.state for message in again.ended.values()] == ["complete"] * failed
        assert collect_sweep(spec).results.certificate.complete


def test_a_worker_that_dies_at_any_step_of_writing_the_rows_of_many(tmp_path: Path) -> None:
    for point in range(1, PER_ROW + 1):
        spec = sweep(tmp_path / str(point), HOOK + fused(), count=6, packing="fused")
        story = play(spec, [slot()], environ={**os.environ, "CRASH_AT": str(point)})
        # As above, but of several: all rows of the file, or none; and without it each trial is tried until it is alone.
        state = "complete" if point % PER_ROW in (3, 0) else "failed"
        assert story.states == dict.fromkeys(range(1, 7), state), point
        assert {message.state for message in story.ended.values()} == {state}
        assert len(story.ended) == 6
        play(spec, [slot()], trials=make_plan(spec).pending)
        certificate = collect_sweep(spec).results.certificate
        assert certificate.complete
        assert certificate.duplicates == ()


# Forks, so that the libraries that read and draw are loaded once. After each crash everything is made again, in what
# the crash has left.
DERIVE = (
    HOOK
    + """\
import hashlib
import importlib
import json
import shutil
import sys
from pathlib import Path

import kgen.report.draw
from kgen.sweep import load

verb, file, stride, clean = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
derive = getattr(importlib.import_module(f"kgen.workflow.{verb}"), f"{verb}_sweep")
spec = load(file)
for number in range(stride, 1000, stride):
    for folder in ("collected", "report"):
        shutil.rmtree(spec.results / folder, ignore_errors=True)
    pid = os.fork()
    if pid == 0:
        point, seen = number, 0
        derive(spec)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status == 0:  # it came to its end before that step
        print(number // stride - 1)
        break
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    derive(spec)
    for name, digest in clean.items():
        assert hashlib.sha256(Path(spec.results, name).read_bytes()).hexdigest() == digest, (number, name)
"""
)


@pytest.mark.parametrize(
    ("verb", "stride", "least"),
    [
        ("collect", 1, 15),  # five files, three steps each
        ("report", 5, 4),  # drawing takes long, and it writes by the same function: some steps will do
    ],
)
def test_a_process_that_dies_at_any_step_of_writing_what_is_derived(
    tmp_path: Path, verb: str, stride: int, least: int
) -> None:
    spec = sweep(tmp_path, body("trial.report(step=1, loss=trial.parameters['x'])"), count=3)
    run_sweep(spec, Show())
    folders = ("collected", "report") if verb == "report" else ("collected",)
    clean = {
        str(path.relative_to(spec.results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in (spec.results / folder).rglob("*")
        if path.is_file()
    }
    words = [sys.executable, "-c", DERIVE, verb, str(spec.file), str(stride), json.dumps(clean)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= least
    assert len(FolderStore(spec.results).row_files()) == 3
