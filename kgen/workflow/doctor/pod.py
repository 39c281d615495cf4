"""A pod that is like a trial's, and what it says of image, results and clock."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import kgen
from kgen import names
from kgen.backends.kubernetes.failure import ApiError, lacks_right
from kgen.backends.kubernetes.probe import Probed, run_probe
from kgen.capacity.gpus import is_accelerator
from kgen.render.tools import Tool, tool_pod
from kgen.status import Reason
from kgen.sweep import SweepSpec
from kgen.sweep.build_cluster import GPU
from kgen.workflow.doctor.client import clock
from kgen.workflow.doctor.model import Check, State, missing, ok, warning

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

IMAGE: Final = "image"
RESULTS: Final = "results"
NODE_CLOCK: Final = "node clock"
COMMAND: Final = ("python", "-m", "kgen.trial.check")
TOLERATIONS: Final = ({"key": GPU, "operator": "Exists", "effect": "NoSchedule"},)
"""As trials have by default: there may be no other nodes than those with GPUs."""
_LITTLE: Final[Mapping[str, Mapping[str, str]]] = {
    "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "16Mi"},
    "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "64Mi"},
}
_NO_MODULE: Final = re.compile(r"No module named '?([\w.]+)'?")
_OWN: Final = ("kgen.dev/", "app.kubernetes.io/", "batch.kubernetes.io/")
_FIXES: Final[Mapping[Reason, str]] = {
    Reason.IMAGE_PULL: "trainer.image, or --image: push it; kubernetes.image_pull_secrets for a private registry",
    Reason.UNSCHEDULABLE: "kubernetes.node_selector, tolerations and resources; kgen plan says which nodes would do",
    Reason.VOLUME: "results and kubernetes.volumes: what they name has to be there and to be mountable on that node",
    Reason.CONFIG_ERROR: "kubernetes.secret_env and the image: what they name has to be there, and python on PATH",
}


@dataclass(frozen=True, slots=True)
class ProbePod:
    """A pod to be tried out."""

    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    sweep: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    has_results: bool = False

    @property
    def image(self) -> str:
        """Of the container that is tried out."""
        return str(_container(self.spec)["image"])


def of_image(image: str) -> ProbePod:
    """One with an image, and nothing else that a sweep would have."""
    tool = Tool(names.COMPONENT_DOCTOR, image, COMMAND, tolerations=TOLERATIONS)
    made = tool_pod(tool)
    made["containers"][0]["resources"] = json.loads(json.dumps(_LITTLE))
    return ProbePod(made, tool.labels)


def of_trial(spec: SweepSpec, job: Mapping[str, Any], *, image: str = "", gpu: bool = False) -> ProbePod:
    """One like a trial's of the sweep, whose Job this is: its image, user, account, volumes, secrets and nodes, but
    little of resources, and no GPU unless ``gpu``: then one."""
    tool = Tool.of(spec, names.COMPONENT_DOCTOR, COMMAND)
    template = job["spec"]["template"]
    made = json.loads(json.dumps(template["spec"]))
    for unwanted in ("resourceClaims", "activeDeadlineSeconds"):
        made.pop(unwanted, None)
    container = _container(made)
    for each in [*made["containers"], *made.get("initContainers", ())]:
        accelerators = _accelerators(each) if gpu and each is container else {}
        each["resources"] = {
            kind: {**_others(each, kind), **_LITTLE[kind], **accelerators} for kind in ("requests", "limits")
        }
    container["command"], container["args"] = list(COMMAND), []
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    if image:
        container["image"] = image
    given = {names.ENV_GPUS: "1" if gpu else "0"}
    container["env"] = [
        *(each for each in container.get("env", ()) if each["name"] not in {*given, names.ENV_TRIAL}),
        *({"name": name, "value": value} for name, value in given.items()),
    ]
    _without_files(made)
    metadata = template["metadata"]
    labels = {key: value for key, value in metadata.get("labels", {}).items() if not key.startswith(_OWN)}
    return ProbePod(
        made,
        {**labels, **tool.labels},
        spec.name,
        {key: value for key, value in metadata.get("annotations", {}).items() if not key.startswith(_OWN)},
        has_results=True,
    )


def _container(spec: Mapping[str, Any]) -> Any:
    named = [each for each in spec["containers"] if each["name"] == names.TRAINER_CONTAINER]
    return next(iter([*named, *spec["containers"]]))


def _accelerators(container: Mapping[str, Any]) -> dict[str, str]:
    amounts = container.get("resources", {}).get("limits", {})
    return dict.fromkeys([name for name in amounts if is_accelerator(name)][:1], "1")


def _others(container: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Extended resources that are no accelerators, such as network devices: what needs them needs them here."""
    amounts = container.get("resources", {}).get(kind, {})
    return {name: amount for name, amount in amounts.items() if "/" in name and not is_accelerator(name)}


