"""How often the monitor alarms, and whether it is right: batches without and with a change.

``python -m tests.alarm_simulation`` prints the tables of docs/monitoring.md, by the model and the
data of this clone, which has to be trained. Batches go a user's way: normalisation, then the
model. Fashion-MNIST is looked for where Debian's package dataset-fashion-mnist puts it.
"""

import argparse
import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core import shift_columns, shift_judgement, shift_reference
from tasks.core.corruptions import CORRUPTIONS, corrupt
from tasks.core.idx import parse
from tasks.core.normalize import normalize
from tasks.core.shift_judgement import Judgement, Labelled, Limits, Prepared
from tasks.core.shift_reference import Reference, Sample
from tasks.io import dataset, models, params, predictions, reference, serving
from tasks.io.monitoring_params import Monitor
from tasks.io.serving import Served

ROOT = Path(__file__).parent.parent
FASHION = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
SIZES = (100, 500, 2000)
SPLITS = 50


class Pool(NamedTuple):
    """Images to draw batches from, as the monitor sees them: what the members say of each.

    ``hits`` tells which the model that serves answers rightly; None without labels.
    """

    columns: np.ndarray
    members: np.ndarray
    hits: np.ndarray | None = None

    def draw(self, rows: np.ndarray, held: Reference, rng: np.random.Generator) -> Sample:
        """Return these rows as a batch."""
        said = shift_reference.judged(self.members[rows], held, rng)
        return Sample(self.columns[rows], said)


class Bench(NamedTuple):
    """What all simulations need."""

    served: Served
    prepared: Prepared
    limits: Limits
    digits: dataset.Digits
    labels: np.ndarray

    def judge(self, batch: Sample, rng: np.random.Generator) -> Judgement:
        """Judge a batch without labels, as fast as the decision allows."""
        return _judge(batch, self.prepared, self.limits, rng)

    def pool(self, images: np.ndarray, labels: np.ndarray | None = None) -> Pool:
        """Return images of any kind as a pool; those that cannot be read are left out."""
        read = [_normalized(image) for image in images]
        kept = np.array([image is not None for image in read])
        given = np.stack([image for image in read if image is not None])
        said = self.served.members(given)
        hits = None if labels is None else said.mean(1).argmax(1) == labels[kept]
        frame = self.prepared.reference.frame
        return Pool(shift_columns.columns(given, frame), said, hits)


def _judge(
    batch: Sample, prepared: Prepared, limits: Limits, rng: np.random.Generator
) -> Judgement:
    size = len(batch.columns)
    return shift_judgement.judge(
        batch, prepared, limits, rng, images=size, labelled=Labelled(0, 0), hurry=True
    )


def _normalized(image: np.ndarray) -> np.ndarray | None:
    try:
        return normalize(image)
    except ValueError:
        return None


def set_up(root: Path) -> Bench:
    """Return what the trained clone ``root`` has."""
    held = reference.parse((root / reference.FILE).read_bytes(), str(reference.FILE))
    limits = params.section(Monitor, "monitor", root / params.FILE).limits()
    folder = root / dataset.FOLDER
    arrays = ("train_images", "train_labels", "folds", "test_images")
    digits = dataset.Digits(
        *(np.load(folder / f"{name}.npy") for name in arrays), dataset.classes(root)
    )
    labels = np.load(root / "data/ingest/test_labels.npy")
    content = (root / models.ENSEMBLE / "model.onnx").read_bytes()
    served = serving.opened("this clone's", content)
    return Bench(served, shift_judgement.prepare(held), limits, digits, labels)


