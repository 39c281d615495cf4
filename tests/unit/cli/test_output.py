"""YAML that readers of 1.1 and of 1.2 take for the same values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kgen.cli.output import Output, dump

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


def read(content: str, version: tuple[int, int]) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    return reader.load(content)


@settings(deadline=None)
@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4))
def test_any_value_reads_back_as_itself(value: dict[str, Any]) -> None:
    expected = json.dumps(value, sort_keys=True)
    for version in ((1, 1), (1, 2)):
        assert json.dumps(read(dump(value, Output.YAML), version), sort_keys=True) == expected
    assert json.loads(dump(value, Output.JSON)) == value


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off", "y", "N", "true", "null", "1e3", "<<", "=", "~", ""])
def test_a_word_that_yaml_1_1_takes_for_something_else_stays_a_word(word: str) -> None:
    for version in ((1, 1), (1, 2)):
        assert read(dump({word: word}, Output.YAML), version) == {word: word}


def test_it_looks_like_yaml() -> None:
    value = {"sweep": "a", "counts": {"done": 1}, "plan": [{"trial": "x", "rate": 1e-06}, {"trial": "y"}], "none": []}
    assert dump(value, Output.YAML).splitlines() == [
        'sweep: "a"',
        "counts:",
        "  done: 1",
        "plan:",
        '- trial: "x"',
        "  rate: 1.0e-06",
        '- trial: "y"',
        "none: []",
    ]
