"""``kgen doctor --in-cluster`` from outside: a Job that looks from inside, and nothing of which stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kgen import names
from kgen.backends.kubernetes.tool import ToolEnded, begin, end, stay
from kgen.errors import InputError
from kgen.render.environment import RESULTS_MOUNT
from kgen.render.tools import Tool, tool_job
from kgen.sweep import SweepSpec
from kgen.sweep.sweepspec import Scheme
from kgen.workflow.doctor.pod import TOLERATIONS
from kgen.workflow.in_cluster import SUBMITTER_ACCOUNT, check_account

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api


def examine_by_job(
    api: Api,
    spec: SweepSpec | None,
    on_line: Callable[[bytes], None],
    on_status: Callable[[str], None],
    *,
    image: str = "",
    service_account: str = "",
    flags: Sequence[str] = (),
) -> ToolEnded:
    """Run ``kgen doctor --in-cluster`` in the cluster; the Job goes with the end, whichever it is.

    ``flags`` are more of the command. Raises InputError for what is not there to start it, ClusterError.
    """
    if not image and (spec is None or not spec.trainer.image):
        allowed = "--image IMAGE, one with the command kgen; or a sweep file with trainer.image"
        raise InputError.of("the command line", "--in-cluster", "no image for the pod", allowed)
    account = service_account or SUBMITTER_ACCOUNT
    check_account(api, account)
    tool = _tool(spec, image, account, ("kgen", "doctor", "--in-cluster", *flags))
    name = names.tool_name(names.COMPONENT_DOCTOR, spec.name) if spec else f"kgen-{names.COMPONENT_DOCTOR}"
    begun = begin(api, tool_job(tool, name, api.namespace, backoff_limit=0))
    try:
        return stay(api, begun.job, on_line, on_status)
    finally:
        end(api, begun.job)


def _tool(spec: SweepSpec | None, image: str, account: str, command: Sequence[str]) -> Tool:
    if spec is None:
        return Tool(names.COMPONENT_DOCTOR, image, command, service_account=account, tolerations=TOLERATIONS)
    location = spec.location
    in_claim = location.scheme is Scheme.PVC
    where = f"{RESULTS_MOUNT}/{location.path}" if in_claim else str(location)
    # Results in a folder lie on a volume of the trials' own, which this pod does not have.
    given = {} if location.scheme is Scheme.FOLDER else {names.ENV_RESULTS: where, **location.variables}
    return Tool.of(
        spec,
        names.COMPONENT_DOCTOR,
        command,
        image=image,
        service_account=account,
        claim=location.root if in_claim else "",
        env=given,
    )
