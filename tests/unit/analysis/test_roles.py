from __future__ import annotations

import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kgen.analysis.roles import Kind, Roles, Scale, assign_roles
from tests.unit.analysis.synthetic import article, reached, table


def roles_of(parameters: Sequence[Mapping[str, Any]]) -> Roles:
    return assign_roles(table([(each, reached(100)) for each in parameters]))


def product(**values: Sequence[Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = [{}]
    for name, options in values.items():
        out = [{**each, name: option} for each in out for option in options]
    return out


def names(roles: Roles) -> tuple[str | None, str | None, list[str]]:
    x, group = roles.x, roles.group
    spread = [parameter.name for parameter in roles.spread]
    return (None if x is None else x.name, None if group is None else group.name, spread)


def test_the_article_has_its_rates_on_a_log_axis_and_its_optimizers_as_lines() -> None:
    roles = assign_roles(article()[0])

    assert names(roles) == ("learning_rate", "optimizer", [])
    assert roles.x is not None
    assert roles.group is not None
    assert (roles.x.scale, len(roles.x.values)) == (Scale.LOG, 48)
    assert roles.x.labels[0] == "1e-6"
    assert roles.group.labels == ("sgd", "momentum", "adam", "adagrad", "adadelta", "rmsprop")
    assert roles.seeds == 1


def test_the_number_with_most_values_is_on_x() -> None:
    assert names(roles_of(product(a=[1, 2], b=[1.0, 2.0, 3.0], c=["x", "y"])))[0] == "b"


def test_the_category_with_most_values_makes_the_lines() -> None:
    found = names(roles_of(product(flag=[True, False], model=["a", "b", "c"], rate=[0.1, 0.2, 0.3, 0.4])))
    assert found == ("rate", "model", ["flag"])


def test_a_category_of_more_than_twelve_gives_way_to_a_smaller_one() -> None:
    many = [f"m{n}" for n in range(13)]
    assert names(roles_of(product(model=many, flag=[True, False], rate=[0.1, 0.2]))) == ("rate", "flag", ["model"])
    assert names(roles_of(product(model=many, rate=[0.1, 0.2]))) == ("rate", "model", [])


def test_a_second_number_with_few_values_makes_the_lines_where_there_is_no_category() -> None:
    assert names(roles_of(product(depth=[1, 2, 4], width=[8, 16, 32, 64]))) == ("width", "depth", [])
    assert names(roles_of(product(a=list(range(13)), b=list(range(14))))) == ("b", None, ["a"])


def test_categories_alone_make_a_categorical_axis() -> None:
    roles = roles_of(product(schedule=["step", "cosine"], optimizer=["sgd", "adam", "lion"]))
    assert names(roles) == ("optimizer", "schedule", [])
    assert roles.x is not None
    assert roles.x.scale is Scale.CATEGORY


def test_booleans_are_a_category_in_their_own_order_and_named() -> None:
    roles = roles_of(product(flag=[True, False], rate=[1.0, 2.0]))
    assert roles.group is not None
    assert roles.group.kind is Kind.BOOLEAN
    assert [roles.group.described(code) for code in (0, 1)] == ["flag = true", "flag = false"]


def test_nothing_varies() -> None:
    roles = roles_of([{"rate": 0.1}])
    assert names(roles) == (None, None, [])
    assert [parameter.name for parameter in roles.fixed] == ["rate"]
    assert names(roles_of([{}])) == (None, None, [])


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.01, 1.0], Scale.LOG),
        ([0.02, 1.0], Scale.LINEAR),
        ([0.0, 1.0, 1000.0], Scale.LINEAR),
        ([-1.0, 1000.0], Scale.LINEAR),
        ([1, 10, 100], Scale.LOG),
    ],
)
def test_two_positive_decades_make_a_log_axis(values: list[float], scale: Scale) -> None:
    roles = roles_of(product(rate=values))
    assert roles.x is not None
    assert roles.x.scale is scale


def test_trials_without_the_parameter_are_a_value_of_their_own() -> None:
    roles = roles_of([*product(optimizer=["sgd"], rate=[0.1, 0.2]), {"optimizer": "adadelta"}])
    assert roles.x is not None
    assert roles.x.values == (0.1, 0.2, None)
    assert roles.x.labels == ("0.1", "0.2", "not set")
    assert np.isnan(roles.x.positions[2])


def test_numbers_come_ascending_whatever_the_order_of_the_file() -> None:
    roles = roles_of(product(rate=[3.0, 1.0, 2.0]))
    assert roles.x is not None
    assert roles.x.values == (1.0, 2.0, 3.0)


def test_codes_find_every_value_again() -> None:
    trials = table([({"rate": rate}, reached(1)) for rate in (3.0, 1.0, 3.0)])
    roles = assign_roles(trials)
    assert roles.x is not None
    assert roles.x.codes(trials).tolist() == [1, 0, 1]


def test_integers_beyond_64_bits_are_numbers() -> None:
    trials = table([({}, reached(1)), ({}, reached(1))])
    trials["param.key"] = pd.Series([decimal.Decimal(10**30), decimal.Decimal(2)], dtype=object)
    roles = assign_roles(trials)
    assert roles.x is not None
    assert roles.x.values == (2, 10**30)


def test_repeats_are_counted_by_their_seeds() -> None:
    assert assign_roles(table([({"a": 1}, reached(1))] * 3, seeds=[1, 2, 3])).seeds == 3
