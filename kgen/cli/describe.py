"""``kgen describe``: one trial, Job or sweep with everything that a person would ask for next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, SweepName, connect, find_sweep
from kgen.names import DEFAULT_STAGE

if TYPE_CHECKING:
    from kgen.status import Object
    from kgen.workflow.named import Named
    from kgen.workflow.observe import SeenSweep, SeenTrial

TrialName = Annotated[str, typer.Argument(metavar="TRIAL", help="A trial's id, or the name of its Job")]
_LABEL = 13


def register(app: typer.Typer) -> None:
    """Add the commands."""
    describe = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show one trial or sweep in detail")
    describe.command("trial", help="Show one trial: where it stands and why, its pods, its events")(trial)
    describe.command("sweep", help="Show one sweep: how many trials stand where, and why")(sweep)
    app.add_typer(describe, name="describe")


def trial(name: TrialName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Print everything of a trial, or of a Job of several."""
    from kgen.workflow.named import see_named

    api = connect(kubeconfig, context, namespace)
    found = see_named(api, name)
    for line in (job_lines if found.job_name else trial_lines)(found, api.namespace):
        print(line)


def sweep(name: SweepName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Print the state of a sweep, by cause."""
    from kgen.workflow.observe import see_sweep

    api, name = find_sweep(name, kubeconfig, context, namespace)
    for line in sweep_lines(see_sweep(api, name)):
        print(line)


def job_lines(found: Named, namespace: str) -> Iterator[str]:
    """A Job of several trials in lines."""
    from kgen.cli.get import status_word
    from kgen.cli.table import table
    from kgen.status import explain

    first = next((trial for trial in found.trials if trial.status.of_pack), found.trials[0])
    status = first.status
    done = sum(trial.has_result for trial in found.trials)
    yield _field("Job", found.job_name)
    yield _field("Sweep", found.sweep)
    yield _field("Namespace", namespace)
    yield _field("Trials", f"{len(found.trials)}, {done} with a result")
    if status.of_pack and not first.has_result:
        yield _field("Status", status_word(status))
        if status.message:
            yield _field("Message", status.message)
        if advice := explain(status):
            yield _field("Next", advice)
    yield from _facts(first)
    rows = [[trial.id, status_word(trial.status), _one_line(trial)] for trial in found.trials]
    for line in table(["TRIAL", "STATUS", "MESSAGE"], rows):
        yield f"  {line}"
    yield from _pods(first)
    yield from _events(found.events)


def _one_line(trial: SeenTrial) -> str:
    return (trial.status.message if trial.status.message and not trial.status.of_pack else "") or "<none>"


def _facts(seen: SeenTrial) -> Iterator[str]:
    status = seen.status
    yield _field("Attempts", str(status.attempts))
    yield _field("Node", status.node or "<none>")
    for label, moment in (("Created", status.created), ("Started", status.started), ("Ended", status.ended)):
        yield _field(label, _when(moment))


def trial_lines(found: Named, namespace: str) -> Iterator[str]:
    """A trial in lines."""
    from kgen.cli.get import status_word
    from kgen.cli.text import short
    from kgen.status import explain

    seen = found.trials[0]
    status = seen.status
    yield _field("Trial", seen.id)
    yield _field("Sweep", found.sweep)
    yield _field("Namespace", namespace)
    shared = f", which {len(seen.pack)} trials share" if seen.pack else ""
    yield _field("Job", f"{status.address or '<none>'}{shared}")
    if seen.stage not in ("", DEFAULT_STAGE):
        yield _field("Stage", seen.stage)
    yield _field("Seed", str(seen.seed))
    yield "Parameters:"
    width = max((len(key) for key in seen.parameters), default=0)
    for key, value in seen.parameters.items():
        yield f"  {key:<{width}}  {short(value)}"
    yield _field("Status", status_word(status))
    if status.message:
        yield _field("Message", status.message)
    if advice := explain(status):
        yield _field("Next", advice)
    if status.outcome:
        yield _field("Outcome", status.outcome)
    yield from _facts(seen)
    yield from _pods(seen)
    yield from _events(found.events)


def _pods(seen: SeenTrial) -> Iterator[str]:
    from kgen.cli.table import age, table
    from kgen.status import read

    if not seen.pods:
        yield _field("Pods", "<none>")
        return
    yield "Pods:"
    now = datetime.now(UTC)
    rows = []
    for pod in sorted(seen.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", ""))):
        state = pod.get("status", {})
        made = read.moment(pod, "metadata", "creationTimestamp")
        rows.append(
            [
                pod["metadata"]["name"],
                state.get("phase", "<unknown>"),
                pod.get("spec", {}).get("nodeName", "<none>"),
                age(None if made is None else (now - made).total_seconds()),
            ]
        )
    for line in table(["NAME", "PHASE", "NODE", "AGE"], rows):
        yield f"  {line}"


def _events(events: list[Object]) -> Iterator[str]:
    from kgen.cli.table import age, table
    from kgen.status import read

    if not events:
        yield _field("Events", "<none>")
        return
    yield "Events:"
    now = datetime.now(UTC)
    rows = []
    for event in events:
        last = read.moment(event, "lastTimestamp") or read.moment(event, "eventTime")
        count = event.get("count") or event.get("series", {}).get("count") or 1
        seen = age(None if last is None else (now - last).total_seconds())
        about = event.get("involvedObject", {}).get("kind", "").lower()
        message = " ".join(str(event.get("message", "")).split())
        rows.append([event.get("type", ""), event.get("reason", ""), seen, str(count), about, message])
    for line in table(["TYPE", "REASON", "AGE", "COUNT", "FROM", "MESSAGE"], rows):
        yield f"  {line}"


def sweep_lines(seen: SeenSweep) -> Iterator[str]:
    """A sweep in lines: trials by state and reason, one message of each."""
    from kgen.cli.get import status_word
    from kgen.cli.table import table

    yield _field("Sweep", seen.name)
    yield _field("Namespace", seen.namespace)
    yield _field("Created", _when(seen.created))
    if seen.spec is not None:
        yield _field("Image", seen.spec.trainer.image)
        yield _field("Results", str(seen.spec.location))
    if not seen.rows_read:
        why = seen.unread or "the results can't be read from here, a finished Job counts as a result"
        yield _field("Rows", f"unchecked: {why}")
    yield _field("Trials", str(len(seen.trials)))
    yield from _stages(seen)
    groups: dict[str, list[SeenTrial]] = {}
    for trial in seen.trials:
        groups.setdefault(status_word(trial.status), []).append(trial)
    rows = []
    for word, trials in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = trials[0]
        rows.append([word, str(len(trials)), first.id, first.status.message or "<none>"])
    for line in table(["STATUS", "TRIALS", "EXAMPLE", "MESSAGE"], rows):
        yield f"  {line}"


def _stages(seen: SeenSweep) -> Iterator[str]:
    """Of a sweep with stages how far each is."""
    from kgen.cli.table import table
    from kgen.workflow.later import later_of

    if seen.spec is None or not seen.spec.stages:
        return
    later = later_of(seen)
    rows = []
    for stage in seen.spec.stages:
        own = [trial for trial in seen.asked if trial.stage == stage.name]
        done = sum(trial.has_result for trial in own)
        rows.append([stage.name, str(len(own)), str(done), later.get(stage.name, "") or "<none>"])
    yield "Stages:"
    for line in table(["STAGE", "TRIALS", "RESULTS", "WAITS FOR"], rows):
        yield f"  {line}"


def _field(label: str, text: str) -> str:
    return f"{label + ':':<{_LABEL}}{text}"


def _when(moment: datetime | None) -> str:
    return "<none>" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
