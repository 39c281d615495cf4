"""What a command printed and how it exited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the command line."""

    code: int | str | None
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def ok(self) -> Ran:
        """This, if it went well and complained of nothing."""
        assert (self.code, self.err) == (0, "")
        return self


Kgen = Callable[..., Ran]
