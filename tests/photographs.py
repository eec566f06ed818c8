"""Pictures that look like photographs, made from MNIST's digits: what normalisation has to face."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter


class Scene(NamedTuple):
    """How a photograph is taken; each is drawn anew for every picture, up to these limits."""

    unevenness: float = 0.5  # of the light that the darkest corner may lack
    noise: float = 8.0  # grey levels, standard deviation
    blur: float = 0.006  # of the picture's side
    contrast: tuple[float, float] = (0.45, 0.95)  # of the paper's light that ink takes
    size: tuple[int, int] = (200, 600)  # pixels a side
    figure: tuple[float, float] = (0.35, 0.8)  # of the side that MNIST's frame of 28 takes
    quality: tuple[int, int] = (40, 95)  # of the JPEG


SCENE = Scene()


def photograph(digit: np.ndarray, rng: np.random.Generator, scene: Scene = SCENE) -> bytes:
    """Return a JPEG ``(side, side)`` of a digit ``(28, 28)`` uint8, written in ink on paper."""
    side = int(rng.integers(*scene.size))
    drawn = _drawn(digit, side, rng, scene)
    light = _light(side, rng, scene.unevenness)
    paper = rng.uniform(170, 250) * rng.uniform(0.92, 1.0, 3)
    strength = rng.uniform(*scene.contrast)
    colour = paper * (1 - strength * rng.uniform(0.8, 1.0, 3))
    page = light[..., None] * (paper + drawn[..., None] * (colour - paper))
    page += gaussian_filter(rng.normal(0, 1, (side, side)), 3)[..., None] * 12  # fibres
    page += rng.normal(0, rng.uniform(1, scene.noise), page.shape)
    buffer = io.BytesIO()
    picture = Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))
    picture.save(buffer, "JPEG", quality=int(rng.integers(*scene.quality)))
    return buffer.getvalue()


def _drawn(digit: np.ndarray, side: int, rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Return how much of each pixel is ink ``(side, side)``, 0 to 1: sharp, then out of focus."""
    length = int(side * rng.uniform(*scene.figure))
    large = Image.fromarray(digit).resize((length, length), Image.Resampling.BICUBIC)
    ink = 1 / (1 + np.exp(-(np.asarray(large) / 255 - 0.45) * 14))
    page = np.zeros((side, side))
    top, left = rng.integers(0, side - length + 1, 2)
    page[top : top + length, left : left + length] = ink
    return np.asarray(gaussian_filter(page, rng.uniform(0, scene.blur) * side))


def _light(side: int, rng: np.random.Generator, unevenness: float) -> np.ndarray:
    """Return light ``(side, side)``, 1 at its brightest: a slope, darker edges, a soft shadow."""
    down, right = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = (np.cos(angle) * down + np.sin(angle) * right) / 2
    edges = (down**2 + right**2) / 2
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6)
    across = np.cos(angle) * down + np.sin(angle) * right - place
    shadow = 1 / (1 + np.exp(-across / rng.uniform(0.05, 0.3)))
    dark = rng.uniform(0, 1) * slope + rng.uniform(0, 0.5) * edges + rng.uniform(0, 0.7) * shadow
    dark = (dark - dark.min()) / max(np.ptp(dark), 1e-9)
    return np.asarray(1 - rng.uniform(0, unevenness) * dark)
