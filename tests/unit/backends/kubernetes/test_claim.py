"""What a claim's reader does with answers that are not as they should be, which no real pod can be made to give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from kgen.backends.kubernetes import claim as module
from kgen.backends.kubernetes.claim import RESUMES, Claim, DamagedError
from kgen.backends.kubernetes.fetch_pod import FetchPod
from kgen.errors import StoreError
from kgen.sweep import loads
from tests.unit.backends.kubernetes.programs import Program
from tests.unit.results.made import write_bytes

Change = Callable[[bytes], bytes]


class Tampered(Program):
    """A conversation in which lines, or the bytes of files, arrive changed."""

    def __init__(self, root: Path, scratch: Path, line: Change, data: Change) -> None:
        super().__init__(root, scratch)
        self._line, self._data = line, data

    def read(self, size: int) -> Iterator[bytes]:
        for piece in super().read(size):
            yield self._data(piece)

    def read_line(self) -> bytes:
        return self._line(super().read_line())


def as_it_is(data: bytes) -> bytes:
    return data


class Field:
    """A claim whose pod is a process here; counts how often the conversation was begun."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "results"
        self.line: Change = as_it_is
        self.data: Change = as_it_is
        self.begun = 0
        self._scratch = tmp_path
        self.said: list[str] = []
        text = "version: 1\nname: first\nparameters: {a: [1]}\nobjective: {metric: a}\nresults: pvc://data/x\n"
        self.claim = Claim(cast(Any, None), loads(text + "budget: {steps: 1}\n"), on_event=self.said.append)

    def run(self, *_: object) -> Program:
        self.begun += 1
        return Tampered(self.root, self._scratch, self.line, self.data)


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    field = Field(tmp_path)
    monkeypatch.setattr(FetchPod, "ensure", lambda _: "pod")
    monkeypatch.setattr(FetchPod, "claim_has_volume", lambda _: True)
    monkeypatch.setattr(module, "run", field.run)
    monkeypatch.setattr(module, "backoff", lambda _: 0.0)
    with field.claim:
        yield field


def times(count: int, change: Change) -> Change:
    """Changes only the first so many."""
    left = [None] * count

    def once(data: bytes) -> bytes:
        return (left.pop(), change(data))[1] if left else data

    return once


def test_a_file_that_comes_damaged_is_asked_for_again(field: Field) -> None:
    for name in ("a", "b", "c"):
        write_bytes(field.root, f"{name}.parquet", name.encode() * 100)
    field.data = times(2, lambda data: b"x" + data[1:])
    found = dict(field.claim.read_row_files([file.name for file in field.claim.row_files()]))
    assert found == {f"{name}.parquet": name.encode() * 100 for name in "abc"}
    assert field.said == ["a.parquet came damaged; going on"] * 2
    assert field.begun == 3


def test_one_that_always_does_is_an_error(field: Field) -> None:
    write_bytes(field.root, "a.parquet", b"a")
    field.data = lambda _: b"x"
    with pytest.raises(DamagedError, match=r"a\.parquet came damaged"):
        list(field.claim.read_row_files(["a.parquet"]))
    assert field.begun == RESUMES + 1


@pytest.mark.parametrize(
    "line",
    [b"no json", b"[1]", b"[]", b"7", b'["other.parquet", 1]', b'["a.parquet", "1"]', b'["a.parquet", 1, 2]', b"\xff"],
)
def test_answers_that_make_no_sense_are_not_believed(field: Field, line: bytes) -> None:
    write_bytes(field.root, "a.parquet", b"a")
    field.line = times(1, lambda _: line)
    assert dict(field.claim.read_row_files(["a.parquet"])) == {"a.parquet": b"a"}
    assert field.begun == 2


def test_what_the_volume_does_not_allow_is_not_tried_again(field: Field) -> None:
    field.root.mkdir()
    (field.root / "rows").write_text("a file")
    with pytest.raises(StoreError, match=r"the claim can't be used: .*/rows: Not a directory"):
        field.claim.row_files()
    assert field.begun == 1


def test_a_reader_that_stops_in_the_middle_begins_anew(field: Field) -> None:
    for name in ("a", "b", "c"):
        write_bytes(field.root, f"{name}.parquet", name.encode())
    names = [file.name for file in field.claim.row_files()]
    reading = field.claim.read_row_files(names)
    next(reading)
    del reading
    assert len(field.claim.row_files()) == 3
    assert (field.begun, field.said) == (2, [])


@pytest.mark.parametrize(
    ("files", "size", "parts"), [(4, 1000, [4, 4, 2]), (99, 250, [2] * 5), (99, 50, [1] * 10), (99, 1000, [10])]
)
def test_much_is_asked_for_in_parts(
    field: Field, monkeypatch: pytest.MonkeyPatch, files: int, size: int, parts: list[int]
) -> None:
    for number in range(10):
        write_bytes(field.root, f"{number}.parquet", bytes(100))
    monkeypatch.setattr(module, "BATCH_FILES", files)
    monkeypatch.setattr(module, "BATCH_BYTES", size)
    asked: list[bytes] = []
    sent = Program.send

    def send(self: Program, data: bytes) -> None:
        asked.append(data)
        sent(self, data)

    monkeypatch.setattr(Program, "send", send)
    names = [file.name for file in field.claim.row_files()]
    assert [name for name, _ in field.claim.read_row_files(names)] == names
    assert [data.count(b".parquet") for data in asked] == [0, *parts]
