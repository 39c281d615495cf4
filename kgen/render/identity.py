"""What makes a Job the one of these trials and no other: values for the holes of a shape."""

from __future__ import annotations

from typing import Any, Final

from kgen.names import job_name
from kgen.packs import Pack
from kgen.render.draft import Slot
from kgen.render.pack_objects import trials_config_map_name, trials_text
from kgen.render.trial_text import TrialText
from kgen.spec import dump_json

Values = tuple[Any, ...]
_NOTHING: Final = ("",) * len(Slot)


class Identity:
    """Of the packs of one sweep."""

    def __init__(self) -> None:
        self._text = TrialText()

    def of(self, pack: Pack, command: list[str]) -> Values:
        """The values of :class:`Slot`, in its order; the hash is still empty."""
        trial = pack.trials[0]
        name = job_name(trial.sweep, pack.id)
        if pack.is_single:
            parameters = dump_json(dict(trial.parameters), written=True)
            text = self._text.of(trial, parameters)
            return (name, trial.id, parameters, str(trial.seed), text, command, "", trial.id, "")
        trials = ",".join(each.id for each in pack.trials)
        config_map = trials_config_map_name(trials_text(pack, self._text))
        return (name, pack.id, "", "", "", command, "", trials, config_map)


def no_identity(command: list[str]) -> Values:
    """The same places with nothing in them but the command, which may be part of a shape."""
    return (*_NOTHING[: Slot.COMMAND], command, *_NOTHING[Slot.COMMAND + 1 :])
