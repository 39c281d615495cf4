"""How trials share a process: what `execution.packing: auto` means, and what can't be trained together."""

from __future__ import annotations

import pytest

from kgen.spec import Packing
from kgen.sweep import SweepSpec, loads
from tests.unit.sweep.sweeps import messages, text

SIX = "{optimizer: [sgd, adam], learning_rate: [1e-3, 1e-2, 1e-1]}"
CUSTOM = "{command: [python, train.py]}"


def sweep(**blocks: str | None) -> SweepSpec:
    return loads(text(**{"parameters": SIX, **blocks}))


def packing(**blocks: str | None) -> Packing:
    return sweep(**blocks).packing


# -- auto ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "blocks",
    [
        {},
        {"execution": "{packing: auto}"},
        {"repeats": "3"},
        {"parameters": "{optimizer: sgd, learning_rate: {log: {start: 1e-3, stop: 1, num: 6}}}"},
        {"parameters": "{learning_rate: [1, 2, 3, 4, 5, 6], dropout: [0.1, 0.2]}"},
        {"objective": "{metric: accuracy, goal: maximize}"},
        {"trainer": "{image: r/x, config: {dataset: digits}}"},
        # Alternatives that train the same models count together: three trials and three.
        {"parameters": "[{optimizer: sgd, learning_rate: [1, 2, 3]}, {optimizer: adam, learning_rate: [1, 2, 3]}]"},
        # On average: five in one program and seven in the other.
        {
            "parameters": "[{learning_rate: [1, 2, 3, 4, 5], dropout: 0.1}, "
            "{learning_rate: [1, 2, 3, 4, 5, 6, 7], dropout: 0.2}]"
        },
    ],
)
def test_many_trials_of_one_program_are_fused(blocks: dict[str, str]) -> None:
    assert packing(**blocks) is Packing.FUSED


@pytest.mark.parametrize(
    "blocks",
    [
        {"execution": "{packing: sequential}"},
        {"parameters": "{learning_rate: [1, 2, 3, 4, 5]}"},
        # Seeds are no company: trials of another one have other batches and other weights.
        {"parameters": "{learning_rate: [1, 2, 3, 4, 5]}", "repeats": "20"},
        # Nor are trials with another parameter that a program is made for.
        {"parameters": "{optimizer: [sgd, adam], batch_size: [10, 20, 30, 40]}"},
        {"parameters": "[{learning_rate: [1, 2, 3], dropout: 0.1}, {learning_rate: [1, 2, 3], dropout: 0.2}]"},
        {"parameters": "[{learning_rate: [1, 2, 3]}, {learning_rate: [1, 2, 3], dropout: 0.2}]"},
        {"objective": "{metric: seconds_to_target}"},
        {"budget": "{seconds: 10, target: {accuracy: 0.9}}"},
        {"budget": "{steps: 10, seconds: 10, target: {accuracy: 0.9}}"},
        {"trainer": CUSTOM},
        {"trainer": "{command: [python, -m, kgen_trainer, '{learning_rate}']}"},
        {"trainer": "{arguments: flags}"},
    ],
)
def test_else_one_comes_after_another(blocks: dict[str, str]) -> None:
    assert packing(**blocks) is Packing.SEQUENTIAL


def test_whoever_says_it_gets_it() -> None:
    assert packing(execution="{packing: fused}", parameters="{a: [1, 2]}") is Packing.FUSED
    assert packing(execution="{packing: fused}", trainer=CUSTOM) is Packing.FUSED


def test_trials_have_pods_of_their_own_unless_told() -> None:
    assert sweep().trials_per_pod == 1
    assert sweep(execution="{trials_per_pod: 16}").trials_per_pod == 16
    assert sweep(execution="{trials_per_pod: 16}").packing is Packing.FUSED


# -- what can't be ------------------------------------------------------------------------------------------------

