"""The ConfigMap of a pack: its process reads there which trials to run, where that of one trial has a variable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kgen import names
from kgen.packs import Pack
from kgen.render.manifest import Manifest
from kgen.render.objects import config_map, digest
from kgen.render.trial_text import TrialText
from kgen.spec import dump_json
from kgen.sweep import SweepSpec

_LINE_ENDS: Final = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
"""Those that JSON leaves as they are: they stand in its strings only."""


def trials_text(pack: Pack, text: TrialText) -> str:
    """The JSON of one trial per line; no value can end a line, whatever its reader takes for an end."""
    lines = "".join(f"{text.of(trial, dump_json(dict(trial.parameters), written=True))}\n" for trial in pack.trials)
    return lines if lines.isascii() else lines.translate(_LINE_ENDS)


def trials_config_map_name(content: str) -> str:
    """Named after the contents, so that a change is a new object and running pods keep theirs."""
    return names.TRIALS_CONFIG_MAP_PREFIX + digest(content.encode())[:10]


@dataclass(frozen=True, slots=True)
class ConfigMaps:
    """The ConfigMap of each pack by the name of its Job; made anew each time they are gone through."""

    spec: SweepSpec
    packs: Sequence[Pack]
    namespace: str

    def __len__(self) -> int:
        return sum(not pack.is_single for pack in self.packs)

    def __iter__(self) -> Iterator[tuple[str, Manifest]]:
        text = TrialText()
        for pack in self.packs:
            if not pack.is_single:
                content = trials_text(pack, text)
                data = {"data": {names.CONFIG_MAP_TRIALS_KEY: content}, "immutable": True}
                name = trials_config_map_name(content)
                made = config_map(self.spec, name, names.COMPONENT_TRIALS, self.namespace, data)
                yield names.job_name(self.spec.name, pack.id), made
