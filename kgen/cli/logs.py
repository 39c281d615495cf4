"""``kgen logs``: what a trial's program printed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, connect
from kgen.cli.describe import TrialName
from kgen.cli.results import Image, tell
from kgen.interrupt import check_interrupt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Print what a trial's program printed; when its pod is gone, the last lines of it")(logs)


def logs(
    trial: TrialName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the program ends")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the attempt before the newest")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="Only so many last lines")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="With the time of each line")] = False,
    image: Image = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the log of the trial's newest pod, or what its row keeps of it."""
    from kgen.workflow.logs import Wanted, trial_log

    api = connect(kubeconfig, context, namespace)
    wanted = Wanted(follow=follow, previous=previous, tail=tail, timestamps=timestamps)
    for line in trial_log(api, trial, wanted, tell, image=image):
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
        check_interrupt()
