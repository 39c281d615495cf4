"""kgen's built-in trainer: small convolutional networks on Keras 3 and TensorFlow.

::

    python -m kgen_trainer        the trial, or the stream of trials, that the environment names

Settings of a sweep are read by :mod:`kgen_trainer.settings`; what is measured, and when, is defined in
:mod:`kgen_trainer.course`, for a trial alone (:mod:`kgen_trainer.loop`) and for many in one program
(:mod:`kgen_trainer.many`). Importing this package is cheap: TensorFlow comes with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgen import __version__

if TYPE_CHECKING:
    from kgen.trial import Trial, Trials

__all__ = ["__version__", "describe", "train", "train_many"]


def train(trial: Trial) -> None:
    """Train one trial to its end: the function that :func:`kgen.trial.main` is given.

    Raises BadParametersError, DeviceError or DataError when the trial can't be what its sweep file asks for.
    """
    from kgen_trainer.loop import run

    run(trial)


def train_many(trials: Trials) -> None:
    """Train many trials in one program, until there are no more."""
    from kgen_trainer.many import run_many

    run_many(trials)


def describe() -> dict[str, str]:
    """What a row should say of this trainer: ``trainer``, ``framework``, ``framework_version``, ``device``,
    ``device_uuid`` (empty on a CPU). Of trials in one program ``trainer`` says so, too (:mod:`kgen_trainer.many`)."""
    from kgen_trainer.backend import device, tf

    name, uuid = device()
    return {
        "trainer": f"kgen_trainer {__version__}",
        "framework": "tensorflow",
        "framework_version": str(tf.__version__),
        "device": name,
        "device_uuid": uuid,
    }
