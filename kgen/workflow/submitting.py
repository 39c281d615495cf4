"""The Job that submits a sweep inside the cluster, as other commands see it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.failure import lacks_right
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.backends.kubernetes.tool import end, find, has_ended, is_tool, status_of_tool, waiting
from kgen.errors import ClusterError
from kgen.render.tools import tool_selector
from kgen.status import Object, read

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


def at_work(api: Api, sweep: str) -> Object | None:
    """The Job that submits a sweep just now; None where there is none. Raises ClusterError."""
    job = find(api, names.tool_name(names.COMPONENT_SUBMIT, sweep))
    return None if job is None or has_ended(job) or not is_tool(job, names.COMPONENT_SUBMIT) else job


def submitting_since(api: Api, sweep: str) -> datetime | None:
    """When the submission began for which this pod is one attempt. Raises ClusterError."""
    job = at_work(api, sweep)
    return None if job is None else read.moment(job, "metadata", "creationTimestamp")


def submitting_words(api: Api, sweep: str) -> str:
    """That a Job is about to create more of a sweep's trials, and what it waits for itself; empty where none is, or
    somebody may not know. Raises ClusterError."""
    try:
        job = at_work(api, sweep)
        if job is None:
            return ""
        pods = list_objects(api, Kind.POD, tool_selector(names.COMPONENT_SUBMIT, sweep))[0]
    except ClusterError as error:
        if lacks_right(error):
            return ""
        raise
    name = f"job.batch/{job['metadata']['name']}"
    kept = waiting(status_of_tool(api, job, pods))
    return f"{name}, which creates the trials: {kept}" if kept else f"{name} creates the trials that are missing"


def end_submit_job(api: Api, sweep: str) -> str:
    """Delete the Job that submits a sweep, and wait until its pod can create no more; its name, empty where none was
    at work. Raises ClusterError."""
    job = at_work(api, sweep)
    if job is None:
        return ""
    end(api, job)
    return str(job["metadata"]["name"])
