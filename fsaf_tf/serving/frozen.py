"""A network as one function of constants or variables, its batch normalisation folded into its convolutions.

TensorFlow's `convert_variables_to_constants_v2` does the first half and takes twenty times the memory of the weights.
"""

import collections
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
_FLOAT = tf.float32.as_datatype_enum


def freeze(model: tf_keras.Model) -> tuple[tf.types.experimental.ConcreteFunction, list[tf.Variable]]:
    """The network in inference mode.

    What is left of a layer is a convolution, its bias and its ReLU: TensorFlow's optimizer fuses these when the graph
    is loaded, for the machine that it runs on. A variable TensorFlow holds once, whatever calls the function; a
    constant it copies with each graph that it reads, optimizes or runs. But constant kernels it keeps in the order that
    its convolutions want, and others it puts into that order each time.

    Args:
        model: from normalised float32 images `[B, H, W, 3]` to a nest of outputs.

    Returns:
        The same as a function, and the variables that it needs, which live as long as this list.
    """
    network, weights = _folded(model), {}
    for node in network.graph.node:
        if node.op == "Const" and node.attr["dtype"].type == _FLOAT:
            value = tf.make_ndarray(node.attr["value"].tensor)
            weights[node.name] = tf.Variable(value, trainable=False, name=node.name)
    return network.function(weights), list(weights.values())


def freeze_to_constants(model: tf_keras.Model) -> tf.types.experimental.ConcreteFunction:
    """The same without variables. The constants are in a SavedModel once, however many functions call this."""
    return _folded(model).function({})


class _Network(NamedTuple):
    """A folded graph with what is needed to call it.

    Attributes:
        graph: of constants.
        images: name of the input's node.
        outputs: names of the nodes of the outputs.
        structure: the nest that they come in.
    """

    graph: graph_pb2.GraphDef
    images: str
    outputs: list[str]
    structure: Any

    def function(self, weights: dict[str, tf.Variable]) -> tf.types.experimental.ConcreteFunction:
        """From images to outputs, with variables in the place of the constants of these names."""
        graph = graph_pb2.GraphDef(node=[node for node in self.graph.node if node.name not in weights])
        names = [f"{name}:0" for name in self.outputs]

        def imported(images):
            inputs = {self.images: images, **{name: weight.read_value() for name, weight in weights.items()}}
            values = tf.graph_util.import_graph_def(graph, inputs, return_elements=names, name="")
            return tf.nest.pack_sequence_as(self.structure, values)

        return tf.function(imported, autograph=False).get_concrete_function(_IMAGES)


def _folded(model: tf_keras.Model) -> _Network:
    function = tf.function(lambda images: model(images, training=False), autograph=False).get_concrete_function(_IMAGES)
    outputs = [output.op.name for output in function.outputs]
    graph = fold_batch_norm(fold_constants(variables_to_constants(function), outputs), outputs)
    return _Network(graph, function.inputs[0].op.name, outputs, function.structured_outputs)


def variables_to_constants(function: tf.types.experimental.ConcreteFunction) -> graph_pb2.GraphDef:
    """The graph of a function without side effects, what it captures as constants, without control dependencies."""
    variables = {id(variable.handle): variable for variable in function.graph.variables}
    captured = {inner.op.name: variables.get(id(outer), outer) for outer, inner in function.graph.captures}
    graph, replaced = graph_pb2.GraphDef(), {}
    for name, value in captured.items():
        _add_constant(graph, name, value.numpy())
    for node in function.graph.as_graph_def().node:
        if node.op == "ReadVariableOp":
            replaced[node.name] = node.input[0]
        elif node.name not in captured:
            graph.node.append(node)
    for node in graph.node:
        _set_inputs(node, [replaced.get(_name(name), name) for name in node.input if not name.startswith("^")])
    return graph


def fold_constants(graph: graph_pb2.GraphDef, outputs: list[str]) -> graph_pb2.GraphDef:
    """Computes what depends on no input.

    Args:
        graph: without functions, loops, side effects and control dependencies; no node before those it needs.
        outputs: names of nodes.

    Returns:
        Another graph, of what leads to the outputs.
    """
    fixed = set()
    for node in graph.node:
        if node.op == "Const" or (node.input and all(_name(each) in fixed for each in node.input)):
            fixed.add(node.name)
    used = {each for node in graph.node if node.name not in fixed for each in node.input}
    is_constant = {node.name for node in graph.node if node.op == "Const"}
    computed = sorted(each for each in used if _name(each) in fixed - is_constant)
    constants = {each: each.replace(":", "/output_") for each in computed}
    folded = graph_pb2.GraphDef(node=[node for node in graph.node if node.name not in computed])
    for node in folded.node:
        _set_inputs(node, [constants.get(each, each) for each in node.input])
    for name, value in zip(computed, _evaluate(_leading_to(graph, map(_name, computed)), computed)):
        _add_constant(folded, constants[name], value.numpy())
    return _leading_to(folded, outputs)


