from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kgen.errors import DataError
from kgen_trainer.backend import keras
from kgen_trainer.data import load


def test_of_each_five_digits_the_last_is_held_out() -> None:
    data = load("digits", None)
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1) / 16
    assert (data.examples, data.image_shape, data.classes) == (1438, (8, 8, 1), 10)
    np.testing.assert_array_equal(data.x_test.numpy(), images[4::5].astype(np.float32))
    np.testing.assert_array_equal(data.y_test.numpy(), labels[4::5])
    np.testing.assert_array_equal(data.x_train.numpy(), np.delete(images, np.s_[4::5], axis=0).astype(np.float32))
    np.testing.assert_array_equal(data.y_train.numpy(), np.delete(labels, np.s_[4::5]))


def test_data_is_loaded_once_per_process(write_npz: Any) -> None:
    path = write_npz()
    first = load("npz", path)
    Path(path).unlink()
    assert load("npz", path) is first


def test_bytes_are_scaled_and_gray_images_get_a_channel(write_npz: Any) -> None:
    x = np.zeros((30, 8, 8), np.uint8)
    x[0, 0, :2] = 255, 51
    data = load("npz", write_npz(x_train=x))
    assert (data.image_shape, data.classes) == ((8, 8, 1), 3)
    assert data.x_train.numpy()[0, 0, :3, 0].tolist() == [1.0, np.float32(0.2), 0.0]


def test_other_numbers_are_taken_as_they_are(write_npz: Any) -> None:
    x = np.full((30, 4, 5, 3), 70.5)
    data = load("npz", write_npz(x_train=x, x_test=x[:10]))
    assert data.image_shape == (4, 5, 3)
    assert data.x_train.numpy().max() == 70.5


def test_cifar_columns_of_labels_are_labels(write_npz: Any) -> None:
    y = np.arange(30, dtype=np.int64).reshape(30, 1) % 10
    data = load("cifar10", write_npz(y_train=y))
    assert data.y_train.numpy().tolist() == y[:, 0].tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y_test": None}, "no y_test; there are x_train, y_train, x_test"),
        ({"x_train": np.zeros((30, 64))}, r"x_train: shape \(30, 64\), allowed \[n, height, width\]"),
        ({"x_train": np.zeros((30, 3, 8))}, r"x_train: images of \(3, 8\), allowed at least 4×4"),
        ({"x_train": np.zeros((0, 8, 8))}, "x_train: empty"),
        ({"x_train": np.full((30, 8, 8), "a")}, "x_train: of type <U1, allowed numbers"),
        ({"x_test": np.zeros((10, 8, 9))}, r"x_train has images of \(8, 8, 1\), x_test \(8, 9, 1\)"),
        ({"y_train": np.zeros(29, int)}, "30 images in x_train, 29 labels in y_train"),
        ({"y_train": np.zeros(0, int)}, "y_train: empty"),
        ({"y_train": np.zeros(30)}, "y_train: of type float64, allowed whole numbers"),
        ({"y_train": np.zeros((30, 3), int)}, r"y_train: shape \(30, 3\), allowed \[n\] or \[n, 1\]"),
        ({"y_train": np.arange(30) - 1}, "y_train: labels -1 … 28, allowed from 0"),
        ({"y_train": np.arange(30) * 1000}, "a label 29000 in 30 training examples: no class numbers"),
        ({"y_test": np.arange(10)}, "label 9 in y_test, allowed 0 … 2"),
        ({"x_train": np.array([None] * 30)}, "not a readable .npz file"),
    ],
)
def test_a_file_that_can_not_be_trained_on_says_why(write_npz: Any, arrays: dict[str, Any], message: str) -> None:
    path = write_npz(**arrays)
    with pytest.raises(DataError, match=message) as caught:
        load("npz", path)
    assert str(caught.value).startswith(f"{path}: ")


def test_ten_classes_are_all_that_mnist_has(write_npz: Any) -> None:
    with pytest.raises(DataError, match="label 10 in y_train, allowed 0 … 9"):
        load("mnist", write_npz(y_train=np.arange(30) % 11))


def test_what_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "empty.npz").touch()
    for name, message in (("no.npz", "no such file"), ("", "Is a directory"), ("one.npy", "not a .npz"),
                          ("text.npz", "not a readable"), ("empty.npz", "not a readable")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            load("npz", str(tmp_path / name))


def test_a_damaged_file_is_refused(write_npz: Any) -> None:
    path = Path(write_npz())
    content = bytearray(path.read_bytes())
    content[300:400] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        load("npz", str(path))


def test_a_failed_download_says_what_to_give_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network() -> None:
        raise Exception("URL fetch failure on https://example.org: no route")  # as Keras does

    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    with pytest.raises(DataError, match=r"mnist could not be downloaded \(URL fetch failure .*\): give data: the path"):
        load("mnist", None)


def test_a_download_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgen_trainer.data._SILENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mnist.npz"
        monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: urllib.request.urlopen(url))
        with pytest.raises(DataError, match="mnist could not be downloaded"):
            load("mnist", None)
    assert socket.getdefaulttimeout() is None


def test_a_download_is_used_where_there_is_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.zeros((20, 32, 32, 3), np.uint8), np.arange(20, dtype=np.uint8).reshape(20, 1) % 10
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: ((x, y), (x[:5], y[:5])))
    load.cache_clear()
    data = load("cifar10", None)
    assert (data.examples, data.image_shape, data.classes) == (20, (32, 32, 3), 10)
    load.cache_clear()
