"""Pictures as a telephone takes them of digits on paper, made from MNIST's own.

For trying things out: they look like photographs, and the digit on each is known.
"""

import numpy as np

_INKS = ((28, 32, 48), (24, 44, 120), (60, 40, 34))  # black, blue and brown, RGB
_PAPERS = ((242, 239, 230), (226, 230, 236), (236, 224, 198))  # white, cold and warm


def photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture ``(h, w, 3)`` uint8, RGB, of a digit ``(28, 28)`` uint8, 0 is background.

    Ink on paper, 160 to 420 pixels a side, a little turned, lit unevenly, not quite sharp, with
    the noise of a sensor.
    """
    from scipy.ndimage import gaussian_filter

    ink = _written(image, rng)
    colours = rng.integers(len(_INKS)), rng.integers(len(_PAPERS))
    dark, bright = np.array(_INKS[colours[0]], float), np.array(_PAPERS[colours[1]], float)
    page = bright + ink[..., None] * (dark - bright)
    page *= _light(ink.shape, rng)[..., None]
    page = gaussian_filter(page, (rng.uniform(0.6, 1.6),) * 2 + (0,))
    page += rng.normal(0, rng.uniform(2, 5), page.shape)
    return np.clip(np.rint(page), 0, 255).astype(np.uint8)


def _written(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where the ink is, 0 to 1: the digit enlarged, turned and set on a page."""
    from scipy.ndimage import rotate, zoom

    large = zoom(image.astype(float) / 255, rng.uniform(4.5, 9), order=3)
    large = rotate(large, rng.uniform(-6, 6), reshape=True, order=1)
    margins = rng.integers(8, 70, (2, 2))
    page = np.pad(large, margins)
    # The grey seam of an enlarged stroke becomes an edge a few pixels wide.
    return np.asarray(1 / (1 + np.exp(-14 * (page - 0.45))))


def _light(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return the share of light that reaches each pixel: it falls off to one side and the rim."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    slope = rng.uniform(-0.14, 0.14, 2)
    return np.asarray(0.84 + slope[0] * y + slope[1] * x - 0.07 * (x**2 + y**2))
