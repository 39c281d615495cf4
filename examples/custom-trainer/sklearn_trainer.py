"""A linear classifier on scikit-learn's digits, trained in mini-batches."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from kgen.trial import Trial, main

BATCH = 100


def train(trial: Trial) -> None:
    """Report the accuracy on held-out digits at each check."""
    images, labels = load_digits(return_X_y=True)
    test = np.arange(len(labels)) % 5 == 4
    x, y = images[~test] / 16, labels[~test]
    rng = np.random.default_rng(trial.seed)
    model = SGDClassifier(loss=trial.parameters["loss"], alpha=trial.parameters["alpha"], random_state=trial.seed)
    step = 0
    while True:
        with trial.training():  # only this time counts
            for _ in range(trial.budget.check_every_steps):
                batch = rng.integers(len(y), size=BATCH)
                model.partial_fit(x[batch], y[batch], classes=np.arange(10))
                step += 1
        if trial.report(step=step, test_accuracy=model.score(images[test] / 16, labels[test])).stop:
            return


main(train)
