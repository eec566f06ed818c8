"""Any image to MNIST's convention."""

import io

import numpy as np
import photographs
import pytest
import real_mnist
from PIL import Image

from tasks.core.normalize import follows_convention, normalize


def drawn(height: int = 28, width: int = 28) -> np.ndarray:
    """Return a seven as light ink on a dark page."""
    image = np.zeros((height, width), np.uint8)
    image[height // 6 : height // 4, width // 4 : 3 * width // 4] = 255
    image[height // 6 : 5 * height // 6, 3 * width // 4 - width // 9 : 3 * width // 4] = 255
    return image


def test_all_of_mnist_meets_the_convention_and_passes_byte_for_byte(pytestconfig):
    with np.load(real_mnist.path(pytestconfig)) as found:
        parts = [found["x_train"], found["x_test"]]
    assert all(follows_convention(images).all() for images in parts)
    np.testing.assert_array_equal(normalize(parts[1][0]), parts[1][0])


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (60, 40), (300, 500)])
def test_what_comes_out_meets_the_convention_and_stays_as_it_is(shape):
    image = normalize(drawn(*shape))
    assert image.shape == (28, 28)
    assert follows_convention(image[None])[0]
    np.testing.assert_array_equal(normalize(image), image)


def test_dark_on_light_is_light_on_dark():
    light = normalize(drawn(100, 80))
    dark = normalize(255 - drawn(100, 80))
    assert np.abs(light.astype(int) - dark).mean() < 2


def test_a_figure_is_found_wherever_it_stands_and_however_large_the_page_is():
    page = np.zeros((400, 400), np.uint8)
    page[250:350, 30:110] = drawn(100, 80)
    distance = np.abs(normalize(page).astype(int) - normalize(drawn(100, 80)))
    assert distance.mean() < 8


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_page_is_refused_in_words(level):
    with pytest.raises(ValueError, match="nothing is drawn"):
        normalize(np.full((40, 40), level, np.uint8))


def test_a_single_pixel_is_refused_in_words():
    with pytest.raises(ValueError, match="nothing is drawn"):
        normalize(np.full((1, 1), 9, np.uint8))


def test_a_photograph_becomes_the_digit_that_it_shows(pytestconfig):
    with np.load(real_mnist.path(pytestconfig)) as found:
        digits = found["x_train"][:6]
    rng = np.random.default_rng(0)
    for digit in digits:
        with Image.open(io.BytesIO(photographs.photograph(digit, rng))) as picture:
            seen = normalize(np.asarray(picture.convert("L")))
        alike = np.corrcoef(seen.ravel(), digit.ravel())[0, 1]
        assert alike > 0.7
