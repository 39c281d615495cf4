"""The store of a sweep's results, as its file names it."""

from __future__ import annotations

from kgen.results.store import PATIENCE_SECONDS, Store, open_store
from kgen.sweep import SweepSpec


def store_of(spec: SweepSpec, patience: float = PATIENCE_SECONDS) -> Store:
    """The folder or the bucket, which may take so many seconds to answer. Raises InputError for a claim, which only
    pods can reach; StoreError where no bucket can be used at all."""
    location = spec.location
    if location.in_bucket:
        return open_store(str(location), endpoint=location.endpoint, region=location.region, patience=patience)
    return open_store(spec.results)
