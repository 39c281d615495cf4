from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from kgen.capacity.quantity import parse, show

NUMBERS = st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,4})?", fullmatch=True)
UNITS = st.sampled_from(["", "n", "u", "m", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti", "P", "Pi", "E", "Ei"])


@given(NUMBERS, UNITS)
def test_a_quantity_means_what_the_client_takes_it_for(number: str, unit: str) -> None:
    by_client: Decimal = parse_quantity(number + unit)  # type: ignore[no-untyped-call]
    expected = by_client * 1000
    assert parse(number + unit) == int(expected.to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize(("text", "thousandths"), [("1e3", 1_000_000), ("1E3", 1_000_000), ("1E", 10**21), (".5", 500)])
def test_exponents_are_no_units(text: str, thousandths: int) -> None:
    assert parse(text) == thousandths


@pytest.mark.parametrize("text", ["", "a", "1 Gi", "1KB", "Gi", "--1", "1Gi2", "1.2.3"])
def test_what_is_no_quantity_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse(text)


@pytest.mark.parametrize(
    ("resource", "text", "shown"),
    [
        ("cpu", "0.5", "500m"),
        ("cpu", "2000m", "2"),
        ("memory", "4096Mi", "4Gi"),
        ("requests.memory", "1536Mi", "1.5Gi"),
        ("ephemeral-storage", "100", "100"),
        ("hugepages-2Mi", "4Mi", "4Mi"),
        ("nvidia.com/gpu", "9", "9"),
        ("requests.nvidia.com/gpu", "9", "9"),
    ],
)
def test_amounts_are_shown_as_people_write_them(resource: str, text: str, shown: str) -> None:
    assert show(resource, parse(text)) == shown
