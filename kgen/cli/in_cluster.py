"""``--in-cluster`` of several commands: the Job that does the same inside, and what a pod prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import cluster_command, connect, find_sweep
from kgen.cli.results import tell
from kgen.cli.text import count, typed
from kgen.errors import ClusterError, InputError, InterruptedRunError, KgenError, TrialsFailedError

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.backends.kubernetes.tool import Begun, ToolEnded
    from kgen.workflow.beside import Beside

InCluster = Annotated[
    bool, typer.Option("--in-cluster", help="Do it inside the cluster: as a Job, or in a pod by the pod itself")
]
ServiceAccount = Annotated[
    str,
    typer.Option(
        "--service-account", metavar="NAME", help="With --in-cluster: of the Job; else the chart's", show_default=False
    ),
]


def collect_in_cluster(
    sweep: str,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    *,
    everything: bool,
    image: str,
    service_account: str,
) -> None:
    """``kgen collect --in-cluster``, there and here."""
    from kgen.backends.kubernetes.config import is_in_pod

    inside = is_in_pod(kubeconfig, context)
    if everything and not inside:
        raise InputError.of(
            "the command line", "--all", "--all outside the cluster", "a sweep; --all is for the chart's CronJob"
        )
    if not inside:
        _collect_by_job(sweep, kubeconfig, context, namespace, image, service_account)
        return
    if everything:
        _collect_all(connect(kubeconfig, context, namespace))
    else:
        from kgen.workflow.beside import collect_beside

        api, name = find_sweep(sweep, kubeconfig, context, namespace)
        print("\n".join(_lines(collect_beside(api, name))))


def _collect_by_job(
    sweep: str, kubeconfig: Path | None, context: str | None, namespace: str | None, image: str, service_account: str
) -> None:
    from kgen.workflow.in_cluster import collect_job
    from kgen.workflow.results import stored_sweep

    api, name = find_sweep(sweep, kubeconfig, context, namespace)
    begun = collect_job(api, stored_sweep(api, name), image=image, service_account=service_account)
    raise_ended(api, begun, watch(api, begun))


def watch(api: Api, begun: Begun) -> ToolEnded:
    """Say that a Job of kgen's own is there, and show what it prints until it has ended.

    Raises ClusterError, InterruptedRunError.
    """
    from kgen.workflow.in_cluster import stay_with

    name = f"job.batch/{begun.job['metadata']['name']}"
    try:
        tell(f"{name} {begun.outcome}")
        return stay_with(api, begun, print_line, tell)
    except KeyboardInterrupt:
        raise InterruptedRunError(f"no longer watching; {name} goes on\nto go on: {typed()}") from None


def print_line(line: bytes) -> None:
    """A line of a pod's output, as it came."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def raise_ended(api: Api, begun: Begun, ended: ToolEnded) -> None:
    """End as the Job's program did: the error of that exit code, nothing where it went well."""
    if ended.code == 0:
        return
    log = kubectl_logs(begun, api)
    words = f"job.batch/{begun.job['metadata']['name']} failed: {ended.why}\nits log: {log}"
    kinds: dict[int | None, type[KgenError]] = {
        kind.exit_code: kind for kind in (TrialsFailedError, ClusterError, _BadInputError)
    }
    raise kinds.get(ended.code, ClusterError)(words)


class _BadInputError(KgenError):
    """What the program in the pod was given is wrong; it has said what."""

    exit_code = 2


def kubectl_logs(begun: Begun, api: Api) -> str:
    """The command that prints such a Job's log."""
    return f"kubectl logs job/{begun.job['metadata']['name']} -n {api.namespace}"


def _collect_all(api: Api) -> None:
    """One line for each sweep; what is wrong with one is said at the end, too."""
    from kgen.workflow.beside import collect_all

    wrong = []
    number = 0
    for number, one in enumerate(collect_all(api), 1):  # noqa: B007  counted
        if one.error is not None:
            wrong.append(one.sweep)
            print(f"sweep/{one.sweep}: {one.error}", file=sys.stderr, flush=True)
        elif one.skipped:
            print(f"sweep/{one.sweep}: skipped, {one.skipped}", flush=True)
        elif one.collected is None:
            print(f"sweep/{one.sweep}: nothing new", flush=True)
        else:
            print(f"sweep/{one.sweep}: {_lines(one)[0]}", flush=True)
    if wrong:
        raise TrialsFailedError(
            f"{len(wrong):,} of {count(number, 'sweep')} could not be collected: {', '.join(wrong)}"
        )
    if not number:
        print(f"no sweep in namespace {api.namespace}")


def _lines(one: Beside) -> list[str]:
    from kgen.cli.collect import certificate_lines
    from kgen.names import COLLECTED_DIR, PAGE_FILE, REPORT_DIR

    assert one.collected is not None
    return [
        *certificate_lines(one.collected.results.certificate),
        f"tables: {one.location}/{COLLECTED_DIR}",
        f"report: {one.location}/{REPORT_DIR}/{PAGE_FILE}",
    ]


def say_submitted(begun: Begun, sweep: str, api: Api) -> None:
    """What ``kgen submit --in-cluster`` ends with."""
    at_work = ": it is at work already" if begun.outcome == "unchanged" else ""
    print(f"job.batch/{begun.job['metadata']['name']} {begun.outcome}{at_work}")
    print(f"next: {cluster_command('wait', sweep, api)}; its log: {kubectl_logs(begun, api)} -f")
