"""What runs inside a trial: the contract for anybody's trainer.

::

    from kgen.trial import Trial, main

    def train(trial: Trial) -> None:
        model = build(trial.parameters["learning_rate"], seed=trial.seed)
        while True:
            with trial.training():                      # only this time counts
                loss = model.train(trial.budget.check_every_steps)
            if trial.report(step=model.step, loss=loss, train_accuracy=model.accuracy()).stop:
                return

    main(train)

Where many trials are trained in one program, ``main(train, train_many)`` gets a second function, and that a
:class:`Trials`: see there.

Needs pyarrow and nothing else, for results in a bucket obstore as well, so it drops into any image.
"""

import kgen.trial.early  # noqa: F401  before whatever takes its time to import
from kgen.errors import BadParametersError, DataError, DeviceError
from kgen.spec import Budget, Target, TrialSpec
from kgen.trial.checkpoints import CheckpointFiles
from kgen.trial.handle import Decision, Trial
from kgen.trial.many import Trials
from kgen.trial.process import main

__all__ = [
    "BadParametersError",
    "Budget",
    "CheckpointFiles",
    "DataError",
    "Decision",
    "DeviceError",
    "Target",
    "Trial",
    "TrialSpec",
    "Trials",
    "main",
]