def unchanged_halves(bench: Bench, root: Path, size: int, batches: int) -> Iterator[Judgement]:
    """Judge batches of held-out images by a reference of the other half of them."""
    said = predictions.load(root / models.ENSEMBLE)
    rows, digits = said.validation_rows, bench.digits
    member_folds = bench.prepared.reference.member_folds
    most = len(bench.prepared.reference.rows)
    for split in range(SPLITS):
        rng = np.random.default_rng([size, split])
        order = rng.permutation(len(rows))
        ours, others = order[: len(rows) // 2], order[len(rows) // 2 :]
        held = shift_reference.build(
            digits.train_images[rows[ours]],
            rows=rows[ours],
            folds=digits.folds[rows[ours]],
            labels=digits.train_labels[rows[ours]],
            probabilities=said.validation[ours],
            member_folds=member_folds,
            size=most,
            rng=rng,
        )
        prepared = shift_judgement.prepare(held)
        for _ in range(batches // SPLITS):
            drawn = rng.choice(others, size, replace=False)
            columns = shift_columns.columns(digits.train_images[rows[drawn]], held.frame)
            yield _judge(Sample(columns, said.validation[drawn]), prepared, bench.limits, rng)


def drawn(
    bench: Bench, pool: Pool, size: int, batches: int, weights: np.ndarray | None = None
) -> Iterator[Judgement]:
    """Judge batches of a pool's images; ``weights`` make some of them more frequent."""
    rng = np.random.default_rng([size, batches])
    share = None if weights is None else weights / weights.sum()
    for _ in range(batches):
        rows = rng.choice(len(pool.columns), size, replace=False, p=share)
        yield bench.judge(pool.draw(rows, bench.prepared.reference, rng), rng)


def rates(found: Iterator[Judgement]) -> str:
    """Return in percent of the batches: any alarm, then input, labels, accuracy."""
    kinds: Counter[str] = Counter()
    batches = 0
    for said in found:
        batches += 1
        kinds.update(said.kinds)
        kinds["any"] += bool(said.kinds)
    names = ("any", shift_judgement.INPUT, shift_judgement.LABELS, shift_judgement.ACCURACY)
    return " | ".join(f"{100 * kinds[name] / batches:.1f}" for name in names)


def nothing_changed(bench: Bench, root: Path, batches: int, plain: Pool) -> None:
    """Print the false alarms."""
    print(f"\n{batches} batches without a change: alarms in % of them\n")
    print("| images | batch of | any | input shift | label shift | accuracy loss |")
    print("| --- | --- | --- | --- | --- | --- |")
    ways: dict[str, Callable[[int], Iterator[Judgement]]] = {
        "held out, by a reference of the other half": lambda size: unchanged_halves(
            bench, root, size, batches
        ),
        "test images, without labels": lambda size: drawn(bench, plain, size, batches),
    }
    for name, way in ways.items():
        for size in SIZES:
            print(f"| {name} | {size} | {rates(way(size))} |", flush=True)


def corrupted(bench: Bench, batches: int, usual: float) -> None:
    """Print, for each corruption, what it costs, what the monitor says of it, and how often."""
    print(f"\n{batches} batches of 500 corrupted test images each: accuracy lost in points\n")
    print(
        "| corruption | lost | estimated | in the interval, % | any alarm, % | input | accuracy |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    gaps: dict[str, list[float]] = {"AC": [], "DoC": [], "ATC": []}
    for kind, damage in CORRUPTIONS.items():
        for severity, strength in enumerate(damage.severities):
            images = corrupt(bench.digits.test_images, kind, severity, seed=0)
            pool = bench.pool(images, bench.labels)
            assert pool.hits is not None
            lost = usual - float(pool.hits.mean())
            found = list(drawn(bench, pool, 500, batches))
            said = np.mean([each.loss.value for each in found])
            held = np.mean([each.loss.low <= lost <= each.loss.high for each in found])
            shares = rates(iter(found)).split(" | ")
            print(
                f"| {kind} {strength:g} {damage.unit} | {100 * lost:.1f} | {100 * said:.1f} "
                f"| {100 * held:.0f} | {shares[0]} | {shares[1]} | {shares[3]} |",
                flush=True,
            )
            for name, value in estimates(bench, pool).items():
                gaps[name].append(abs(value - lost))
    images_each = len(bench.digits.test_images)
    print(f"\nmean distance of estimated from true loss, {images_each} images each, points:")
    print(", ".join(f"{name} {100 * np.mean(values):.2f}" for name, values in gaps.items()))


def estimates(bench: Bench, pool: Pool) -> dict[str, float]:
    """Return the loss by average confidence, by its difference and by a threshold on it."""
    prepared, rng = bench.prepared, np.random.default_rng(0)
    confidence = shift_reference.judged(pool.members, prepared.reference, rng).max(1)
    usual, mean = prepared.rule.accuracy, float(prepared.confidence.mean())
    sure = float((confidence >= prepared.rule.threshold).mean())
    now = float(confidence.mean())
    return {"AC": usual - now, "DoC": mean - now, "ATC": usual - sure}


def other_classes(bench: Bench, batches: int, plain: Pool) -> None:
    """Print which kind alarms where the classes' shares alone change."""
    print(f"\n{batches} batches of 500 test images with other shares of classes: alarms in %\n")
    print("| shares | any | input shift | label shift | accuracy loss |")
    print("| --- | --- | --- | --- | --- |")
    labels = bench.labels
    for name, weights in {
        "as they are": np.ones(10),
        "class 3 half as frequent": np.where(np.arange(10) == 3, 0.5, 1),
        "class 3 twice as frequent": np.where(np.arange(10) == 3, 2.0, 1),
        "class 3 four times as frequent": np.where(np.arange(10) == 3, 4.0, 1),
        "classes 0 to 4 three times as frequent": np.where(np.arange(10) < 5, 3.0, 1),
        "classes 0 to 4 alone": np.where(np.arange(10) < 5, 1.0, 0),
        "class 8 alone": np.where(np.arange(10) == 8, 1.0, 0),
    }.items():
        print(f"| {name} | {rates(drawn(bench, plain, 500, batches, weights[labels]))} |")


def other_data(bench: Bench, batches: int) -> None:
    """Print how often batches of another data set alarm."""
    from sklearn.datasets import load_digits

    print(f"\n{batches} batches of another data set: alarms in % of them\n")
    print("| images | batch of | any | input shift | label shift | accuracy loss |")
    print("| --- | --- | --- | --- | --- | --- |")
    sets = {"scikit-learn's digits": np.rint(load_digits().images * 255 / 16).astype(np.uint8)}
    if FASHION.exists():
        sets["Fashion-MNIST"] = parse(gzip.decompress(FASHION.read_bytes()), 3)
    for name, images in sets.items():
        pool = bench.pool(images)
        for size in (5, 20, 100, 500):
            print(f"| {name} | {size} | {rates(drawn(bench, pool, size, batches))} |", flush=True)
    if FASHION.exists():
        mixed(bench, batches, bench.pool(sets["Fashion-MNIST"][:2000]))


def mixed(bench: Bench, batches: int, strange: Pool) -> None:
    """Print how often a batch of 500 test images with a few strange ones among them alarms."""
    plain, rng = bench.pool(bench.digits.test_images), np.random.default_rng(0)
    held = bench.prepared.reference
    for share in (0.02, 0.05, 0.1):
        count = round(500 * share)

        def batch(count: int = count) -> Judgement:
            parts = [
                plain.draw(rng.choice(len(plain.columns), 500 - count, replace=False), held, rng),
                strange.draw(rng.choice(len(strange.columns), count, replace=False), held, rng),
            ]
            return bench.judge(Sample(*map(np.concatenate, zip(*parts, strict=True))), rng)

        found = (batch() for _ in range(batches))
        print(f"| Fashion-MNIST among test images, {share:.0%} | 500 | {rates(found)} |")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="the trained clone")
    parser.add_argument("--unchanged", type=int, default=1000, help="batches without a change")
    parser.add_argument("--changed", type=int, default=100, help="batches of each change")
    options = parser.parse_args()
    bench = set_up(options.root)
    plain = bench.pool(bench.digits.test_images, bench.labels)
    assert plain.hits is not None
    usual = float(plain.hits.mean())
    held = bench.prepared
    print(
        f"{bench.served.sha256[:12]}: reference of {len(held.confidence)} held-out images, "
        f"accuracy {100 * held.rule.accuracy:.2f} %; "
        f"on {len(plain.hits)} test images {100 * usual:.2f} %"
    )
    other_data(bench, options.changed)
    other_classes(bench, options.changed, plain)
    corrupted(bench, options.changed, usual)
    nothing_changed(bench, options.root, options.unchanged, plain)


if __name__ == "__main__":
    main()
