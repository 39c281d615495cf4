"""``kgen get sweeps`` and ``kgen get trials``: what is on the cluster, as tables."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace, connect, find_sweep
from kgen.cli.output import ListOutput, Output, dump

if TYPE_CHECKING:
    from kgen.backends.kubernetes.api import Api
    from kgen.status import TrialStatus
    from kgen.workflow.observe import SeenSweep, SeenTrial

    _Named = list[tuple[str, SeenTrial]]  # each with the name of its sweep
    Choose = Callable[..., _Named]

_PARAMETERS: Final = "PARAMETERS"
_SORT_KEYS: Final = ("name", "status", "age", "attempts")

OutputOption = Annotated[
    ListOutput | None, typer.Option("--output", "-o", metavar="FORMAT", help="wide, json, yaml or name")
]
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
    for sweep in seen:
        _warn(sweep.trouble)
        _warn(sweep.unread)
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
            str(len(sweep.asked)),
            *(str(sweep.counts[state]) for state in shown),
            age(_since(sweep.created, now)),
        ]
        for sweep in seen
    ]
    _print(table(header, rows)[1 if no_headers else 0 :])


def trials(
    sweep: Annotated[str | None, typer.Argument(metavar="SWEEP", help="Sweep; without it those of all")] = None,
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

    choose = partial(_choose, where_text=where_text, sort_by=sort_by)
    if sweep is None:
        api = connect(kubeconfig, context, namespace)
    else:
        api, sweep = find_sweep(sweep, kubeconfig, context, namespace)
    if watch:
        _check_watch(sweep, labels, output)
        _watch(api, sweep or "", choose, wide=output is ListOutput.WIDE, header=not no_headers)
    with _no_collection():
        seen = see_sweeps(api, labels=labels) if sweep is None else [see_sweep(api, sweep, labels=labels)]
        for one in seen:
            _warn(one.trouble)
            _warn(one.unread)
        chosen = choose([(one.name, trial) for one in seen for trial in one.trials])
        stages = any(_has_stages(one) for one in seen)
        _show(chosen, api.namespace, output, several=sweep is None, stages=stages, header=not no_headers)


def _has_stages(sweep: SeenSweep) -> bool:
    return sweep.spec is not None and len(sweep.spec.stages) > 1


def _show(
    chosen: _Named, namespace: str, output: ListOutput | None, *, several: bool, stages: bool, header: bool
) -> None:
    if output in (ListOutput.JSON, ListOutput.YAML):
        print(dump({"items": [trial_json(name, trial) for name, trial in chosen]}, Output(output)))
        return
    if output is ListOutput.NAME:
        _print(dict.fromkeys(f"job.batch/{trial.status.address}" for _, trial in chosen if trial.job is not None))
        return
    if not chosen:
        _nothing(namespace)
        return
    wide = output is ListOutput.WIDE
    lines = trial_lines(chosen, wide=wide, several=several, stages=stages, jobs=_share_jobs(chosen))
    _print(lines if header else lines[1:])


def _share_jobs(found: _Named) -> bool:
    """Whether trials have Jobs that are not told by their own names."""
    return any(trial.pack for _, trial in found)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the search for cycles, which takes half of the time of 2,000 trials: JSON has none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _check_watch(sweep: str | None, labels: str, output: ListOutput | None) -> None:
    from kgen.errors import InputError

    if sweep is None:
        raise InputError.of("the command line", "--watch", "no sweep", "kgen get trials SWEEP --watch")
    if labels:
        raise InputError.of("the command line", "--watch", "--selector", "--where, which chooses by parameters")
    if output not in (None, ListOutput.WIDE):
        raise InputError.of("the command line", "--watch", f"-o {output}", "the table, or -o wide")


def _watch(api: Api, name: str, choose: Choose, *, wide: bool, header: bool) -> NoReturn:
    """The table, then a line for each change, until Ctrl-C."""
    import sys

    from kgen.workflow.follow import Following

    def trouble(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with Following.stored(api, name, on_trouble=trouble) as following:
        changed = list(following.see().trials)
        spec = following.see().spec
        jobs = spec.trials_per_pod > 1 if spec is not None else any(trial.pack for trial in changed)
        stages = _has_stages(following.see())
        widths: list[int] = []
        while True:
            everything = [(name, trial) for trial in following.see().trials]
            chosen = choose([(name, trial) for trial in changed], of=everything)
            options = {"wide": wide, "several": False, "stages": stages, "jobs": jobs}
            lines = trial_lines(chosen, widths=widths, **options) if chosen else []
            for line in lines if header else lines[1:]:
                print(line, flush=True)
            header = header and not lines
            changed = following.wait(60.0)


def trial_lines(
    chosen: Sequence[tuple[str, SeenTrial]],
    *,
    wide: bool,
    several: bool,
    stages: bool = False,
    jobs: bool = False,
    widths: list[int] | None = None,
) -> list[str]:
    """The table of trials with its header, and a column for where they belong if they are of ``several`` sweeps or
    ``stages``. ``jobs``: the wide one names their Jobs, because some share one. ``widths`` are those of the columns of
    lines before, and become those of these."""
    from kgen.cli.table import age, table
    from kgen.cli.text import short

    now = datetime.now(UTC)
    header = ["NAME", *(["SWEEP"] if several else []), *(["STAGE"] if stages else []), "STATUS", _PARAMETERS, "AGE"]
    if wide:
        header[-1:] = [*(["JOB"] if jobs else []), "ATTEMPTS", "OUTCOME", "POD", "NODE", "MESSAGE", "AGE"]
    rows = []
    for name, trial in chosen:
        status = trial.status
        words = ",".join(f"{key}={short(value)}" for key, value in trial.parameters.items())
        stage = [trial.stage or "<none>"] if stages else []
        row = [trial.id, *([name] if several else []), *stage, status_word(status), words]
        if wide:
            row += [
                *([trial.job_name or "<none>"] if jobs else []),
                str(status.attempts),
                status.outcome or "<none>",
                status.pod or "<none>",
                status.node or "<none>",
                status.message or "<none>",
            ]
        rows.append([*row, age(_since(status.created, now)) if trial.job is not None else "<none>"])
    return table(header, rows, shrink=None if wide else _PARAMETERS, widths=widths)


def status_word(status: TrialStatus) -> str:
    """State and reason in a word: ``Running``, ``Pending:ImagePull``, ``Failed:OutOfMemory``.

    That rows are unchecked is no reason to worry, and said once elsewhere.
    """
    from kgen.status import Reason

    if status.reason in (Reason.NONE, Reason.ROWS_UNCHECKED):
        return str(status.state)
    return f"{status.state}:{status.reason}"


def _choose(found: _Named, *, where_text: str | None, sort_by: str | None, of: _Named | None = None) -> _Named:
    """Those that the options choose, in their order; ``of`` are all trials, whose parameters may be named."""
    from kgen.errors import InputError
    from kgen.where import check_names, where

    known = dict.fromkeys(name for _, trial in (of or found) for name in trial.parameters)
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
        "trials": len(sweep.asked),
        "trouble": sweep.trouble or None,
        "rows_read": sweep.rows_read,
        "rows_unread": sweep.unread or None,
        "counts": {str(state): sweep.counts[state] for state in State},
    }


def trial_json(sweep: str, trial: SeenTrial) -> dict[str, Any]:
    """A trial as plain values."""
    status = trial.status
    return {
        "trial": trial.id,
        "sweep": sweep,
        "stage": trial.stage or None,
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


def _warn(trouble: str) -> None:
    """That a sweep's file can't be read, once, on standard error: the table then has its Jobs only."""
    import sys

    if trouble:
        print(f"kgen: {trouble}", file=sys.stderr)


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
