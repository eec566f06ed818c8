"""Corruptions: seeded, graded, and a digit afterwards still."""

import numpy as np
import pytest

from tasks.core.corruptions import CORRUPTIONS, corrupt


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Return forty crosses of thin and thick strokes, as large as digits are."""
    found = np.zeros((40, 28, 28), np.uint8)
    found[:, 5:23, 13:16] = 255
    found[:, 12:15, 8:20] = 200
    found[20:, 5:23, 11:18] = 255
    return found


@pytest.mark.parametrize("severity", range(3))
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_changes_every_image_the_same_way_each_time(kind, severity, images):
    before = images.copy()
    found = corrupt(images, kind, severity, seed=3)
    assert (found.shape, found.dtype) == (images.shape, np.uint8)
    assert (found != images).any(axis=(1, 2)).mean() > 0.8
    assert (found == corrupt(images, kind, severity, seed=3)).all()
    assert (images == before).all()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_higher_severity_takes_the_images_further(kind, images):
    steps = [corrupt(images, kind, severity, seed=0).astype(float) for severity in range(3)]
    distances = [np.abs(step - images).mean() for step in steps]
    assert distances == sorted(distances)
    assert distances[0] < distances[2]


@pytest.mark.parametrize("kind", ["shift", "rotation", "shear", "noise", "occlusion"])
def test_what_is_random_follows_the_seed_and_differs_between_images(kind, images):
    one, other = corrupt(images, kind, 1, seed=1), corrupt(images, kind, 1, seed=2)
    assert (one != other).any()
    assert len({image.tobytes() for image in one[:20]}) > 1


def test_a_shift_keeps_the_ink_and_moves_its_centre_by_so_many_pixels(images):
    moved = corrupt(images, "shift", 2, seed=0)
    assert moved.sum() == pytest.approx(images.sum(), rel=0.02)
    distance = np.hypot(*(centre(moved) - centre(images)))
    assert distance == pytest.approx(4, abs=0.05)


def centre(images: np.ndarray) -> np.ndarray:
    """Return the centre of the ink, ``(2, n)`` pixels from the top left."""
    ink = images / images.sum(axis=(1, 2), keepdims=True)
    places = np.arange(28)
    return np.stack([ink.sum(2) @ places, ink.sum(1) @ places])


def test_thicker_strokes_hold_more_ink_and_thinner_ones_less(images):
    thick, thin = (corrupt(images, kind, 1, seed=0).sum() for kind in ("thicker", "thinner"))
    assert thin < images.sum() < thick
