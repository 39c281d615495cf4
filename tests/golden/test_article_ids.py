"""The ids of the article's 288 trials. Results that people have lie under these names: they never change.

A change of this file means that every row ever written is taken for another trial's.
"""

from __future__ import annotations

from pathlib import Path

from kgen.spec import dump_json
from kgen.sweep import expand, load

HERE = Path(__file__).parent
QUICKSTART = HERE.parents[1] / "examples/quickstart.yaml"


def test_the_articles_trials_keep_their_ids_their_values_and_their_order() -> None:
    made = [f"{trial.id} {dump_json(dict(trial.parameters))}" for trial in expand(load(QUICKSTART))]
    assert made == (HERE / "article_ids.txt").read_text(encoding="utf-8").splitlines()


def test_they_are_288() -> None:
    lines = (HERE / "article_ids.txt").read_text(encoding="utf-8").splitlines()
    assert len({line.split()[0] for line in lines}) == len(lines) == 288
