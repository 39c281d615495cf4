"""The command line of one trial: places filled, flags appended."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kgen.spec import TrialSpec, Value, text_of
from kgen.sweep.model import Arguments, Metrics

if TYPE_CHECKING:
    from kgen.sweep.sweepspec import Trainer

_PLACE: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\}")


def places_in(word: str) -> list[str]:
    """Names in braces. ``{{`` and ``}}`` are braces; other text in braces is left alone, as JSON on a command line is.

    >>> places_in("--rate={learning_rate}"), places_in("{{x}}"), places_in('{"a": 1}')
    (['learning_rate'], [], [])
    """
    return [match[1] for match in _PLACE.finditer(word) if match[1]]


def command_line(command: Sequence[str], parameters: Mapping[str, Value], seed: int, *, flags: bool) -> list[str]:
    """The words to start: every place filled with its value as written, one flag per parameter if asked for.

    >>> command_line(["train", "--lr={lr}"], {"lr": 0.1}, 7, flags=True)
    ['train', '--lr=0.1', '--lr=0.1']
    """
    values = {"seed": str(seed), **{name: text_of(value) for name, value in parameters.items()}}

    def fill(match: re.Match[str]) -> str:
        return values[match[1]] if match[1] else match[0][0]

    words = [_PLACE.sub(fill, word) for word in command]
    if flags:
        words += [f"--{name}={text_of(value)}" for name, value in parameters.items()]
    return words


def is_same_for_all(command: Sequence[str], *, flags: bool) -> bool:
    """Whether every trial has the same command line, so that one process can take them all."""
    return not flags and not any(places_in(word) for word in command)


def wrapped(words: Sequence[str], metrics: Metrics, wrapper: Sequence[str]) -> list[str]:
    """The words behind ``kgen-trial``, started as ``wrapper``, for a program that does not use :mod:`kgen.trial`."""
    return [*words] if metrics is Metrics.REPORT else [*wrapper, "--metrics", str(metrics), "--", *words]


def trial_command(trainer: Trainer, trial: TrialSpec) -> list[str]:
    """What a container of the trainer's image runs for a trial."""
    flags = trainer.arguments is Arguments.FLAGS
    words = command_line(trainer.command, trial.parameters, trial.seed, flags=flags)
    return wrapped(words, trainer.metrics, ["kgen-trial"])
