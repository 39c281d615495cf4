"""sweep.yaml in, TrialSpecs out: the only package that knows the file's format."""

from kgen.sweep.expand import expand
from kgen.sweep.load import load, loads
from kgen.sweep.sweepspec import SweepSpec, Trainer

__all__ = ["SweepSpec", "Trainer", "expand", "load", "loads"]
