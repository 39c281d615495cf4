"""Choices in the results and beside them: which of two counts, and that both places end with the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kgen.choice import Choice, is_newer
from kgen.errors import StoreError
from kgen.results.folder import FolderStore
from kgen.workflow.choices import WithChoices, keep_in_step

BEST = "choices/best.json"


def choice(edition: int = 1, rule: str = "") -> str:
    """The text of a choice that was made so many times."""
    return Choice("best", "grid", {}, rule, (), {}, (), edition=edition).to_json()


class Shelf:
    """A ConfigMap, as all see it at once; ``meanwhile`` happens before the next change of it."""

    def __init__(self, **held: str) -> None:
        self.held = held
        self.meanwhile: Callable[[], None] = lambda: None

    def keep(self, stage: str, text: str) -> str:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        if stage not in self.held or is_newer(text.encode(), self.held[stage].encode()):
            self.held[stage] = text
        return self.held[stage]

    def look(self) -> dict[str, str]:
        return dict(self.held)


def test_of_two_that_choose_at_once_both_take_the_first_choice(tmp_path: Path) -> None:
    theirs, mine = choice(rule="theirs"), choice(rule="mine")
    shelf, results = Shelf(best=theirs), FolderStore(tmp_path)
    store = WithChoices(results, {}, shelf)
    assert not store.create(BEST, mine.encode())
    assert store.read(BEST) == results.read(BEST) == theirs.encode()
    assert store.create("choices/scale.json", mine.encode())
    assert shelf.held == {"best": theirs, "scale": mine}


def test_of_two_that_choose_anew_at_once_both_take_the_first_choice(tmp_path: Path) -> None:
    old, theirs, mine = choice(), choice(2, "theirs"), choice(2, "mine")
    shelf, results = Shelf(best=old), FolderStore(tmp_path)
    results.write(BEST, old.encode())
    store, rival = (WithChoices(results, {"best": old}, shelf) for _ in range(2))

    def meanwhile() -> None:
        rival.write(BEST, theirs.encode())

    shelf.meanwhile = meanwhile
    store.write(BEST, mine.encode())
    for each in (store, rival, results):
        assert each.read(BEST) == theirs.encode()
    assert shelf.held == {"best": theirs}


def test_the_results_count_where_both_are_of_one_age_and_the_newer_one_else(tmp_path: Path) -> None:
    results = FolderStore(tmp_path)
    results.write(BEST, choice(2, "of the results").encode())
    for held, counts in ((choice(1), "results"), (choice(2), "results"), (choice(3), "cluster")):
        store = WithChoices(results, {"best": held, "scale": held})
        assert store.read(BEST) == (results.read(BEST) if counts == "results" else held.encode())
        assert store.read("choices/scale.json") == held.encode()
    for held in (choice(1), choice(2)):
        keep_in_step(results, lambda: {"best": held, "scale": held})  # noqa: B023
        assert results.read(BEST) == choice(2, "of the results").encode()
    keep_in_step(results, lambda: {"best": choice(3)})
    assert results.read(BEST) == choice(3).encode()
    assert results.read("choices/scale.json") == choice(2).encode()


def test_who_brings_an_old_choice_back_while_a_new_one_is_made_does_no_harm(tmp_path: Path) -> None:
    """A collector has read the ConfigMap before, and writes in between."""
    old, new = choice(1), choice(2)
    for there in (True, False):  # whether the results have the old one, too
        shelf, results = Shelf(best=old), FolderStore(tmp_path / str(there))
        if there:
            results.write(BEST, old.encode())
        store = WithChoices(results, {"best": old}, shelf)
        views = [shelf.look()]
        shelf.meanwhile = lambda: keep_in_step(results, lambda: views.pop() if views else shelf.look())  # noqa: B023
        store.write(BEST, new.encode())
        assert (results.read(BEST).decode(), shelf.held["best"]) == (new, new)


@pytest.mark.parametrize("there", [True, False])
def test_a_new_choice_that_is_made_while_an_old_one_is_brought_stays(there: bool, tmp_path: Path) -> None:
    old, new = choice(1), choice(2)
    shelf, results = Shelf(best=old), FolderStore(tmp_path)
    store = WithChoices(results, {"best": old}, shelf)

    class Slow(FolderStore):
        """Somebody chooses anew before each write to the results."""

        def create(self, name: str, data: bytes) -> bool:
            if there:
                store.write(name, new.encode())
            else:
                shelf.keep("best", new)
            return super().create(name, data)

    keep_in_step(Slow(tmp_path), shelf.look)
    assert (results.read(BEST).decode(), shelf.held["best"]) == (new, new)


def test_of_a_sweep_that_is_deleted_meanwhile_nothing_is_brought(tmp_path: Path) -> None:
    views: list[dict[str, str]] = [{}, {"best": choice()}]
    keep_in_step(FolderStore(tmp_path), lambda: views.pop() if views else {})
    assert not (tmp_path / BEST).exists()


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
