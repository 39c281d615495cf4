"""Row files → tables, summaries and certificate beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from kgen.analysis import Analysis, analyse, analyse_stages
from kgen.choice import Choice
from kgen.names import CERTIFICATE_FILE, COLLECTED_DIR, summary_file
from kgen.results.collect import Results, collect
from kgen.results.pods import PodSeen
from kgen.sweep import SweepSpec, expand
from kgen.workflow.chosen import choices_made
from kgen.workflow.stages import resolved, unfinished
from kgen.workflow.store import store_of


@dataclass(frozen=True, slots=True)
class Collected:
    """A sweep's results and what they say."""

    spec: SweepSpec
    """With the parts of all stages whose trials are known."""
    results: Results
    analyses: tuple[Analysis, ...]
    """One for each stage that has trials, in their order; at least one."""
    choices: tuple[Choice, ...] = ()
    """What later stages have taken from earlier ones."""

    @property
    def analysis(self) -> Analysis:
        """Of the first stage."""
        return self.analyses[0]


def collect_sweep(spec: SweepSpec, pods: Sequence[PodSeen] = ()) -> Collected:
    """Merge what is there and write everything below ``collected/``; fewer results than trials are no error.

    Of several stages each has a summary of its own, and the certificate says which have not begun. ``pods`` are what a
    cluster knows of the attempts now (:func:`kgen.workflow.attempts.seen_attempts`). Raises StoreError when the store
    can't be read or written, InputError for a choice that was made for another question than the file has now.
    """
    store = store_of(spec)
    spec = resolved(spec, store)
    waiting, choices = unfinished(spec, store), choices_made(spec, store)
    results = collect(store, expand(spec), pods, waiting=waiting, choices=choices)
    analyses = analyse_sweep(spec, results, choices)
    for analysis in analyses:
        name = summary_file(analysis.stage if len(spec.stages) > 1 else "")
        store.write(f"{COLLECTED_DIR}/{name}", analysis.summary.to_csv(index=False).encode())
    certificate = json.dumps(results.certificate.to_json(), indent=2, ensure_ascii=False) + "\n"
    store.write(f"{COLLECTED_DIR}/{CERTIFICATE_FILE}", certificate.encode())
    return Collected(spec, results, analyses, choices)


def analyse_sweep(spec: SweepSpec, results: Results, choices: Sequence[Choice] = ()) -> tuple[Analysis, ...]:
    """One analysis for each stage that has trials; of a sweep of which none is known yet one that says so."""
    trials, curves = results.trials, results.curves
    found = analyse_stages(spec.parts, trials, curves, choices) if spec.parts else ()
    return found or (analyse(trials, curves, name=spec.name, objective=spec.objective, budget=spec.budget),)
