"""Keras 3 on TensorFlow, set up once per process: everything here must happen before the first tensor.

The only module that imports ``keras`` and ``tensorflow``; the others take them from here.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_info

from kgen import __version__
from kgen.errors import BadParametersError, DeviceError, MissingExtraError
from kgen.names import ENV_GPUS, ENV_IMAGE_REVISION
from kgen.trial.environment import processor

__all__ = ["Tensor", "announce", "device", "keras", "products", "require_gpus", "tf", "versions"]

_ENVIRONMENT: Final = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # warnings of every process of a sweep would bury the trials' own lines
    # oneDNN's kernels are 2.5 to 5 times faster on these networks, and give other bits than TensorFlow's own. A default
    # that hangs on the processor's features, as TensorFlow's does, would make two machines differ for no reason.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


def _import() -> tuple[Any, Any]:
    chosen = os.environ.get("KERAS_BACKEND", "tensorflow")
    if chosen != "tensorflow":
        raise BadParametersError(f"KERAS_BACKEND is {chosen!r}: the built-in trainer runs on 'tensorflow' only")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # wins over a ~/.keras/keras.json that says otherwise
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import keras
        import tensorflow
    except ImportError as error:
        raise MissingExtraError(f"the built-in trainer ({error})", "tensorflow") from error
    return keras, tensorflow


def _configure() -> None:
    """Threads as the back end wants them, and the same bits in every run."""
    threading = tf.config.threading
    for name, set_threads in (
        ("TF_NUM_INTRAOP_THREADS", threading.set_intra_op_parallelism_threads),
        ("TF_NUM_INTEROP_THREADS", threading.set_inter_op_parallelism_threads),
    ):
        if os.environ.get(name, "").isdigit():
            set_threads(int(os.environ[name]))
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)  # several workers may share one GPU
    if gpus:
        # Without the first, some of cuDNN's kernels add in any order. Without the second, a GPU since Ampere rounds
        # to 11 bits and its curves could not be compared with those of a CPU or of an older GPU.
        tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)


keras, tf = _import()
Tensor = Any
"""A TensorFlow tensor; TensorFlow comes without types."""
_configure()


def require_gpus() -> None:
    """Raise DeviceError when the back end asked for more GPUs than TensorFlow sees: never train on a CPU instead."""
    wanted = os.environ.get(ENV_GPUS) or "0"
    if not wanted.isdecimal():
        raise DeviceError(f"{ENV_GPUS} is {wanted!r}: not a whole number")
    seen = len(tf.config.list_physical_devices("GPU"))
    if seen >= int(wanted):
        return
    if tf.test.is_built_with_gpu_support():
        why = "does the container get the device, and is the node's driver new enough?"
    else:
        why = "it is built without GPU support: use an image with the extra cuda"
    raise DeviceError(f"{ENV_GPUS} asks for {wanted} GPU(s), TensorFlow {tf.__version__} sees {seen}: {why}")


def versions() -> dict[str, str]:
    """Of all that a trial's bits depend on beside its settings and its processor."""
    return {"kgen": __version__, "Keras": str(keras.__version__), "TensorFlow": str(tf.__version__)}


@functools.cache
def products() -> str:
    """What multiplies matrices beside TensorFlow, such as ``NumPy 2.4.6 with openblas 0.3.31 for SkylakeX``: fused
    trials' bits hang on it."""
    found = {(each["internal_api"], str(each["version"]), str(each.get("architecture", "")))
             for each in threadpool_info() if each["user_api"] == "blas"}  # fmt: skip
    libraries = [f"{name} {version}{f' for {kernels}' if kernels else ''}" for name, version, kernels in sorted(found)]
    return f"NumPy {np.__version__} with {', '.join(libraries) or 'no BLAS'}"


def device() -> tuple[str, str]:
    """Name and UUID of what does the work: the first GPU, or the processor (which has no UUID)."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return processor(), ""
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)), _gpu_uuid()


def _gpu_uuid() -> str:
    """Empty where it can't be known for certain: nvidia-smi lists also GPUs that this process was not given."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    if visible.startswith(("GPU-", "MIG-")):
        return visible
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return ""
    if visible.isdigit() and int(visible) < len(listed):
        return listed[int(visible)]
    return listed[0] if len(listed) == 1 else ""


@functools.cache
def announce() -> None:
    """Print one line of versions and devices, once per process."""
    threads = tf.config.threading
    revision = os.environ.get(ENV_IMAGE_REVISION)
    print(
        f"kgen_trainer: kgen {__version__}{f' (revision {revision})' if revision else ''}, "
        f"Keras {keras.__version__} on TensorFlow {tf.__version__}, Python {sys.version.split()[0]}, {device()[0]}, "
        f"GPUs asked for {os.environ.get(ENV_GPUS) or 0}, visible {len(tf.config.list_physical_devices('GPU'))}, "
        f"threads within an operation {threads.get_intra_op_parallelism_threads() or 'all'}, "
        f"between operations {threads.get_inter_op_parallelism_threads() or 'all'}",
        flush=True,
    )
