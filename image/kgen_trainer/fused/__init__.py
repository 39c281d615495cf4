"""Many trials in one program: lanes of one model shape and seed, side by side in tiles of fixed width, in NumPy.

:class:`Lanes` is what is trained, :class:`FusedProgram` what trains it; :func:`is_fusable` says which trials can be
lanes. The mathematics stands in :mod:`.geometry` (where each value lies), :mod:`.network` (forward and backward) and
:mod:`.updates` (the optimizers).
"""

from __future__ import annotations

from kgen_trainer.fused.lanes import LaneOptimizer, Lanes
from kgen_trainer.fused.program import FusedProgram, Stopped, is_too_large, program_for
from kgen_trainer.fused.support import is_fusable

__all__ = ["FusedProgram", "LaneOptimizer", "Lanes", "Stopped", "is_fusable", "is_too_large", "program_for"]
