"""``--in-cluster``: a command starts a Job that does the same inside the cluster; in a pod it does it itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.remove import delete
from kgen.backends.kubernetes.tool import Begun, ToolEnded, begin, stay
from kgen.errors import InputError
from kgen.render.tools import Tool, tool_job
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.prepare_stages import PreparedSweep
from kgen.workflow.submit import OnEvent, store
from kgen.workflow.submitting import at_work

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

SUBMITTER_ACCOUNT: Final = "kgen-submitter"
COLLECTOR_ACCOUNT: Final = "kgen-collector"
"""ServiceAccounts of the chart and of ``manifests/``."""
FINAL_CODES: Final = (1, 2)
"""Exit codes that the same command would end with again: trials without a result, bad input. A store or a cluster that
can't be used (3), and a pod that was lost, are tried again."""
_SUBMIT_ATTEMPTS: Final = 30
"""A pod that somebody deletes costs one; with Kubernetes' pauses between them hours go by before the last."""
_COLLECT_ATTEMPTS: Final = 2
_COLLECT_KEPT_SECONDS: Final = 24 * 3600
"""How long the Job of a collection that failed stays, for its log."""


def submit_job(
    prepared: PreparedSweep,
    api: Api,
    on_event: OnEvent,
    *,
    flags: Sequence[str],
    image: str = "",
    service_account: str = "",
) -> Begun:
    """Store the sweep, then start the Job that submits it and stays; one that is at work is left at it.

    ``flags`` are those of ``kgen submit``. Raises InputError where the sweep was edited while a Job submits it, or the
    service account is not there; ClusterError.
    """
    spec = prepared.spec
    account = service_account or SUBMITTER_ACCOUNT
    name = names.tool_name(names.COMPONENT_SUBMIT, spec.name)
    if prepared.shared and at_work(api, spec.name) is not None:
        raise InputError.of(
            "the command line", "FILE", f"{spec.name}, which was edited since job.batch/{name} submits it",
            f"the same file; or first 'kgen wait {spec.name}' or 'kgen cancel {spec.name}'",
        )  # fmt: skip
    check_account(api, account)
    command = ("kgen", "submit", f"sweep/{spec.name}", "--wait", "--in-cluster", "--yes", *flags)
    # Of one stage nothing is read and nothing written there: then the pod goes wherever there is room.
    results = _results(spec) if spec.stages else {}
    tool = Tool.of(spec, names.COMPONENT_SUBMIT, command, image=image, service_account=account, **results)
    store(prepared, api, on_event)
    job = tool_job(tool, name, api.namespace, backoff_limit=_SUBMIT_ATTEMPTS, final_codes=FINAL_CODES)
    return begin(api, job)


def collect_job(api: Api, spec: SweepSpec, *, image: str = "", service_account: str = "") -> Begun:
    """Start the Job that collects a sweep next to its results; one that is at work is taken for it.

    Raises InputError where the service account is not there, ClusterError.
    """
    account = service_account or COLLECTOR_ACCOUNT
    check_account(api, account)
    command = ("kgen", "collect", f"sweep/{spec.name}", "--in-cluster")
    tool = Tool.of(spec, names.COMPONENT_COLLECT, command, image=image, service_account=account, **_results(spec))
    name = names.tool_name(names.COMPONENT_COLLECT, spec.name)
    return begin(
        api,
        tool_job(
            tool,
            name,
            api.namespace,
            backoff_limit=_COLLECT_ATTEMPTS,
            final_codes=FINAL_CODES,
            ttl_seconds=_COLLECT_KEPT_SECONDS,
        ),
    )


def _results(spec: SweepSpec) -> dict[str, Any]:
    """What a pod mounts so that it has a sweep's results: fields of Tool."""
    location = spec.location
    return {
        "claim": location.root if location.scheme is Scheme.PVC else "",
        "volumes": spec.kubernetes.volumes if location.scheme is Scheme.FOLDER else (),
    }


def stay_with(api: Api, begun: Begun, on_line: Callable[[bytes], None], on_status: Callable[[str], None]) -> ToolEnded:
    """Show what the Job prints until it has ended; one that went well is deleted, another one stays, for its log.

    Raises ClusterError.
    """
    ended = stay(api, begun.job, on_line, on_status)
    if ended.code == 0:
        gone = delete(api, [begun.job])
        if gone.error is not None:
            raise gone.error
    return ended


def check_account(api: Api, name: str) -> None:
    """Raises InputError where there is no such service account: a Job would wait for it for ever, and say nothing."""
    try:
        api.get(f"/api/v1/namespaces/{api.namespace}/serviceaccounts/{name}")
    except ApiError as error:
        if error.status == 404:
            raise InputError.of(
                "the command line", "--service-account", f"{name}, which namespace {api.namespace} does not have",
                "one with the rights in manifests/rbac.yaml, which the chart and that file make",
            ) from error  # fmt: skip
        if error.status != 403:  # whoever may not look may still be right
            raise
