from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from kgen import built_in
from kgen.errors import BadParametersError
from kgen.spec import WrittenFloat
from kgen_trainer import models, optimizers
from kgen_trainer.optimizers import OPTIMIZERS, residual_shrinks
from kgen_trainer.settings import Settings


@pytest.fixture
def read(new_trial: Any) -> Any:
    return lambda parameters=None, config=None: Settings.from_trial(new_trial(parameters or {}, config))


def test_without_a_word_it_is_adam_on_digits(read: Any) -> None:
    assert read() == Settings(
        dataset="digits", data=None, model="cnn-small", scale=1.0, batch_size=100, dropout=0.4, optimizer="adam",
        learning_rate=0.001, overrides=(),
    )  # fmt: skip


def test_a_parameter_wins_over_the_configuration(read: Any) -> None:
    settings = read({"batch_size": 20, "optimizer": "sgd"}, {"batch_size": 10, "optimizer": "adam", "scale": 2})
    assert (settings.batch_size, settings.optimizer, settings.scale) == (20, "sgd", 2.0)


def test_each_optimizer_has_its_frameworks_learning_rate(read: Any) -> None:
    assert {name: read({"optimizer": name}).learning_rate for name in OPTIMIZERS} == {
        "sgd": 0.01, "momentum": 0.01, "adam": 0.001, "adagrad": 0.001, "adadelta": 0.001, "rmsprop": 0.001,
    }  # fmt: skip


def test_other_settings_of_optimizers_go_to_the_trials_that_use_them(read: Any) -> None:
    config = {"optimizers": {"adam": {"epsilon": WrittenFloat("1e-8"), "amsgrad": True}, "momentum": {"momentum": 0.9}}}
    assert read({"optimizer": "adam"}, config).overrides == (("amsgrad", True), ("epsilon", 1e-8))
    assert read({"optimizer": "momentum"}, config).overrides == (("momentum", 0.9),)
    assert read({"optimizer": "sgd"}, config).overrides == ()


def test_a_preset_stands_for_the_settings_of_all_optimizers(read: Any) -> None:
    settings = read({"optimizer": "rmsprop"}, {"optimizers": "article"})
    assert settings.overrides == (("epsilon", 1e-10), ("initial_accumulator_value", 1.0), ("rho", 0.9))
    assert read({"optimizer": "sgd"}, {"optimizers": "article"}).overrides == ()


def test_programs_are_shared_by_learning_rates_but_by_nothing_else(read: Any) -> None:
    assert read({"learning_rate": 0.1}).without_learning_rate() == read({"learning_rate": 2}).without_learning_rate()
    for other in ({"batch_size": 5}, {"scale": 2}, {"dropout": 0}, {"optimizer": "sgd"}, {"model": "cnn-tutorial"}):
        assert read(other).without_learning_rate() != read().without_learning_rate()


