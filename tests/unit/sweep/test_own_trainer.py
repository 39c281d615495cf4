"""What kgen's own trainer would refuse is found when the file is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kgen.errors import InputError
from kgen.sweep import load, loads

HEAD = "version: 1\nname: own\n"
PARAMETERS = "dataset, data, model, scale, batch_size, dropout, optimizer, learning_rate"
OPTIMIZERS = "sgd, momentum, adam, adagrad, adadelta, rmsprop"
METRICS = "train_accuracy, running_accuracy, loss, val_accuracy, val_loss"
REPORTED = f"steps_to_target, seconds_to_target, {METRICS}, weights, learning_rate"


@pytest.fixture
def said(tmp_path: Path) -> Said:
    return Said(tmp_path / "sweep.yaml")


class Said:
    """Reads files, and says what is wrong with them."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, text: str) -> list[str]:
        self._file.write_text(HEAD + text)
        try:
            load(self._file)
        except InputError as error:
            return [str(problem).removeprefix(f"{self._file}:") for problem in error.problems]
        return []


def test_all_names_that_it_does_not_know_are_said_at_once_with_those_that_were_meant(said: Said) -> None:
    text = """\
parameters:
  optimiser: [sgd, adam]
  lr: [0.1]
  optimizer: [lion, adma]
  optimizers: [1]
trainer: {config: {datset: mnist, dataset: minst, optimizers: {sdg: {}, adam: {beta1: 0.9}}}}
objective: {metric: val_acc}
budget: {steps: 100, target: {accuracy: 0.9}}
"""
    settings = f"allowed a setting of kgen's own trainer: {PARAMETERS}"
    assert said(text) == [
        f"4:3: parameters.optimiser: found optimiser, {settings}; did you mean optimizer?",
        f"5:3: parameters.lr: found lr, {settings}; did you mean learning_rate?",
        f"6:15: parameters.optimizer[0]: found lion, allowed one of kgen's own trainer's: {OPTIMIZERS}",
        "6:21: parameters.optimizer[1]: found adma, allowed one of kgen's own trainer's: "
        f"{OPTIMIZERS}; did you mean adam?",
        "7:3: parameters.optimizers: found optimizers, allowed optimizers in trainer.config: it is the same for all "
        "trials",
        f"8:20: trainer.config.datset: found datset, {settings}, optimizers, range_test, checkpoint_every_seconds, "
        "stop_dead; did you mean dataset?",
        "8:44: trainer.config.dataset: found minst, allowed one of kgen's own trainer's: digits, mnist, cifar10, npz; "
        "did you mean mnist?",
        f"8:64: trainer.config.optimizers.sdg: found sdg, allowed an optimizer of kgen's own trainer: {OPTIMIZERS}; "
        "did you mean sgd?",
        "8:80: trainer.config.optimizers.adam.beta1: found beta1, allowed a setting of adam: beta_1, beta_2, epsilon, "
        "amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm; did you mean beta_1?",
        f"9:21: objective.metric: found val_acc, allowed a metric of kgen's own trainer: {REPORTED}; did you mean "
        "val_accuracy?",
        f"10:31: budget.target.accuracy: found accuracy, allowed a metric of kgen's own trainer: {METRICS}; did you "
        "mean train_accuracy?",
    ]


def test_stages_are_checked_with_what_they_have_of_the_file(said: Said) -> None:
    """What the file says is said once, whatever has it; ``scale`` and what a stage sets of ``config`` are settings."""
    text = """\
trainer: {config: {modle: cnn-small, dropout: 0.1}}
budget: {steps: 100, target: {train_accuracy: 0.9}}
stages:
- name: grid
  parameters: {optimizer: [sgd, adam], learning_rate: [0.1, 1]}
- name: best
  parameters: {from: {stage: grid, per: optimizer, best: val_los, goal: minimize}, scale: [1, 2], scala: [1]}
  trainer: {config: {bacth_size: 3, batch_size: 3}}
- name: search
  parameters: {optimizer: [sgd, adm], learning_rate: {log: {start: 0.1, stop: 1}}}
  search: {per: optimizer}
- name: rises
  parameters: {learning_rate: {log: {start: 0.1, stop: 1}}}
  search: {method: range-test}
"""
    assert [message.split(", allowed")[0] for message in said(text)] == [
        "3:20: trainer.config.modle: found modle",
        "9:58: stages[1].parameters.from.best: found val_los",
        "9:99: stages[1].parameters.scala: found scala",
        "10:22: stages[1].trainer.config.bacth_size: found bacth_size",
        "12:33: stages[2].parameters.optimizer[1]: found adm",
    ]


