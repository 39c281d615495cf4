"""``main``: what a trainer's process does around its ``train`` function."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Final, NoReturn, Protocol

from kgen import names
from kgen.errors import BadParametersError, DataError, StoreError, TrialError, TrialExit
from kgen.results.rows import TrialRow
from kgen.results.store import open_store
from kgen.spec import Packing, TrialSpec
from kgen.trial.attempt import Describe, error_text
from kgen.trial.begun import PATIENCE_SECONDS as NOTE_SECONDS
from kgen.trial.channel import Begin, Channel, ChannelSource, Ended, Interrupt, Report, Start, Started, resident_bytes
from kgen.trial.crew import Crew, Source
from kgen.trial.environment import Surroundings
from kgen.trial.fused import Fused
from kgen.trial.many import TrainMany
from kgen.trial.output import Tail, complain, of_trial, printable, say, tee_output
from kgen.trial.pack import Pack, PackSource, accepted_row_file, read_pack
from kgen.trial.session import kill_session
from kgen.trial.signals import hearing_signals
from kgen.trial.single import OneByOne, Single, Train

PATIENCE_SECONDS: Final = 600.0
"""How long a trial tries to write its row into a bucket that does not answer: training went into it."""
START_SECONDS: Final = 60.0
"""How long a bucket may fail to answer before a trial begins: after that the trial has failed for good, and a restart
of a service should not cost a night's sweep."""
_PARENT: Final = int(os.environ.pop(names.ENV_PARENT, "0")) or os.getppid()
"""Who started this process; it may be gone before this line runs, so a local worker is told."""


class Work(Protocol):
    """What a process does with its trials, as the threads see it that hear of an interrupt."""

    def close(self) -> bool:
        """Whether a trial runs, or has begun and not ended; where none has, none will begin any more."""

    def stop(self, reason: str) -> None:
        """Begin no trial any more, and ask those that run to stop."""

    def interrupt(self, reason: str) -> None:
        """Stop, and end the process once every row is written; return only if the main thread does so itself."""


def main(train: Train, train_many: TrainMany | None = None, *, describe: Describe = dict) -> NoReturn:
    """Run ``train`` for the trials that this process was started for, and exit with a code of :class:`TrialExit`.

    The environment says which: one trial (a Job), a file of several (a Job with ``trials_per_pod``), or the stream
    that a local worker is fed. A sweep with ``packing: fused`` has them trained many at a time, by ``train_many``,
    which gets a :class:`kgen.trial.Trials`. ``describe`` is called before each trial (fused: whenever some begin) and
    says what the row can't know: ``trainer``, ``framework``, ``framework_version``, ``device``, ``device_uuid``.
    """
    process = None
    try:
        process = _Process(train, train_many, describe)
        worker = os.environ.pop(names.ENV_WORKER, None)
        if worker is not None:
            os.set_inheritable(int(worker), False)  # a trainer's own children must not hold the socket open
            code = process.serve(Channel(socket.socket(fileno=int(worker))))
        else:
            code = process.run()
    except (TrialError, StoreError) as error:
        code = report_end(error) if process is None else process.report_end(error)
    sys.stdout.flush()
    sys.stderr.flush()
    if process is not None:
        process.leave(code)
    os._exit(code)


def report_end(error: TrialError | StoreError, *more: str) -> int:
    """Say why the process ends, and more lines; returns its code."""
    print(f"kgen: {error}", file=sys.stderr, flush=True)
    for line in more:
        print(line, flush=True)
    tell_kubelet("\n".join([str(error), *more]))
    return error.exit_code if isinstance(error, TrialError) else int(TrialExit.NO_DATA)


