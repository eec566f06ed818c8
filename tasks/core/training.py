"""Training of the neural networks, on one core and the same weights every time."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tasks.core import augment

if TYPE_CHECKING:
    import keras

_BATCH = 500  # images a call when predicting
_STEPS = 50  # batches a call at most when training


class Schedule(NamedTuple):
    """How a network is trained, apart from its data."""

    epochs: int
    batch_size: int
    peak_learning_rate: float
    warmup: float  # fraction of the steps before the peak
    weight_decay: float
    label_smoothing: float
    forgetting: float  # Adam's beta_2


class Epoch(NamedTuple):
    """What is known after an epoch; accuracies and losses as Keras reports them."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


def prepare() -> None:
    """Bind TensorFlow to one core and to deterministic kernels; call before any other use."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def fit(
    model: "keras.Model",
    images: np.ndarray,
    labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    schedule: Schedule,
    ranges: augment.Ranges,
    seed: int,
    report: Callable[[Epoch], None],
) -> None:
    """Train ``model`` in place with distorted images.

    Parameters
    ----------
    model
        A network that returns logits, freshly built, for images of 28 pixels or for images
        without their border.
    images, labels
        ``(n, 28, 28)`` uint8 and ``(n,)``; the last images of an epoch that fill no batch
        are left out of it (another draw each epoch).
    validation
        Images and labels, none or more, that are scored after every epoch. Nothing is
        chosen by that score.
    report
        Called after every epoch.
    """
    import keras

    steps = len(images) // schedule.batch_size
    optimizer = keras.optimizers.AdamW(
        _one_cycle(schedule, steps * schedule.epochs),
        weight_decay=schedule.weight_decay,
        beta_2=schedule.forgetting,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=schedule.label_smoothing
    )
    # As many batches a call as fit evenly: fewer returns to Python
    together = max(count for count in range(1, _STEPS + 1) if steps % count == 0)
    model.compile(optimizer, loss, metrics=["accuracy"], steps_per_execution=together)
    classes = model.output_shape[-1]
    border = (images.shape[1] - model.input_shape[1]) // 2
    model.fit(
        _batches(images, _one_hot(labels, classes), schedule, ranges, border=border, seed=seed),
        steps_per_epoch=steps,
        epochs=schedule.epochs,
        shuffle=False,
        validation_data=_inside(validation, border, classes) if len(validation[1]) else None,
        validation_batch_size=_BATCH,
        callbacks=[reporter(report)],
        verbose=0,
    )


def probabilities(model: "keras.Model", images: np.ndarray) -> np.ndarray:
    """Return ``(n, classes)`` float32 for uint8 images ``(n, 28, 28)``."""
    return np.asarray(model.predict(images, batch_size=_BATCH, verbose=0))


def _batches(
    images: np.ndarray,
    targets: np.ndarray,
    schedule: Schedule,
    ranges: augment.Ranges,
    *,
    border: int,
    seed: int,
) -> Any:
    """All batches of all epochs, as a tf.data.Dataset of uint8 images and one-hot labels."""
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    size = schedule.batch_size
    steps = len(images) // size
    order = np.concatenate(
        [rng.permutation(len(images))[: steps * size] for _ in range(schedule.epochs)]
    )
    transforms = augment.affine_transforms(rng, len(order), ranges, border)
    pixels, wanted = tf.constant(images[..., None]), tf.constant(targets)

    def distorted(rows: Any, transform: Any) -> tuple[Any, Any]:
        warped = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.gather(pixels, rows),
            transforms=transform,
            output_shape=[images.shape[1] - 2 * border] * 2,
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )
        return warped[..., 0], tf.gather(wanted, rows)

    dataset = tf.data.Dataset.from_tensor_slices(
        (order.astype(np.int32).reshape(-1, size), transforms.reshape(-1, size, 8))
    )
    options = tf.data.Options()
    # With autotuning the iterator's end waits for the tuner's next round, which may be 20 s off
    options.autotune.enabled = False
    return dataset.map(distorted).with_options(options)


def _one_cycle(schedule: Schedule, steps: int) -> Any:
    """Up in a line to the peak, then down in a line to nothing (after Smith and Topin, 2018)."""
    import keras
    from keras import ops

    peak, turn = schedule.peak_learning_rate, max(1.0, schedule.warmup * steps)

    class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            done = ops.cast(step, "float32")
            return peak * ops.minimum((done + 1) / turn, (steps - done) / max(1.0, steps - turn))

        def get_config(self) -> dict[str, Any]:
            return {}

    return OneCycle()


def _inside(
    pair: tuple[np.ndarray, np.ndarray], border: int, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = pair
    inside = slice(border, images.shape[1] - border)
    return images[:, inside, inside], _one_hot(labels, classes)


def _one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[labels]


def reporter(report: Callable[[Epoch], None]) -> Any:
    """Return a Keras callback that hands every epoch's figures to ``report``."""
    import keras

    class Reporter(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            keys = ("loss", "accuracy", "val_loss", "val_accuracy")
            report(Epoch(epoch + 1, *(float(logs.get(key, float("nan"))) for key in keys)))

    return Reporter()
