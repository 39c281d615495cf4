"""Tiles of networks: Keras' mathematics, Keras' optimizers, and the same bits whoever shares a tile."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgen_trainer.fused.program
from kgen_trainer.backend import tf
from kgen_trainer.fused import FusedProgram, Lanes, Stopped, is_fusable, is_too_large, program_for
from kgen_trainer.fused.batches import Patches
from kgen_trainer.fused.geometry import Geometry
from kgen_trainer.fused.network import Tile
from kgen_trainer.fused.updates import SLOTS, fresh_slots, update
from kgen_trainer.models import Widths, build_model, initialise, weights_of
from kgen_trainer.optimizers import OPTIMIZERS, build_optimizer
from kgen_trainer.program import program_for as alone
from kgen_trainer.randomness import examples_at
from kgen_trainer.settings import Settings

SMALL = Widths(2, 4, 15)
KINDS = tuple(OPTIMIZERS)
RATES = {"sgd": 0.1, "momentum": 0.05, "adam": 0.003, "adagrad": 0.05, "adadelta": 2.0, "rmsprop": 0.003}


@pytest.mark.parametrize(
    ("images", "widths", "classes", "batch"),
    [
        ((8, 8, 1), SMALL, 10, 100),
        ((28, 28, 1), SMALL, 10, 20),
        ((32, 32, 3), SMALL, 10, 8),
        ((9, 11, 2), Widths(3, 5, 7), 3, 5),
        ((15, 13, 2), Widths(3, 5, 7), 3, 5),
        ((29, 30, 1), Widths(4, 3, 5), 4, 7),
        ((4, 4, 1), Widths(1, 1, 1), 2, 1),
    ],
)
def test_logits_and_gradients_are_those_of_keras(
    images: tuple[int, int, int], widths: Widths, classes: int, batch: int
) -> None:
    """With an empty part of the image, where all four values that a pooling looks at are equal."""
    geometry, lanes = Geometry(*images, widths, classes, batch), 3
    random = np.random.default_rng(0)
    x = random.random((batch, *images), np.float32)
    x[:, : images[0] // 3] = 0
    y = random.integers(0, classes, batch, np.int32)
    weights = random.normal(0, 0.2, (lanes, geometry.weights)).astype(np.float32)
    tile, model = Tile(geometry, lanes), build_model(widths, images, classes, 0)
    given = Patches(geometry).batch(x, y)
    outputs = tile.forward(weights, given, np.ones((widths.dense, batch), np.float32))
    logits, losses, right = outputs.logits.copy(), outputs.loss.copy(), outputs.right.copy()
    gradients = tile.backward(weights, given, np.ones((widths.dense, batch), np.float32))
    for lane in range(lanes):
        theirs, expected = _keras_gradients(model, weights[lane], x, y)
        shifted = theirs - theirs.max(axis=1, keepdims=True)
        np.testing.assert_allclose(logits[lane].T, shifted, rtol=1e-5, atol=2e-5)
        np.testing.assert_allclose(
            losses[lane], np.log(np.exp(shifted).sum(1)) - shifted[np.arange(batch), y], atol=3e-5
        )
        assert list(right[lane]) == list(theirs.argmax(axis=1) == y)
        np.testing.assert_allclose(gradients[lane], expected, rtol=1e-4, atol=2e-5 * np.abs(expected).max())


def test_of_equal_logits_the_first_counts() -> None:
    geometry = Geometry(8, 8, 1, SMALL, 10, 20)
    given = Patches(geometry).batch(np.ones((20, 8, 8, 1), np.float32), np.arange(20, dtype=np.int32) % 10)
    outputs = Tile(geometry, 1).forward(np.zeros((1, geometry.weights), np.float32), given)
    assert list(outputs.right[0]) == [label == 0 for label in given.labels]


def _keras_gradients(model: Any, weights: Any, x: Any, y: Any) -> tuple[Any, Any]:
    start = 0
    for variable in weights_of(model):
        size = int(np.prod(variable.shape))
        variable.assign(weights[start : start + size].reshape(variable.shape))
        start += size
    with tf.GradientTape() as tape:
        logits = model(x, training=False)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    gradients = tape.gradient(loss, [variable.value for variable in weights_of(model)])
    return logits.numpy(), np.concatenate([gradient.numpy().ravel() for gradient in gradients])


@pytest.mark.parametrize(
    ("kind", "overrides"),
    [
        *((kind, ()) for kind in KINDS),
        ("momentum", (("momentum", 0.9), ("nesterov", True))),
        ("momentum", (("momentum", 0.0), ("nesterov", True))),
        ("adam", (("beta_1", 0.8), ("beta_2", 0.99), ("epsilon", 1e-3))),
        ("adam", (("amsgrad", True), ("beta_2", 0.5))),
        ("adagrad", (("epsilon", 1e-2), ("initial_accumulator_value", 0.0))),
        ("adadelta", (("epsilon", 1e-3), ("rho", 0.8))),
        ("rmsprop", (("epsilon", 1e-3), ("momentum", 0.7), ("rho", 0.8))),
        ("rmsprop", (("centered", True), ("epsilon", 1e-3))),
        ("rmsprop", (("initial_accumulator_value", 1.0),)),
    ],
)
def test_each_update_is_that_of_keras(kind: str, overrides: Any) -> None:
    """Over steps of very different gradients, some exactly zero, with another lane's rate beside it."""
    random, size, rate = np.random.default_rng(1), 7, RATES[kind]
    start = random.normal(size=size).astype(np.float32)
    weights, slots = np.tile(start, (2, 1)), np.stack([fresh_slots(kind, overrides, size)] * 2)
    assert slots.shape[1] == SLOTS
    variable = tf.Variable(start)
    theirs = build_optimizer(kind, overrides, [variable])
    theirs.learning_rate = rate
    for step in range(30):
        gradient = (random.normal(size=size) * 10.0 ** random.integers(-6, 2)).astype(np.float32)
        gradient[step % size] = 0
        theirs.apply([tf.constant(gradient)], [variable])
        rates = np.array([[rate / 2], [rate]], np.float32)
        update(kind, overrides, step + 1, rates, weights, slots, np.tile(gradient, (2, 1)))
    moved = variable.numpy() - start
    assert np.abs(moved).max() > 1e-3  # so the comparison means something
    np.testing.assert_allclose(weights[1] - start, moved, rtol=2e-5, atol=2e-6)
    assert not np.array_equal(weights[0], weights[1])


