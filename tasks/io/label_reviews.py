"""The file of reviewed labels: strictly checked, since a wrong line would change the data."""

import csv
import datetime
import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core.classes import DIGITS, noun
from tasks.core.label_reviews import COLUMNS, Review, fingerprints
from tasks.core.rows import Rows
from tasks.io.stage import StageError

FILE = Path("data/label_reviews.csv")

_HEADER = ",".join(COLUMNS)
_Forms = dict[str, tuple[str, str]]
"""The text that each column may hold, and the same in words."""


class Reviews(NamedTuple):
    """What the file holds: reviews of rows that the run has, the number of others, its SHA-256."""

    reviews: list[Review]
    beyond: int
    sha256: str


def read(
    images: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    rows: Rows,
    file: Path = FILE,
) -> Reviews:
    """Return the reviews of the published ``images`` and ``labels``.

    Parameters
    ----------
    images, labels
        The first n of the training set and what feedback added: uint8 ``(n, 28, 28)`` and
        ``(n,)``. Reviews of rows that the run does not have are counted and left out.
    classes
        The names of the labels, as the file has them.
    rows
        How the file numbers the rows; in a `Review` they are places in ``images``.

    Raises
    ------
    StageError
        Naming file and line of every fault, what was expected and what was found.
    """
    content = _content(file)
    found, faults = _Parser(classes, rows).parse(content, file)
    ours = [(it, place) for it in found if (place := rows.place(it.row)) is not None]
    for review, place in ours:
        faults += _mismatch(review, images[place], int(labels[place]), classes)
    if faults:
        faults.sort(key=lambda fault: fault[0])
        raise StageError("\n".join(f"{file}, line {line}: {text}" for line, text in faults))
    reviews = [review._replace(row=place) for review, place in ours]
    return Reviews(reviews, len(found) - len(ours), hashlib.sha256(content).hexdigest())


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


class _Parser:
    """What the file may say, for these classes and numbers of rows."""

    def __init__(self, classes: Sequence[str], rows: Rows) -> None:
        self._classes, self._rows, self._noun = list(classes), rows, noun(classes)
        self._forms = _forms(classes, rows)

    def parse(self, content: bytes, file: Path) -> tuple[list[Review], list[Fault]]:
        """Return the reviews that are well formed, and what is wrong with the others."""
        lines = _lines(content, file)
        if not lines or tuple(lines[0][1]) != COLUMNS:
            got = ",".join(lines[0][1]) if lines else "an empty file"
            raise StageError(f"{file}, line 1: expected the columns {_HEADER}; got {got}")
        reviews, faults, seen = [], [], dict[int, int]()
        for line, fields in lines[1:]:
            wrong = self._faults(fields)
            if not wrong:
                review = self._review(line, fields)
                first = seen.setdefault(review.row, line)
                twice = f"row {review.row} stands in line {first} already"
                wrong = [] if first == line else [twice]
                reviews += [] if wrong else [review]
            faults += [(line, text) for text in wrong]
        return reviews, faults

    def _faults(self, fields: list[str]) -> list[str]:
        if len(fields) != len(COLUMNS):
            return [f"expected {len(COLUMNS)} fields, {_HEADER}; got {len(fields)}"]
        given = dict(zip(COLUMNS, fields, strict=True))
        found = [
            f"{column} must be {words}; got {given[column]!r}"
            for column, (form, words) in self._forms.items()
            if not re.fullmatch(form, given[column], re.ASCII)
        ]
        return found or self._contradictions(given)

    def _contradictions(self, given: dict[str, str]) -> list[str]:
        """Return what is wrong between fields that are well formed one by one."""
        found = []
        if int(given["row"]) > self._rows.last:
            found.append(f"row must be {self._forms['row'][1]}; got {given['row']}")
        if (given["action"] == "correct") != bool(given["corrected"]):
            correct = f"a {self._noun} to correct"
            wanted = correct if given["action"] == "correct" else "empty to exclude"
            found.append(f"corrected must be {wanted} the row; got {given['corrected']!r}")
        if given["corrected"] == given["label"]:
            found.append(f"corrected must differ from the label; both are {given['label']}")
        try:
            datetime.date.fromisoformat(given["date"])
        except ValueError as error:
            words = self._forms["date"][1]
            found.append(f"date must be {words}; got {given['date']!r}: {error}")
        return found

    def _review(self, line: int, fields: list[str]) -> Review:
        row, image, label, action, corrected = fields[:5]
        place = self._classes.index
        new = place(corrected) if corrected else None
        return Review(line, int(row), image, place(label), action, new)  # type: ignore[arg-type]  # checked


def _forms(classes: Sequence[str], rows: Rows) -> _Forms:
    some = "|".join(map(re.escape, classes))
    listed = "" if tuple(classes) == DIGITS else f" of {', '.join(classes)}"
    word = noun(classes) + listed
    return {
        "row": (r"\d{1,9}", f"a row of the published training set, 0 to {rows.last}"),
        "image": (
            r"[0-9a-f]{16}",
            "the first 16 digits of the image's SHA-256, as the audit shows it",
        ),
        "label": (some, f"the published label, a {word}"),
        "action": (r"exclude|correct", "exclude or correct"),
        "corrected": (f"(?:{some})?", f"a {word}, or nothing where the row is excluded"),
        "who": (r"(?s:.*\S.*)", "the name of who decided"),
        "date": (r"\d{4}-\d\d-\d\d", "a day as YYYY-MM-DD"),
        "why": (r"(?s:.*\S.*)", "the reason"),
    }


def _lines(content: bytes, file: Path) -> list[tuple[int, list[str]]]:
    """Return the fields of every line that is not empty, with the line's number from 1."""
    try:
        text = content.decode("utf-8-sig")  # spreadsheets put a mark before the first line
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        return [(reader.line_num, fields) for fields in reader if fields]
    except (UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{file}: expected CSV in UTF-8; {error}") from None


def _mismatch(review: Review, image: np.ndarray, label: int, classes: Sequence[str]) -> list[Fault]:
    """Return how the row differs from the one that was reviewed: the file is of other data."""
    (print_,) = fingerprints(image[None])
    pairs = (
        ("image", review.image, print_),
        ("label", classes[review.label], classes[label]),
    )
    return [
        (review.line, f"expected {name} {reviewed} in row {review.row}, as reviewed; got {got}")
        for name, reviewed, got in pairs
        if reviewed != got
    ]
