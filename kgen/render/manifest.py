"""An object as it is sent: rendered files hold exactly these bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object for the cluster."""

    kind: str
    """Job or ConfigMap."""
    name: str
    text: str
    """JSON: what is written to a file and what is sent, to the byte."""
    spec: str
    """Hash of the object without itself: two with the same are the same object. Also its label ``kgen.dev/spec``."""
    trials: tuple[str, ...] = ()
    """Ids of the trials that a Job runs, in its order."""

    def object(self) -> dict[str, Any]:
        """The object as plain values, made anew on each call."""
        made: dict[str, Any] = json.loads(self.text)
        return made
