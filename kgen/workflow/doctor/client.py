"""What does not need a namespace: this machine's kgen, the API server, the clocks."""

from __future__ import annotations

import importlib.util
import platform
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import kgen
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.fit import OLDEST
from kgen.workflow.doctor.model import Check, missing, ok, warning

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

CLIENT: Final = "client"
CLUSTER: Final = "cluster"
SERVER: Final = "server"
CLOCK: Final = "clock"
MOST_SECONDS: Final = 5.0
"""How far two clocks may be apart. Signed requests fail at 5 minutes (tokens) and 15 (S3), so a drift is seen long
before it hurts."""
_EXTRAS: Final = {
    "report": ("matplotlib", "kgen report and the figures of kgen run need it"),
    "tensorflow": (
        "tensorflow",
        "kgen run needs it for the built-in trainer; a cluster's trials have it in their image",
    ),
}


def client() -> Check:
    """This kgen, its Python and its extras."""
    there = {extra: importlib.util.find_spec(module) is not None for extra, (module, _) in _EXTRAS.items()}
    absent = [extra for extra, is_there in there.items() if not is_there]
    found = f"kgen {kgen.__version__} on Python {platform.python_version()}"
    if extras := [extra for extra in there if extra not in absent]:
        found += f", with the extra{'s' * (len(extras) > 1)} {' and '.join(extras)}"
    if not absent:
        return ok(CLIENT, found)
    why = "; ".join(f"without {extra}: {_EXTRAS[extra][1]}" for extra in absent)
    fix = f"pip install 'kgen-sweep[{','.join(absent)}]'"
    return (warning if "report" in absent else ok)(CLIENT, f"{found}; {why}", fix)


def server(api: Api) -> Check:
    """Its version. Raises ClusterError where it can't be reached."""
    found: dict[str, Any] = api.get("/version")
    major, minor = (int(re.sub(r"\D.*", "", str(found.get(part))) or 0) for part in ("major", "minor"))
    version = str(found.get("gitVersion", f"{major}.{minor}"))
    oldest = ".".join(map(str, OLDEST))
    if (major, minor) < OLDEST:
        fix = f"a cluster of {oldest} or newer: trials need podFailurePolicy and podReplacementPolicy"
        return missing(SERVER, f"{api.server} is Kubernetes {version}", fix)
    return ok(SERVER, f"{api.server}, Kubernetes {version} ({oldest} or newer is needed)")


def ahead(api: Api) -> tuple[float, float] | None:
    """How many seconds the server's clock is ahead of this machine's, as bounds; None where it does not tell.

    Raises ClusterError where it can't be reached.
    """
    before = time.time()
    try:
        headers = api.headers("/version")
    except ApiError:
        return None
    after = time.time()
    try:
        date = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except ValueError:
        return None
    return date - after, date + 1 - before  # it has whole seconds


def clock(check: str, whose: str, bounds: tuple[float, float] | None, *, against: str = "this machine's") -> Check:
    """Whether a clock, which is ahead by something within these bounds, goes right enough."""
    if bounds is None:
        return warning(check, f"{whose} is not known: nothing tells the time there")
    low, high = bounds
    off = low if low > MOST_SECONDS else high if high < -MOST_SECONDS else 0.0
    if not off:
        return ok(check, f"{whose} and {against} are less than {MOST_SECONDS + (high - low) / 2:.0f} s apart")
    side = "ahead of" if off > 0 else "behind"
    fix = "let both machines keep time (NTP, chrony): signed requests fail when clocks are minutes apart"
    return warning(check, f"{whose} is {abs(off):,.0f} s {side} {against}", fix)