def _without_files(spec: dict[str, Any]) -> None:
    """Without the sources that travel with the sweep: they come with its submission."""
    own = {
        volume["name"]
        for volume in spec.get("volumes", ())
        if str((volume.get("configMap") or {}).get("name", "")).startswith(names.FILES_CONFIG_MAP_PREFIX)
    }
    spec["volumes"] = [volume for volume in spec.get("volumes", ()) if volume["name"] not in own]
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        container["volumeMounts"] = [each for each in container.get("volumeMounts", ()) if each["name"] not in own]


def probe(
    api: Api, pod: ProbePod, server_ahead: tuple[float, float] | None, say: Callable[[str], None]
) -> Iterator[Check]:
    """Start it, and say what it says. Raises UnreachableError."""
    try:
        probed = run_probe(api, pod.spec, pod.labels, annotations=pod.annotations, sweep=pod.sweep, on_status=say)
    except ApiError as error:
        yield _refused(error)
        return
    found = list(_said(probed.lines))
    yield _image(pod, probed, found)
    yield from (each for each in found if each.check != IMAGE)
    if pod.has_results and probed.why and not any(each.check == RESULTS for each in found):
        if found:  # it has begun to look, and died of what it met
            yield missing(RESULTS, f"not known: {probed.why}", "results, and who may write there")
        else:
            yield Check(RESULTS, State.SKIPPED, "not tried: the pod did not run")
    if probed.ahead is not None:
        yield _node_clock(probed, server_ahead)


def _refused(error: ApiError) -> Check:
    if lacks_right(error):
        return warning(IMAGE, f"not tried: {error}", "ask for a Role with it, such as the one in manifests/rbac.yaml")
    return missing(IMAGE, f"the cluster does not let a pod in: {error.message}", "what its admission allows")


def _image(pod: ProbePod, probed: Probed, found: Sequence[Check]) -> Check:
    where = f" on node {probed.node}" if probed.node else ""
    pulled = f"{pod.image} {probed.image or 'was started'}{where}"
    if not found:
        text = f"{pod.image}{where}: {probed.why or 'it printed nothing, or its log can not be read'}"
        if module := _NO_MODULE.search(probed.why):
            fix = "pip install --no-deps kgen-sweep pyarrow in the image: trials need it"
            return missing(IMAGE, f"{pulled}; it has no Python module {module[1]}", fix)
        if probed.reason is Reason.UNSCHEDULABLE and not probed.hopeless:
            return warning(IMAGE, f"not tried: {probed.why}", "the same again when there is room")
        if not probed.why:
            return warning(IMAGE, text, "a node that keeps logs")
        return missing(IMAGE, text, _FIXES.get(probed.reason, "trainer.image, or --image: one that has kgen.trial"))
    version = next((each.found for each in found if each.check == IMAGE), "")
    text = f"{pulled}: {version}"
    if f"kgen {kgen.__version__} " not in version:
        return warning(IMAGE, text, f"an image with kgen {kgen.__version__}, as here")
    return ok(IMAGE, text)


def _said(lines: Sequence[str]) -> Iterator[Check]:
    """What the program in the pod found; other lines are the image's own."""
    for line in lines:
        try:
            said = json.loads(line)
            yield Check(str(said["check"]), State(said["state"]), str(said["found"]), str(said["fix"]))
        except (ValueError, KeyError, TypeError):
            continue


def _node_clock(probed: Probed, server: tuple[float, float] | None) -> Check:
    bounds = probed.ahead
    if bounds is not None and server is not None:  # its upper bound is against the server's clock
        bounds = (bounds[0], bounds[1] + server[1])
    return clock(NODE_CLOCK, f"the clock of node {probed.node}", bounds)
