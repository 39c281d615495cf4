"""What each state that was recorded on a real node is shown as: see `tests/node/record_states.py`."""

from __future__ import annotations

from kgen.status import Reason, State
from tests.unit.status.expected import Expected

EXPECTED_REAL = {
    "succeeded": Expected(
        State.SUCCEEDED, Reason.NO_ROW, "its Job is complete, but the results hold no row of it", 1, 0
    ),
    "bad_parameters": Expected(
        State.FAILED,
        Reason.BAD_PARAMETERS,
        "the trainer refuses its parameters (exit code 64): BadParametersError: python ended with code 64: "
        "a learning rate below 0",
        1,
        64,
    ),
    "crash": Expected(
        State.FAILED,
        Reason.CRASH,
        "the trainer crashed (exit code 1) at attempt 2: TrialError: python ended with code 1: "
        "ValueError: a bug of the trainer",
        2,
        1,
    ),
    "out_of_memory": Expected(
        State.FAILED, Reason.OUT_OF_MEMORY, "killed for using more than its memory (256Mi)", 1, 137
    ),
    "out_of_memory_of_a_child": Expected(
        State.FAILED, Reason.OUT_OF_MEMORY, "killed for using more than its memory (256Mi) at attempt 2", 2, 1
    ),
    "deadline": Expected(State.FAILED, Reason.DEADLINE, "ran longer than its pod may", 1, 143),
    "disk_limit": Expected(
        State.FAILED, Reason.EVICTED, 'evicted: Usage of EmptyDir volume "scratch" exceeds the limit "16Mi"', 1, 137
    ),
    "no_data": Expected(
        State.FAILED,
        Reason.NO_DATA,
        "the data or the result store can't be used (exit code 66): /results/sweeps/full/rows: can't be written: "
        "No space left on device",
        1,
        66,
    ),
    "no_device": Expected(
        State.FAILED,
        Reason.NO_DEVICE,
        "the trainer sees no GPU (exit code 65): DeviceError: KGEN_GPUS asks for 1 GPU(s), TensorFlow 2.21.0 sees 0: "
        "it is built without GPU support: use an image with the extra cuda",
        1,
        65,
    ),
    "no_program": Expected(State.FAILED, Reason.CONFIG_ERROR, "the image has no program kgen-trial", 1, 128),
    "image_pull": Expected(
        State.PENDING,
        Reason.IMAGE_PULL,
        "image 127.0.0.1:1/trainer:1 can't be pulled: the registry does not answer",
    ),
    "node_lost": Expected(
        State.PENDING,
        Reason.UNSCHEDULABLE,
        "the one node lacks the labels that it asks for (kubernetes.io/hostname=real-1); attempt 2, after: "
        "its last pod was taken away: drained, evicted or lost with its node",
        2,
        hopeless=True,
    ),
}
