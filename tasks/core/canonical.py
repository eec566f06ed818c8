"""The same network, the same bytes: ONNX graphs with names and order that follow content."""

import hashlib
from graphlib import TopologicalSorter
from typing import Any


def canonical(graph: bytes) -> bytes:
    """Return an ONNX model with everything removed that differs from export to export.

    tf2onnx walks sets of objects, so that names, the order of nodes and which of two equal
    nodes is kept change each time. Here every value is named by what it computes, equal
    nodes become one, and nodes stand in an order that depends on those names alone.

    Parameters
    ----------
    graph
        A serialised model with one input and one output and without control flow, whose
        nodes stand in an order in which they can run.

    Raises
    ------
    ValueError
        If a node holds a graph of its own (a loop or a condition).
    """
    import onnx

    model = onnx.load_from_string(graph)
    (source,), (target,) = model.graph.input, model.graph.output
    names = {"": "", source.name: "images"}
    constants: dict[str, Any] = {}
    for tensor in model.graph.initializer:
        names[tensor.name] = _digest(_without_name(tensor))
        tensor.name = names[tensor.name]
        constants[tensor.name] = tensor
    nodes: dict[str, Any] = {}
    for node in model.graph.node:
        _rename(node, names)
        nodes.setdefault(node.name, node)
    renamed = {names[target.name]: "probabilities"}
    ordered = _in_order(nodes)
    for node in ordered:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    used = {name for node in ordered for name in node.input}
    source.name, target.name = "images", "probabilities"
    for value in (source, target):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    result = onnx.helper.make_model(
        onnx.helper.make_graph(
            ordered,
            "network",
            [source],
            [target],
            [constants[name] for name in sorted(constants) if name in used],
        ),
        opset_imports=sorted(model.opset_import, key=lambda entry: entry.domain),
        ir_version=model.ir_version,
    )
    return bytes(result.SerializeToString(deterministic=True))


def _rename(node: Any, names: dict[str, str]) -> None:
    """Name a node and its outputs by its operation, attributes and inputs."""
    attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
    if any(attribute.HasField("g") or attribute.graphs for attribute in attributes):
        raise ValueError(f"expected a graph without control flow; got a {node.op_type}")
    del node.attribute[:]
    node.attribute.extend(attributes)
    node.input[:] = [names[name] for name in node.input]
    outputs, node.output[:] = list(node.output), []
    node.name, node.doc_string = "", ""
    node.name = _digest(node)
    node.output[:] = [f"{node.name}_{position}" for position in range(len(outputs))]
    names.update(zip(outputs, node.output, strict=True))


def _in_order(nodes: dict[str, Any]) -> list[Any]:
    """Return the nodes so that inputs come first; of those that could be next, the least name."""
    makers = {output: name for name, node in nodes.items() for output in node.output}
    needs = {
        name: {makers[value] for value in node.input if value in makers}
        for name, node in sorted(nodes.items())
    }
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    ordered: list[Any] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered.extend(nodes[name] for name in ready)
        sorter.done(*ready)
    return ordered


def _without_name(tensor: Any) -> Any:
    copy = type(tensor)()
    copy.CopyFrom(tensor)
    copy.name, copy.doc_string = "", ""
    return copy


def _digest(message: Any) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:16]
