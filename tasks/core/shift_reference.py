"""The reference: what is known of images that the model was not trained on, to compare with.

A held-out image was answered by the members of its fold alone, which did not see it; a new image
could be answered by all, who together are surer. So that the two compare, each image of a batch is
given a fold by chance and judged by the members of that fold.
"""

from typing import NamedTuple

import numpy as np

from tasks.core import shift_columns
from tasks.core.shift_columns import Frame

TYPICAL = 8
"""Images of each class that are kept to be looked at."""


class Reference(NamedTuple):
    """Held-out images, ``(m,)`` rows of the training set in their order.

    ``columns`` ``(m, c)`` float32 are those of ``names``, ``probabilities`` ``(m, k)`` float32
    are of the members that had not seen the image. ``folds`` ``(m,)`` and ``member_folds``
    ``(members,)`` tell which those are. ``typical`` ``(t, h, w)`` uint8 are images of the classes
    ``typical_labels`` ``(t,)`` near the middle of their class.
    """

    rows: np.ndarray
    folds: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    columns: np.ndarray
    names: np.ndarray
    frame: Frame
    member_folds: np.ndarray
    typical: np.ndarray
    typical_labels: np.ndarray


class Sample(NamedTuple):
    """Images to be judged: columns ``(n, c)`` and, of their folds' members, probabilities."""

    columns: np.ndarray
    probabilities: np.ndarray


def build(
    images: np.ndarray,
    *,
    rows: np.ndarray,
    folds: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    member_folds: np.ndarray,
    size: int,
    rng: np.random.Generator,
) -> Reference:
    """Return the reference of held-out images ``(n, h, w)`` uint8, at most ``size`` of them.

    ``rows``, ``folds``, ``labels`` ``(n,)`` and ``probabilities`` ``(n, k)`` are theirs.
    """
    kept = np.sort(rng.permutation(len(images))[:size])
    frame = shift_columns.frame(images[kept])
    columns = shift_columns.columns(images[kept], frame)
    right = probabilities[kept].argmax(1) == labels[kept]
    typical = _typical(columns, labels[kept], right)
    return Reference(
        rows=rows[kept].astype(np.int32),
        folds=folds[kept].astype(np.uint8),
        labels=labels[kept].astype(np.uint8),
        probabilities=probabilities[kept].astype(np.float32),
        columns=columns,
        names=np.array(shift_columns.names(len(frame.directions))),
        frame=frame,
        member_folds=np.asarray(member_folds, np.uint8),
        typical=images[kept[typical]],
        typical_labels=labels[kept[typical]].astype(np.uint8),
    )


def judged(members: np.ndarray, reference: Reference, rng: np.random.Generator) -> np.ndarray:
    """Return probabilities ``(n, k)`` float32 of new images as the reference's were judged.

    ``members`` ``(n, members, k)`` is what each member says of each image. A fold is drawn for
    each image, as often as it is in the reference.
    """
    folds = rng.choice(reference.folds, len(members))
    said = np.zeros((len(members), members.shape[2]), np.float32)
    for fold in np.unique(folds):
        theirs, chosen = reference.member_folds == fold, folds == fold
        said[chosen] = members[chosen][:, theirs].mean(1)
    return said


def _typical(columns: np.ndarray, labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return positions of images that are answered rightly, spread over the nearer half."""
    scaled = (columns - np.median(columns, axis=0)) / (columns.std(axis=0) + 1e-9)
    found = []
    for label in np.unique(labels):
        own = np.flatnonzero((labels == label) & right)
        distance = np.square(scaled[own] - np.median(scaled[own], axis=0)).sum(1)
        nearer = own[np.argsort(distance, kind="stable")][: max(TYPICAL, len(own) // 2)]
        places = np.linspace(0, len(nearer) - 1, min(TYPICAL, len(nearer))).astype(int)
        found.append(nearer[np.unique(places)])
    return np.concatenate(found)
