"""Choices in the results and beside them: which of two counts, and that both places end with the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgen.errors import StoreError
from kgen.results.folder import FolderStore
from kgen.workflow.choices import WithChoices, keep_in_step

BEST = "choices/best.json"


class Taken:
    """A shelf on which somebody else was faster by a moment."""

    def __init__(self, text: str) -> None:
        self.held = {"best": text}

    def keep(self, stage: str, text: str) -> str:
        return self.held.setdefault(stage, text)

    def drop(self, stage: str) -> None:
        self.held.pop(stage, None)


def test_of_two_that_choose_at_once_both_take_the_first_choice(tmp_path: Path) -> None:
    shelf, results = Taken("theirs"), FolderStore(tmp_path)
    store = WithChoices(results, {}, shelf)
    assert not store.create(BEST, b"mine")
    assert store.read(BEST) == results.read(BEST) == b"theirs"
    assert store.create("choices/scale.json", b"mine")
    assert shelf.held == {"best": "theirs", "scale": "mine"}


def test_the_results_count_where_both_have_one(tmp_path: Path) -> None:
    results = FolderStore(tmp_path)
    results.write(BEST, b"of the results")
    store = WithChoices(results, {"best": "of the cluster", "scale": "of the cluster"})
    assert store.read(BEST) == b"of the results"
    assert store.read("choices/scale.json") == b"of the cluster"
    keep_in_step(results, {"best": "of the cluster", "scale": "of the cluster"})
    assert (results.read(BEST), results.read("choices/scale.json")) == (b"of the results", b"of the cluster")


def test_a_choice_that_is_discarded_is_gone_everywhere(tmp_path: Path) -> None:
    shelf, results = Taken("old"), FolderStore(tmp_path)
    results.write(BEST, b"old")
    store = WithChoices(results, {"best": "old"}, shelf)
    store.discard(BEST)
    assert not store.exists(BEST)
    assert store.create(BEST, b"new")
    assert (results.read(BEST), shelf.held) == (b"new", {"best": "new"})


def test_without_results_there_are_choices_and_nothing_else() -> None:
    store = WithChoices(None, {"best": "held", "scale": "held"}, without=["scale"])
    assert (store.exists(BEST), store.exists("choices/scale.json"), store.has_rows()) == (True, False, False)
    assert (store.read(BEST), store.row_files()) == (b"held", [])
    with pytest.raises(StoreError, match="can't be reached from here"):
        store.create("choices/new.json", b"x")


def test_only_rows_that_are_meant_are_seen(tmp_path: Path) -> None:
    results = FolderStore(tmp_path)
    for name in ("a.1.parquet", "b.1.parquet"):
        results.write_row_file(name, b"x")
    store = WithChoices(results, {}, only=["a.1.parquet"])
    assert [file.name for file in store.row_files()] == ["a.1.parquet"]
    store.only = ()
    assert (store.has_rows(), results.has_rows()) == (False, True)
