"""Pictures: PNG, JPEG and whatever else Pillow opens."""

import warnings
from pathlib import Path
from typing import IO

import numpy as np

from tasks.io.readers.rows import MAX_PIXELS, FormatError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


def picture(file: Path | IO[bytes]) -> np.ndarray:
    """Return a picture's pixels, ``(h, w)`` or ``(h, w, 1..4)``, turned as its camera says.

    Raises
    ------
    FormatError
        If it is damaged, of another format, or has more than `MAX_PIXELS` pixels.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as opened:
                width, height = opened.size
                if width * height > MAX_PIXELS:
                    raise FormatError(
                        f"{width}x{height} is more than {MAX_PIXELS:,} pixels; make it smaller"
                    )
                opened.load()
                turned = ImageOps.exif_transpose(opened)
                if turned.mode not in ("L", "LA", "RGB", "RGBA", "I;16", "I", "F", "1"):
                    turned = turned.convert("RGBA")
                return np.asarray(turned)
    except FormatError:
        raise
    except Exception as error:  # decoders raise errors of many kinds
        raise FormatError(f"expected a picture; {' '.join(str(error).split())}") from None
