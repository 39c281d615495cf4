"""What stages took from earlier ones, where it is kept: in the results, and in the sweep's ConfigMap beside its file.

The one that was made later counts, of two of one age that of the results. The ConfigMap is for machines that know only
the cluster, and for results in a claim, which only pods can write.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind, path_of
from kgen.choice import is_newer
from kgen.errors import StoreError
from kgen.render.objects import sweep_manifest
from kgen.render.sweep_object import choices_in
from kgen.results.store import CHECK_SECONDS, RowFile, Store
from kgen.sweep import SweepSpec
from kgen.workflow.stored import stored_spec

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_ATTEMPTS: Final = 10
"""How often somebody else may change the ConfigMap at the same moment."""
_CONFLICT: Final = 409


class Shelf(Protocol):
    """Where choices are kept beside the results."""

    def keep(self, stage: str, text: str) -> str:
        """Put a choice there unless there is one that is as new; returns the one that is there then."""


class ClusterShelf:
    """The ConfigMap of a sweep, changed by one choice at a time, whoever changes it too. Raises ClusterError."""

    def __init__(self, api: Api, sweep: str) -> None:
        self._api = api
        self._sweep = sweep

    def keep(self, stage: str, text: str) -> str:
        """As Shelf; without a ConfigMap the choice counts, and a submission makes one with it."""
        for _ in range(_ATTEMPTS):
            spec, config, _ = stored_spec(self._api, self._sweep)
            held = {} if config is None else choices_in(config)
            if stage in held and not is_newer(text.encode(), held[stage].encode()):
                return held[stage]
            if spec is None or config is None or self._put(spec, config["metadata"], {**held, stage: text}):
                break
        return text

    def _put(self, spec: SweepSpec, seen: Mapping[str, str], choices: Mapping[str, str]) -> bool:
        """Whether nobody else has changed it since it was seen."""
        made = sweep_manifest(spec, self._api.namespace, choices).object()
        made["metadata"]["resourceVersion"] = seen["resourceVersion"]
        path = path_of(self._api, Kind.CONFIG_MAP, names.sweep_config_map(self._sweep))
        try:
            self._api.put(path, made, fieldManager=names.FIELD_MANAGER, fieldValidation="Strict")
        except ApiError as error:
            if error.status == _CONFLICT:
                return False
            raise
        return True


class WithChoices(Store):
    """A sweep's results, and choices that are known from elsewhere: each counts where the results have none as new.

    With a ``shelf`` what is chosen is kept there, too; of two who choose at once, both take what the first one chose.
    """

    def __init__(
        self,
        results: Store | None,
        choices: Mapping[str, str],
        shelf: Shelf | None = None,
        *,
        without: Collection[str] = (),
        only: Collection[str] | None = None,
    ) -> None:
        """``results`` None: they can't be reached from here; then there are no rows, and nothing can be written.
        Choices of the stages ``without`` are passed over, and row files that are not among ``only``."""
        self._results = results
        self._choices = {names.choice_file(stage): text.encode() for stage, text in choices.items()}
        self._shelf = shelf
        self.only = only
        self._without = {names.choice_file(stage) for stage in without}
        self.readers = results.readers if results is not None else Store.readers

    @property
    def location(self) -> str:
        """Of the results."""
        return "" if self._results is None else self._results.location

    @property
    def address(self) -> str:
        """Of the results."""
        return "" if self._results is None else self._results.address

    def row_files(self, prefix: str = "") -> list[RowFile]:
        """Those of the results."""
        found = [] if self._results is None else self._results.row_files(prefix)
        return found if self.only is None else [file for file in found if file.name in self.only]

    def has_rows(self) -> bool:
        """Whether the results may have rows."""
        return self._results is not None and (self.only is None or bool(self.only)) and self._results.has_rows()

    def read_row_file(self, name: str) -> bytes:
        """Of the results."""
        return self._there.read_row_file(name)

    def read_row_files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Of the results."""
        return self._there.read_row_files(names)

    def write_row_file(self, name: str, data: bytes) -> bool:
        """Into the results."""
        return self._there.write_row_file(name, data)

    def exists(self, name: str) -> bool:
        """In the results, or a choice that is known from elsewhere."""
        return name not in self._without and (name in self._choices or self._is_in_results(name))

    def read(self, name: str) -> bytes:
        """Of the results; a choice from elsewhere where theirs is older, or they have none."""
        held = self._choices.get(name)
        if held is None:
            return self._there.read(name)
        if not self._is_in_results(name):
            return held
        kept = self._there.read(name)
        return held if is_newer(held, kept) else kept

    def write(self, name: str, data: bytes) -> str:
        """Into the results; a choice as :meth:`create` does."""
        stage = _stage_of(name)
        if stage and self._shelf is not None:
            _put(self._there, name, self._shelf.keep(stage, data.decode()).encode())
            return f"{self._there.location}/{name}"
        return self._there.write(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Into the results, and a choice on the shelf: of those of one age the one that was there first counts."""
        stage = _stage_of(name)
        if stage and self._shelf is not None:
            first = self._shelf.keep(stage, data.decode()).encode()
            _put(self._there, name, first)
            return first == data
        return name not in self._choices and self._there.create(name, data)

    def discard(self, name: str) -> None:
        """From the results."""
        self._there.discard(name)

    def keep_only(self, folder: str, names: Collection[str]) -> None:
        """In the results."""
        self._there.keep_only(folder, names)

    def files(self, folder: str) -> list[str]:
        """In the results."""
        return [] if self._results is None else self._results.files(folder)

    def discard_files(self, folder: str, names: Collection[str]) -> None:
        """From the results."""
        self._there.discard_files(folder, names)

    def check(self, patience: float = CHECK_SECONDS) -> None:
        """The results."""
        self._there.check(patience)

    def remove(self) -> int:
        """The results."""
        return self._there.remove()

    def _is_in_results(self, name: str) -> bool:
        return self._results is not None and self._results.exists(name)

    @property
    def _there(self) -> Store:
        if self._results is None:
            raise StoreError("the results can't be reached from here")
        return self._results


def _stage_of(name: str) -> str:
    """The stage whose choice a file holds; empty for any other file."""
    stage = name.removeprefix(f"{names.CHOICES_DIR}/").removesuffix(".json")
    return stage if name == names.choice_file(stage) else ""


def held_choices(api: Api, spec: SweepSpec) -> dict[str, str]:
    """The choices of a sweep's stages that its ConfigMap holds: stage → JSON. Raises ClusterError."""
    if not spec.stages:
        return {}
    config = stored_spec(api, spec.name)[1]
    held = {} if config is None else choices_in(config)
    return {stage.name: held[stage.name] for stage in spec.stages if stage.source is not None and stage.name in held}


def keep_in_step(results: Store, held: Callable[[], Mapping[str, str]]) -> None:
    """Write the choices that the cluster holds into the results that have none, or an older one: of a claim, which was
    out of reach for whoever chose. ``held`` is asked again until nothing has changed meanwhile, so that nothing stays
    of a sweep that is being deleted. Raises StoreError, ClusterError."""
    written: dict[str, bytes] = {}
    before: Mapping[str, str] = {}
    while (now := held()) != before:
        for name in written.keys() - map(names.choice_file, now):
            if results.exists(name) and results.read(name) == written[name]:
                results.discard(name)
        choices = {names.choice_file(stage): text.encode() for stage, text in now.items()}
        written |= {name: data for name, data in choices.items() if _put(results, name, data)}
        if not written:
            return
        before = now


def _put(results: Store, name: str, data: bytes) -> bool:
    """Whether a choice was written: there was none, or an older one."""
    if results.exists(name) or not results.create(name, data):
        if not is_newer(data, results.read(name)):
            return False
        results.write(name, data)
    return True


def choices_of(spec: SweepSpec, store: Store) -> dict[str, str]:
    """The choices that are there of the stages that need one: stage → JSON. Raises StoreError."""
    found = {}
    for stage in spec.stages:
        name = names.choice_file(stage.name)
        if stage.source is not None and store.exists(name):
            found[stage.name] = store.read(name).decode()
    return found
