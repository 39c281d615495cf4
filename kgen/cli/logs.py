"""``kgen logs``: what a trial's program printed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, connect
from kgen.cli.describe import TrialName


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Print what a trial's program printed")(logs)


def logs(
    trial: TrialName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the program ends")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the attempt before the newest")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="Only so many last lines")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="With the time of each line")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the log of the trial's newest pod."""
    from kgen.workflow.logs import trial_log

    api = connect(kubeconfig, context, namespace)
    for line in trial_log(api, trial, follow=follow, previous=previous, tail=tail, timestamps=timestamps):
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