def mixture(number: int, **shape: Any) -> list[Settings]:
    kinds = [KINDS[at % len(KINDS)] for at in range(number)]
    return [
        Settings(optimizer=kind, learning_rate=RATES[kind] * (1 + at / 9), **shape) for at, kind in enumerate(kinds)
    ]


def chunk(program: FusedProgram, seed: int, step: int, steps: int) -> Any:
    size = program.geometry.batch
    return examples_at(seed, step * size, (step + steps) * size, program.data.examples).reshape(steps, size)


def trained(program: FusedProgram, members: Sequence[Settings], chunks: Sequence[int] = (7,)) -> tuple[Lanes, Any, Any]:
    lanes, step = program.fresh(5, members), 0
    losses, right = np.zeros(len(members)), np.zeros(len(members), np.int64)
    for steps in chunks:
        lanes, mean, hits = program.train(lanes, 5, step, chunk(program, 5, step, steps))
        losses, right, step = losses + mean * steps, right + hits, step + steps
    return lanes, losses, right


def bits(program: FusedProgram, result: tuple[Lanes, Any, Any], lane: int) -> str:
    lanes, losses, right = result
    measured = program.measure_train(lanes.pick([lane]), np.arange(150, dtype=np.int32))
    parts = (lanes.weights[lane], lanes.slots[lane], losses[lane], right[lane])
    return hashlib.sha256(b"".join(part.tobytes() for part in parts) + repr(measured).encode()).hexdigest()