def fold_batch_norm(graph: graph_pb2.GraphDef, outputs: list[str]) -> graph_pb2.GraphDef:
    """Folds what multiplies the channels of a convolution by constants or adds constants to them: batch normalisation.

    What does not follow a convolution of constant kernel that nothing else uses stays as it is. A convolution may be
    taken group by group, as `resnet.Convolution` does where there are no kernels for groups: its parts side by side
    are one.

    Args:
        graph: as `fold_constants` leaves it.
        outputs: names of nodes.

    Returns:
        Another graph, of what leads to the outputs. An addition has become a `BiasAdd`, a factor an `Identity`.
    """
    folded = graph_pb2.GraphDef()
    folded.CopyFrom(graph)
    nodes = {node.name: node for node in folded.node}
    uses = collections.Counter(_name(name) for node in graph.node for name in node.input)
    for node in [node for node in folded.node if node.op in ("FusedBatchNormV3", "Mul", "AddV2")]:
        values = _scale_and_shift(node, nodes)
        before = _before(node, nodes, uses)
        parts = _convolutions(before, nodes, uses)
        if values is None or not parts:
            continue
        scale, shift = values
        ends = np.cumsum([_channels(part, nodes) for part in parts])
        if any(value is not None and value.size != ends[-1] for value in values):
            continue
        if scale is not None:
            for number, (part, factors) in enumerate(zip(parts, np.split(scale, ends[:-1]))):
                name = f"{node.name}/kernel_{number}" if number else f"{node.name}/kernel"
                part.input[1] = _add_constant(folded, name, _scaled(part, factors, nodes))
                nodes[name] = folded.node[-1]
        bias = None if shift is None else _add_constant(folded, f"{node.name}/bias", shift)
        node.CopyFrom(_after_folding(node.name, before, bias))
    return _leading_to(folded, outputs)


def _before(node, nodes: dict, uses: collections.Counter) -> node_def_pb2.NodeDef:
    """The node before one; what has become an `Identity` is nothing."""
    before = nodes[_name(node.input[0])]
    while before.op == "Identity" and uses[before.name] == 1:
        before = nodes[_name(before.input[0])]
    return before


def _convolutions(node, nodes: dict, uses: collections.Counter) -> list[node_def_pb2.NodeDef]:
    """The convolutions whose channels side by side are the output of a node, if nothing else sees them; else none.

    They are the node itself, or what it concatenates by channels.
    """
    parts = [node]
    if node.op == "ConcatV2" and uses[node.name] == 1 and _constant(nodes, node.input[-1]) in (-1, 3):
        parts = [nodes[_name(name)] for name in node.input[:-1]]
    return parts if all(_can_be_scaled(part, nodes, uses) for part in parts) else []


def _can_be_scaled(node, nodes: dict, uses: collections.Counter) -> bool:
    """Whether a node is a convolution by a constant kernel whose output one other node sees."""
    fits = node.op in _CONVOLUTIONS and node.attr["data_format"].s == b"NHWC" and uses[node.name] == 1
    return fits and nodes[_name(node.input[1])].op == "Const"


def _channels(convolution, nodes: dict) -> int:
    """How many channels a convolution gives; a depthwise kernel ends [channels, multiplier]."""
    shape = nodes[convolution.input[1]].attr["value"].tensor.tensor_shape.dim
    return shape[3].size if convolution.op == "Conv2D" else shape[2].size * shape[3].size


def _scaled(convolution, factors: np.ndarray, nodes: dict) -> np.ndarray:
    """The kernel with each channel of the output multiplied by its factor."""
    kernel = _constant(nodes, convolution.input[1])
    return kernel * factors.reshape((-1,) if convolution.op == "Conv2D" else kernel.shape[2:])


def _scale_and_shift(node, nodes: dict) -> tuple[np.ndarray | None, np.ndarray | None] | None:
    """The factor and the addend of each channel, None for none; None if the node is more than that."""
    values = [_constant(nodes, name) for name in node.input[1:]]
    if any(value is None or value.ndim != 1 for value in values):
        return None
    if node.op != "FusedBatchNormV3":
        return (values[0], None) if node.op == "Mul" else (None, values[0])
    if node.attr["is_training"].b:
        return None
    gamma, beta, mean, variance = values
    scale = gamma / np.sqrt(variance + np.float32(node.attr["epsilon"].f))
    return scale, beta - mean * scale


def _evaluate(graph: graph_pb2.GraphDef, names: list[str]) -> list[tf.Tensor]:
    """Some outputs, `node` for its first or `node:1`, of a graph without inputs."""
    elements = [name if ":" in name else f"{name}:0" for name in names]

    def imported():
        return tf.graph_util.import_graph_def(graph, return_elements=elements, name="")

    return tf.function(imported, autograph=False)()


def _name(name: str) -> str:
    """The node of an input, `node` or `node:1`."""
    return name.split(":")[0]


def _constant(nodes: dict, name: str) -> np.ndarray | None:
    node = nodes[_name(name)]
    return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None


def _add_constant(graph: graph_pb2.GraphDef, name: str, value: np.ndarray) -> str:
    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return name


def _set_inputs(node: node_def_pb2.NodeDef, names: list[str]) -> None:
    del node.input[:]
    node.input.extend(names)


def _after_folding(name: str, before: node_def_pb2.NodeDef, bias: str | None) -> node_def_pb2.NodeDef:
    """The node that stays in the place of a folded one."""
    attributes = {"T": before.attr["T"]}
    if bias is None:
        return node_def_pb2.NodeDef(name=name, op="Identity", input=[before.name], attr=attributes)
    attributes["data_format"] = attr_value_pb2.AttrValue(s=b"NHWC")
    return node_def_pb2.NodeDef(name=name, op="BiasAdd", input=[before.name, bias], attr=attributes)


def _leading_to(graph: graph_pb2.GraphDef, outputs: list[str]) -> graph_pb2.GraphDef:
    """The part of a graph that some nodes need, in its order."""
    nodes = {node.name: node for node in graph.node}
    found, left = set(), list(outputs)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [_name(each) for each in nodes[name].input]
    return graph_pb2.GraphDef(node=[node for node in graph.node if node.name in found])
