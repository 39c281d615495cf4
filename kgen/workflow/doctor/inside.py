"""What a pod of kgen's own sees: whose account it has, whether results can be written, whether clocks agree."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.backends.kubernetes import access
from kgen.backends.kubernetes.access import COLLECTOR, NEEDED, Permission
from kgen.backends.kubernetes.failure import ApiError
from kgen.errors import ClusterError
from kgen.render.environment import RESULTS_MOUNT
from kgen.trial import check as trial
from kgen.workflow.doctor import client, namespace, pod
from kgen.workflow.doctor.model import Check, State, missing, ok, skipped, warning

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

_ROLES: Final = {
    "submitter": tuple(sorted({permission for needed in NEEDED.values() for permission in needed})),
    "collector": COLLECTOR,
}
"""Of the chart and of ``manifests/``, with what each is for."""
_FOR: Final = {"submitter": "kgen submit --in-cluster", "collector": "kgen collect --in-cluster"}


def examine_inside(connect: Callable[[], Api]) -> Iterator[Check]:
    """Look at one thing after the other; nothing stays of what is tried out, and no failure ends it early."""
    yield client.client()
    left = [client.SERVER, client.CLOCK, namespace.RIGHTS]
    try:
        api = connect()
        yield ok(client.CLUSTER, f"this pod's service account, namespace {api.namespace}")
        for check in _of_cluster(api):
            left = [name for name in left if name != check.check]
            yield check
    except ClusterError as error:
        fix = "automountServiceAccountToken: true, and a NetworkPolicy that lets the pod reach the API server"
        yield missing(left.pop(0) if left else client.SERVER, str(error), fix)
        yield from skipped(left, "the cluster does not answer")
    yield from _results()
    if wanted := int(os.environ.get(names.ENV_GPUS) or 0):
        yield _of_trial(trial.devices(wanted))


def _of_cluster(api: Api) -> Iterator[Check]:
    yield client.server(api)
    yield client.clock(client.CLOCK, "the API server's clock", client.ahead(api), against="this node's")
    yield _role(api)


def _role(api: Api) -> Check:
    """Which of the roles the account can fill; one that is called like a role has to."""
    try:
        lacking = access.lacking(api, api.namespace)
    except ApiError as error:
        if error.status != 403:
            raise
        return warning(namespace.RIGHTS, f"not known: the cluster does not tell them ({error.message})")
    who = access.user(api)
    lacks = {role: [each for each in needed if each in lacking] for role, needed in _ROLES.items()}
    for role, words in lacks.items():
        if who.endswith(role) and words:
            return _incomplete(who, role, words)
    fit = [role for role, words in lacks.items() if not words]
    if fit:
        uses = " and ".join(_FOR[role] for role in fit)
        return ok(namespace.RIGHTS, f"{who} has what {uses} need{'s' * (len(fit) == 1)}")
    if len(lacking) == len(_ROLES["submitter"]):
        return ok(namespace.RIGHTS, f"{who} may do nothing here, as it should be for trials")
    nearest = min(lacks, key=lambda role: len(lacks[role]))
    return _incomplete(who, nearest, lacks[nearest])


def _incomplete(who: str, role: str, lacks: list[Permission]) -> Check:
    found = f"{who} lacks what {_FOR[role]} needs: {namespace.told(lacks)}"
    return missing(namespace.RIGHTS, found, f"the Role of kgen-{role} in manifests/rbac.yaml or in the chart")


def _results() -> Iterator[Check]:
    """Where the environment says that results lie; a claim's volume is tried out in a folder of its own."""
    location, claim = os.environ.get(names.ENV_RESULTS, ""), os.environ.get(names.ENV_CLAIM, "")
    if claim and not os.path.ismount(RESULTS_MOUNT):
        yield missing(
            pod.RESULTS, f"claim {claim} is not mounted at {RESULTS_MOUNT}", f"a volumeMount at {RESULTS_MOUNT}"
        )
        return
    if claim and not location:
        location = f"{RESULTS_MOUNT}/.kgen-doctor-{secrets.token_hex(4)}"
    if location:
        found = _of_trial(trial.results(location))
        yield Check(found.check, found.state, f"claim {claim}: {found.found}" if claim else found.found, found.fix)
    else:
        yield Check(
            pod.RESULTS, State.SKIPPED, f"neither {names.ENV_CLAIM} nor {names.ENV_RESULTS} says where they lie"
        )


def _of_trial(found: trial.Finding) -> Check:
    return Check(found["check"], State(found["state"]), found["found"], found["fix"])
