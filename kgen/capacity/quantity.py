"""Quantities of Kubernetes as whole thousandths, which is how exactly its scheduler counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

Amounts = Mapping[str, int]
"""Resource → thousandths: 2 GPUs are 2,000, half a core is 500."""

_QUANTITY: Final = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|(Ki|[num]|[kMGTPE]i?))?")
_FACTORS: Final[Mapping[str | None, Decimal]] = {
    None: Decimal(1),
    **{unit: Decimal(10) ** power for unit, power in {"n": -9, "u": -6, "m": -3, "k": 3}.items()},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("MGTPE", 2)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def parse(text: object) -> int:
    """Thousandths, rounded up as Kubernetes does. Raises ValueError for what is no quantity.

    >>> parse("500m"), parse("4Gi"), parse("1e3"), parse(2), parse("1n")
    (500, 4294967296000, 1000000, 2000, 1)
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"no quantity: {text!r}")
    number, exponent, unit = match.groups()
    return int((Decimal(number + (exponent or "")) * _FACTORS[unit] * 1000).to_integral_value(ROUND_CEILING))


def parse_all(amounts: Mapping[str, Any] | None) -> dict[str, int]:
    """A mapping of quantities. Raises ValueError for what is none."""
    return {name: parse(amount) for name, amount in (amounts or {}).items()}


def is_bytes(resource: str) -> bool:
    """Whether a resource, also as a quota names it, is counted in bytes."""
    return resource.rpartition(".")[2] in ("memory", "ephemeral-storage", "storage") or "hugepages-" in resource


def show(resource: str, amount: int) -> str:
    """An amount as people write it.

    >>> show("memory", parse("4Gi")), show("memory", parse("1500Mi")), show("cpu", 500), show("nvidia.com/gpu", 9000)
    ('4Gi', '1.5Gi', '500m', '9')
    """
    if is_bytes(resource):
        size, unit = Decimal(amount) / 1000, ""
        for unit in ("", "Ki", "Mi", "Gi", "Ti", "Pi"):
            if abs(size) < 1024 or unit == "Pi":
                break
            size /= 1024
        return f"{size:.1f}".removesuffix(".0") + unit
    return str(amount // 1000) if amount % 1000 == 0 else f"{amount}m"


def total(parts: Iterable[Amounts]) -> dict[str, int]:
    """The sum, resource by resource."""
    summed: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            summed[name] = summed.get(name, 0) + amount
    return summed


def largest(parts: Iterable[Amounts]) -> dict[str, int]:
    """The maximum, resource by resource."""
    found: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            found[name] = max(found.get(name, 0), amount)
    return found
