"""Reading what a plan wants to know of a cluster: what may not be read is noted, and does not stop the rest."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kgen.backends.kubernetes.api import ApiError
from kgen.capacity.finding import Finding, note

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

Object = Mapping[str, Any]

_PAGE: Final = 500


class Gone(enum.Enum):
    """Why there is no object."""

    ABSENT = enum.auto()
    """The cluster does not have it."""
    UNREAD = enum.auto()
    """It may not be read."""


class Reader:
    """Reads objects; ``unread`` collects what may not be read. Other errors are raised as ApiError."""

    def __init__(self, api: Api) -> None:
        self.unread: list[Finding] = []
        self._api = api
        self._known: dict[str, Object | Gone] = {}

    def get(self, path: str, what: str, so: str = "whether it is there is not known") -> Object | Gone:
        """One object, or why not; asked for once. ``so`` says what follows where it may not be read."""
        if path not in self._known:
            self._known[path] = self._get(path, what, so)
        return self._known[path]

    def _get(self, path: str, what: str, so: str) -> Object | Gone:
        try:
            return self._api.get(path)
        except ApiError as error:
            if error.status == 404:
                return Gone.ABSENT
            self._note(error, what, so)
            return Gone.UNREAD

    def all(self, path: str, what: str, so: str, **params: str) -> list[Object] | None:
        """All objects of a list, page by page; None where they may not be read."""
        found: list[Object] = []
        more: dict[str, str | int] = {}
        while True:
            try:
                page = self._api.get(path, limit=_PAGE, **params, **more)
            except ApiError as error:
                self._note(error, what, so)
                return None
            found += page["items"] or ()
            token = page["metadata"].get("continue")
            if not token:
                return found
            more = {"continue": token}

    def _note(self, error: ApiError, what: str, so: str) -> None:
        if error.status != 403:
            raise error
        self.unread.append(note(f"{what}: forbidden to read: {so}"))
