"""The neural networks. All take raw uint8 images ``(n, 28, 28)``; scaling is a layer inside."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.core.scaling import SCALINGS

if TYPE_CHECKING:
    import keras


class Convolution(NamedTuple):
    """A convolution without padding, then a pool if so, batch normalisation and ReLU.

    The pool stands first because it removes three quarters of the work behind it.
    """

    filters: int
    kernel: int
    pool: bool = False


CONVOLUTIONS: dict[str, tuple[Convolution, ...]] = {
    "conv5": (
        Convolution(32, 5, pool=True),
        Convolution(64, 3),
        Convolution(64, 3, pool=True),
        Convolution(128, 3),
    ),
}
EMBEDDING = "embedding"
LOGITS = "logits"


def convolutional(
    architecture: str, scaling: str, dropout: float, precision: str = "float32"
) -> "keras.Model":
    """Build a CNN member that returns ten probabilities, ``(n, 10)`` float32.

    Parameters
    ----------
    architecture
        A name in `CONVOLUTIONS`.
    scaling
        The range of pixels behind the input: ``"[0,1]"`` or ``"[-1,1]"``.
    dropout
        Fraction of the features that training drops before the last layer.
    precision
        Keras dtype policy of the hidden layers: ``"float32"`` or ``"mixed_bfloat16"``.
    """
    from keras import layers

    def hidden(x: Any) -> Any:
        for step in CONVOLUTIONS[architecture]:
            x = layers.Conv2D(step.filters, step.kernel, use_bias=False)(x)
            x = layers.MaxPooling2D()(x) if step.pool else x
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
        x = layers.Flatten(name=EMBEDDING)(x)
        return layers.Dropout(dropout)(x)

    return _classifier(hidden, scaling, precision, channels=(1,))


def recurrent(units: int, scaling: str, dropout: float, precision: str = "float32") -> Any:
    """Build an RNN that reads an image row by row, top to bottom."""
    from keras import layers

    def hidden(x: Any) -> Any:
        x = layers.GRU(units, unroll=True)(x)
        return layers.Dropout(dropout)(x)

    return _classifier(hidden, scaling, precision)


def notebook(units: int, scaling: str) -> Any:
    """Build the source document's own network: 784-128-10."""
    from keras import layers

    def hidden(x: Any) -> Any:
        return layers.Dense(units, activation="relu")(layers.Flatten()(x))

    return _classifier(hidden, scaling, "float32")


def logits_of(model: "keras.Model") -> "keras.Model":
    """Return the part of a network that ends before the softmax; the layers are shared."""
    import keras

    return keras.Model(model.input, model.get_layer(LOGITS).output)


def _classifier(
    hidden: Callable[[Any], Any], scaling: str, precision: str, channels: tuple[int, ...] = ()
) -> Any:
    import keras
    from keras import layers

    keras.backend.clear_session()  # so that layer names, which are saved, start at one
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        pixels = keras.Input((28, 28), dtype="uint8")
        factor, offset = SCALINGS[scaling]
        x = layers.Rescaling(factor, offset)(pixels)
        x = layers.Reshape((28, 28, *channels))(x) if channels else x
        logits = layers.Dense(10, name=LOGITS, dtype="float32")(hidden(x))
        return keras.Model(pixels, layers.Softmax(dtype="float32")(logits))
    finally:
        keras.config.set_dtype_policy(before)


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

    pixels = keras.Input((28, 28), dtype="uint8")
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
