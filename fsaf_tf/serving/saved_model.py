"""A detector as a SavedModel for TensorFlow Serving: encoded pictures in, detections in their pixels out.

docs/serving.md describes the signatures. The network is frozen, and is there once for all of them.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Callable

import tensorflow as tf

from fsaf_tf import detection, postprocess
from fsaf_tf.data import images
from fsaf_tf.data.classes import LABELS
from fsaf_tf.detect import trained
from fsaf_tf.errors import UserError
from fsaf_tf.files import parts, paths, storage
from fsaf_tf.serving import card, decode, frozen, named_outputs, warmup
from fsaf_tf.terminal import native_log

# Pictures that the network sees together, and pictures that are decoded at a time: memory does not grow with a request.
TOGETHER, DECODED = 4, 2
NAMES, GRAPH = "labels.txt", "saved_model.pb"
IN_WRITING = ".export-"  # before the name of a version that is being written

_ENCODED = tf.TensorSpec([None], tf.string, name="inputs")
_IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8, name="inputs")


def export(detector: trained.Detector, output: str, constants: bool = False, say: Callable[[str], None] = print) -> str:
    """Writes `output/<version>`, a number higher than those there, with a card; and settings for the server beside it.

    A version is written under another name, tried by requests to all of its signatures, and then renamed: a server that
    looks on sees all of it or nothing.

    Args:
        detector: from `load_detector`.
        output: the model's folder on this machine; the model gets its name.
        constants: the weights are constants of the graph, not variables: faster by a few percent, of several times the
            memory (docs/serving.md).
        say: takes a line on what exports that were killed have left there, which goes.

    Returns:
        The folder of the version.

    Raises:
        UserError: `output` is the folder of a run, or cannot be written to.
    """
    if paths.exists(f"{output}/params.yaml"):
        raise UserError(f"{output} is the folder of a run, which tools would take for the model; give another --output")
    name = os.path.basename(paths.absolute(output))
    try:
        paths.make_folder(output)
        # A remote one is written here first, since it cannot be renamed in one piece there.
        beside = None if paths.is_remote(output) else output
        folder = tempfile.mkdtemp(prefix=f"{parts.signed(IN_WRITING)}-", dir=beside)
    except OSError as error:
        raise UserError(f"{output} cannot be written to: {error.strerror}") from error
    try:
        parts.sweep(f"{output}/{IN_WRITING}", say)
        _write(detector, folder, constants)
        gc.collect()  # the traced functions refer to each other and hold the network several times
        requests = warmup.requests(name)
        with native_log.silenced():
            warmup.replay(folder, requests)
        warmup.write_requests(folder, requests)
        warmup.write_settings(output, name)
        takes = "encoded pictures of any size, several at a time; docs/serving.md"
        facts = card.Exported("SavedModel for TensorFlow Serving", takes, _files_of_network(folder), title=name)
        card.write(detector, facts, f"{folder}/{card.NAME}")
        return publish(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def signatures(detector: trained.Detector, network: Callable) -> dict[str, tf.types.experimental.PolymorphicFunction]:
    """The functions of the SavedModel by their names; see docs/serving.md.

    Args:
        detector: what else there is to do but the network.
        network: its own, frozen.
    """
    detect = _detect(detector, network)

    def of_encoded(data):
        sizes, orientations = decode.read_headers(data)
        turned = tf.where(orientations[:, None] > 4, sizes[:, ::-1], sizes)

        def load(place):
            return decode.decode(data[place], sizes[place], orientations[place], place)

        return detect(load, turned[:, 0] > turned[:, 1])

    def of_images(pictures):
        height, width = tf.shape(pictures)[1], tf.shape(pictures)[2]
        with tf.control_dependencies([images.require((height > 0) & (width > 0), "inputs have no pixels")]):
            portrait = tf.fill([tf.shape(pictures)[0]], height > width)
        return detect(lambda place: pictures[place], portrait)

    return {
        "serving_default": tf.function(of_encoded, autograph=False, input_signature=[_ENCODED]),
        "image_tensor": tf.function(of_images, autograph=False, input_signature=[_IMAGES]),
        "tf_example": tf.function(
            lambda examples: of_encoded(decode.examples_to_data(examples)), autograph=False, input_signature=[_ENCODED]
        ),
    }


def _detect(detector: trained.Detector, network: Callable) -> Callable:
    """A function from (load, portrait `[B]`) to the outputs; `load` gives the picture of a place."""
    program = detector.program
    category_ids = tf.constant(detector.classes.ids, named_outputs.id_type(detector.classes.ids))
    of_group_found = _in_tiles if program.tiles else _together

    def of_group(load, places):
        """The outputs for the pictures at some places, all of one canvas."""
        return named_outputs.of(of_group_found(network, program, load, places), category_ids)

    def detect(load, portrait):
        most = program.suppression.max_detections
        return by_group(lambda places: of_group(load, places), portrait, most, category_ids.dtype)

    return detect


def _together(network, program: detection.Program, load: Callable, places: tf.Tensor) -> postprocess.Detections:
    """The detections of pictures at some places, all of one canvas."""
    canvas, pair = tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)

    def fit(place):
        picture = load(place)
        return *program.fit(picture), tf.shape(picture)[:2]

    with tf.device("CPU:0"):
        fitted = tf.map_fn(fit, places, fn_output_signature=(canvas, pair, pair), parallel_iterations=DECODED)
    return program.detect(network, *fitted)


def _in_tiles(network, program: detection.Program, load: Callable, places: tf.Tensor) -> postprocess.Detections:
    """The same, one picture after the other, each in tiles."""

    def of_one(place):
        found = program.detect_in_tiles(network, load(place))[detection.ALL]
        return {key: value[0] for key, value in found.items()}

    signature = postprocess.signature(program.suppression.max_detections)
    return tf.map_fn(of_one, places, fn_output_signature=signature, parallel_iterations=1)


def by_group(of_group: Callable, portrait: tf.Tensor, max_detections: int, ids: tf.DType) -> dict[str, tf.Tensor]:
    """Detects in groups of at most `TOGETHER` pictures of one canvas, and puts the results in order.

    A wide picture on the canvas of a high one would have other padding than alone, and other detections at its border.
    """
    order = tf.argsort(tf.cast(portrait, tf.int32), stable=True)
    count, wide = tf.size(portrait), tf.reduce_sum(tf.cast(~portrait, tf.int32))
    starts = tf.concat([tf.range(0, wide, TOGETHER), tf.range(wide, count, TOGETHER)], axis=0)
    ends = tf.minimum(starts + TOGETHER, tf.where(starts < wide, wide, count))
    rows = [None, max_detections]
    empty = {
        "detection_boxes": tf.TensorArray(tf.float32, tf.size(starts), element_shape=[*rows, 4], infer_shape=False),
        "detection_scores": tf.TensorArray(tf.float32, tf.size(starts), element_shape=rows, infer_shape=False),
        "num_detections": tf.TensorArray(tf.int32, tf.size(starts), element_shape=[None], infer_shape=False),
    }
    for key in ("detection_classes", "detection_levels", "detection_branch"):
        kind = ids if key == "detection_classes" else tf.int32
        empty[key] = tf.TensorArray(kind, tf.size(starts), element_shape=rows, infer_shape=False)

    def step(number, arrays):
        found = of_group(order[starts[number] : ends[number]])
        return number + 1, {key: array.write(number, found[key]) for key, array in arrays.items()}

    loop = tf.while_loop(lambda number, _: number < tf.size(starts), step, (0, empty), parallel_iterations=1)
    back = tf.argsort(order)
    return {key: tf.gather(array.concat(), back) for key, array in loop[1].items()}


def _write(detector: trained.Detector, folder: str, constants: bool) -> None:
    """The SavedModel and its labels."""
    model, variables = detector.model, []
    if constants:
        network = frozen.freeze_to_constants(model)
    else:
        network, variables = frozen.freeze(model)
    with tempfile.TemporaryDirectory() as assets:
        module = tf.Module()
        module.weights = variables
        storage.write_text(f"{assets}/{NAMES}", "".join(f"{each}\n" for each in detector.classes.names))
        detector.classes.write(f"{assets}/{LABELS}")
        module.labels = [tf.saved_model.Asset(f"{assets}/{file}") for file in (NAMES, LABELS)]
        tf.saved_model.save(module, folder, signatures=signatures(detector, network))


def _files_of_network(folder: str) -> tuple[str, ...]:
    """The graph, and the weights where they are variables."""
    weights = [file for file in paths.files_below(f"{folder}/variables") if ".data-" in file]
    return f"{folder}/{GRAPH}", *sorted(weights)


def _copied(folder: str, target: str) -> str:
    """A version copied to remote storage, its graph last: without that it is none yet."""
    files = sorted(paths.files_below(folder), key=lambda file: os.path.basename(file) == GRAPH)
    for file in files:
        to = paths.join(target, os.path.relpath(file, folder))
        paths.make_folder(os.path.dirname(to))
        tf.io.gfile.copy(file, to)
    return target


def publish(folder: str, output: str) -> str:
    """Renames a finished folder to the next version in `output`, and returns it.

    Another export may take the number first; then the next one is taken.
    """
    os.chmod(folder, 0o755)  # a temporary folder is its owner's alone, and a server often another user
    while True:
        versions = [int(name) for name in paths.names(output) if name.isdecimal()]
        target = paths.join(output, str(max(versions, default=0) + 1))
        if paths.is_remote(output):
            return _copied(folder, target)
        try:
            os.rename(folder, target)
            return target
        except OSError:
            if not os.path.exists(target):
                raise
