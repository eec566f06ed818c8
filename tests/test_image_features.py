"""The numbers that describe an image, worked out by hand."""

import hashlib
import math

import numpy as np
import pytest
from tasks.core.resize import to_square

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


def test_images_of_the_right_size_come_back_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    assert to_square(images, 28) is images


def test_shrinking_by_two_weighs_the_four_nearest_pixels() -> None:
    images = np.zeros((1, 4, 4), np.uint8)
    images[0, :2, :2] = 100
    # Weights 3/7, 3/7, 1/7 along each side at the border.
    expected = np.rint(100 * np.outer([6 / 7, 1 / 7], [6 / 7, 1 / 7]))
    np.testing.assert_array_equal(to_square(images, 2)[0], expected)


def test_enlarging_interpolates_between_pixel_centres() -> None:
    images = np.array([[[0, 200], [0, 200]]], np.uint8)
    np.testing.assert_array_equal(to_square(images, 4)[0], [[0, 50, 150, 200]] * 4)


def test_another_shape_is_centred_on_background() -> None:
    images = np.full((1, 4, 2), 255, np.uint8)
    np.testing.assert_array_equal(to_square(images, 4)[0], [[0, 255, 255, 0]] * 4)


@pytest.mark.parametrize("size", [8, 14, 56])
def test_an_even_image_stays_even(size: int) -> None:
    images = np.full((2, 28, 28), 177, np.uint8)
    np.testing.assert_array_equal(to_square(images, size), np.full((2, size, size), 177))
