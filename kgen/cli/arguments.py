"""Arguments that several commands share."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

_OF_CLUSTER = ("-n", "--namespace", "--context", "--kubeconfig")

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api

SweepFile = Annotated[Path, typer.Argument(metavar="FILE", help="Sweep file", show_default=True)]
SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="Name of a sweep, or its file (ends in .yaml)")]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; else that of the sweep file, else that of the context"),
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig; else the current one")]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Kubeconfig file; else KUBECONFIG, else ~/.kube/config")
]
Results = Annotated[
    Path | None,
    typer.Option("--results", metavar="DIR", help="Results on this machine, in DIR/<sweep>, instead of the file's"),
]
AllowIncomplete = Annotated[
    bool,
    typer.Option("--allow-incomplete", help="Let a stage take from an earlier one that lacks results; it is marked"),
]
Rechoose = Annotated[
    list[str] | None,
    typer.Option(
        "--rechoose",
        metavar="STAGE",
        help="Choose anew what this stage takes from an earlier one, and what follows from it; may be repeated",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask")]


def connect(kubeconfig: Path | None, context: str | None, namespace: str | None, *, sweep_namespace: str = "") -> Api:
    """The cluster that the options name. Raises ClusterError."""
    from kgen.backends.kubernetes.api import connect as connect_to

    return connect_to(kubeconfig, context, namespace, sweep_namespace)


def find_sweep(given: str, kubeconfig: Path | None, context: str | None, namespace: str | None) -> tuple[Api, str]:
    """The cluster, and the name of the sweep that an argument names: a name, ``sweep/NAME``, or a sweep file, whose
    namespace then counts too. Raises ClusterError, InputError."""
    if not given.endswith((".yaml", ".yml")):
        return connect(kubeconfig, context, namespace), given.removeprefix("sweep/")
    from kgen.sweep import load

    spec = load(given)
    return connect(kubeconfig, context, namespace, sweep_namespace=spec.kubernetes.namespace), spec.name


def cluster_command(verb: str, sweep: str, api: Api) -> str:
    """A command that can be pasted: ``kgen wait first -n ml``. It has the cluster's options as they were typed, and the
    namespace where it is not that of the context."""
    carried = cluster_options()
    named = {"-n", "--namespace"} & set(carried)
    where = carried if named or api.namespace == api.context_namespace else [*carried, "-n", api.namespace]
    return shlex.join(["kgen", *verb.split(), sweep, *where])


def cluster_options() -> list[str]:
    """The options of the command line that say which cluster and namespace are meant."""
    words = iter(sys.argv[1:])
    found: list[str] = []
    for word in words:
        name, equals, _ = word.partition("=")
        if name in _OF_CLUSTER:
            found += word.split("=", 1) if equals else [word, next(words, "")]
    return found