SHAPES: list[dict[str, Any]] = [
    {},
    {"batch_size": 33, "scale": 1.5},
    {"dataset": "npz", "side": (13, 14)},
    {"dataset": "npz", "side": (28, 28)},
]


@pytest.mark.parametrize("shape", SHAPES, ids=["digits", "odd batch, wider", "13x14", "28x28"])
def test_a_lane_has_the_same_bits_whoever_shares_its_tile(shape: dict[str, Any], write_npz: Any) -> None:
    if side := shape.get("side"):
        random = np.random.default_rng(0)
        path = write_npz(
            x_train=random.integers(0, 256, (160, *side), np.uint8), y_train=np.arange(160) % 10,
            x_test=random.integers(0, 256, (10, *side), np.uint8), y_test=np.arange(10),
        )  # fmt: skip
        shape = {"dataset": "npz", "data": path, "batch_size": 20}
    program = program_for(Settings(**shape))
    members = mixture(program.width + 5, **shape)
    reference = trained(program, members)
    expected = [bits(program, reference, lane) for lane in range(len(members))]
    assert len(set(expected)) == len(members)
    order = np.random.default_rng(2).permutation(len(members))
    permuted = trained(program, [members[at] for at in order])
    assert [bits(program, permuted, lane) for lane in range(len(members))] == [expected[at] for at in order]
    for lane in (0, 3, len(members) - 1):
        assert bits(program, trained(program, [members[lane]]), 0) == expected[lane]
        others = [*mixture(9, **shape)[::-1], members[lane]]
        assert bits(program, trained(program, others), 9) == expected[lane]
    first = trained(program, members, [3])[0]
    split = [first.pick(range(9)), first.pick(range(9, len(members)))]
    pieces = [program.train(piece, 5, 3, chunk(program, 5, 3, 4))[0] for piece in split]
    assert np.array_equal(Lanes.joined(*pieces).weights, reference[0].weights)


_ELSEWHERE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_fused import *
program = program_for(Settings())
print(bits(program, trained(program, mixture(6)[4:]), 1))
"""


def test_another_process_gives_the_same_bits() -> None:
    program = program_for(Settings())
    here = bits(program, trained(program, mixture(program.width + 1)), 5)
    folder = str(Path(__file__).parent)
    ran = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, folder], capture_output=True, text=True, check=True, env=os.environ
    )
    assert ran.stdout.split()[-1] == here


_PERMUTED = """
import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_info
from kgen_trainer.fused.batches import Patches
from kgen_trainer.fused.geometry import Geometry
from kgen_trainer.fused.network import Tile
from kgen_trainer.models import Widths

print(*{info.get("architecture") for info in threadpool_info() if info["user_api"] == "blas"})
random = np.random.default_rng(1)
with ThreadpoolController().limit(limits=1, user_api="blas"):
    for side, channels, widths, batch in (8, 1, (2, 4, 15), 100), (8, 1, (3, 6, 22), 33), (28, 3, (2, 4, 15), 20):
        geometry = Geometry(side, side, channels, Widths(*widths), 10, batch)
        images = random.random((batch, side, side, channels), np.float32)
        given = Patches(geometry).batch(images, random.integers(0, 10, batch, np.int32))
        tile, mask = Tile(geometry, 16), np.ones((widths[2], batch), np.float32)
        weights, order = random.normal(0, 0.2, (16, geometry.weights)).astype(np.float32), random.permutation(16)
        logits, permuted = tile.forward(weights, given).logits.copy(), tile.forward(weights[order], given).logits
        assert np.array_equal(logits[order], permuted), "forward"
        tile.forward(weights, given, mask)
        gradients = tile.backward(weights, given, mask).copy()
        tile.forward(weights[order], given, mask)
        assert np.array_equal(gradients[order], tile.backward(weights[order], given, mask)), "backward"
