"""The same images through every format, each written as its own users write it."""

import csv
import gzip
import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.core.normalize import normalize
from tasks.io.readers import datasets, named, stream
from tasks.io.stage import StageError

ROWS = 12


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Return digits by MNIST's convention, ``(n, 28, 28)``, and labels 0 to 3."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(ROWS):
        canvas = np.zeros((40, 30), np.uint8)
        canvas[4:36, 12:16] = 255
        canvas[rng.integers(5, 30), 4:26] = rng.integers(100, 255)
        images.append(normalize(canvas))
    return np.stack(images), np.arange(ROWS) % 4


IMAGES, LABELS = drawn()
NAMES = [str(label) for label in LABELS]


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def torchvision(folder: Path) -> Path:
    raw = folder / "MNIST/raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return folder


def gzipped(folder: Path) -> Path:
    for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
        (folder / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return folder


def keras(folder: Path) -> Path:
    np.savez(folder / "mnist.npz", x_train=IMAGES, y_train=LABELS)
    return folder / "mnist.npz"


def mat(folder: Path) -> Path:
    from scipy.io import savemat

    content = {"data": IMAGES.reshape(ROWS, -1).T, "label": LABELS[None].astype(float)}
    savemat(folder / "mnist-original.mat", content)
    return folder / "mnist-original.mat"


def write_csv(path: Path, rows: Any) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def kaggle(folder: Path) -> Path:
    header = ["label", *(f"pixel{number}" for number in range(784))]
    rows = ([label, *image] for label, image in zip(LABELS, IMAGES.reshape(ROWS, -1), strict=True))
    return write_csv(folder / "train.csv", [header, *rows])


def openml(folder: Path) -> Path:
    header = [*(f"pixel{number}" for number in range(1, 785)), "class"]
    rows = (
        [*image, f"'{label}'"]
        for label, image in zip(LABELS, IMAGES.reshape(ROWS, -1), strict=True)
    )
    return write_csv(folder / "mnist_784.csv", [header, *rows])


def without_header(folder: Path) -> Path:
    rows = ([*image, label] for label, image in zip(LABELS, IMAGES.reshape(ROWS, -1), strict=True))
    return write_csv(folder / "mnist.csv", rows)


def table(folder: Path) -> Path:
    import pandas as pd

    columns = [f"pixel{number}" for number in range(784)]
    frame = pd.DataFrame(IMAGES.reshape(ROWS, -1), columns=columns).assign(label=LABELS)
    frame.to_parquet(folder / "mnist.parquet", row_group_size=5)
    return folder / "mnist.parquet"


def lists(folder: Path) -> Path:
    import pandas as pd

    frame = pd.DataFrame({"image": [image.ravel().tolist() for image in IMAGES], "label": LABELS})
    frame.to_parquet(folder / "mnist.parquet")
    return folder / "mnist.parquet"


def encoded(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def hugging_face(folder: Path) -> Path:
    import pandas as pd

    cells = [{"bytes": encoded(image), "path": None} for image in IMAGES]
    pd.DataFrame({"image": cells, "label": LABELS}).to_parquet(folder / "mnist.parquet")
    return folder / "mnist.parquet"


WRITERS: list[Callable[[Path], Path]] = [
    torchvision, gzipped, keras, mat, kaggle, openml, without_header, table, lists, hugging_face,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_the_same_images_through_every_format_give_the_same_arrays(write, tmp_path):
    found = datasets.load(write(tmp_path))
    np.testing.assert_array_equal(found.train_images, IMAGES)
    assert found.train_labels == NAMES
    assert found.classes == ("0", "1", "2", "3")


def test_a_folder_of_pictures_by_class_gives_the_same_images_class_by_class(tmp_path):
    for number, (image, label) in enumerate(zip(IMAGES, NAMES, strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number}.png").write_bytes(encoded(image))
    found = datasets.load(tmp_path)
    order = np.argsort(LABELS, kind="stable")
    np.testing.assert_array_equal(found.train_images, IMAGES[order])
    assert found.train_labels == [NAMES[row] for row in order]


@pytest.mark.parametrize("write", [kaggle, table, hugging_face, mat, keras])
@pytest.mark.parametrize("skip", [0, 3, 7, ROWS])
def test_rows_are_skipped_as_if_they_had_been_read(write, skip, tmp_path):
    path = write(tmp_path)
    chunks = list(stream.read([path], rows=4, skip=skip))
    images = np.concatenate([chunk.images for chunk in chunks] or [IMAGES[:0]])
    np.testing.assert_array_equal(images, IMAGES[skip:])
    ids = [name for chunk in chunks for name in chunk.ids]
    assert [name.rpartition("#")[2].rpartition("/")[2] for name in ids] == [
        str(row) for row in range(skip, ROWS)
    ]


@pytest.mark.parametrize("write", [kaggle, table, mat, keras])
def test_one_image_is_found_again_by_its_id(write, tmp_path):
    path = write(tmp_path)
    (chunk,) = stream.read([path])
    np.testing.assert_array_equal(stream.pick(chunk.ids[5]), IMAGES[5])


@pytest.mark.parametrize("write", [kaggle, table, mat, keras])
def test_standard_input_is_told_apart_by_its_first_bytes(write, tmp_path, monkeypatch):
    path = write(tmp_path)
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read())))
    (chunk,) = stream.read(["-"])
    np.testing.assert_array_equal(chunk.images, IMAGES)
    assert chunk.ids[0].startswith("-#")


def test_a_damaged_row_of_a_table_is_a_fault_and_the_others_are_read(tmp_path):
    path = kaggle(tmp_path)
    lines = path.read_text().splitlines()
    lines[2], lines[4] = "1,2,3", lines[4].replace(",255", ",x", 1)
    path.write_text("\n".join(lines))
    (chunk,) = stream.read([path])
    assert chunk.faults[1] == "expected 785 columns; got 3"
    assert chunk.faults[3] == "expected numbers as pixels; got 'x'"
    assert [fault for fault in chunk.faults if fault] == [chunk.faults[1], chunk.faults[3]]
    np.testing.assert_array_equal(chunk.images[5], IMAGES[5])


def test_ucis_small_digits_become_digits_of_mnists_size():
    from sklearn.datasets import load_digits

    found = datasets.load("sklearn:digits")
    assert found.train_images.shape == (1797, 28, 28)
    assert found.train_labels == [str(label) for label in load_digits().target]
    assert found.train_images.max() == 255


def test_ucis_file_without_a_header_tells_the_label_last(tmp_path):
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = np.column_stack([digits.data, digits.target]).astype(int)
    path = write_csv(tmp_path / "optdigits.tra", rows.tolist())
    found, same = datasets.load(path), datasets.load("sklearn:digits")
    assert found.train_labels == same.train_labels
    np.testing.assert_array_equal(found.train_images, same.train_images)


def test_openml_and_keras_are_asked_by_their_own_functions(monkeypatch):
    import sklearn.datasets
    from sklearn.utils import Bunch

    def fetch(name: str, **_: object) -> Bunch:
        assert name == "mnist_784"
        return Bunch(data=IMAGES.reshape(ROWS, -1).astype(float), target=np.array(NAMES, object))

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    found = datasets.load("openml:mnist_784")
    np.testing.assert_array_equal(found.train_images, IMAGES)
    assert found.train_labels == NAMES


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sklearn:faces", "expected sklearn:digits; got sklearn:faces"),
        ("openml:none", "openml:none cannot be fetched: no such host. Connect to the internet, or"),
    ],
)
def test_a_source_that_cannot_be_had_says_why_and_what_to_do(source, message, monkeypatch):
    import sklearn.datasets

    def fail(*_: object, **__: object) -> None:
        raise OSError("no such host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fail)
    with pytest.raises(StageError, match=message):
        named.fetch(source)


@pytest.mark.parametrize("name", ["bad.mat", "bad.parquet", "bad.npz", "bad.npy", "bad.png"])
def test_a_file_of_another_content_than_its_name_is_one_row_with_a_fault(name, tmp_path):
    (tmp_path / name).write_bytes(b"nothing of the kind, but long enough to be looked into")
    (chunk,) = stream.read([tmp_path / name])
    assert len(chunk.ids) == 1
    assert chunk.faults[0]
