"""The store of a sweep's results, as its file names it."""

from __future__ import annotations

from kgen.results.store import Store, open_store
from kgen.sweep import SweepSpec


def store_of(spec: SweepSpec) -> Store:
    """The folder or the bucket. Raises InputError for a claim, which only pods can reach; StoreError where no bucket
    can be used at all."""
    location = spec.location
    if location.in_bucket:
        return open_store(str(location), endpoint=location.endpoint, region=location.region)
    return open_store(spec.results)