class _Process:
    def __init__(self, train: Train, train_many: TrainMany | None, describe: Describe) -> None:
        self._train = train
        self._train_many = train_many
        self._describe = describe
        self._surroundings = Surroundings.read()
        self._is_fused = self._surroundings.packing is Packing.FUSED
        if self._is_fused and train_many is None:
            raise BadParametersError(
                f"{names.ENV_PACKING} is {Packing.FUSED}, but this trainer trains one at a time: "
                "give kgen.trial.main its train_many, or set execution.packing: sequential"
            )
        self._store = open_store(self._surroundings.results, patience=PATIENCE_SECONDS)
        self._tail: Tail = tee_output()
        self._channel: Channel | None = None
        self._pack: Pack | None = None
        """The trials of a pack, once it is known which have a result."""
        self._leads_session = False
        """Whether this is a worker, with a session of its own for what it starts."""

    def leave(self, code: int) -> NoReturn:
        """End at once: frameworks' own exit hooks can hang or crash, and nothing is left to wait for."""
        if self._leads_session:
            # Whoever started this process does the same, but may be killed at this very moment.
            kill_session(os.getpid())
            if os.getppid() != _PARENT:
                os.killpg(0, signal.SIGKILL)  # what has been started since
        os._exit(code)

    def report_end(self, error: TrialError | StoreError) -> int:
        """Say why the process ends, and how the trials of its pack stand; returns its code."""
        return report_end(error, *([] if self._pack is None else [self._pack.message()]))

    # -- the trials of a Job

    def run(self) -> int:
        """The trials that the environment names; returns the exit code."""
        trials, is_pack = self._named()
        pack = Pack(trials)
        store = open_store(self._surroundings.results, patience=START_SECONDS)
        if is_pack or self._is_fused:
            pack.look_up(store, self._surroundings.job)
            self._pack = pack if is_pack else None
            if found := len(trials) - len(pack.missing):
                print(f"kgen: {found} of {len(trials)} trials have a result already", flush=True)
            if refused := len(pack.missing) - sum(map(len, pack.turns())):
                print(f"kgen: {refused} failed in this Job for their parameters, and are not tried again", flush=True)
        elif done := accepted_row_file(store, trials[0]):
            print(f"kgen: trial {trials[0].id} has a result already ({done}); nothing to do")
            return TrialExit.OK
        if not pack.missing:
            return TrialExit.OK
        if not pack.turns():
            return self._end_of(pack, is_interrupted=False)
        store.check(START_SECONDS)  # better said now than after hours of training
        if self._is_fused:
            return self._run_fused(pack)
        return self._run_pack(pack) if is_pack else self._run_single(trials[0])

    def _named(self) -> tuple[list[TrialSpec], bool]:
        """The trials, and whether they are a pack."""
        if file := os.environ.get(names.ENV_TRIALS):
            return read_pack(file), True
        text = os.environ.get(names.ENV_TRIAL)
        if text is None:
            raise DataError(
                f"no trial to run: {names.ENV_TRIAL} is not set. Start trainers through 'kgen run sweep.yaml'."
            )
        try:
            return [TrialSpec.from_json(text)], False
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{names.ENV_TRIAL} is not a trial: {error}") from error

    def _run_single(self, spec: TrialSpec) -> int:
        attempt = self._single(spec, self._surroundings.attempt, on_failure=complain)
        work = OneByOne(self._train, self._describe, self.leave)
        with self._hearing(work):
            if not work.begin(attempt):
                return TrialExit.INTERRUPTED
            ending = work.run(attempt)
        if ending.exit_code:
            tell_kubelet(ending.reason)
        return ending.exit_code

    def _run_pack(self, pack: Pack) -> int:
        """One after another; the failure of one does not keep the others from their turn."""
        work = OneByOne(self._train, self._describe, lambda code: self._leave_pack(pack, code))
        name = pack.free_name(self._surroundings.attempt)
        note = self._note(pack, name)
        with self._hearing(work):
            for spec in [spec for group in pack.turns() for spec in group]:
                note([spec.id])
                self._tail.clear()
                attempt = self._single(spec, name, on_failure=_complaint(spec.id), on_written=pack.note)
                if not work.begin(attempt):
                    note([])
                    break
                work.run(attempt)
                work.rest()
        return self._end_of(pack, is_interrupted=work.interrupted is not None)

    def _run_fused(self, pack: Pack) -> int:
        name = pack.free_name(self._surroundings.attempt)
        source = PackSource(pack, name, self._note(pack, name))

        def leave() -> NoReturn:
            source.note_end()
            self._leave_pack(pack, TrialExit.INTERRUPTED)

        work = self._fused(source, leave, on_failure=complain)
        with self._hearing(work):
            work.run()
        source.note_end()
        return self._end_of(pack, is_interrupted=work.is_interrupted)

    def _note(self, pack: Pack, attempt: str) -> Callable[[Iterable[str]], None]:
        """Where what begins is noted; of one that is alone there is nothing to say."""
        if sum(map(len, pack.turns())) < 2:
            return lambda begun: None
        store = open_store(self._surroundings.results, patience=NOTE_SECONDS)
        return pack.notebook(store, attempt, self._surroundings.job).note

    def _leave_pack(self, pack: Pack, code: int) -> NoReturn:
        ended = self._end_of(pack, is_interrupted=True)
        self.leave(ended if code == TrialExit.INTERRUPTED else code)

    def _end_of(self, pack: Pack, *, is_interrupted: bool) -> int:
        code = pack.exit_code(is_interrupted=is_interrupted)
        print(message := pack.message(), flush=True)
        if code:
            tell_kubelet(message)
        return code

    # -- the trials that a local worker is fed

    def serve(self, channel: Channel) -> int:
        """Trials as they come over the channel, until the other side is done with this process."""
        self._leads_session = os.getpid() == os.getpgrp()
        self._channel = channel
        return self._serve_many(channel) if self._is_fused else self._serve_each(channel)

    def _serve_each(self, channel: Channel) -> int:
        work = OneByOne(self._train, self._describe, self.leave)
        with self._hearing(work):
            self._listen_to(channel, work)
            while (start := channel.next_start()) is not None:
                self._tail.clear()
                attempt = self._single(start.trial, start.attempt, on_report=_Sender(channel, start.trial.id))
                if not work.begin(attempt):
                    break
                channel.send(Started(start.trial.id))
                work.run(attempt)
                assert attempt.final is not None, "an attempt has written its row when it ends"
                ended = Ended.of(attempt.final, resident_bytes())
                channel.send(ended)
                work.rest()
                if ended.ends_worker or work.interrupted is not None:
                    break
        return TrialExit.OK if work.interrupted is None else TrialExit.INTERRUPTED

    def _serve_many(self, channel: Channel) -> int:
        work = self._fused(ChannelSource(channel), lambda: self.leave(TrialExit.INTERRUPTED), ends_after_crash=True)
        with self._hearing(work):
            self._listen_to(channel, work)
            work.run()
        return TrialExit.INTERRUPTED if work.is_interrupted else TrialExit.OK

    def _listen_to(self, channel: Channel, work: Work) -> None:
        threading.Thread(target=self._listen, args=(channel, work), daemon=True).start()

    def _listen(self, channel: Channel, work: Work) -> None:
        """On a thread of its own: hears an interrupt, or that the other side is gone, while a trial is training."""
        try:
            for message in channel.messages():
                if isinstance(message, Start | Begin):
                    channel.queue(message)
                elif isinstance(message, Interrupt):
                    self._interrupt(work, message.reason)
        except Exception as error:  # noqa: BLE001  a thread that ends in silence would let both sides wait for ever
            say(error_text(error))
            self.leave(TrialExit.CRASH)
        if work.close():
            self._interrupt(work, "the process that fed this worker is gone")
        channel.queue(None)

    # -- interrupts

    def _hearing(self, work: Work) -> AbstractContextManager[None]:
        return hearing_signals(lambda number: self._interrupt(work, number.name))

    def _interrupt(self, work: Work, reason: str) -> None:
        work.stop(reason)
        if self._channel is not None:
            self._channel.queue(None)  # whoever waits for trials waits no more
        work.interrupt(reason)

    # -- how trials are run

    def _single(
        self,
        spec: TrialSpec,
        attempt: str,
        *,
        on_report: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
        on_failure: Callable[[str], object] = lambda text: None,
        on_written: Callable[[TrialRow], None] = lambda row: None,
    ) -> Single:
        return Single(spec, attempt, store=self._store, surroundings=self._surroundings, tail=self._tail,
                      on_report=on_report, on_failure=on_failure, on_written=on_written)  # fmt: skip

    def _fused(
        self,
        source: Source,
        leave: Callable[[], NoReturn],
        *,
        on_failure: Callable[[str], object] = lambda text: None,
        ends_after_crash: bool = False,
    ) -> Fused:
        assert self._train_many is not None, "checked at the start"
        crew = Crew(source, store=self._store, surroundings=self._surroundings, tail=self._tail,
                    describe=self._describe, on_failure=on_failure, on_unwritable=self._give_up)  # fmt: skip
        return Fused(self._train_many, crew, tell=complain, leave=leave, ends_after_crash=ends_after_crash)

    def _give_up(self, error: BaseException) -> NoReturn:
        """No row can be written any more: what is trained from here on would be lost."""
        if not isinstance(error, TrialError | StoreError):
            say(error_text(error))
            if self._pack is not None:
                self._end_of(self._pack, is_interrupted=False)
            self.leave(TrialExit.CRASH)
        self.leave(self.report_end(error))


class _Sender:
    """Sends a trial's reports over the channel, no faster than a display can use them."""

    def __init__(self, channel: Channel, trial: str) -> None:
        self._channel = channel
        self._trial = trial

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self._channel.send_limited(Report(self._trial, step, dict(metrics)))


def _complaint(trial: str) -> Callable[[str], object]:
    return lambda text: complain(of_trial(trial, text))


def tell_kubelet(reason: str) -> None:
    """Leave the reason of the end where Kubernetes takes it into the pod's status; elsewhere there is no such file."""
    with contextlib.suppress(OSError), os.fdopen(os.open(names.TERMINATION_LOG, os.O_WRONLY), "w") as file:
        file.write(printable(reason))
