"""The neural networks. All take raw uint8 images; scaling is a layer inside."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.core.scaling import SCALINGS

if TYPE_CHECKING:
    import keras


class Architecture(NamedTuple):
    """Convolutions without padding, then a dense layer, then an output a class.

    Behind each convolution stand a max pool, batch normalisation and ReLU. The pool comes
    first because it removes three quarters of the work behind it.
    """

    filters: tuple[int, ...]  # of each convolution
    kernels: tuple[int, ...]  # pixels a side
    pools: tuple[int, ...]  # pixels a side; 1: none
    units: int  # of the dense layer
    border: int  # pixels that are not looked at: in MNIST nearly nothing stands in them
    momentum: float  # of the averages in batch normalisation

    def side(self) -> int:
        """Return the pixels a side that are left behind the last convolution and pool."""
        side = SIZE - 2 * self.border
        for kernel, pool in zip(self.kernels, self.pools, strict=True):
            side = (side - kernel + 1) // pool
        return side


EMBEDDING = "embedding"
LOGITS = "logits"
SIZE = 28


def convolutional(
    architecture: Architecture, scaling: str, dropout: float, classes: int
) -> "keras.Model":
    """Build a CNN member: uint8 images ``(n, 28, 28)`` to a probability a class, float32.

    Parameters
    ----------
    scaling
        The range of pixels behind the input: ``"[0,1]"`` or ``"[-1,1]"``.
    dropout
        Fraction of the features that training drops before the last layer.
    classes
        How many there are.
    """
    from keras import layers

    def hidden(x: Any) -> Any:
        x = layers.Cropping2D(architecture.border)(x)
        return _convolve(x, architecture, dropout, layers.BatchNormalization)

    return _classifier(hidden, scaling, (SIZE, SIZE, 1), classes)


def trainable(
    architecture: Architecture, scaling: str, dropout: float, classes: int, precision: str
) -> "keras.Model":
    """Build the same CNN as it is trained: images without their border to logits.

    It has the weights of `convolutional` in the same order. Batch normalisation is one call
    of TensorFlow's, which takes a sixth off the time of a step.

    Parameters
    ----------
    precision
        Keras' dtype policy of the hidden layers: ``"float32"`` or ``"mixed_bfloat16"``.
    """

    def hidden(x: Any) -> Any:
        return _convolve(x, architecture, dropout, _fused_batch_normalisation())

    side = SIZE - 2 * architecture.border
    return logits_of(_classifier(hidden, scaling, (side, side, 1), classes, precision))


def _convolve(x: Any, architecture: Architecture, dropout: float, normalisation: Any) -> Any:
    from keras import layers

    steps = zip(architecture.filters, architecture.kernels, architecture.pools, strict=True)
    for filters, kernel, pool in steps:
        x = layers.Conv2D(filters, kernel, use_bias=False)(x)
        x = layers.MaxPooling2D(pool)(x) if pool > 1 else x
        x = normalisation(momentum=architecture.momentum)(x)
        x = layers.ReLU()(x)
    x = layers.Dense(architecture.units, use_bias=False)(layers.Flatten()(x))
    x = layers.BatchNormalization(momentum=architecture.momentum)(x)
    x = layers.ReLU(name=EMBEDDING)(x)
    return layers.Dropout(dropout)(x)


def _fused_batch_normalisation() -> type:
    import tensorflow as tf
    from keras import layers

    class FusedBatchNormalization(layers.BatchNormalization):
        """Keras' layer, whose training pass is one kernel."""

        def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not training:
                return super().call(x, training=False, mask=mask)
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                x, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            for kept, seen in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept.assign(kept * self.momentum + seen * (1 - self.momentum))
            return y

    return FusedBatchNormalization


def recurrent(units: int, rows: int, scaling: str, dropout: float, classes: int) -> "keras.Model":
    """Build an RNN that reads an image from top to bottom, ``rows`` rows of pixels a step."""
    from keras import layers

    def hidden(x: Any) -> Any:
        x = layers.GRU(units, unroll=True)(x)
        return layers.Dropout(dropout)(x)

    return _classifier(hidden, scaling, (SIZE // rows, SIZE * rows), classes)


def notebook(units: int, scaling: str, classes: int) -> "keras.Model":
    """Build the source document's own network: 784-128-10 for ten classes."""
    from keras import layers

    def hidden(x: Any) -> Any:
        return layers.Dense(units, activation="relu")(layers.Flatten()(x))

    return _classifier(hidden, scaling, (SIZE, SIZE), classes)


def logits_of(model: "keras.Model") -> "keras.Model":
    """Return the part of a network that ends before the softmax; the layers are shared."""
    import keras

    return keras.Model(model.input, model.get_layer(LOGITS).output)


def _classifier(
    hidden: Callable[[Any], Any],
    scaling: str,
    shape: tuple[int, ...],
    classes: int,
    precision: str = "float32",
) -> Any:
    """Return pixels → scaling → ``shape`` → ``hidden`` → logits → probabilities."""
    import keras
    from keras import layers

    keras.backend.clear_session()  # so that layer names, which are saved, start at one
    keras.config.set_dtype_policy(precision)  # after it, since it sets this back, too
    side = SIZE if math.prod(shape) == SIZE * SIZE else shape[0]
    pixels = keras.Input((side, side), dtype="uint8")
    x = layers.Rescaling(*SCALINGS[scaling])(pixels)
    x = hidden(layers.Reshape(shape)(x))
    keras.config.set_dtype_policy("float32")
    logits = layers.Dense(classes, name=LOGITS)(x)
    return keras.Model(pixels, layers.Softmax()(logits))


def mean(members: list["keras.Model"], temperatures: list[float]) -> "keras.Model":
    """Return one network that averages its members' probabilities.

    Parameters
    ----------
    members
        Networks of this module, for raw images.
    temperatures
        What each member's logits are divided by before its softmax.
    """
    import keras
    from keras import layers

    pixels = keras.Input((SIZE, SIZE), dtype="uint8")
    outputs = []
    for number, (member, temperature) in enumerate(zip(members, temperatures, strict=True)):
        logits = logits_of(member)
        logits.name = f"member_{number}"
        scaled = layers.Rescaling(1 / temperature, name=f"temperature_{number}")(logits(pixels))
        outputs.append(layers.Softmax(name=f"softmax_{number}")(scaled))
    average = layers.Average(name="mean")(outputs) if len(outputs) > 1 else outputs[0]
    return keras.Model(pixels, average, name="ensemble")


def embedding_of(model: "keras.Model") -> "keras.Model":
    """Return the part of a CNN member that ends with the features before its last layer."""
    import keras

    return keras.Model(model.input, model.get_layer(EMBEDDING).output)
