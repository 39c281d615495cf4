"""LimitRanges against one pod: the smallest and largest that a namespace lets in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from kgen.capacity import pod as pods
from kgen.capacity.finding import RESOURCES, Finding, refuse
from kgen.capacity.quantity import Amounts, parse, parse_all, show

Object = Mapping[str, Any]


def findings(limit_ranges: Sequence[Object], spec: Object) -> Iterator[Finding]:
    """What LimitRanges forbid of a pod whose defaults are filled in. Raises ValueError for what is no quantity."""
    for item in pods.items(limit_ranges, "Container"):
        for name, container in pods.containers(spec):
            asked, limits = pods.amounts_of(container, "requests"), pods.amounts_of(container, "limits")
            yield from _check(item, f"container {name}", asked, limits)
    for item in pods.items(limit_ranges, "Pod"):
        yield from _check(item, "the pod", pods.requests(spec), pods.limits(spec))


def _check(item: Object, whose: str, asked: Amounts, limits: Amounts) -> Iterator[Finding]:
    source = f"LimitRange {item['name']}"
    for resource, least in parse_all(item.get("min")).items():
        have = min(asked.get(resource, 0), limits.get(resource, asked.get(resource, 0)))
        if have < least:
            found = f"{show(resource, have)} of {resource} for {whose}"
            yield refuse((*RESOURCES, resource), found, f"at least {show(resource, least)}: {source}")
    for resource, most in parse_all(item.get("max")).items():
        if resource not in limits:
            found = f"no limit of {resource} for {whose}"
            yield refuse((*RESOURCES, resource), found, f"one of at most {show(resource, most)}: {source}")
        elif (have := limits[resource]) > most:
            found = f"{show(resource, have)} of {resource} for {whose}"
            yield refuse((*RESOURCES, resource), found, f"at most {show(resource, most)}: {source}")
    for resource, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        request, limit = asked.get(resource, 0), limits.get(resource, 0)
        if not request or not limit or Fraction(limit, request) * 1000 > parse(ratio):
            found = f"a limit of {show(resource, limit)} for a request of {show(resource, request)} of {resource}"
            yield refuse((*RESOURCES, resource), f"{found} for {whose}", f"a ratio of at most {ratio}: {source}")