def test_another_mistake_hides_none_of_these(said: Said) -> None:
    text = "seed: x\nparameters: {lr: [1]}\nbudget: {steps: 0, target: {acc: 0.9}}\n"
    text += "objective: {metric: los, at: last}\n"
    assert [message.split(": found")[0] for message in said(text)] == [
        "3:7: seed", "4:14: parameters.lr", "5:17: budget.steps", "5:29: budget.target.acc", "6:21: objective.metric",
        "6:30: objective.at",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "parameters: {optimizer: [sgd], learning_rate: [1]}\nbudget: {steps: 9, target: {val_loss: {at_most: 1}}}\n",
        "parameters: {scale: {int: {start: 1, stop: 3}}}\nbudget: {steps: 9}\nobjective: {metric: weights}\n",
        "parameters: {dataset: npz, data: [a.npz, b.npz]}\nbudget: {steps: 9}\nobjective: {metric: val_accuracy}\n"
        "trainer: {config: {optimizers: article, checkpoint_every_seconds: 60, stop_dead: false}}\n",
    ],
)
def test_what_it_takes_is_no_mistake(said: Said, text: str) -> None:
    assert said(text) == []


def test_of_anybody_elses_trainer_nothing_is_known(said: Said) -> None:
    text = "parameters: {lr: [1], optimizer: [lion]}\nbudget: {steps: 9, target: {acc: 0.9}}\nobjective: {metric: f1}\n"
    assert said(f"{text}trainer: {{command: [python, -m, kgen_trainer.mine], config: {{x: 1}}}}\n") == []
    assert len(said(f"{text}trainer: {{command: [python, -m, kgen_trainer], config: {{x: 1}}}}\n")) == 5


def test_a_sweep_that_a_cluster_holds_is_taken_as_it_is() -> None:
    """Else one that another version of kgen has submitted could be neither looked at nor deleted."""
    assert loads(f"{HEAD}parameters: {{lr: [1]}}\nbudget: {{steps: 9, target: {{acc: 0.9}}}}\n").size == 1


@pytest.mark.parametrize(
    ("method", "meant"),
    [("bayes", "tpe"), ("Bayesian", "tpe"), ("hyperband", "halving"), ("lr_find", "range-test"), ("tp", "tpe")],
)
def test_a_method_under_another_name_is_known(said: Said, method: str, meant: str) -> None:
    text = (
        "parameters: {learning_rate: {log: {start: 0.1, stop: 1}}}\nbudget: {steps: 9, target: {train_accuracy: 1}}\n"
    )
    (message,) = said(f"{text}search: {{method: {method}}}\n")
    assert message.endswith(f"allowed random, sobol, tpe, halving, range-test or bisection; did you mean {meant}?")


@pytest.mark.parametrize(("budget", "place"), [("budget: {steps: 9}\n", "4:9"), ("", "3:1")])
def test_nothing_to_compare_by_is_said_where_it_can_be_mended_and_how(said: Said, budget: str, place: str) -> None:
    assert said(f"parameters: {{learning_rate: [1]}}\n{budget}")[-1] == (
        f"{place}: budget.target: found nothing, and no objective, allowed target: {{train_accuracy: 0.97}} in budget, "
        "to compare trials by the steps to it; or objective: {metric: val_accuracy, goal: maximize} beside budget, to "
        "compare them by what they report"
    )


def test_the_sweep_files_of_the_readme_have_no_mistake(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    files = re.findall(r"^```yaml\n(version: 1\n.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert [bool(re.search(f"^{key}:", "".join(files), re.MULTILINE)) for key in ("search", "stages")] == [True, True]
    for text in files:
        (tmp_path / "sweep.yaml").write_text(text)
        load(tmp_path / "sweep.yaml")
