"""Data sets, loaded once per process and kept as tensors on the device."""

from __future__ import annotations

import contextlib
import functools
import socket
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgen.errors import DataError, MissingExtraError
from kgen_trainer.backend import Tensor, keras, tf

_KEYS: Final = ("x_train", "y_train", "x_test", "y_test")
_KNOWN_CLASSES: Final = {"digits": 10, "mnist": 10, "cifar10": 10}
_SMALLEST_SIDE: Final = 4
"""Pixels: two poolings halve a side twice."""
_SILENCE_SECONDS: Final = 20.0
"""How long a download may stand still: in a cluster without a way out packets are often dropped, not refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images as float32 [n, height, width, channels], labels as int32 [n] in 0 … ``classes`` - 1."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    """Held out: never trained on."""
    y_test: Tensor
    classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.x_train.shape[1:]
        return int(height), int(width), int(channels)

    @property
    def examples(self) -> int:
        """Size of the training set."""
        return int(self.x_train.shape[0])


@functools.lru_cache(maxsize=2)
def load(dataset: str, data: str | None) -> Dataset:
    """One of :data:`kgen.built_in.DATASETS`.

    * ``digits``: scikit-learn's 1,797 handwritten digits, 8×8×1, 10 classes, divided by 16. Of each five in
      scikit-learn's order the last is held out: 1,438 to train on, 359 held out.
    * ``npz``: the arrays ``x_train, y_train, x_test, y_test`` of the file ``data``. Images are [n, height, width] or
      [n, height, width, channels], at least 4×4; uint8 is divided by 255, anything else is taken as it is. Labels
      are whole numbers from 0, [n] or [n, 1]; the largest in ``y_train`` says how many classes there are.
    * ``mnist``, ``cifar10``: such a file, or without ``data`` what Keras' own downloader brings.

    Raises DataError when there is no such data or it can't be what it should be.
    """
    if dataset == "digits":
        arrays = _digits()
    elif data is not None:
        arrays = _read_npz(data)
    else:
        arrays = _download(dataset)
    return _dataset(arrays, data or dataset, _KNOWN_CLASSES.get(dataset))


Arrays = dict[str, NDArray[Any]]


def _digits() -> Arrays:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("the data set digits (scikit-learn)", "tensorflow") from error
    bunch = load_digits()
    x, y = bunch.images.astype(np.float32) / np.float32(16), bunch.target
    held_out = np.arange(len(x)) % 5 == 4
    return {"x_train": x[~held_out], "y_train": y[~held_out], "x_test": x[held_out], "y_test": y[held_out]}


def _read_npz(path: str) -> Arrays:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise DataError(f"{path}: one array (.npy), not a .npz with {', '.join(_KEYS)}")
        with loaded as file:
            missing = [key for key in _KEYS if key not in file.files]
            if missing:
                raise DataError(f"{path}: no {', '.join(missing)}; there are {', '.join(file.files) or 'no arrays'}")
            return {key: file[key] for key in _KEYS}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a readable .npz file ({error})") from error


def _download(dataset: str) -> Arrays:
    try:
        with _impatient():
            (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, dataset).load_data()
    except Exception as error:  # a download fails in more ways than can be listed
        raise DataError(
            f"{dataset} could not be downloaded ({error}): give data: the path of a file with {', '.join(_KEYS)}"
        ) from error
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Give up connections that say nothing; Keras' downloader itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _dataset(arrays: Arrays, where: str, classes: int | None) -> Dataset:
    images, labels = {}, {}
    for part in ("train", "test"):
        images[part] = _images(arrays[f"x_{part}"], f"{where}: x_{part}")
        labels[part] = _labels(arrays[f"y_{part}"], f"{where}: y_{part}")
        if len(images[part]) != len(labels[part]):
            raise DataError(f"{where}: {len(images[part])} images in x_{part}, {len(labels[part])} labels in y_{part}")
    if images["train"].shape[1:] != images["test"].shape[1:]:
        raise DataError(
            f"{where}: x_train has images of {images['train'].shape[1:]}, x_test {images['test'].shape[1:]}"
        )
    largest = int(labels["train"].max())
    if classes is None:
        classes = largest + 1
        if classes > len(labels["train"]):
            raise DataError(f"{where}: a label {largest} in {len(labels['train'])} training examples: no class numbers")
    for part, values in labels.items():
        if values.max() >= classes:
            raise DataError(f"{where}: label {values.max()} in y_{part}, allowed 0 … {classes - 1}")
    return Dataset(
        x_train=tf.constant(images["train"]),
        y_train=tf.constant(labels["train"]),
        x_test=tf.constant(images["test"]),
        y_test=tf.constant(labels["test"]),
        classes=classes,
    )


def _images(array: NDArray[Any], where: str) -> NDArray[np.float32]:
    if array.dtype.kind not in "uif":
        raise DataError(f"{where}: of type {array.dtype}, allowed numbers")
    if array.ndim not in (3, 4):
        raise DataError(f"{where}: shape {array.shape}, allowed [n, height, width] or [n, height, width, channels]")
    if array.size == 0:
        raise DataError(f"{where}: empty, of shape {array.shape}")
    if min(array.shape[1:3]) < _SMALLEST_SIDE:
        raise DataError(f"{where}: images of {array.shape[1:]}, allowed at least {_SMALLEST_SIDE}×{_SMALLEST_SIDE}")
    with np.errstate(over="ignore"):  # a pixel too large for 32 bits becomes infinite, and the trial diverges
        images = array.astype(np.float32)
    if array.dtype == np.uint8:
        images /= np.float32(255)
    return images[..., np.newaxis] if images.ndim == 3 else images


def _labels(array: NDArray[Any], where: str) -> NDArray[np.int32]:
    if array.dtype.kind not in "ui":
        raise DataError(f"{where}: of type {array.dtype}, allowed whole numbers")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{where}: shape {array.shape}, allowed [n] or [n, 1]")
    if array.size == 0:
        raise DataError(f"{where}: empty")
    if array.min() < 0 or array.max() >= 2**31:
        raise DataError(f"{where}: labels {array.min()} … {array.max()}, allowed from 0")
    return array.astype(np.int32)
