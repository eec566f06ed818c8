"""Wrong labels planted through the file of reviews, and how well the label audit finds them.

By hand, in a clone whose data/ingest is there and whose reviews may be overwritten::

    python -m tests.planted_labels plant     # writes data/label_reviews.csv
    dvc repro label_audit                    # trains all members anew
    python -m tests.planted_labels measure
    git checkout data/label_reviews.csv dvc.lock && dvc checkout
"""

import csv
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core.label_reviews import COLUMNS, fingerprints, proposal
from tasks.io import files
from tasks.io.label_reviews import FILE

SHARE = 0.01  # of the labels are made wrong
LOOKED_AT = 0.012  # of the ranked list


class Found(NamedTuple):
    """Planted labels in the first 1.2 % of the ranking, as a share, and average precision."""

    recall: float
    average_precision: float


def plant(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the labels with a share of them changed to another digit, drawn at random."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))[: round(SHARE * len(labels))]
    planted = labels.copy()
    planted[rows] = (labels[rows] + rng.integers(1, 10, len(rows))) % 10
    return planted


def write_reviews(images: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Write the file of reviews that makes a share of the labels wrong."""
    planted = plant(labels, seed)
    rows = np.flatnonzero(planted != labels)
    lines = [",".join(COLUMNS)]
    for row, image in zip(rows, fingerprints(images[rows]), strict=True):
        start = proposal(int(row), image, str(labels[row]), str(planted[row]))
        lines.append(start.removesuffix(",,") + "planted_labels,2026-01-01,wrong on purpose")
    files.write_bytes(FILE, "".join(f"{line}\n" for line in lines).encode())


def score(ranked: np.ndarray) -> Found:
    """Score a ranking, ``(n,)`` bool: whether each label, the most suspect first, was planted."""
    from sklearn.metrics import average_precision_score

    top = ranked[: round(LOOKED_AT * len(ranked))]
    precision = average_precision_score(ranked, -np.arange(len(ranked)))
    return Found(float(top.sum() / ranked.sum()), float(precision))


def measure() -> Found:
    """Score what the audit wrote; a planted label that is not in its table counts as the last."""
    summary = json.loads(Path("reports/label_audit/summary.json").read_text())
    with Path("reports/label_audit/suspects.csv").open() as file:
        listed = [line["label"] != line["published"] for line in csv.DictReader(file)]
    rest = np.zeros(summary["judged"] - len(listed), bool)
    rest[len(rest) - (summary["reviews"]["correct"] - sum(listed)) :] = True
    return score(np.concatenate([listed, rest]))


def main() -> None:
    if sys.argv[1:] == ["plant"]:
        images, labels = (np.load(f"data/ingest/train_{part}.npy") for part in ("images", "labels"))
        write_reviews(images, labels, seed=0)
    elif sys.argv[1:] == ["measure"]:
        print(measure())
    else:
        sys.exit("expected plant or measure")


if __name__ == "__main__":
    main()
