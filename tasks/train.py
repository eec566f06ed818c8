"""Train one CNN member: on all folds but one, with every image distorted anew each epoch."""

import argparse
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from tasks.core import augment, networks, training
from tasks.io import archives, dataset, models, params, predictions, timing
from tasks.io.params import Section
from tasks.io.progress import Epochs
from tasks.io.quiet import quiet
from tasks.io.stage import StageError, run

if TYPE_CHECKING:
    import keras


Count = Annotated[int, Field(ge=1)]


class Recipe(Section):
    """How every member is trained."""

    epochs: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=8, le=4096)
    peak_learning_rate: float = Field(gt=0, le=1)
    warmup: float = Field(ge=0, lt=1, description="fraction of the steps before the peak")
    weight_decay: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    dropout: float = Field(ge=0, lt=1)
    forgetting: float = Field(ge=0, lt=1, description="beta_2 of Adam")
    rotation: float = Field(ge=0, le=180, description="degrees either way")
    scale: float = Field(ge=0, lt=1, description="fraction either way")
    shear: float = Field(ge=0, lt=1, description="fraction either way")
    shift: float = Field(ge=0, le=14, description="pixels either way")
    precision: Literal["auto", "float32", "bfloat16"]
    watched: int = Field(ge=1, description="held-out images scored after every epoch")
    sampled: int = Field(ge=1, description="fitted images that the training score is taken from")


class Network(Section):
    """The layers of an architecture: `tasks.core.networks.Architecture`."""

    filters: list[Count] = Field(min_length=1, description="of each convolution")
    kernels: list[Count] = Field(min_length=1, description="pixels a side")
    pools: list[Count] = Field(min_length=1, description="pixels a side; 1: none")
    units: int = Field(ge=1, description="of the dense layer behind them")
    border: int = Field(ge=0, le=13, description="pixels that are not looked at")
    momentum: float = Field(ge=0, lt=1, description="of the averages in batch normalisation")

    @model_validator(mode="after")
    def _fits_the_image(self) -> "Network":
        lengths = {len(self.filters), len(self.kernels), len(self.pools)}
        if len(lengths) > 1:
            raise ValueError("filters, kernels and pools of one length")
        if self.architecture().side() < 1:
            raise ValueError("kernels, pools and a border that leave a pixel of 28")
        return self

    def architecture(self) -> networks.Architecture:
        """Return it as `tasks.core.networks` takes it."""
        lists = (tuple(self.filters), tuple(self.kernels), tuple(self.pools))
        return networks.Architecture(*lists, self.units, self.border, self.momentum)


class Train(models.Matrix):
    """The members, what they can be, and their recipe."""

    networks: dict[models.Name, Network]
    recipe: Recipe


def main() -> None:
    """Train the member named on the command line and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--fold", required=True, type=int)
    parser.add_argument("--seed", required=True, type=int)
    models.members()  # refuses a wrong list by name, before argparse sees a part of it
    arguments = parser.parse_args()
    train(arguments.architecture, arguments.fold, arguments.seed)


def train(architecture: str, fold: int, member_seed: int) -> None:
    """Train one member.

    Raises
    ------
    StageError
        If no image stands in ``fold``, or too few are left for one batch.
    """
    recipe = params.section(Recipe, "train.recipe")
    layers = params.section(Network, f"train.networks.{architecture}").architecture()
    digits = dataset.load()
    held_out = digits.folds == fold
    _check(held_out, fold, recipe.batch_size)
    seed = _seed(params.seed(), architecture, fold, member_seed)
    fitted_rows, held_rows = np.flatnonzero(~held_out), np.flatnonzero(held_out)

    with quiet():
        import keras  # seconds to import, so after the checks

        training.prepare()
    keras.utils.set_random_seed(seed)
    precision = {"bfloat16": "mixed_bfloat16", "float32": "float32"}[_precision(recipe)]
    scaling = params.data().scaling
    classes = len(digits.classes)
    model = networks.trainable(layers, scaling, recipe.dropout, classes, precision)
    watched = held_rows[: recipe.watched]
    start = time.monotonic()
    folder = models.TRAIN / models.member_name(architecture, fold, member_seed)
    with Epochs(folder, recipe.epochs) as epochs:
        training.fit(
            model,
            digits.train_images[fitted_rows],
            digits.train_labels[fitted_rows],
            (digits.train_images[watched], digits.train_labels[watched]),
            schedule=_schedule(recipe),
            ranges=augment.Ranges(recipe.rotation, recipe.scale, recipe.shear, recipe.shift),
            seed=seed,
            report=epochs.report,
        )
    timing.write(folder, time.monotonic() - start)
    exact = networks.convolutional(layers, scaling, recipe.dropout, classes)
    exact.set_weights(model.get_weights())
    sample = np.random.default_rng(seed).permutation(fitted_rows)[: recipe.sampled]
    _write(folder, exact, digits, np.sort(sample), held_rows)


def _check(held_out: np.ndarray, fold: int, batch_size: int) -> None:
    if not held_out.any():
        raise StageError(
            f"params.yaml: train.folds names fold {fold}, but no image stands in it; "
            "expected a fold below preprocess.folds"
        )
    if (~held_out).sum() < batch_size:
        raise StageError(
            f"params.yaml: train.recipe.batch_size must be at most {(~held_out).sum()}, the "
            f"images outside fold {fold}; got {batch_size}"
        )


def _seed(run_seed: int, architecture: str, fold: int, member_seed: int) -> int:
    """Derive the member's own seed, so that no two members draw alike."""
    entropy = (run_seed, zlib.crc32(architecture.encode()), fold, member_seed)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def _precision(recipe: Recipe) -> Literal["float32", "bfloat16"]:
    """Say which precision to train in: bfloat16 pays only where the processor has it."""
    if recipe.precision != "auto":
        return recipe.precision
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "float32"
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def _schedule(recipe: Recipe) -> training.Schedule:
    return training.Schedule(**recipe.model_dump(include=set(training.Schedule._fields)))


def _write(
    folder: Path, model: "keras.Model", digits: dataset.Digits, sample: np.ndarray, held: np.ndarray
) -> None:
    archives.save_keras(folder / "model.keras", model)
    parts = (digits.train_images[sample], digits.train_images[held], digits.test_images)
    seen, unseen, test = (training.probabilities(model, images) for images in parts)
    predictions.save(folder, predictions.Predictions(sample, seen, held, unseen, test))
    correct = (unseen.argmax(1) == digits.train_labels[held]).mean()
    print(f"held-out accuracy {correct:.2%} of {len(held)} images")


if __name__ == "__main__":
    run(main)
