"""Every model as one ONNX graph: uint8 images in, probabilities out."""

import warnings
from typing import Any

import numpy as np

from tasks.core.scaling import SCALINGS

IMAGES = "images"
PROBABILITIES = "probabilities"
_OPSET = 18


def sklearn_graph(pipeline: Any, scaling: str, temperature: float | None) -> bytes:
    """Return the ONNX graph of a fitted scikit-learn pipeline for flattened, scaled pixels.

    Parameters
    ----------
    pipeline
        A fitted ``Pipeline`` whose last step is the classifier, for ``(n, 784)`` float32.
    scaling
        The range of pixels that it was fitted on: ``"[0,1]"`` or ``"[-1,1]"``.
    temperature
        For a classifier without probabilities: its decision values, divided by this, go
        through a softmax. None: its own probabilities are the output.
    """
    from onnx import compose
    from skl2onnx import to_onnx

    classifier = pipeline[-1]
    options: dict[str, Any] = {"zipmap": False}
    if temperature is not None:
        options["raw_scores"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it looks at what scikit-learn retires
        converted = to_onnx(
            pipeline,
            np.zeros((1, 784), np.float32),
            options={id(classifier): options},
            target_opset=_OPSET,
        )
    inner = compose.add_prefix(converted, "classifier_")
    scores = inner.graph.output[1].name
    graph = compose.merge_models(
        _scale(scaling, inner), inner, [("pixels", inner.graph.input[0].name)], outputs=[scores]
    )
    graph = compose.merge_models(graph, _softmax(temperature, inner), [(scores, "scores")])
    return bytes(graph.SerializeToString(deterministic=True))


def _scale(scaling: str, like: Any) -> Any:
    """``images`` uint8 ``(n, 28, 28)`` to ``pixels`` float32 ``(n, 784)``."""
    from onnx import TensorProto, helper, numpy_helper

    factor, offset = SCALINGS[scaling]
    nodes = [
        helper.make_node("Cast", [IMAGES], ["raw"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["raw", "factor"], ["stretched"]),
        helper.make_node("Add", ["stretched", "offset"], ["shifted"]),
        helper.make_node("Reshape", ["shifted", "shape"], ["pixels"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(factor, np.float32), "factor"),
        numpy_helper.from_array(np.array(offset, np.float32), "offset"),
        numpy_helper.from_array(np.array([-1, 784]), "shape"),
    ]
    source = helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, [None, 28, 28])
    target = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [None, 784])
    return _model(helper.make_graph(nodes, "scale", [source], [target], constants), like)


def _softmax(temperature: float | None, like: Any) -> Any:
    """``scores`` to ``probabilities``, both float32 ``(n, 10)``."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Div", ["scores", "temperature"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], [PROBABILITIES], axis=1),
    ]
    constants = [numpy_helper.from_array(np.array(temperature or 1, np.float32), "temperature")]
    if temperature is None:
        nodes, constants = [helper.make_node("Identity", ["scores"], [PROBABILITIES])], []
    source = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 10])
    target = helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, [None, 10])
    return _model(helper.make_graph(nodes, "softmax", [source], [target], constants), like)


def _model(graph: Any, like: Any) -> Any:
    from onnx import helper

    return helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)
