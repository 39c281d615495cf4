"""``kgen wait``."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, SweepName, cluster_command, find_sweep
from kgen.cli.text import count, typed
from kgen.errors import InputError, InterruptedRunError, TrialsFailedError
from kgen.names import stage_title

_DURATION: Final = re.compile(r"(?=.)(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s?)?")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Wait until a sweep has ended, or can't succeed any more")(wait)


def wait(
    sweep: SweepName,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="At most so long, such as 90s, 30m, 2h; exit code 124 then")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End with the first failed trial")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Exit code 0 if all trials have succeeded, 1 if some have not or a stage has not begun, 124 if time ran out."""
    from kgen.cli.watching import Lines, failures, success, verdict_lines
    from kgen.workflow.wait import wait as wait_for

    seconds = None if timeout is None else _seconds(timeout)
    api, name = find_sweep(sweep, kubeconfig, context, namespace)
    try:
        waited = wait_for(api, name, Lines(quiet=quiet), timeout=seconds, fail_fast=fail_fast)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"no longer waiting; the Jobs go on\nto go on: {typed()}\nto end it: {cluster_command('cancel', name, api)}"
        ) from None
    later = [f"{stage_title(stage)} is not done: {why}" for stage, why in waited.later.items()]
    if not waited.seen.succeeded:
        stuck = [*verdict_lines(waited)] if not waited.seen.ended else []
        raise TrialsFailedError("\n".join([*stuck, failures(waited.seen, api), *later]))
    if later:
        done = f"all that is known has succeeded: {count(len(waited.seen.asked), 'trial')}"
        raise TrialsFailedError("\n".join([done, *later, "to go on: kgen submit, with the sweep's file"]))
    if not quiet:
        print(success(waited.seen))


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InputError.of("the command line", "--timeout", text, "a duration such as 90s, 30m, 2h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float((hours * 60 + minutes) * 60 + seconds)
