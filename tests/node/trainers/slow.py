"""A trial whose framework takes for ever to import."""

import time

import kgen.trial

print("imports", flush=True)
time.sleep(3600)
kgen.trial.main(lambda trial: None)
