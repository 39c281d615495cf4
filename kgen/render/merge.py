"""Puts a pack's identity into a Job that a template gave: as data, so that no template needs to know of it.

The values that differ between packs are holes here, see :class:`kgen.render.draft.Slot`. Mostly a pack is one trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kgen import names
from kgen.render.draft import POD, Draft, Merged, PackKind, Slot
from kgen.render.environment import RESULTS_MOUNT, TRIALS_MOUNT, Environment
from kgen.render.objects import common_labels, file_keys, files_config_map_name
from kgen.render.settings import pod_failure_policy
from kgen.render.tree import Hole, Origins, expand, fill
from kgen.sweep import SweepSpec
from kgen.sweep.document import Path as FieldPath
from kgen.sweep.fields import show
from kgen.sweep.sweepspec import Scheme

RESULTS_VOLUME: Final = "kgen-results"
FILES_VOLUME: Final = "kgen-files"
FILES_MOUNT: Final = "/kgen/files"
TRIALS_VOLUME: Final = "kgen-trials"
_EXECUTABLE: Final = 0o555
_OF_ONE_TRIAL: Final = {"completions": 1, "parallelism": 1}
_OF_SEVERAL_PODS: Final = (
    "backoffLimitPerIndex", "completionMode", "manualSelector", "maxFailedIndexes", "selector", "successPolicy",
)  # fmt: skip
_NOT_OF_A_PACK: Final = (names.LABEL_TRIAL, names.ANNOTATION_PARAMETERS, names.ANNOTATION_SEED)
_NOT_OF_A_TRIAL: Final = (names.LABEL_PACK, names.ANNOTATION_TRIALS)
_OF_THE_SERVER: Final = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


def merge(
    tree: Any, spec: SweepSpec, namespace: str, values: Sequence[Any], origins: Origins, pack: PackKind | None = None
) -> Merged:
    """The template's Job, whose holes these values are for one pack, with the identity of a pack of the sweep: of one
    trial where ``pack`` is None."""
    return _Merge(spec, namespace, values, origins, tree, pack).merge()


class _Merge(Draft):
    def merge(self) -> Merged:
        """The whole, with every mistake that merging shows."""
        job = self._job(self.root)
        if job is None:
            return self.out
        spec = self.mapping(job, "spec", ("spec",))
        template = self.mapping(spec, "template", ("spec", "template"))
        pod = self.mapping(template, "spec", POD)
        container = self._container(pod)
        if self.out.mistakes or container is None:
            return self.out
        labels, annotations = self._labels(), self._annotations()
        metadata = self._metadata(job, ("metadata",), {**labels, **self._queue_labels()}, annotations)
        named = {"name": Hole(Slot.NAME), **({"namespace": self.namespace} if self.namespace else {})}
        template["metadata"] = self._metadata(template, ("spec", "template", "metadata"), labels, annotations)
        job["metadata"] = {**named, **metadata}
        self.origins.copy(metadata, job["metadata"])
        self._job_spec(spec)
        self._pod(pod, container)
        self.out.tree = {"apiVersion": "batch/v1", "kind": "Job", "metadata": job["metadata"], **_rest(job)}
        self.origins.copy(job, self.out.tree)
        return self.out

    @property
    def _word(self) -> str:
        return "trial" if self.pack is None else "pack"

    def _job(self, tree: Any) -> dict[str, Any] | None:
        """The Job, or the Pod as the template of one; its mappings are the tree's own."""
        if not isinstance(tree, dict):
            self.wrong((), show(tree), "a Job: a mapping with apiVersion, kind, spec")
            return None
        kind, version = self.value(tree.get("kind")), self.value(tree.get("apiVersion"))
        versions = {"Job": "batch/v1", "Pod": "v1"}
        if kind not in versions:
            self.wrong(("kind",), show(kind), "Job or Pod")
            return None
        if version != versions[kind]:
            self.wrong(("apiVersion",), show(version), versions[kind])
        if tree.pop("status", None) is not None:
            self.note("status: dropped, it is the cluster's to write")
        if kind == "Job":
            return tree
        pod = {name: value for name, value in tree.items() if name in ("metadata", "spec")}
        job = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": pod}}
        extra = {name: value for name, value in tree.items() if name not in ("apiVersion", "kind", "metadata", "spec")}
        self.origins.copy(tree, pod)
        pod.update(extra)
        self.root = job
        return job

    def _container(self, pod: dict[str, Any]) -> dict[str, Any] | None:
        path: FieldPath = (*POD, "containers")
        containers = self.sequence(pod, "containers", path)
        if not containers:
            allowed = f"one that trains, called {names.TRAINER_CONTAINER} if there are several"
            self.wrong(path, "no container", allowed)
            return None
        for i, container in enumerate(containers):
            if not isinstance(container, dict):
                self.wrong((*path, i), show(self.value(container)), "a mapping")
                return None
        named = [i for i, c in enumerate(containers) if self.value(c.get("name")) == names.TRAINER_CONTAINER]
        number = named[0] if named else 0
        self.container_path = (*path, number)
        return containers[number]  # type: ignore[no-any-return]

    # -- what is put in

    def _labels(self) -> dict[str, Any]:
        return {
            **common_labels(self.spec, names.COMPONENT_TRIAL),
            names.LABEL_STAGE: self.spec.stage,
            (names.LABEL_TRIAL if self.pack is None else names.LABEL_PACK): Hole(Slot.ID),
            names.LABEL_SPEC: Hole(Slot.SPEC),
        }

    def _queue_labels(self) -> dict[str, str]:
        kubernetes = self.spec.kubernetes
        labels = {names.LABEL_QUEUE: kubernetes.queue, names.LABEL_QUEUE_PRIORITY: kubernetes.queue_priority}
        return {name: value for name, value in labels.items() if value}

    def _annotations(self) -> dict[str, Any]:
        if self.pack is not None:
            return {names.ANNOTATION_TRIALS: Hole(Slot.TRIALS)}
        return {names.ANNOTATION_PARAMETERS: Hole(Slot.PARAMETERS), names.ANNOTATION_SEED: Hole(Slot.SEED)}

    def _metadata(
        self, owner: dict[str, Any], path: FieldPath, labels: Mapping[str, Any], annotations: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The template's metadata with kgen's labels and annotations over the settings' over its own."""
        given = self.mapping(owner, "metadata", path)
        spec = self.spec.kubernetes
        where = ".".join(map(str, path))
        made: dict[str, Any] = {}
        misleading = _NOT_OF_A_TRIAL if self.pack is None else _NOT_OF_A_PACK
        for name, own, settings in (("labels", labels, spec.labels), ("annotations", annotations, spec.annotations)):
            theirs = self.mapping(given, name, (*path, name))
            for key in theirs.keys() & {*own, *misleading}:
                self.note(f"{where}.{name}: {key} is kgen's to set")
            taken = {*own, *settings, *misleading}
            made[name] = {**own, **settings, **{k: v for k, v in theirs.items() if k not in taken}}
            self.origins.copy(theirs, made[name])
        dropped = [name for name in ("generateName", "namespace", *_OF_THE_SERVER) if given.get(name) is not None]
        dropped = [name for name in dropped if name != "namespace" or self.value(given[name]) != self.namespace]
        if dropped:
            self.note(f"{where}: {', '.join(dropped)} dropped; kgen names its objects, --namespace says where")
        kept = {
            k: v for k, v in given.items() if k not in ("name", "generateName", "namespace", *_OF_THE_SERVER, *made)
        }
        made |= kept
        self.origins.copy(given, made)
        return made

    def _job_spec(self, spec: dict[str, Any]) -> None:
        kubernetes = self.spec.kubernetes
        for name, value in _OF_ONE_TRIAL.items():
            given = self.value(spec.get(name))
            if given is not None and given != value:
                self.note(f"spec.{name}: {show(given)} becomes {value}, each {self._word} has a Job of its own")
            spec[name] = value
        dropped = [name for name in _OF_SEVERAL_PODS if self.value(spec.pop(name, None)) is not None]
        if dropped:
            self.note(f"spec: {', '.join(dropped)} dropped, each {self._word} has a Job of one pod")
        self.fill_in(spec, "backoffLimit", kubernetes.backoff_limit)
        self.fill_in(spec, "podFailurePolicy", pod_failure_policy())
        self.fill_in(spec, "podReplacementPolicy", "Failed")
        if kubernetes.queue:
            spec["suspend"] = True
        ttl = self.value(spec.get("ttlSecondsAfterFinished"))
        if ttl is not None and self.spec.location.scheme is Scheme.PVC:
            self.wrong(
                ("spec", "ttlSecondsAfterFinished"),
                f"{show(ttl)} with results in a claim",
                "nothing: from outside, a finished Job is all that says that its trial is done",
            )

    def _pod(self, pod: dict[str, Any], container: dict[str, Any]) -> None:
        policy = self.value(pod.get("restartPolicy"))
        if policy not in (None, "Never"):
            self.note(f"restartPolicy: {policy} becomes Never, each attempt of a {self._word} is a pod of its own")
        pod["restartPolicy"] = "Never"
        deadline = self.spec.kubernetes.deadline if self.pack is None else self.pack.deadline
        if deadline is not None:
            self.fill_in(pod, "activeDeadlineSeconds", deadline)
        if self.value(container.get("command")) is None:
            if container.pop("args", None) is not None:
                self.note("args without a command: dropped, trainer.command has all words")
            container["command"] = expand(Hole(Slot.COMMAND), self.values, self.origins)
        self.fill_in(container, "name", names.TRAINER_CONTAINER)
        if not self.value(container.get("image")):
            container["image"] = self.spec.trainer.image
        if not container["image"]:
            allowed = "an image that has the trainer, such as registry.example/kgen-trainer:0.1.0"
            self.wrong_in_file(("trainer", "image"), "nothing", allowed)
            container["image"] = "missing"
        self._note_replaced(container)
        self._volumes(pod, container)
        container["env"] = Environment(self, pod, container).variables()

    def _note_replaced(self, container: dict[str, Any]) -> None:
        """What the template has of its own although the sweep file says it too."""
        image, command = fill(container["image"], self.values), fill(container["command"], self.values)
        if self.spec.trainer.image and image != self.spec.trainer.image:
            self.note(f"image: the template's {image} runs, not trainer.image")
        if command != self.values[Slot.COMMAND]:
            self.note("command: the template's runs, not trainer.command")

    def _volumes(self, pod: dict[str, Any], container: dict[str, Any]) -> None:
        volumes: list[dict[str, Any]] = []
        mounts: list[dict[str, Any]] = []
        location = self.spec.location
        if location.scheme is Scheme.PVC:
            volumes.append({"name": RESULTS_VOLUME, "persistentVolumeClaim": {"claimName": location.root}})
            mounts.append({"name": RESULTS_VOLUME, "mountPath": RESULTS_MOUNT})
        if self.spec.trainer.files:
            items = [{"key": key, "path": path} for path, key in file_keys(self.spec).items()]
            source = {"name": files_config_map_name(self.spec), "items": items, "defaultMode": _EXECUTABLE}
            volumes.append({"name": FILES_VOLUME, "configMap": source})
            mounts.append({"name": FILES_VOLUME, "mountPath": FILES_MOUNT, "readOnly": True})
            self.fill_in(container, "workingDir", FILES_MOUNT)
        if self.pack is not None:
            volumes.append({"name": TRIALS_VOLUME, "configMap": {"name": Hole(Slot.CONFIG_MAP)}})
            mounts.append({"name": TRIALS_VOLUME, "mountPath": TRIALS_MOUNT, "readOnly": True})
        self._append(pod, "volumes", POD, volumes)
        self._append(container, "volumeMounts", self.container_path, mounts)

    def _append(self, owner: dict[str, Any], key: str, path: FieldPath, more: list[dict[str, Any]]) -> None:
        if more:
            given = self.sequence(owner, key, (*path, key))
            owner[key] = [*given, *more]
            self.origins.copy(given, owner[key])


def _rest(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key not in ("apiVersion", "kind", "metadata")}
