"""A sweep with the trials of all its stages that are known by now: by the choices that were made, rows, and Jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from kgen import names
from kgen.errors import StoreError
from kgen.render.merge import TRIALS_VOLUME
from kgen.render.sweep_object import choices_in
from kgen.results.store import Store
from kgen.spec import TrialSpec
from kgen.status import Object, is_pack, read, trials_of
from kgen.sweep import SweepSpec
from kgen.workflow.choices import WithChoices


def known(
    spec: SweepSpec,
    config: Object | None,
    jobs: Iterable[Object],
    config_maps: Callable[[], Iterable[Object]],
    store: Store | None,
    without: Collection[str] = (),
) -> SweepSpec:
    """The sweep with all parts that are known; one without stages is itself, and nothing is read.

    ``config`` is the sweep's ConfigMap, ``config_maps`` lists all of them, ``store`` its results, where these can be
    read from here; choices of the stages ``without`` are passed over. Raises InputError for a choice that was made for
    another file, ClusterError.
    """
    if not spec.stages:
        return spec
    from kgen.workflow.stages import resolved

    choices = {} if config is None else choices_in(config)
    asked = list(asked_in(spec, jobs, config_maps))
    try:
        return resolved(spec, WithChoices(store, choices, without=without), asked)
    except StoreError:  # which whoever reads the rows will say
        return resolved(spec, WithChoices(None, choices, without=without), asked)


def asked_in(
    spec: SweepSpec, jobs: Iterable[Object], config_maps: Callable[[], Iterable[Object]]
) -> Iterator[TrialSpec]:
    """The trials that Jobs of the sweep's searches were given: no file and no choice tells which these are."""
    searches = {stage.name for stage in spec.stages if stage.search is not None}
    own = [job for job in jobs if read.text(job, "metadata", "labels", names.LABEL_STAGE) in searches]
    for job in own:
        if not is_pack(job):
            yield from _parsed(_given_to(job).replace("$$", "$"), job)
    packs = {mounted(job): job for job in own if is_pack(job)}
    for each in config_maps() if packs else ():
        of = packs.get(read.text(each, "metadata", "name"))
        for line in read.text(each, "data", names.CONFIG_MAP_TRIALS_KEY).splitlines() if of is not None else ():
            yield from _parsed(line, of)


def stage_of(item: Object | None) -> str:
    """The stage of a Job or pod, as its label says; empty where it has none."""
    return read.text(item, "metadata", "labels", names.LABEL_STAGE)


def mounted(job: Object) -> str:
    """Name of the ConfigMap from which a pack's Job has its trials; empty for that of a single trial."""
    volumes = read.items(job, "spec", "template", "spec", "volumes")
    return next((read.text(v, "configMap", "name") for v in volumes if read.text(v, "name") == TRIALS_VOLUME), "")


def _given_to(job: Object) -> str:
    """The variable in which a Job's program finds its trial."""
    for container in read.items(job, "spec", "template", "spec", "containers"):
        for variable in read.items(container, "env"):
            if read.text(variable, "name") == names.ENV_TRIAL:
                return read.text(variable, "value")
    return ""


def _parsed(text: str, job: Object | None) -> Iterator[TrialSpec]:
    """The trial, if it is one of the Job's; what somebody wrote by hand is passed over."""
    try:
        trial = TrialSpec.from_json(text)
    except (LookupError, TypeError, ValueError, AttributeError):
        return
    if job is not None and trial.id in trials_of(job):
        yield trial
