"""A trial whose only argument says what becomes of it. It knows nothing of kgen but a folder that outlives its pod."""

import json
import os
import signal
import sys
import time
from pathlib import Path

fate = sys.argv[1]
kept = Path(os.environ["KGEN_CHECKPOINT_DIR"])


def report(step: int, accuracy: float) -> None:
    print(json.dumps({"step": step, "accuracy": accuracy}), flush=True)


def wait() -> None:
    while True:
        time.sleep(3600)


print("the training begins", flush=True)
report(1, 0.1)
if fate == "refused":
    print("a learning rate below 0", file=sys.stderr)
    sys.exit(64)
elif fate == "crash":
    raise ValueError("a bug of the trainer")
elif fate == "hoard":
    hoard = []
    while True:
        hoard.append(b"x" * (1 << 20))
elif fate == "litter":
    with Path("/tmp/litter").open("wb") as file:
        file.writelines(b"x" * (1 << 20) for _ in range(64))
    wait()
elif fate == "waits":
    wait()
elif fate == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(2, 0.1)
    wait()
elif fate in ("again", "moved"):  # waits, until it is started once more
    if not (kept / "begun").exists():
        kept.mkdir(parents=True, exist_ok=True)
        (kept / "begun").touch()
        wait()
elif fate == "twin":  # two of it end together
    while not (kept / "go").exists():
        time.sleep(0.05)
report(2, 0.95)
