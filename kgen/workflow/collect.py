"""Row files → tables, summary and certificate beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from kgen.analysis import Analysis, analyse
from kgen.names import CERTIFICATE_FILE, COLLECTED_DIR, SUMMARY_FILE
from kgen.results.collect import Results, collect
from kgen.results.pods import PodSeen
from kgen.sweep import SweepSpec, expand
from kgen.workflow.store import store_of


@dataclass(frozen=True, slots=True)
class Collected:
    """A sweep's results and what they say."""

    results: Results
    analysis: Analysis


def collect_sweep(spec: SweepSpec, pods: Sequence[PodSeen] = ()) -> Collected:
    """Merge what is there and write everything below ``collected/``; fewer results than trials are no error.

    ``pods`` are what a cluster knows of the attempts now (:func:`kgen.workflow.attempts.seen_attempts`). Raises
    StoreError when the store can't be read or written.
    """
    store = store_of(spec)
    results = collect(store, expand(spec), spec.objective, pods)
    analysis = analyse(results.trials, results.curves, name=spec.name, objective=spec.objective, budget=spec.budget)
    certificate = json.dumps(results.certificate.to_json(), indent=2, ensure_ascii=False) + "\n"
    store.write(f"{COLLECTED_DIR}/{SUMMARY_FILE}", analysis.summary.to_csv(index=False).encode())
    store.write(f"{COLLECTED_DIR}/{CERTIFICATE_FILE}", certificate.encode())
    return Collected(results, analysis)
