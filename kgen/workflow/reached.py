"""A sweep's results as a submission reaches them: to read rows, and to write what stages take from each other."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from kgen.errors import InputError, StoreError
from kgen.names import choice_file
from kgen.results.folder import FolderStore
from kgen.results.store import Store
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.choices import ClusterShelf, WithChoices, held_choices, keep_in_step
from kgen.workflow.results import RESULTS_DIR, OnEvent, Opened, check_is_here, mounted, open_results
from kgen.workflow.store import store_of

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


class Reached:
    """The results where they lie; of a claim that this process has not mounted a copy, which is brought up to date."""

    def __init__(self, spec: SweepSpec, api: Api, *, image: str = "", on_event: OnEvent = lambda _: None) -> None:
        """``image`` is that of the pod which reads a claim."""
        self._spec = spec
        self._api = api
        self._image = image
        self._on_event = on_event
        self._is_claim = spec.location.scheme is Scheme.PVC
        self._here = mounted(spec) if self._is_claim else spec
        self._opened: WithChoices | None = None
        self._far: frozenset[str] = frozenset()
        """Choices in a claim that only pods can write."""

    @property
    def claim(self) -> Store | None:
        """The results in the claim that this pod has mounted, which nobody finds by the sweep file; else None."""
        return store_of(self._here) if self._is_claim and self._here is not None else None

    def open(self, *, fetch: bool = True) -> Store:
        """The results, with the choices that the cluster holds; what is chosen is kept in both. A copy is only brought
        up to date where something may have come, which ``fetch`` says.

        Raises StoreError where they can't be read from here, ClusterError.
        """
        again = partial(held_choices, self._api, self._spec)
        held = again()
        shelf = ClusterShelf(self._api, self._spec.name)
        if self._here is None:
            results: Store = FolderStore(self._spec.with_results(self._spec.folder / RESULTS_DIR).results)
            self._opened = WithChoices(results, held, shelf, only=())
            self._far = self._fetch().choices if fetch else frozenset()
            known = self._far | frozenset(map(choice_file, held))
            for name in {choice_file(stage.name) for stage in self._spec.stages} - known:
                results.discard(name)  # of a sweep that was deleted since
            for name, data in ((choice_file(stage), text.encode()) for stage, text in held.items()):
                if name not in self._far and not (results.exists(name) and results.read(name) == data):
                    results.write(name, data)
        else:
            results = self._checked(self._here)
            self._opened = WithChoices(results, held, shelf)
        keep_in_step(results, again)
        return self._opened

    def check_writable(self, stages: Collection[str]) -> None:
        """Raises InputError where the choices of these stages are to be made anew, and one lies in a claim that only
        pods can write."""
        for stage in sorted(stages):
            if choice_file(stage) in self._far:
                raise InputError.of(
                    "the command line", "--rechoose",
                    f"{stage}, whose choice lies in {self._spec.location}, where only pods can write",
                    "--in-cluster with it",
                )  # fmt: skip

    def refresh(self) -> None:
        """Bring a copy up to date. Raises StoreError, ClusterError."""
        if self._here is None:
            self._fetch()

    def _checked(self, here: SweepSpec) -> Store:
        try:
            if here.location.scheme is Scheme.FOLDER and not self._is_claim:
                check_is_here(here)
            store = store_of(here)
            store.has_rows()
        except StoreError as error:
            hint = "stages take from each other's results: submit where these can be read, or with --in-cluster"
            raise StoreError(f"{error}\n{hint}") from error
        return store

    def _fetch(self) -> Opened:
        found = open_results(self._spec, image=self._image, connect=lambda: self._api, on_event=self._on_event)
        if self._opened is not None and found.fetched is not None:
            self._opened.only = found.fetched.there  # rows of a sweep that was deleted there are none of this one
        return found
