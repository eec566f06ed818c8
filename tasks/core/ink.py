"""What is drawn in a grey image, apart from what it is drawn on."""

import numpy as np


def separate(image: np.ndarray) -> np.ndarray:
    """Return the ink of a grey image ``(h, w)`` uint8, cut to its box: 0 is paper, 255 full ink.

    Raises
    ------
    ValueError
        If nothing is drawn, with the reason.
    """
    if image.ndim != 2 or min(image.shape) < 1:
        raise ValueError(f"expected a grey image (h, w); got {image.shape}")
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    difference = image.astype(np.float32) - np.median(border)
    if -difference[difference < 0].sum() > difference[difference > 0].sum():
        difference = -difference
    if difference.max() < 8:
        raise ValueError("nothing is drawn: all pixels are as bright as the border")
    figure = stretched(np.clip(difference, 0, None))
    rows, columns = np.flatnonzero(figure.any(axis=1)), np.flatnonzero(figure.any(axis=0))
    return figure[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def stretched(figure: np.ndarray) -> np.ndarray:
    """Return the ink with its strongest at 255, as uint8."""
    return np.clip(np.rint(figure * (255 / max(figure.max(), 1))), 0, 255).astype(np.uint8)
