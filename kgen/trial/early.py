"""Hears SIGTERM while a trial's process is still importing.

The first process of a container ignores every signal that it has no handler for. A pod deleted, or at its deadline,
while pyarrow or a framework is being imported would go on to train, until it is killed half a minute later, without a
row.
"""

from __future__ import annotations

import os
import signal
import threading

from kgen import names
from kgen.errors import TrialExit

if (
    (names.ENV_TRIAL in os.environ or names.ENV_TRIALS in os.environ)
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
):
    # Nothing has begun, so there is nothing to write.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TrialExit.INTERRUPTED))