SECONDS = "{metric: seconds_to_target}"
ONE_AFTER_ANOTHER = "a trainer that uses kgen.trial (metrics: report), which takes one trial after another"
ONE_COMMAND = "a command that is the same for all: without places such as {learning_rate} and arguments: flags"


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (
            {"execution": "{packing: fused}", "objective": SECONDS},
            "5:22 execution.packing: found fused, allowed auto or sequential, because the objective is in seconds and "
            "fused trials have none of their own",
        ),
        (
            {"execution": "{packing: fused}", "budget": "{seconds: 10, target: {accuracy: 0.9}}"},
            "5:22 execution.packing: found fused with budget.seconds: 10.0, allowed budget.steps instead: fused trials "
            "share the clock",
        ),
        (
            {"execution": "{trials_per_pod: 4}", "objective": SECONDS},
            "5:29 execution.trials_per_pod: found 4 with an objective in seconds, allowed 1, or packing: sequential "
            "beside it, so that each trial has the pod's device to itself",
        ),
        (
            {"execution": "{trials_per_pod: 4}", "trainer": "{command: [train], metrics: stdout}"},
            "5:29 execution.trials_per_pod: found 4 trials in a pod with trainer.metrics: stdout, allowed "
            + ONE_AFTER_ANOTHER,
        ),
        (
            {"execution": "{packing: fused}", "trainer": "{command: [train], metrics: file}"},
            "5:22 execution.packing: found fused with trainer.metrics: file, allowed " + ONE_AFTER_ANOTHER,
        ),
        (
            {"execution": "{trials_per_pod: 4}", "trainer": "{command: [train, '--rate={learning_rate}']}"},
            "5:29 execution.trials_per_pod: found 4 trials in a pod with parameters on the command line, allowed "
            + ONE_COMMAND,
        ),
        (
            {"execution": "{trials_per_pod: 4}", "trainer": "{command: [train], arguments: flags}"},
            "5:29 execution.trials_per_pod: found 4 trials in a pod with parameters on the command line, allowed "
            + ONE_COMMAND,
        ),
        (
            {"execution": "{packing: fused}", "trainer": "{command: [train, '{seed}']}"},
            "5:22 execution.packing: found fused with parameters on the command line, allowed " + ONE_COMMAND,
        ),
        (
            {"execution": "{trials_per_pod: 0}"},
            "5:29 execution.trials_per_pod: found 0, allowed a whole number from 1",
        ),
        (
            {"execution": "{trials_per_pod: 1001}"},
            "5:29 execution.trials_per_pod: found 1001, allowed at most 1,000",
        ),
        (
            {"execution": "{packing: fuse}"},
            "5:22 execution.packing: found the text 'fuse', allowed auto, fused or sequential; did you mean fused?",
        ),
    ],
)
def test_a_mistake_is_said_with_its_place(blocks: dict[str, str], expected: str) -> None:
    assert messages(text(**{"parameters": SIX, **blocks})) == [expected]


def test_several_mistakes_of_one_field_come_together() -> None:
    found = messages(
        text(
            parameters=SIX,
            execution="{packing: fused, trials_per_pod: 4}",
            trainer="{command: [train, '{seed}'], metrics: stdout}",
            objective=SECONDS,
        )
    )
    assert [message.partition(",")[0].partition(" found ")[2] for message in found] == [
        "fused",
        "fused with trainer.metrics: stdout",
        "4 with an objective in seconds",
    ]


@pytest.mark.parametrize(
    "blocks",
    [
        {"execution": "{packing: sequential, trials_per_pod: 4}", "objective": SECONDS},
        {"execution": "{trials_per_pod: 4}", "budget": "{seconds: 10, target: {accuracy: 0.9}}"},
        {"execution": "{packing: sequential, trials_per_pod: 4}", "trainer": CUSTOM},
        {"execution": "{packing: fused}", "objective": "{metric: accuracy, goal: maximize}"},
    ],
)
def test_what_goes_together_is_no_mistake(blocks: dict[str, str]) -> None:
    sweep(**blocks)


def test_of_what_a_broken_field_would_mean_nothing_is_said() -> None:
    (message,) = messages(text(parameters=SIX, execution="{trials_per_pod: 4}", objective="{metric: 7}"))
    assert "objective.metric" in message
