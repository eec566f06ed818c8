"""Pictures: PNG, JPEG and what else Pillow decodes by itself."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from tasks.io.readers.rows import MAX_PIXELS, FormatError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}

# Named, since Pillow would also hand PostScript to Ghostscript.
_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_ENOUGH = 512  # pixels of the shorter side: more add nothing to an image of 28
_AS_THEY_ARE = {"L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "I", "F"}


def picture(file: Path | IO[bytes]) -> np.ndarray:
    """Return a picture's pixels, ``(h, w)`` or ``(h, w, 2..4)``, turned as its camera says.

    Of several frames the first counts. A large picture comes back smaller, by a whole factor.

    Raises
    ------
    FormatError
        If it is damaged, of another format, or has more than `MAX_PIXELS` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=_FORMATS) as opened:
            return np.asarray(_small(opened))
    except FormatError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FormatError(f"more than {MAX_PIXELS:,} pixels; make it smaller") from None
    except UnidentifiedImageError:
        raise FormatError("expected a picture; it is none, or damaged") from None
    except Exception as error:  # decoders raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"expected a whole picture; {reason}") from None


def _small(opened: "Image.Image") -> "Image.Image":
    from PIL import Image, ImageOps

    width, height = opened.size
    if width * height > MAX_PIXELS:
        message = f"{width}x{height} is more than {MAX_PIXELS:,} pixels; make it smaller"
        raise FormatError(message)
    camera = opened.format in ("JPEG", "MPO", "TIFF", "WEBP") or "exif" in opened.info
    opened.draft(None, (_ENOUGH, _ENOUGH))  # a JPEG is decoded as small as that
    image: Image.Image = opened
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode not in _AS_THEY_ARE:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    factor = min(image.size) // _ENOUGH
    if factor > 1 and image.mode in ("L", "LA", "RGB", "RGBA"):
        image = image.reduce(factor)
    image.load()
    return ImageOps.exif_transpose(image) if camera else image
