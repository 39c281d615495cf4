"""The ConfigMaps in which a cluster holds sweeps: found by their labels, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kgen import names
from kgen.backends.kubernetes.failure import ApiError
from kgen.backends.kubernetes.objects import Kind, list_objects, path_of
from kgen.errors import ClusterError, InputError
from kgen.render.sweep_object import sweep_from_objects
from kgen.status import Object
from kgen.sweep import SweepSpec

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

IS_TRIAL: Final = f"{names.LABEL_COMPONENT}={names.COMPONENT_TRIAL}"
_IS_SWEEP: Final = f"{names.LABEL_COMPONENT}={names.COMPONENT_SWEEP}"
MANAGED: Final = f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}"


def selector(sweep: str) -> str:
    """The label selector of everything of a sweep."""
    return f"{names.LABEL_SWEEP}={sweep}"


def trials_selector(sweep: str) -> str:
    """Selects the Jobs and pods of a sweep's trials, and not those in which kgen itself works for it."""
    return f"{selector(sweep)},{IS_TRIAL}"


def sweep_of(item: Object) -> str:
    """The sweep of an object, as its label says."""
    return str(item["metadata"].get("labels", {}).get(names.LABEL_SWEEP, ""))


def list_config_maps(api: Api, sweep: str) -> list[Object]:
    """The ConfigMaps of a sweep: its file, its sources, the trials of its packs. Raises ClusterError."""
    return list_objects(api, Kind.CONFIG_MAP, selector(sweep))[0]


def stored_hashes(api: Api, sweep: str) -> dict[str, str]:
    """The names of the sweep's ConfigMaps, and the hashes of what they hold. Raises ClusterError."""
    found = list_config_maps(api, sweep)
    return {config["metadata"]["name"]: config["metadata"]["labels"].get(names.LABEL_SPEC, "") for config in found}


def list_sweeps(api: Api) -> dict[str, Object]:
    """The ConfigMap of each sweep of the namespace, by name. Raises ClusterError."""
    return {sweep_of(c): c for c in list_objects(api, Kind.CONFIG_MAP, f"{MANAGED},{_IS_SWEEP}")[0]}


def no_sweep(api: Api, name: str) -> InputError:
    """That there is no sweep of that name, and which there are. Raises ClusterError."""
    found = sorted({sweep_of(c) for c in list_objects(api, Kind.CONFIG_MAP, _IS_SWEEP)[0]})
    others = f": {', '.join(found[:10])}" if found else ", where there is none yet"
    return InputError.of("the command line", "SWEEP", name, f"a sweep in namespace {api.namespace}{others}")


def stored_spec(api: Api, name: str) -> tuple[SweepSpec | None, Object | None, str]:
    """The sweep as its ConfigMap holds it, and the ConfigMap; None where there is none, and why it can't be read."""
    found = [
        c
        for c in list_objects(api, Kind.CONFIG_MAP, f"{selector(name)},{_IS_SWEEP}")[0]
        if c["metadata"]["name"] == names.sweep_config_map(name)
    ]
    if not found:
        return None, None, ""
    spec, trouble = parse(api, found[0])
    return spec, found[0], trouble


def parse(api: Api, config: Object) -> tuple[SweepSpec | None, str]:
    """The sweep, or why there is none in it: somebody edited it, or it was written by a newer kgen. One bad sweep must
    not hide the others, nor its own Jobs."""
    files = config.get("data", {}).get("files")
    try:
        found = api.get(path_of(api, Kind.CONFIG_MAP, files)) if files else None
    except ApiError as error:
        if error.status != 404:
            raise
        found = None
    try:
        return sweep_from_objects(config, found), ""
    except (ClusterError, InputError) as error:
        why = str(error).splitlines()[0]
        return None, f"configmap/{config['metadata']['name']} holds no sweep that this kgen can read: {why}"
