"""The two parts of an ONNX file as ONNX models: from a picture to its canvas, and from the canvas to detections."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.compose
import onnx.parser
import tensorflow as tf
import tf2onnx
from tf2onnx import handler

from fsaf_tf import detection
from fsaf_tf.data import augment
from fsaf_tf.serving import named_outputs
from fsaf_tf.terminal import native_log

OPSET = 18  # the first whose Resize averages where pixels get fewer, and the last that tf2onnx writes
CANVAS = "canvas"
SIZES = ("image_size", "original_size")  # of the picture on the canvas, and before
IR_VERSION = 8  # of opset 18

# As TensorFlow: outside of the picture there is nothing. ONNX's default would count the pixels at the border again.
_AVERAGING = 'mode = "linear", coordinate_transformation_mode = "half_pixel", antialias = 1, exclude_outside = 1'
# `Program.fit` in ONNX's own words: tf2onnx has none for a resize that averages. Rows come first, as in TensorFlow:
# the two sums are then rounded alike.
_FIT = """
<ir_version: {ir_version}, opset_import: ["": {opset}]>
fit (uint8[1, height, width, 3] inputs)
    => (uint8[1, canvas_height, canvas_width, 3] canvas, int32[1, 2] image_size, int32[1, 2] original_size)
<
    float shorter_side = {{{shorter_side}}}, float longer_side = {{{longer_side}}}, int64 least = {{1}},
    int64[2] landscape = {{{landscape}}}, int64[2] portrait = {{{portrait}}},
    int64[1] batch = {{1}}, int64[1] channels = {{3}}, int64[1] none = {{0}}, int64[5] before = {{0, 0, 0, 0, 0}},
    float black = {{0}}, float white = {{255}}
>
{{
    size = Shape <start = 1, end = 3> (inputs)
    height, width = Split <num_outputs = 2> (size)
    is_portrait = Greater (height, width)
    canvas_size = Where (is_portrait, portrait, landscape)

    sides = Cast <to = {FLOAT}> (size)
    shorter = ReduceMin <keepdims = 0> (sides)
    longer = ReduceMax <keepdims = 0> (sides)
    by_shorter = Div (shorter_side, shorter)
    by_longer = Div (longer_side, longer)
    scale = Min (by_shorter, by_longer)
    scaled = Mul (sides, scale)
    rounded = Round (scaled)
    whole = Cast <to = {INT64}> (rounded)
    kept_aspect = Max (whole, least)
    new_size = Identity ({new_size})

    pixels = Cast <to = {FLOAT}> (inputs)
    new_height, new_width = Split <num_outputs = 2> (new_size)
    of_rows = Concat <axis = 0> (batch, new_height, width, channels)
    rows = Resize <{averaging}> (pixels, , , of_rows)
    of_both = Concat <axis = 0> (batch, new_size, channels)
    resized = Resize <{averaging}> (rows, , , of_both)
    whole_pixels = Round (resized)
    clipped = Clip (whole_pixels, black, white)
    picture = Cast <to = {UINT8}> (clipped)
    rest = Sub (canvas_size, new_size)
    padding = Concat <axis = 0> (before, rest, none)
    canvas = Pad (picture, padding)

    new_size_row = Unsqueeze (new_size, none)
    image_size = Cast <to = {INT32}> (new_size_row)
    size_row = Unsqueeze (size, none)
    original_size = Cast <to = {INT32}> (size_row)
}}
"""


def fit(sides: tuple[int, int], keep_aspect: bool) -> onnx.ModelProto:
    """From a picture `inputs` `[1, height, width, 3]` uint8 of any size to the inputs of `detect`.

    Values are those of `augment.resize_and_pad`, where a side becomes half as long, for instance, to the last bit. Else
    ONNX Runtime rounds the places between pixels otherwise, and one in some thousand values is one grey level off.

    Args:
        sides: what shorter and longer side of a picture become, in pixels.
        keep_aspect: see there.
    """
    landscape, portrait = augment.canvas_sizes(*sides)
    return onnx.parser.parse_model(
        _FIT.format(
            averaging=_AVERAGING,
            ir_version=IR_VERSION,
            opset=OPSET,
            new_size="kept_aspect" if keep_aspect else "canvas_size",
            shorter_side=sides[0],
            longer_side=sides[1],
            landscape=_listed(landscape),
            portrait=_listed(portrait),
            **dict(onnx.TensorProto.DataType.items()),
        )
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


@handler.tf_op("Erfc")
class Erfc:
    """What TensorFlow makes of a GELU, as ConvNeXt has, as 1 - `Erf`: neither ONNX nor tf2onnx has it."""

    @classmethod
    def version_9(cls, graph, node, **kwargs):
        """tf2onnx calls it from opset 9 on, to put other nodes in the place of one."""
        of_output = {"shapes": [graph.get_shape(node.output[0])], "dtypes": [graph.get_dtype(node.output[0])]}
        one = graph.make_const(f"{node.name}/one", np.ones([], np.float32))
        erf = graph.make_node("Erf", node.input, **of_output)
        graph.remove_node(node.name)
        graph.make_node("Sub", [one.output[0], erf.output[0]], name=node.name, outputs=node.output, **of_output)


def detect(
    program: detection.Program, network: detection.Network, ids: Sequence[int], size: Sequence[int | None]
) -> onnx.ModelProto:
    """From `canvas` `[1, H, W, 3]` uint8 and two sizes `[1, 2]` int32 to what `named_outputs` names.

    Args:
        program: of the detector; views and tiles are not looked at.
        network: see there; from `frozen.freeze`.
        ids: of the categories, by class.
        size: height and width of the canvas; None for those that are not known.
    """
    sizes = [tf.TensorSpec([1, 2], tf.int32, name) for name in SIZES]
    signature = [tf.TensorSpec([1, *size, 3], tf.uint8, CANVAS), *sizes]

    def run(canvas, image_size, original_size):
        category_ids = tf.constant(ids, named_outputs.id_type(ids))  # a tensor of outside would become an input
        return named_outputs.of(program.detect(network, canvas, image_size, original_size), category_ids)

    function = tf.function(run, autograph=False, input_signature=signature)
    with native_log.silenced():
        model, _ = tf2onnx.convert.from_function(function, signature, opset=OPSET)
    return _of_one_opset(model)


def joined(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """`fit` and `detect` as one model."""
    names = [(name, name) for name in (CANVAS, *SIZES)]
    apart = onnx.compose.add_prefix(first, "fit/", rename_inputs=False, rename_outputs=False)
    return _of_one_opset(onnx.compose.merge_models(apart, second, io_map=names))


def _of_one_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its only opset named once, and no other one of which it has nothing."""
    del model.opset_import[:]
    model.opset_import.add(domain="", version=OPSET)
    model.ir_version = IR_VERSION
    return model
