"""All Jobs of a sweep: order, the same bytes each time, one look at each form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kgen.render import render
from kgen.render.check import field_mistakes
from kgen.render.draft import Mistake
from kgen.sweep import expand
from tests.unit.render.rendering import rendered, spec, template


def test_there_is_one_for_each_trial_in_order() -> None:
    made = spec(parameters="{a: {int: {start: 1, stop: 20}}, b: [x, y]}", repeats="2")
    trials = expand(made)
    found = render(made, trials).jobs
    assert [m.trials for m in found] == [(t.id,) for t in trials]
    assert [m.name for m in found] == [f"sweep-{t.id}" for t in trials]
    assert (len(found), found[-1].trials, [m.trials for m in found[1:3]]) == (
        80,
        (trials[-1].id,),
        [(t.id,) for t in trials[1:3]],
    )


@pytest.mark.parametrize("own", [None, template(value="{{ trial.parameters.a ~ '' }}")])
def test_what_one_is_does_not_depend_on_the_others(own: str | None) -> None:
    made = spec(parameters="{a: [1, x, true, 1.5], b: [x, 7]}", template=own)
    trials = expand(made)
    texts = [m.text for m in render(made, trials).jobs]
    assert [m.text for m in reversed(render(made, trials[::-1]).jobs)] == texts
    assert [next(iter(render(made, [trial]).jobs)).text for trial in trials] == texts
    found = render(made, trials).jobs
    assert [m.text for m in found] == [m.text for m in found] == texts


def test_the_bytes_are_the_same_in_every_process(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(spec(parameters="{a: [1, x], b: [y]}", trainer="{image: trainer, command: [train]}").text)
    program = "import sys; from kgen.cli.app import main; sys.argv[1:] = ['render', sys.argv[1]]; main()"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, str(file)],
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Asia/Tokyo"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert next(iter(outputs)).count(b"\n---\n") == 2


@pytest.mark.parametrize(
    ("own", "looks"),
    [
        (None, 1),
        (template(value="{{ trial.parameters.a ~ '' }}"), 1),
        (template(value="'{{ trial.parameters.a }}'"), 1),
        (template("{% if trial.parameters.a > 40 %}\nhostNetwork: true\n{% endif %}"), 2),
        (template("terminationGracePeriodSeconds: {{ trial.parameters.a }}"), 50),
    ],
)
def test_each_form_is_checked_once(monkeypatch: pytest.MonkeyPatch, own: str | None, looks: int) -> None:
    """That is what makes 100,000 of them quick."""
    checked: list[object] = []

    def check(job: dict[str, Any]) -> list[Mistake]:
        checked.append(job)
        return field_mistakes(job)

    monkeypatch.setattr("kgen.render.jobs.field_mistakes", check)
    made = rendered(template=own, parameters="{a: {int: {start: 1, stop: 50}}}")
    assert len(list(made.jobs)) == 50
    assert len(checked) == looks


def test_nothing_heavy_is_imported_by_the_command_line_before_it_renders() -> None:
    program = "import sys, kgen.cli.app; print({'jinja2', 'kubernetes', 'kgen.render'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"