"""


@pytest.mark.parametrize(("kernels", "flag"), [("Haswell", "avx2"), ("Sandybridge", "avx"), ("SkylakeX", "avx512f")])
def test_no_lane_sees_its_place_whatever_kernels_blas_has_for_the_processor(kernels: str, flag: str) -> None:
    """Those of three generations, as far as this processor has their instructions."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii").split()
    except OSError:
        flags = []
    if flag not in flags:
        pytest.skip(f"a processor without {flag}")
    command = [sys.executable, "-c", _PERMUTED]
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernels}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (ran.stdout.split(), ran.returncode) == ([kernels], 0), ran.stderr


def test_it_trains_as_one_after_another_does() -> None:
    """The loss of steps 46 - 50 of quickstart's mixture, dropout on; float order may part a few."""
    seed, steps = 3141592, 50
    grid = [Settings(optimizer=kind, learning_rate=10.0**power) for kind in KINDS for power in (-5, -3, -1.5, -0.5, 1)]
    program = program_for(Settings())
    lanes, _, right = program.train(program.fresh(seed, grid), seed, 0, chunk(program, seed, 0, 45))
    lanes, losses, more = program.train(lanes, seed, 45, chunk(program, seed, 45, 5))
    test = program.measure_test(lanes)
    close = []
    for lane, settings in enumerate(grid):
        sequential = alone(settings, steps)
        sequential.reset(seed, settings.learning_rate)
        _, first = sequential.train(chunk(program, seed, 0, 45))
        loss, last = sequential.train(chunk(program, seed, 45, 5))
        held_out = sequential.measure_test()
        close.append(
            abs(losses[lane] - loss) < 1e-4
            and abs(right[lane] + more[lane] - first - last) <= 1
            and abs(test[lane].loss - held_out.loss) < 1e-3
            and abs(test[lane].accuracy - held_out.accuracy) < 0.01
            and (test[lane].constant, test[lane].finite) == (held_out.constant, held_out.finite)
        )
    assert np.mean(close) >= 0.85, [grid[lane] for lane, same in enumerate(close) if not same]


@pytest.mark.parametrize("examples", [1, 99, 100, 101, 230])
def test_what_is_measured_counts_each_example_once(examples: int) -> None:
    """One batch of an evaluation has 100. The first example, which fills up the last batch, is one that is right."""
    program, sequential = program_for(Settings()), alone(Settings(), 1)
    lanes = program.fresh(3, mixture(2))
    sequential.reset(3, 0.1)
    first = next(i for i in range(100) if sequential.measure_train(np.array([i], np.int32)).accuracy == 1)
    indices = (np.arange(examples, dtype=np.int32) + first) % program.data.examples
    measured = program.measure_train(lanes, indices)[1]
    expected = sequential.measure_train(indices)
    assert measured.accuracy == pytest.approx(expected.accuracy, abs=1e-9)
    assert measured.loss == pytest.approx(expected.loss, abs=1e-6)
    assert measured.constant == expected.constant == (examples == 1)


def test_a_diverged_lane_harms_nobody() -> None:
    program = program_for(Settings())
    members = mixture(6)
    expected = trained(program, members)
    lanes = program.fresh(5, members)
    lanes.weights[2, :] = np.nan
    lanes, _, _ = program.train(lanes, 5, 0, chunk(program, 5, 0, 7))
    rest = [0, 1, 3, 4, 5]
    assert np.array_equal(lanes.weights[rest], expected[0].weights[rest])
    assert [m.finite for m in program.measure_test(lanes)] == [True, True, False, True, True, True]


def test_what_moves_without_a_gradient() -> None:
    program = program_for(Settings())
    lanes, _, _ = trained(program, mixture(6))
    moves = [program.moves_without_gradient(lanes, lane, 1, step=7) for lane in range(6)]
    assert dict(zip(KINDS, moves, strict=True)) == {kind: kind in ("momentum", "adam") for kind in KINDS}
    lanes.slots[:, 0] = 0
    assert not any(program.moves_without_gradient(lanes, lane, 4, step=7) for lane in range(6))


