"""A trial that fills the memory of its own process, so that nobody is left to write its row."""

from kgen.trial import Trial, main


def train(trial: Trial) -> None:
    hoard = []
    trial.report(step=1, accuracy=0.1)
    while True:
        hoard.append(b"x" * (1 << 20))


main(train)
