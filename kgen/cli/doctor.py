"""``kgen doctor``: what works here, and how the rest can be mended."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, connect
from kgen.cli.in_cluster import InCluster, ServiceAccount, print_line
from kgen.cli.results import tell
from kgen.errors import InputError

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.workflow.doctor import Check

_DEFAULT: Final = Path("sweep.yaml")
_NAME_WIDTH: Final = 12
_COLOURS: Final = {"ok": "32", "warning": "33", "missing": "31", "skipped": "2"}


class Format(enum.StrEnum):
    """Formats of ``-o``."""

    JSON = "json"
    YAML = "yaml"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Look whether everything works here that sweeps need, and say how to mend the rest")(doctor)


def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Sweep file; else sweep.yaml, if it is there")
    ] = None,
    image: Annotated[str, typer.Option("--image", help="Image to try out; else the sweep's trainer.image")] = "",
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Let the pod that tries the image out ask for one GPU, too")
    ] = False,
    in_cluster: InCluster = False,
    service_account: ServiceAccount = "",
    output: Annotated[Format | None, typer.Option("--output", "-o", help="Print one object instead of lines")] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """A line for each thing; exit code 1 when something is missing that sweeps need."""
    if file is None and _DEFAULT.is_file():
        file = _DEFAULT
    if service_account and not in_cluster:
        found = "--service-account without --in-cluster"
        raise InputError.of("the command line", "--service-account", found, "both, or neither")
    if in_cluster:
        _in_cluster(file, kubeconfig, context, namespace, image, service_account, output)
    else:
        _outside(file, kubeconfig, context, namespace, image, output, gpu=gpu)


def _outside(
    file: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    image: str,
    output: Format | None,
    *,
    gpu: bool,
) -> None:
    from kgen.workflow.doctor import Options, examine

    def log_in(of_sweep: str) -> Api:
        return connect(kubeconfig, context, namespace, sweep_namespace=of_sweep)

    options = Options(
        file, image, gpu=gpu, namespace=namespace or "", say=lambda text: tell(f"waiting for the pod: {text}")
    )
    _show(examine(log_in, options), output)


def _in_cluster(
    file: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    image: str,
    service_account: str,
    output: Format | None,
) -> None:
    from kgen.backends.kubernetes.config import is_in_pod
    from kgen.workflow.doctor import examine_by_job, examine_inside

    if is_in_pod(kubeconfig, context):
        _show(examine_inside(lambda: connect(kubeconfig, context, namespace)), output)
        return
    from kgen.errors import ClusterError
    from kgen.sweep import load

    spec = load(file) if file else None
    api = connect(kubeconfig, context, namespace, sweep_namespace=spec.kubernetes.namespace if spec else "")
    flags = ["-o", str(output)] if output else []
    ended = examine_by_job(api, spec, print_line, tell, image=image, service_account=service_account, flags=flags)
    if ended.code == 1:
        raise typer.Exit(1)
    if ended.code != 0:
        raise ClusterError(f"kgen doctor did not run in the cluster: {ended.why}")


def _show(checks: Iterable[Check], output: Format | None) -> None:
    """Raises typer.Exit where something is missing."""
    found = []
    for check in checks:
        found.append(check)
        if output is None:
            print(_line(check), flush=True)
    lacks = sum(check.state == "missing" for check in found)
    if output is not None:
        from kgen.cli.output import Output, dump

        value = {"ok": not lacks, "checks": [check.to_json() for check in found]}
        print(dump(value, Output(output.value)))
    else:
        print(f"\n{_summary(lacks, sum(check.state == 'warning' for check in found))}")
    if lacks:
        raise typer.Exit(1)


def _summary(lacks: int, warnings: int) -> str:
    from kgen.cli.text import count

    doubts = f", {count(warnings, 'warning')}" if warnings else ""
    return f"{count(lacks, 'thing')} missing{doubts}" if lacks else f"nothing that sweeps need is missing{doubts}"


def _line(check: Check) -> str:
    state = str(check.state)
    shown = f"{state:<7}"
    if _has_colours():
        shown = f"\x1b[{_COLOURS[state]}m{shown}\x1b[0m"
    fix = f"; fix: {check.fix}" if check.fix and state != "ok" else ""
    return f"{shown}  {check.check:<{_NAME_WIDTH}}  {' '.join(f'{check.found}{fix}'.split())}"


def _has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
