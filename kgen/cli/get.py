"""``kgen get sweeps`` and ``kgen get trials``: what is on the cluster, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, connect, find_sweep
from kgen.cli.output import ListOutput, Output, dump

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.status import TrialStatus
    from kgen.workflow.observe import SeenSweep, SeenTrial

_PARAMETERS: Final = "PARAMETERS"
_SORT_KEYS: Final = ("name", "status", "age", "attempts")

OutputOption = Annotated[ListOutput | None, typer.Option("--output", "-o", help="Print everything in this format")]
NoHeaders = Annotated[bool, typer.Option("--no-headers", help="Print no header line")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    get = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List sweeps or trials of a cluster")
    get.command("sweeps", help="List the sweeps of a namespace")(sweeps)
    get.command("sweep", hidden=True)(sweeps)
    get.command("trials", help="List trials, and why those wait that do")(trials)
    get.command("trial", hidden=True)(trials)
    app.add_typer(get, name="get")


def sweeps(
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = None,
    no_headers: NoHeaders = False,
) -> None:
    """Print a line per sweep."""
    from kgen.cli.table import age, table
    from kgen.status import State
    from kgen.workflow.observe import see_sweeps

    api = connect(kubeconfig, context, namespace)
    seen = see_sweeps(api)
    now = datetime.now(UTC)
    if output is ListOutput.NAME:
        _print(f"sweep/{sweep.name}" for sweep in seen)
        return
    if output in (ListOutput.JSON, ListOutput.YAML):
        print(dump({"items": [sweep_json(sweep) for sweep in seen]}, Output(output)))
        return
    if not seen:
        _nothing(api.namespace)
        return
    shown = [State.SUCCEEDED, State.RUNNING, State.PENDING, State.QUEUED, State.FAILED, State.MISSING]
    header = ["NAME", "TRIALS", *(state.upper() for state in shown), "AGE"]
    rows = [
        [
            sweep.name,
            str(len(sweep.trials)),
            *(str(sweep.counts[state]) for state in shown),
            age(_since(sweep.created, now)),
        ]
        for sweep in seen
    ]
    _print(table(header, rows)[1 if no_headers else 0 :])


def trials(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="Sweep; without it those of all")] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    labels: Annotated[str, typer.Option("--selector", "-l", help="Label selector of Jobs, as in kubectl")] = "",
    where_text: Annotated[
        str | None,
        typer.Option("--where", help="Only trials with such parameters: 'optimizer=adam,learning_rate<1e-3'"),
    ] = None,
    sort_by: Annotated[
        str | None, typer.Option("--sort-by", help=f"{', '.join(_SORT_KEYS)}, or a parameter; else the file's order")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with a line for each change")] = False,
    output: OutputOption = None,
    no_headers: NoHeaders = False,
) -> None:
    """Print a line per trial."""
    from kgen.workflow.observe import see_sweep, see_sweeps

    if watch:
        _check_watch(sweep, output)
    if sweep is None:
        api = connect(kubeconfig, context, namespace)
        seen = see_sweeps(api)
    else:
        api, name = find_sweep(sweep, kubeconfig, context, namespace)
        seen = [see_sweep(api, name, labels=labels)]
    chosen = [(one.name, trial) for one in seen for trial in one.trials]
    chosen = _choose(chosen, where_text, sort_by)
    if output in (ListOutput.JSON, ListOutput.YAML):
        print(dump({"items": [trial_json(name, trial) for name, trial in chosen]}, Output(output)))
        return
    if output is ListOutput.NAME:
        _print(f"job.batch/{trial.status.address}" for _, trial in chosen if trial.job is not None)
        return
    if not chosen:
        _nothing(api.namespace)
    lines = trial_lines(chosen, wide=output is ListOutput.WIDE, several=len(seen) > 1)
    _print(lines[1 if no_headers or not chosen else 0 :])
    if watch:
        _watch(api, seen[0], {trial.id for _, trial in chosen}, wide=output is ListOutput.WIDE)


def _check_watch(sweep: str | None, output: ListOutput | None) -> None:
    from kgen.errors import InputError

    if sweep is None:
        raise InputError.of("the command line", "--watch", "no sweep", "kgen get trials SWEEP --watch")
    if output not in (None, ListOutput.WIDE):
        raise InputError.of("the command line", "--watch", f"-o {output}", "the table, or -o wide")


def _watch(api: Api, seen: SeenSweep, chosen: set[str], *, wide: bool) -> None:
    """A line for each change of these trials, until Ctrl-C."""
    import sys

    from kgen.workflow.follow import Following

    def trouble(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with Following(api, seen.name, seen.spec, on_trouble=trouble) as following:
        while True:
            changed = [(seen.name, trial) for trial in following.wait(60.0) if trial.id in chosen]
            for line in trial_lines(changed, wide=wide, several=False)[1:] if changed else []:
                print(line, flush=True)


def trial_lines(chosen: Sequence[tuple[str, SeenTrial]], *, wide: bool, several: bool) -> list[str]:
    """The table of trials with its header."""
    from kgen.cli.table import age, table
    from kgen.cli.text import short

    now = datetime.now(UTC)
    header = ["NAME", *(["SWEEP"] if several else []), "STATUS", _PARAMETERS, "AGE"]
    if wide:
        header[-1:] = ["ATTEMPTS", "OUTCOME", "POD", "NODE", "MESSAGE", "AGE"]
    rows = []
    for name, trial in chosen:
        status = trial.status
        words = ",".join(f"{key}={short(value)}" for key, value in trial.parameters.items())
        row = [trial.id, *([name] if several else []), status_word(status), words]
        if wide:
            row += [
                str(status.attempts),
                status.outcome or "<none>",
                status.pod or "<none>",
                status.node or "<none>",
                status.message or "<none>",
            ]
        rows.append([*row, age(_since(status.created, now)) if trial.job is not None else "<none>"])
    return table(header, rows, shrink=None if wide else _PARAMETERS)


def status_word(status: TrialStatus) -> str:
    """State and reason in a word: ``Running``, ``Pending:ImagePull``, ``Failed:OutOfMemory``.

    That rows are unchecked is no reason to worry, and said once elsewhere.
    """
    from kgen.status import Reason

    if status.reason in (Reason.NONE, Reason.ROWS_UNCHECKED):
        return str(status.state)
    return f"{status.state}:{status.reason}"


def _choose(
    found: list[tuple[str, SeenTrial]], where_text: str | None, sort_by: str | None
) -> list[tuple[str, SeenTrial]]:
    from kgen.errors import InputError
    from kgen.where import check_names, where

    known = dict.fromkeys(name for _, trial in found for name in trial.parameters)
    if where_text is not None:
        conditions = where(where_text)
        check_names(conditions, known)
        found = [item for item in found if all(c.holds_for(item[1].parameters) for c in conditions)]
    if sort_by is not None:
        key = sort_by.lower() if sort_by.lower() in _SORT_KEYS else sort_by
        if key not in _SORT_KEYS and key not in known:
            raise InputError.of("the command line", "--sort-by", sort_by, ", ".join([*_SORT_KEYS, *known]))
        found = sorted(found, key=lambda item: _sort_key(item[1], key))
    return found


def _sort_key(trial: SeenTrial, key: str) -> Any:
    status = trial.status
    by: dict[str, Callable[[], Any]] = {
        "name": lambda: trial.id,
        "status": lambda: status_word(status),
        "attempts": lambda: status.attempts,
        "age": lambda: -status.created.timestamp() if status.created else 0.0,
    }
    if key in by:
        return by[key]()
    value = trial.parameters.get(key)
    is_number = isinstance(value, int | float)
    return (value is None, not is_number, value if is_number else 0, str(value))


def sweep_json(sweep: SeenSweep) -> dict[str, Any]:
    """A sweep as plain values."""
    from kgen.status import State

    return {
        "sweep": sweep.name,
        "namespace": sweep.namespace,
        "created": _iso(sweep.created),
        "trials": len(sweep.trials),
        "rows_read": sweep.rows_read,
        "counts": {str(state): sweep.counts[state] for state in State},
    }


def trial_json(sweep: str, trial: SeenTrial) -> dict[str, Any]:
    """A trial as plain values."""
    status = trial.status
    return {
        "trial": trial.id,
        "sweep": sweep,
        "state": str(status.state),
        "reason": str(status.reason),
        "message": status.message,
        "outcome": status.outcome,
        "parameters": dict(trial.parameters),
        "seed": trial.seed,
        "job": None if status.address is None else str(status.address),
        "attempts": status.attempts,
        "exit_code": status.exit_code,
        "pod": status.pod or None,
        "node": status.node or None,
        "created": _iso(status.created),
        "started": _iso(status.started),
        "ended": _iso(status.ended),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _since(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else (now - moment).total_seconds()


def _print(lines: Iterable[str] | Iterator[str]) -> None:
    for line in lines:
        print(line)


def _nothing(namespace: str) -> None:
    """As kubectl: on standard error, so that a pipe gets nothing."""
    import sys

    print(f"No resources found in namespace {namespace}.", file=sys.stderr)
