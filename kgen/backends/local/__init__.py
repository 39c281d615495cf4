"""Trials as processes on this machine."""

from kgen.backends.local.devices import Slot, slots
from kgen.backends.local.pool import Pool

__all__ = ["Pool", "Slot", "slots"]
