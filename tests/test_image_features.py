"""The numbers that describe an image, worked out by hand."""

import hashlib
import math

import numpy as np
import pytest

from tasks.core.image_features import NAMES, features, hashes


def described(image: list[list[int]]) -> dict[str, float]:
    columns = features(np.array([image], np.uint8))
    return {name: float(column[0]) for name, column in columns.items()}


def test_features_of_a_small_image() -> None:
    image = [[0, 0, 0, 0], [0, 0, 100, 200], [0, 0, 100, 0]]
    found = described(image)
    assert found.pop("std") == pytest.approx(np.std(image), rel=1e-15)
    assert found == {
        "ink": 3 / 12,
        "mean": 400 / 12,
        "min": 0.0,
        "max": 200.0,
        "centre_x": (2 * 200 + 3 * 200) / 400,
        "centre_y": (1 * 300 + 2 * 100) / 400,
        "left": 2.0,
        "top": 1.0,
        "width": 2.0,
        "height": 2.0,
    }


def test_an_empty_image_has_neither_centre_nor_box() -> None:
    found = described([[0, 0], [0, 0]])
    absent = {name for name, value in found.items() if math.isnan(value)}
    assert absent == {"centre_x", "centre_y", "left", "top", "width", "height"}
    assert {found[name] for name in NAMES if name not in absent} == {0.0}


def test_a_full_image_has_every_pixel_and_no_spread() -> None:
    found = described([[255, 255], [255, 255]])
    assert (found["ink"], found["mean"], found["std"]) == (1.0, 255.0, 0.0)
    assert (found["left"], found["top"], found["width"], found["height"]) == (0, 0, 2, 2)


def test_columns_agree_with_numpy_beyond_one_batch() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5000, 6, 5), np.uint8)
    found = features(images)
    assert tuple(found) == NAMES
    assert {(column.shape, column.dtype.name) for column in found.values()} == {
        ((5000,), "float64")
    }
    np.testing.assert_allclose(found["mean"], images.mean(axis=(1, 2)), rtol=1e-14)
    np.testing.assert_allclose(found["std"], images.std(axis=(1, 2)), rtol=1e-13)
    np.testing.assert_array_equal(found["max"], images.max(axis=(1, 2)))


def test_no_images_give_columns_without_rows() -> None:
    found = features(np.zeros((0, 28, 28), np.uint8))
    assert {len(column) for column in found.values()} == {0}
    assert len(hashes(np.zeros((0, 28, 28), np.uint8))) == 0


def test_hashes_are_those_of_the_bytes() -> None:
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    expected = [hashlib.sha256(bytes(part)).hexdigest() for part in (range(4), range(4, 8))]
    assert hashes(images).tolist() == expected
