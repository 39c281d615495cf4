"""What of a live object is compared with a manifest."""

from __future__ import annotations

from kgen.cli.diff import restricted


def test_only_what_the_manifest_says_is_compared() -> None:
    live = {"a": 1, "defaulted": 2, "status": {}, "list": [{"x": 1, "defaulted": 3}]}
    assert restricted(live, {"a": 0, "list": [{"x": 2}]}) == {"a": 1, "list": [{"x": 1}]}


def test_what_is_empty_is_the_same_as_nothing() -> None:
    wanted = {"hostNetwork": False, "labels": {}, "text": "", "there": ""}
    assert restricted({"there": "x"}, wanted) == wanted | {"there": "x"}


def test_what_the_cluster_lacks_or_has_more_is_a_difference() -> None:
    assert restricted({}, {"a": 1}) == {}
    assert restricted([1, 2], [1]) == [1, 2]
