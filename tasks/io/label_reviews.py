"""The file of reviewed labels: strictly checked, since a wrong line would change the data."""

import csv
import datetime
import hashlib
import io
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core.label_reviews import COLUMNS, Review, fingerprints
from tasks.core.mnist import SHAPES
from tasks.io.stage import StageError

FILE = Path("data/label_reviews.csv")

_HEADER = ",".join(COLUMNS)
_LAST = SHAPES["train_labels"][0] - 1
_FORMS = {
    "row": (r"\d{1,9}", f"a row of the published training set, 0 to {_LAST}"),
    "image": (r"[0-9a-f]{16}", "the first 16 digits of the image's SHA-256, as the audit shows it"),
    "label": (r"[0-9]", "the published label, a digit"),
    "action": (r"exclude|correct", "exclude or correct"),
    "corrected": (r"[0-9]?", "a digit, or nothing where the row is excluded"),
    "who": (r"(?s:.*\S.*)", "the name of who decided"),
    "date": (r"\d{4}-\d\d-\d\d", "a day as YYYY-MM-DD"),
    "why": (r"(?s:.*\S.*)", "the reason"),
}
"""The text that each column may hold, and the same in words."""


class Reviews(NamedTuple):
    """What the file holds: reviews of rows that the run has, the number of others, its SHA-256."""

    reviews: list[Review]
    beyond: int
    sha256: str


def read(images: np.ndarray, labels: np.ndarray, file: Path = FILE) -> Reviews:
    """Return the reviews of the published ``images`` and ``labels``.

    Parameters
    ----------
    images, labels
        The first n of the training set: uint8 ``(n, 28, 28)`` and ``(n,)``. Reviews of later
        rows are counted and left out.

    Raises
    ------
    StageError
        Naming file and line of every fault, what was expected and what was found.
    """
    content = _content(file)
    found, faults = _parse(content, file)
    ours = [review for review in found if review.row < len(labels)]
    faults += [fault for review in ours for fault in _mismatch(review, images, labels)]
    if faults:
        faults.sort(key=lambda fault: fault[0])
        raise StageError("\n".join(f"{file}, line {line}: {text}" for line, text in faults))
    return Reviews(ours, len(found) - len(ours), hashlib.sha256(content).hexdigest())


Fault = tuple[int, str]
"""A line and what is wrong in it."""


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise StageError(
            f"{file} is missing: it belongs to the repository. Get it back with "
            f"`git checkout {file}`, or begin it anew with the line {_HEADER}"
        ) from None


def _parse(content: bytes, file: Path) -> tuple[list[Review], list[Fault]]:
    """Return the reviews that are well formed, and what is wrong with the others."""
    lines = _lines(content, file)
    if not lines or tuple(lines[0][1]) != COLUMNS:
        got = ",".join(lines[0][1]) if lines else "an empty file"
        raise StageError(f"{file}, line 1: expected the columns {_HEADER}; got {got}")
    reviews, faults, seen = [], [], dict[int, int]()
    for line, fields in lines[1:]:
        wrong = _faults(fields)
        if not wrong:
            review = _review(line, fields)
            first = seen.setdefault(review.row, line)
            wrong = [] if first == line else [f"row {review.row} stands in line {first} already"]
            reviews += [] if wrong else [review]
        faults += [(line, text) for text in wrong]
    return reviews, faults


def _lines(content: bytes, file: Path) -> list[tuple[int, list[str]]]:
    """Return the fields of every line that is not empty, with the line's number from 1."""
    try:
        text = content.decode("utf-8-sig")  # spreadsheets put a mark before the first line
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        return [(reader.line_num, fields) for fields in reader if fields]
    except (UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{file}: expected CSV in UTF-8; {error}") from None


def _faults(fields: list[str]) -> list[str]:
    if len(fields) != len(COLUMNS):
        return [f"expected {len(COLUMNS)} fields, {_HEADER}; got {len(fields)}"]
    given = dict(zip(COLUMNS, fields, strict=True))
    found = [
        f"{column} must be {words}; got {given[column]!r}"
        for column, (form, words) in _FORMS.items()
        if not re.fullmatch(form, given[column], re.ASCII)
    ]
    return found or _contradictions(given)


def _contradictions(given: dict[str, str]) -> list[str]:
    """Return what is wrong between fields that are well formed one by one."""
    found = []
    if int(given["row"]) > _LAST:
        found.append(f"row must be {_FORMS['row'][1]}; got {given['row']}")
    if (given["action"] == "correct") != bool(given["corrected"]):
        wanted = "a digit to correct" if given["action"] == "correct" else "empty to exclude"
        found.append(f"corrected must be {wanted} the row; got {given['corrected']!r}")
    if given["corrected"] == given["label"]:
        found.append(f"corrected must differ from the label; both are {given['label']}")
    try:
        datetime.date.fromisoformat(given["date"])
    except ValueError as error:
        found.append(f"date must be {_FORMS['date'][1]}; got {given['date']!r}: {error}")
    return found


def _review(line: int, fields: list[str]) -> Review:
    row, image, label, action, corrected = fields[:5]
    digit = int(corrected) if corrected else None
    return Review(line, int(row), image, int(label), action, digit)  # type: ignore[arg-type]  # checked


def _mismatch(review: Review, images: np.ndarray, labels: np.ndarray) -> list[Fault]:
    """Return how the row differs from the one that was reviewed: the file is of other data."""
    (image,) = fingerprints(images[review.row : review.row + 1])
    pairs = (("image", review.image, image), ("label", review.label, int(labels[review.row])))
    return [
        (review.line, f"expected {name} {reviewed} in row {review.row}, as reviewed; got {got}")
        for name, reviewed, got in pairs
        if reviewed != got
    ]
