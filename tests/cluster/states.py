"""Every state that a trial can be seen in, made on a real cluster.

What is real: the API server, its admission (quota, LimitRange, Pod Security, policies), the Job controller, scheduler,
taint manager and pod garbage collector, preemption, the Eviction API. What is not: the kubelet. Its part, the
containers' states and the kubelet's own evictions and deadlines, is written by kwok from `stages.yaml` (in three cases,
by the case), and its events (FailedMount, BackOff, Pulled) are not there at all.
"""

from __future__ import annotations

from tests.cluster import states_running, states_waiting

CASES = states_waiting.CASES | states_running.CASES
"""Name of a case → what brings it about."""
