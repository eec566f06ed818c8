"""What the ONNX artifact tells beside its probabilities.

Whether it is sure enough to answer, what each member says, and the names of the classes. A
graph is an ensemble's, as `tasks.core.canonical` leaves it: each member ends in a softmax of
its own, and ``probabilities``, ``(n, classes)`` float32, is their mean. Who asks for an output
of before alone gets the same bits as before.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

ANSWERED = "answered"
CLASSES = "classes"
MEMBERS = "members"
THRESHOLD = "abstention_threshold"


def with_threshold(graph: bytes, threshold: float) -> bytes:
    """Return an ONNX classifier that carries ``threshold`` and applies it.

    It gets one more output, ``answered``, bool ``(n,)``, and the threshold stands in its
    metadata under ``abstention_threshold``.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(graph)
    limit = numpy_helper.from_array(np.array(threshold, np.float32), THRESHOLD)
    axis = numpy_helper.from_array(np.array([1], np.int64), "classes")
    model.graph.initializer.extend([limit, axis])
    # Any class at or above the threshold: maxima take their axes in another way from opset 18 on.
    model.graph.node.extend(
        [
            helper.make_node("GreaterOrEqual", ["probabilities", limit.name], ["sure"]),
            helper.make_node("Cast", ["sure"], ["counted"], to=TensorProto.INT32),
            helper.make_node("ReduceSum", ["counted", "classes"], ["sure_classes"], keepdims=0),
            helper.make_node("Cast", ["sure_classes"], [ANSWERED], to=TensorProto.BOOL),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info(ANSWERED, TensorProto.BOOL, ["n"]))
    return _with_metadata(model, {THRESHOLD: repr(threshold)})


def with_classes(graph: bytes, classes: Sequence[str]) -> bytes:
    """Return the graph with the classes' names in its metadata, a JSON list under ``classes``."""
    import onnx

    model = onnx.load_from_string(graph)
    return _with_metadata(model, {CLASSES: json.dumps(list(classes), ensure_ascii=False)})


def softmaxes(graph: bytes) -> int:
    """Return how many softmaxes the graph has: those of its members, in no order of theirs."""
    import onnx

    return len(_softmaxes(onnx.load_from_string(graph)))


def with_members(graph: bytes, order: Sequence[int]) -> bytes:
    """Return the graph with one more output, ``members``, float32 ``(n, len(order), classes)``.

    Its row ``i`` is softmax ``order[i]`` of the graph.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(graph)
    found = _softmaxes(model)
    shape = numpy_helper.from_array(np.array([0, len(order), -1], np.int64), "members_shape")
    model.graph.initializer.append(shape)
    model.graph.node.extend(
        [
            helper.make_node("Concat", [found[number] for number in order], ["beside"], axis=1),
            helper.make_node("Reshape", ["beside", shape.name], [MEMBERS]),
        ]
    )
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    dimensions = ["n", len(order), classes]
    model.graph.output.append(helper.make_tensor_value_info(MEMBERS, TensorProto.FLOAT, dimensions))
    return _with_metadata(model, {})


def match(softmaxes: np.ndarray, wanted: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return for each member the softmax that is nearest to it, and how far the two differ.

    Parameters
    ----------
    softmaxes
        What each softmax says of some images, ``(n, softmaxes, classes)``.
    wanted
        What each member says of them, ``(members, n, classes)``.

    Returns
    -------
    tuple
        The softmaxes' numbers, and the largest differences in probability, ``(members,)``.
    """
    gaps = np.array([np.abs(softmaxes - said[:, None]).max((0, 2)) for said in wanted])
    return gaps.argmin(1).tolist(), gaps.min(1)


def _softmaxes(model: Any) -> list[str]:
    return [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]


def _with_metadata(model: Any, texts: dict[str, str]) -> bytes:
    """Return the model's bytes, with ``texts`` beside what stands in its metadata."""
    import onnx

    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, dict(sorted({**known, **texts}.items())))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
