"""TensorFlow's converter to TFLite, one function with names for its inputs and outputs at a time."""

import tempfile
from collections.abc import Callable, Sequence

import tensorflow as tf

from fsaf_tf.terminal import native_log


def module(run: Callable, signature: dict[str, tf.TensorSpec], variables: Sequence[tf.Variable] = ()) -> tf.Module:
    """What can be saved of a function: not the Keras model, whose layers would be saved with all their calls."""
    module = tf.Module()
    module.values = list(variables)
    module.run = tf.function(run, autograph=False).get_concrete_function(**signature)
    return module


def convert(module: tf.Module, quantize: str = "none", pictures: Callable | None = None) -> bytes:
    """Converts what `module` returned, through a SavedModel: in a file made of a bare function nothing has its name.

    Args:
        module: see there.
        quantize: `none`, `float16` or `int8`, which makes a float32 input uint8 and leaves outputs float32.
        pictures: for int8, gives the inputs of a calibration one by one, a list each.

    Returns:
        The content of a `.tflite` file with a signature.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.run)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantize != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8":
            converter.representative_dataset = pictures
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
        with native_log.silenced():
            return converter.convert()
