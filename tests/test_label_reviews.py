"""The file of reviewed labels: what it may hold, and how each fault is named."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.classes import DIGITS
from tasks.core.label_reviews import COLUMNS, Review, apply, fingerprints, proposal
from tasks.core.rows import Rows
from tasks.io.label_reviews import read
from tasks.io.stage import StageError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
LABELS = (np.arange(30) % 10).astype(np.uint8)
HEADER = ",".join(COLUMNS)
OURS = (IMAGES, LABELS, DIGITS, Rows(own=30, total=60_000, feedback=0))
HASH = fingerprints(IMAGES)
GOOD = f"4,{HASH[4]},4,correct,9,A. Reader,2026-01-31,the loop is closed"


def write(folder: Path, *lines: str, header: str = HEADER) -> Path:
    file = folder / "label_reviews.csv"
    file.write_text("".join(f"{line}\n" for line in (header, *lines)))
    return file


def refusal(file: Path) -> str:
    with pytest.raises(StageError) as caught:
        read(*OURS, file)
    return str(caught.value).replace(str(file), "FILE")


def test_a_fingerprint_is_the_start_of_the_images_sha_256() -> None:
    # head -c 784 /dev/zero | sha256sum
    assert fingerprints(np.zeros((1, 28, 28), np.uint8)) == ["0c37ddc45244523c"]


def test_the_committed_file_can_be_read() -> None:
    found = read(
        IMAGES[:0],
        LABELS[:0],
        DIGITS,
        Rows(0, 60_000, 0),
        Path(__file__).parent.parent / "data/label_reviews.csv",
    )
    assert found.reviews == []


def test_a_review_is_read_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD, f"5,{HASH[5]},5,exclude,,A. Reader,2026-01-31,no digit")
    assert read(*OURS, file).reviews == [
        Review(2, 4, HASH[4], 4, "correct", 9),
        Review(3, 5, HASH[5], 5, "exclude", None),
    ]


def test_a_file_that_a_spreadsheet_saved_reads_the_same(tmp_path: Path) -> None:
    plain = read(*OURS, write(tmp_path, GOOD)).reviews
    quoted = GOOD.replace("A. Reader", '"Reader, A."')
    saved = tmp_path / "saved.csv"
    saved.write_bytes(f"\ufeff{HEADER}\r\n{quoted}\r\n".encode())
    assert read(*OURS, saved).reviews == plain


def test_rows_that_the_run_does_not_have_are_counted_and_left_out(tmp_path: Path) -> None:
    later = GOOD.replace("4,", "59999,", 1)
    found = read(*OURS, write(tmp_path, later, GOOD))
    assert (len(found.reviews), found.beyond) == (1, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.replace("correct", "drop"), "action must be exclude or correct; got 'drop'"),
        (GOOD.replace("A. Reader", " "), "who must be the name of who decided; got ' '"),
        (GOOD.replace("the loop is closed", ""), "why must be the reason; got ''"),
        (GOOD.replace("2026-01-31", "31.1.2026"), "date must be a day as YYYY-MM-DD; got '31.1."),
        (GOOD.replace("01-31", "02-31"), "date must be a day as YYYY-MM-DD; got '2026-02-31'"),
        (GOOD.replace(",9,", ",10,"), "corrected must be a digit, or nothing where the row is"),
        (GOOD.replace(",9,", ",,"), "corrected must be a digit to correct the row; got ''"),
        (GOOD.replace("correct", "exclude"), "corrected must be empty to exclude the row; got '9'"),
        (GOOD.replace(",9,", ",4,"), "corrected must differ from the label; both are 4"),
        (GOOD.replace(",4,", ",x,"), "label must be the published label, a digit; got 'x'"),
        (GOOD.replace("4,", "-4,", 1), "row must be a row of the published training set, 0 to 5"),
        (GOOD.replace("4,", "60000,", 1), "row must be a row of the published training set, 0 to"),
        (GOOD.replace("4,", "٤,", 1), "row must be a row of the published training set, 0 to 599"),
        (GOOD.replace(HASH[4], "1.2E+15"), "image must be the first 16 digits of the image's SHA"),
        (GOOD.replace(HASH[4], HASH[5]), f"expected image {HASH[5]} in row 4, as reviewed; got"),
        (GOOD.replace(",4,", ",3,"), "expected label 3 in row 4, as reviewed; got 4"),
        (GOOD + ",more", f"expected 8 fields, {HEADER}; got 9"),
        ("4", f"expected 8 fields, {HEADER}; got 1"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    blank = ""
    assert refusal(write(tmp_path, blank, line)).startswith(f"FILE, line 3: {message}")


def test_a_row_may_stand_once(tmp_path: Path) -> None:
    again = GOOD.replace("correct,9", "exclude,")
    assert refusal(write(tmp_path, GOOD, again)) == "FILE, line 3: row 4 stands in line 2 already"


def test_every_fault_is_named_in_the_order_of_the_lines(tmp_path: Path) -> None:
    other_data = GOOD.replace(HASH[4], HASH[5])
    said = refusal(write(tmp_path, other_data, GOOD.replace("4,", "5,", 1), "x"))
    assert [text.partition(": ")[0] for text in said.splitlines()] == [
        "FILE, line 2", "FILE, line 3", "FILE, line 3", "FILE, line 4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "header",
    [HEADER.removesuffix(",why"), f"{HEADER},note", HEADER.replace("row,image", "a,b"), ""],
)
def test_other_columns_are_refused(tmp_path: Path, header: str) -> None:
    said = refusal(write(tmp_path, header=header))
    assert said.startswith(f"FILE, line 1: expected the columns {HEADER}; got ")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_bytes(b"\xff\xfe\x00row")
    assert refusal(file).startswith("FILE: expected CSV in UTF-8; ")


def test_an_open_quote_is_refused(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, f'{GOOD},"')).startswith("FILE: expected CSV in UTF-8; ")


def test_a_missing_file_says_how_to_get_it_back(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.csv").endswith(f"or begin it anew with the line {HEADER}")


def test_reviews_leave_the_published_labels_as_they_are() -> None:
    labels = LABELS.copy()
    found = apply(labels, [Review(2, 4, "", 4, "correct", 9), Review(3, 5, "", 5, "exclude", None)])
    assert labels.tolist() == LABELS.tolist()
    assert found.rows.tolist() == [row for row in range(30) if row != 5]
    assert found.labels[4] == 9


@pytest.mark.parametrize(("suggested", "corrected"), [("9", 9), (None, None)])
def test_a_proposal_is_refused_until_a_person_has_signed_it(
    tmp_path: Path, suggested: str | None, corrected: int | None
) -> None:
    line = proposal(4, HASH[4], "4", suggested)
    said = refusal(write(tmp_path, line))
    assert [text.split()[3] for text in said.splitlines()] == ["who", "date", "why"]
    signed = line.removesuffix(",,") + "A. Reader,2026-01-31,seen"
    (review,) = read(*OURS, write(tmp_path, signed)).reviews
    assert review.corrected == corrected
