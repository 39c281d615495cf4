"""Two-layer perceptrons on scikit-learn's digits, in NumPy: all trials of a process take each step together."""

import numpy as np
from sklearn.datasets import load_digits

from kgen.trial import Trial, Trials, main

BATCH, HIDDEN, CLASSES = 50, 24, 10
CAPACITY = 100  # networks at a time: more only wait for memory
images, labels = load_digits(return_X_y=True)
x = np.pad(images / 16, ((0, 0), (0, 1)), constant_values=1).astype(np.float32)  # 1,797 × 65, the last is 1: a bias
y = np.eye(CLASSES, dtype=np.float32)[labels]  # 1,797 × 10


class Network:
    """One trial's own: its weights, its stream of random numbers, its step."""

    def __init__(self, trial: Trial) -> None:
        """Weights as the seed says."""
        self.trial, self.step = trial, 0
        self.random = np.random.default_rng(trial.seed)
        self.first = self.random.normal(0, 0.1, (x.shape[1], HIDDEN)).astype(np.float32)
        self.second = self.random.normal(0, 0.1, (HIDDEN, CLASSES)).astype(np.float32)
        self.velocities = [np.zeros_like(self.first), np.zeros_like(self.second)]


def advance(networks: list[Network]) -> None:
    """Train n networks up to their next check, whatever their rates and seeds: every array has n as its first axis.

    With h = relu(x·W1) and p = softmax(h·W2), the gradients of the mean cross-entropy over a batch of b are
    hᵀ·(p - y)/b and xᵀ·((p - y)·W2ᵀ where h > 0)/b. `@` multiplies matrix by matrix: a network's bits are the same
    whoever is trained beside it.
    """
    first, second = (np.stack([getattr(net, name) for net in networks]) for name in ("first", "second"))
    velocities = [np.stack(each) for each in zip(*(net.velocities for net in networks), strict=True)]
    rate, momentum = (
        np.array([net.trial.parameters[name] for net in networks], np.float32)[:, None, None]  # n × 1 × 1
        for name in ("learning_rate", "momentum")
    )
    steps = networks[0].trial.budget.check_every_steps
    batches = np.stack([net.random.integers(len(x), size=(steps, BATCH)) for net in networks], axis=1)
    for batch in batches:  # n × b
        inputs = x[batch]  # n × b × 65
        hidden = np.maximum(inputs @ first, 0)  # n × b × 24
        error = (softmax(hidden @ second) - y[batch]) / BATCH  # n × b × 10
        back = error @ second.transpose(0, 2, 1) * (hidden > 0)  # n × b × 24
        gradients = inputs.transpose(0, 2, 1) @ back, hidden.transpose(0, 2, 1) @ error
        for weights, velocity, gradient in zip((first, second), velocities, gradients, strict=True):
            velocity *= momentum
            velocity -= rate * gradient
            weights += velocity
    for i, net in enumerate(networks):
        net.first, net.second, net.velocities = first[i], second[i], [each[i] for each in velocities]
        net.step += steps


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def ends(net: Network) -> bool:
    """Report how the network does on all images; whether that was its last check."""
    outputs = softmax(np.maximum(x @ net.first, 0) @ net.second)
    loss = -np.log((outputs * y).sum(axis=1) + 1e-12).mean()
    accuracy = (outputs.argmax(axis=1) == labels).mean()
    return net.trial.report(step=net.step, loss=float(loss), train_accuracy=float(accuracy)).stop


def train(trial: Trial) -> None:
    """One trial alone: with `packing: sequential`, and where its seconds are measured."""
    net = Network(trial)
    while True:
        with trial.training():  # only this time counts
            advance([net])
        if ends(net):
            return


def train_many(trials: Trials) -> None:
    """All trials of a process: who ends leaves the group, who waits takes the place."""
    networks: list[Network] = []
    while networks := networks + [Network(trial) for trial in trials.take(CAPACITY - len(networks))]:
        with trials.training():  # counts for each of them, to equal shares
            advance(networks)
        for net in list(networks):
            if ends(net):
                trials.end(net.trial)
                networks.remove(net)


main(train, train_many=train_many)
