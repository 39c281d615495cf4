"""Commands that read a sweep's results, wherever they lie: their arguments, and what they say while it is fetched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kgen.cli.arguments import connect
from kgen.cli.text import count

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.results.mirror import Fetched
    from kgen.sweep import SweepSpec
    from kgen.workflow.results import Opened

SweepOrFile = Annotated[
    str, typer.Argument(metavar="SWEEP", help="Sweep file, or the name of a sweep in the cluster", show_default=True)
]
Results = Annotated[
    Path | None,
    typer.Option(
        "--results", metavar="DIR", help="Folder for the copy of results in a claim or bucket; else results/ "
        "beside the sweep file",
    ),
]  # fmt: skip
Image = Annotated[
    str, typer.Option("--image", help="Image with a python for the pod that reads a claim; else trainer.image")
]
_TELL_SECONDS: Final = 5.0


def find_spec(
    given: str, kubeconfig: Path | None, context: str | None, namespace: str | None
) -> tuple[SweepSpec, Callable[[], Api], bool]:
    """The sweep that an argument names, a way to its cluster, and whether the cluster told it: a sweep file, or a name
    or ``sweep/NAME``. Raises InputError, ClusterError."""
    if given.endswith((".yaml", ".yml")) or Path(given).is_file():
        from kgen.sweep import load

        spec = load(given)
        return spec, lambda: connect(kubeconfig, context, namespace, sweep_namespace=spec.kubernetes.namespace), False
    from kgen.workflow.results import stored_sweep

    api = connect(kubeconfig, context, namespace)
    return stored_sweep(api, given.removeprefix("sweep/")), lambda: api, True


def fetch_results(
    given: str,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    *,
    results: Path | None,
    image: str,
    say: Callable[[str], object] = print,
) -> Opened:
    """The sweep with its results in a folder of this machine; ``say`` gets what was fetched, if anything was."""
    from kgen.workflow.results import open_results

    spec, api, stored = find_spec(given, kubeconfig, context, namespace)
    opened = open_results(spec, results=results, image=image, connect=api, on_event=Teller(), stored=stored)
    if opened.fetched is not None and opened.fetched.files:
        say(f"fetched {count(opened.fetched.files, 'row file')} from {spec.location} to {opened.spec.results}")
    if opened.fetched is not None and opened.fetched.only_here:
        others = count(opened.fetched.only_here, "row file")
        tell(
            f"{others} in {opened.spec.results} not in {spec.location}: of a run here, or deleted there; they count too"
        )
    return opened


def tell(event: str) -> None:
    """A line about what goes on, beside what the command prints."""
    print(event, file=sys.stderr, flush=True)


class Teller:
    """Says what is waited for, and every few seconds how far the copy is."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, event: str | Fetched) -> None:
        """As OnEvent."""
        if isinstance(event, str):
            tell(event)
        elif time.monotonic() - self._told > _TELL_SECONDS:
            self._told = time.monotonic()
            tell(f"{event.files:,} of {count(event.wanted, 'row file')} fetched")
