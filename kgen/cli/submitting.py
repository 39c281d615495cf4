"""The ways in which ``kgen submit`` creates Jobs: once, staying until the end, or as a Job that does so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from kgen.cli.arguments import cluster_command
from kgen.cli.printer import Printer
from kgen.cli.results import Teller
from kgen.cli.text import count, typed
from kgen.errors import IncompleteStageError, InterruptedRunError, TrialsFailedError
from kgen.names import stage_title

if TYPE_CHECKING:
    from datetime import datetime

    from kgen.backends.kubernetes.api import Api
    from kgen.workflow.prepare import Prepared
    from kgen.workflow.prepare_stages import PreparedSweep
    from kgen.workflow.submit import OnEvent
    from kgen.workflow.submit_stages import Options, Walked


def show(prepared: PreparedSweep, api: Api) -> None:
    """Print the plan."""
    from kgen.cli import forecast

    for line in forecast.sweep_lines(prepared, api):
        print(line)
    print(flush=True)


def detached(
    prepared: PreparedSweep, api: Api, options: Options, ask: Callable[[PreparedSweep], None] = lambda _: None
) -> None:
    """Create what is known, and what can be known now; then say what waits for what."""
    try:
        _create(prepared, api, options, ask)
    except KeyboardInterrupt:
        raise InterruptedRunError(f"stopped; the Jobs that are there go on\nto go on: {typed()}") from None


def _create(prepared: PreparedSweep, api: Api, options: Options, ask: Callable[[PreparedSweep], None]) -> None:
    from kgen.workflow.submit import store, submit
    from kgen.workflow.submit_stages import Walk, is_due

    printer = Printer(prepared)
    store(prepared, api, printer.event)
    created = unchanged = 0
    for part in prepared.parts:
        done = submit(replace(part, shared=()), api, printer.event, again=typed())
        created, unchanged = created + len(done.created), unchanged + len(done.unchanged)
    later = dict(prepared.later)
    if later and is_due(prepared, options):
        walk = Walk(prepared.spec, api, options, tell=printer.say, on_results=Teller())
        try:
            for part in walk.next():
                _begin(part, printer)
                ask(replace(prepared, parts=(part,), shared=part.shared))
                done = submit(part, api, Printer(part).event, again=typed())
                created, unchanged = created + len(done.created), unchanged + len(done.unchanged)
        except IncompleteStageError as error:
            printer.say(str(error))
        later = walk.later()
    name = prepared.spec.name
    if created or unchanged:
        others = f", {unchanged:,} created by somebody else" if unchanged else ""
        printer.say(f"{count(created, 'Job')} created{others}")
    elif not prepared.has_work and not later:
        printer.say("nothing to do")
    for stage, why in later.items():
        printer.say(f"{stage_title(stage)}: {why}")
    if later:
        printer.say(f"to go on when these Jobs have ended: {typed()}; or with --wait or --in-cluster")
    if created or unchanged:
        printer.say(f"next: {cluster_command('get trials', name, api)}, or {cluster_command('wait', name, api)}")


def by_job(
    prepared: PreparedSweep,
    api: Api,
    options: Options,
    service_account: str,
    *,
    wait: bool,
    ask: Callable[[PreparedSweep], None],
) -> None:
    """Leave it to a Job. Where no trial is to be created and no Job is at it, there is nothing for one to do but to
    wait."""
    from kgen.cli.in_cluster import raise_ended, say_submitted, watch
    from kgen.workflow.in_cluster import submit_job
    from kgen.workflow.submitting import at_work

    name = prepared.spec.name
    has_more = any(part.plan.pending for part in prepared.parts) or prepared.later or options.rechoose
    if not has_more and at_work(api, name) is None:
        if wait:
            attached(prepared, api, options)
        else:
            detached(prepared, api, options, ask)
        return
    begun = submit_job(
        prepared,
        api,
        Printer(prepared).event,
        flags=_flags(options),
        image=options.image,
        service_account=service_account,
    )
    if wait:
        raise_ended(api, begun, watch(api, begun))
    else:
        say_submitted(begun, name, api)


def _flags(options: Options) -> list[str]:
    """Of the command that the Job runs."""
    flags = [*["--rerun-stale"] * options.rerun_stale, *["--replace-running"] * options.replace_running]
    flags += [] if options.max_failures is None else ["--max-failures", str(options.max_failures)]
    flags += ["--allow-incomplete"] * options.allow_incomplete
    return flags + [word for stage in options.rechoose for word in ("--rechoose", stage)]


def attached(prepared: PreparedSweep, api: Api, options: Options, since: datetime | None = None) -> None:
    """Create everything, stage after stage, and stay until the end."""
    from kgen.cli.watching import failures, success

    name = prepared.spec.name
    try:
        done = _walked(prepared, api, options, since)
    except KeyboardInterrupt:
        is_held = prepared.spec.max_parallel is not None or prepared.spec.stages
        held = ", what was held back is not created" if is_held else ""
        raise InterruptedRunError(
            f"no longer watching; the Jobs in namespace {api.namespace} go on{held}\n"
            f"to go on: {typed()}\nto end it: {cluster_command('cancel', name, api)}"
        ) from None
    said = [f"stopped early: {done.stopped}"] if done.stopped else [done.blocked] if done.blocked else []
    if said or not done.seen.succeeded:
        lacking = [failures(done.seen, api, done.deleted)] if done.stopped or not done.seen.succeeded else []
        raise TrialsFailedError("\n".join([*said, *lacking]))
    print(success(done.seen))


def _walked(prepared: PreparedSweep, api: Api, options: Options, since: datetime | None) -> Walked:
    from kgen.cli.watching import Lines
    from kgen.workflow.attached import submit_attached
    from kgen.workflow.submit import refuse, store
    from kgen.workflow.submit_stages import Walk, Walked

    if not prepared.spec.stages:
        (only,) = prepared.parts
        done = submit_attached(
            only,
            api,
            Printer(only).event,
            Lines(),
            again=typed(),
            max_failures=options.max_failures,
            since=since,
        )
        return Walked(done.seen, done.stopped, deleted=done.deleted)
    printer = Printer()
    shown = {trial for part in prepared.parts for trial in _trials(part)}

    def begin(part: Prepared) -> OnEvent:
        if not shown.issuperset(_trials(part)):
            _begin(part, printer)
        refuse(part)
        return Printer(part).event

    store(prepared, api, Printer(prepared).event)
    walk = Walk(
        prepared.spec, api, options, tell=printer.say, on_results=Teller(), fetch=prepared.seen.has_left_something
    )
    first = [part.spec for part in prepared.parts if options.rerun_stale and part.plan.pending]
    return walk.stay(begin, Lines(), again=typed(), since=since, first=first)


def _trials(part: Prepared) -> list[str]:
    return [item.trial.id for item in part.plan.planned]


def _begin(part: Prepared, printer: Printer) -> None:
    """Say what a part is that was not known when the plan was printed."""
    from kgen.cli import forecast

    printer.say("")
    printer.say(f"{stage_title(part.spec.stage)}: {count(len(part.plan.planned), 'trial')}")
    for line in (*forecast.part_lines(part), *forecast.said_of([part])):
        printer.say(line)