def _arrays(value: Any, seen: dict[int, int]) -> None:
    """Memory of all arrays in an object, by address."""
    if isinstance(value, np.ndarray):
        base = value
        while isinstance(base.base, np.ndarray):
            base = base.base
        if base.flags.owndata:
            seen[base.ctypes.data] = base.nbytes
    elif isinstance(value, list | tuple):
        for each in value:
            _arrays(each, seen)
    elif type(value).__module__.startswith("kgen_trainer.fused") and hasattr(value, "__dict__"):
        for each in vars(value).values():
            _arrays(each, seen)


@pytest.mark.parametrize("shape", [(8, 8, 1, SMALL, 10, 100), (28, 28, 1, SMALL, 10, 100), (64, 48, 3, SMALL, 10, 20)])
def test_the_memory_of_a_tile_is_known_before_it_is_made(shape: tuple[int, int, int, Widths, int, int]) -> None:
    geometry = Geometry(*shape)
    random, seen = np.random.default_rng(0), dict[int, int]()
    tile, patches = Tile(geometry, 16), Patches(geometry)
    images = random.random((geometry.batch, *shape[:3]), np.float32)
    given = patches.batch(images, np.zeros(geometry.batch, np.int32))
    weights, mask = np.zeros((16, geometry.weights), np.float32), np.ones((15, geometry.batch), np.float32)
    tile.forward(weights, given, mask)
    tile.backward(weights, given, mask)
    _arrays([tile, patches], seen)
    assert 0.9 < geometry.tile_bytes(16) / sum(seen.values()) < 2


def test_what_does_not_fit_into_memory_is_not_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(batch_size=51)
    monkeypatch.setattr(kgen_trainer.fused.program, "_memory", lambda: 4 << 20)
    assert "over a quarter of the 0.0 GiB" in (is_too_large(settings) or "")
    monkeypatch.undo()
    assert is_too_large(settings) is None
    program, capacity = program_for(settings), program_for(settings).capacity
    need = program.geometry.tile_bytes(16) * len(kgen_trainer.fused.program._living)
    monkeypatch.setattr(kgen_trainer.fused.program, "_memory", lambda: 2 * need)
    assert program.capacity < capacity


def test_what_the_first_step_traces_and_builds_is_there_before_it() -> None:
    """So that it is not counted as training."""
    program = program_for(Settings(batch_size=49))
    assert all({"toeplitz", "occurrences"} <= vars(strip).keys() for strip in program.geometry.strips)
    assert program._masks._draw.experimental_get_tracing_count() == 1
    trained(program, mixture(2, batch_size=49))
    assert program._masks._draw.experimental_get_tracing_count() == 1


def test_stopping_changes_nothing() -> None:
    program = program_for(Settings())
    lanes = program.fresh(5, mixture(3))
    before = lanes.weights.copy()
    with pytest.raises(Stopped):
        program.train(lanes, 5, 0, chunk(program, 5, 0, 30), lambda: True)
    assert np.array_equal(lanes.weights, before)


def test_width_and_capacity() -> None:
    program = program_for(Settings())
    assert program.capacity % program.width == 0
    assert program.capacity >= 288
    assert program is program_for(Settings(optimizer="sgd", learning_rate=3.0))
    initialise(program.model, 5)
    lanes = program.fresh(5, mixture(2))
    expected = [weight.value.numpy() for weight in weights_of(program.model)]
    assert all(map(np.array_equal, program.unpack(lanes, 1), expected))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Settings(), None),
        (Settings(scale=2), None),
        (Settings(model="cnn-tutorial"), "a model with 32 and 64 filters"),
        (Settings(optimizer="sgd", overrides=(("clipnorm", 1.0),)), "clipnorm of sgd"),
        (Settings(optimizer="adam", overrides=(("amsgrad", True), ("weight_decay", 0.1))), "weight_decay of adam"),
    ],
)
def test_what_can_not_be_fused_says_why(settings: Settings, why: str | None) -> None:
    found = is_fusable(settings)
    assert found is None if why is None else why in (found or "")