@pytest.mark.parametrize(
    ("parameters", "config", "message"),
    [
        (
            {"learning_rat": 0.1},
            {},
            r"unknown parameter 'learning_rat': did you mean 'learning_rate'\? allowed: dataset,",
        ),
        ({"optimizers": "adam"}, {}, "unknown parameter 'optimizers'"),
        ({}, {"drop_out": 0.1}, r"unknown key in config 'drop_out': did you mean 'dropout'\?"),
        ({"optimizer": "adm"}, {}, r"unknown optimizer 'adm': did you mean 'adam'\? allowed: sgd, momentum, adam"),
        ({"optimizer": 3}, {}, "unknown optimizer 3"),
        ({}, {"dataset": "minst"}, r"did you mean 'mnist'\?"),
        ({}, {"model": "cnn"}, "unknown model 'cnn'.*cnn-small, cnn-tutorial"),
        ({"learning_rate": "0.1"}, {}, "parameter learning_rate: found '0.1', allowed a number above 0"),
        ({"learning_rate": 0}, {}, "parameter learning_rate: found 0, allowed a number above 0"),
        ({"learning_rate": WrittenFloat("1e-60")}, {}, "found 1e-60, allowed a number above 0"),
        ({"learning_rate": float("nan")}, {}, "found nan"),
        ({"learning_rate": True}, {}, "found true"),
        ({"batch_size": 10.0}, {}, "parameter batch_size: found 10.0, allowed a whole number above 0"),
        ({}, {"batch_size": 0}, "config batch_size: found 0, allowed a whole number above 0"),
        ({}, {"dropout": 1}, "config dropout: found 1, allowed a number from 0 to below 1"),
        ({}, {"scale": float("inf")}, "config scale: found inf"),
        ({}, {"dataset": "mnist", "data": 7}, "config data: found 7, allowed text"),
        ({}, {"dataset": "npz"}, "dataset npz needs data"),
        ({}, {"data": "x.npz"}, "data is given, but dataset is digits"),
        ({}, {"optimizers": ["adam"]}, r"config optimizers: found \['adam'\], allowed a mapping"),
        ({}, {"optimizers": "articel"}, r"preset in config optimizers 'articel': did you mean 'article'\?"),
        ({}, {"optimizers": {"adma": {}}}, r"did you mean 'adam'\?"),
        ({}, {"optimizers": {"adam": 1}}, "config optimizers.adam: found 1"),
        (
            {},
            {"optimizers": {"adam": {"beta1": 0.9}}},
            r"'beta1': did you mean 'beta_1'\? allowed: beta_1, beta_2, epsilon",
        ),
        ({}, {"optimizers": {"sgd": {"momentum": 0.9}}}, "unknown setting of optimizers.sgd 'momentum'"),
        (
            {},
            {"optimizers": {"adam": {"beta_1": 1}}},
            "optimizers.adam.beta_1: found 1, allowed a number from 0 to below 1",
        ),
        ({}, {"optimizers": {"adam": {"amsgrad": 1}}}, "optimizers.adam.amsgrad: found 1, allowed true or false"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(
    read: Any, parameters: dict[str, Any], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadParametersError, match=message):
        read(parameters, config)


def test_settings_that_exclude_each_other_are_bad_parameters(run: Any) -> None:
    with pytest.raises(BadParametersError, match=r"optimizers\.sgd: .*clipnorm"):
        run({"optimizer": "sgd"}, {"optimizers": {"sgd": {"clipnorm": 1, "clipvalue": 1}}}, steps=1)


def test_adams_steps_shrink_only_with_a_first_beta_that_forgets_faster() -> None:
    assert all(residual_shrinks(name, ()) for name in OPTIMIZERS)
    assert residual_shrinks("adam", (("beta_1", 0.94), ("beta_2", 0.9)))
    assert not residual_shrinks("adam", (("beta_1", 0.95), ("beta_2", 0.9)))


def _python(code: str, monkeypatch: pytest.MonkeyPatch) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_brings_no_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, kgen_trainer; print(sorted({'tensorflow', 'keras', 'sklearn', 'numpy'} & set(sys.modules)))"
    assert _python(code, monkeypatch) == "[]"


def test_another_back_end_of_keras_is_refused_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    code = """
import sys, kgen_trainer
from kgen.errors import BadParametersError
for call in (kgen_trainer.describe, lambda: kgen_trainer.train(None)):
    try:
        call()
    except BadParametersError as error:
        print(error, "tensorflow" in sys.modules, "keras" in sys.modules)
"""
    expected = "KERAS_BACKEND is 'jax': the built-in trainer runs on 'tensorflow' only False False"
    assert _python(code, monkeypatch) == f"{expected}\n{expected}"


def test_what_a_sweep_file_is_checked_by_is_exactly_what_it_takes(new_trial: Any) -> None:
    """The names of :mod:`kgen.built_in`, which the command line knows without TensorFlow."""
    values: dict[str, Any] = {
        "dataset": "mnist", "data": "x.npz", "model": "cnn-small", "scale": 2, "batch_size": 10, "dropout": 0.1,
        "optimizer": "sgd", "learning_rate": 0.1, "optimizers": {}, "range_test": {"start": 0.1, "stop": 1},
        "checkpoint_every_seconds": 1, "stop_dead": True,
    }  # fmt: skip
    assert tuple(values) == (*built_in.PARAMETERS, *built_in.CONFIG_ONLY)

    def read(*given: Any) -> Settings:
        return Settings.from_trial(new_trial(*given, steps=100))

    for name in built_in.PARAMETERS:
        read({name: values[name], **({"dataset": "npz"} if name == "data" else {})})
    for name in built_in.CONFIG_ONLY:
        read({}, {name: values[name]})
        with pytest.raises(BadParametersError, match=f"unknown parameter '{name}'"):
            read({name: values[name]})
    assert set(built_in.MODELS) == set(models.PRESETS)
    assert tuple(optimizers.PRESETS) == built_in.OPTIMIZER_PRESETS
    assert {name: {*one.rules, *optimizers._COMMON} for name, one in OPTIMIZERS.items()} == {
        name: set(settings) for name, settings in built_in.OPTIMIZERS.items()
    }
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert fields - {"overrides"} | {"optimizers"} == set(values)


def test_what_a_sweep_file_may_compare_by_is_exactly_what_it_reports(run: Any, write_npz: Any) -> None:
    config = {"dataset": "npz", "data": write_npz(), "batch_size": 5}
    reported = {at.metric for at in run({}, config, steps=2, check_every_steps=1).snapshot()[1]}
    assert reported == {*built_in.METRICS, "weights"}
    rising = {**config, "range_test": {"start": 1e-6, "stop": 1e-3}}
    reported = {at.metric for at in run({}, rising, steps=2, check_every_steps=1).snapshot()[1]}
    assert reported == {*built_in.METRICS, *built_in.OTHER_METRICS}
