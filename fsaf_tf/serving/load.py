"""One call for a detector of any kind: a run, a SavedModel, a TFLite or an ONNX file."""

import os
import warnings
from collections.abc import Sequence

import tensorflow as tf

from fsaf_tf.config import experiment as experiments
from fsaf_tf.data.classes import LABELS
from fsaf_tf.detect import trained
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.run import checkpoints
from fsaf_tf.serving import exported_models, onnx_model


def load_detector(
    path: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    test_augmentation: dict | str | None = None,
    experiment: str | None = None,
    postprocess: dict | None = None,
    branch: str | None = None,
    tile: int | dict | None = None,
) -> trained.Detector | exported_models.SavedModel | exported_models.TFLite | onnx_model.ONNX:
    """Loads a detector of any kind; all are called alike, with a picture.

    Args:
        path: the folder of a run or of imported weights, a SavedModel (a version, or the folder of the versions: the
            newest), or a `.tflite` or `.onnx` file; also a checkpoint, as below.
        checkpoint: of a run: `best`, `newest`, or the path of another one, a file prefix such as
            `runs/fsaf_r50/ckpt-90000` or a folder. If not given, the best that can be read, else the newest that can.
        test_augmentation: of a run: keys of `task.test_augmentation`, which then is done: `{"ratios": [0.5, 1, 1.5]}`.
            Or `on` or `off`.
        experiment: its name or path, where there is no `params.yaml` beside the checkpoint.
        postprocess: of a run: keys of `task.model.postprocess` that are wanted otherwise: `{"max_detections": 300}`.
        branch: of a run: `anchor_free` or `anchor_based` alone, of a detector that has both; it is then made without
            the other one. `both`, as without it.
        tile: of a run: cut pictures into tiles of so many pixels, for small objects in large pictures; or keys of
            `task.tiles`: `{"size": 640, "overlap": 0.3}`.

    Returns:
        A callable with `class_names` and `category_ids`; see `trained.Detector`, whose `checkpoint` says which it is.
            What is exported has None for a `checkpoint`, no `model` and no `preprocess`, and takes pictures at the
            size it was exported for.

    Raises:
        UserError: there is no such thing, it cannot be read, or it is of another model; a key or value is wrong.
    """
    exported = exported_models.find(path)
    if exported is None:
        return load_trained(path, checkpoint, test_augmentation, experiment, postprocess, branch, tile)
    exported_models.refuse_augmentation(exported, test_augmentation is not None)
    fixed = [*(postprocess or ()), *["branch"] * bool(branch), *["tile"] * bool(tile)]
    if fixed:
        raise UserError(f"{exported} is an exported model, whose {', '.join(fixed)} cannot be changed; give the run")
    if checkpoint is not None:
        raise UserError(f"{exported} is an exported model and has no checkpoints; leave checkpoint out")
    return exported_models.load(exported)


def load_trained(
    path: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    test_augmentation: dict | str | None = None,
    experiment: str | None = None,
    postprocess: dict | None = None,
    branch: str | None = None,
    tile: int | dict | None = None,
) -> trained.Detector:
    """Loads the detector of a run; see `load_detector`. An exported model, which has no Keras model, is refused."""
    exported = exported_models.find(path)
    if exported:
        raise UserError(f"{exported} is an exported model; give the run that it was made from")
    path, checkpoint = os.fspath(path), None if checkpoint is None else os.fspath(checkpoint)
    chosen = checkpoints.choose(path, checkpoint)
    run = experiments.folder_of(path) or experiments.folder_of(chosen.prefix)
    if not (run or experiment):
        raise UserError(
            f"there is no params.yaml beside {chosen.prefix}; say by experiment what it is a checkpoint of, the name or"
            " the path of a YAML file"
        )
    params = experiments.read_params(run) if run else experiments.load(experiment or "")
    if test_augmentation is not None:
        experiments.augment_tests(params, test_augmentation)
    if postprocess:
        experiments.change_postprocess(params, postprocess)
    if tile is not None:
        experiments.cut_into_tiles(params, tile)
    is_part = branch is not None and branch != "" and experiments.take_branch(params, branch)
    left_out = experiments.layers_beside(branch if is_part else None)
    for note in chosen.notes:
        warnings.warn(f"{note}; taking {chosen}", stacklevel=4)  # the caller of `fsaf_tf.load_detector`
    return trained.restore_detector(params.task, run or os.path.dirname(chosen.prefix), chosen, left_out)


def arguments_of(detector, arguments: Sequence) -> tuple:
    """The arguments of `load_detector` that load this one again, whatever is trained or exported meanwhile.

    Args:
        detector: from `load_detector`.
        arguments: that it got, in their order.
    """
    path, _, *others = arguments
    checkpoint = getattr(detector, "checkpoint", None)
    return (path, checkpoint.prefix, *others) if checkpoint else (exported_models.find(path), None, *others)


def files_of(arguments: Sequence) -> list[str]:
    """The files that say which detector `arguments_of` means: of a checkpoint the one with its tensors' checksums."""
    path, prefix, *_ = arguments
    if prefix:
        run = experiments.folder_of(path) or experiments.folder_of(prefix) or os.path.dirname(prefix)
        files = [f"{prefix}.index", f"{run}/params.yaml", f"{run}/{LABELS}"]
        return [file for file in files if tf.io.gfile.exists(file)]
    return [path] if paths.is_file(path) else sorted(paths.files_below(path))


def describe(detector) -> list[str]:
    """Lines for the terminal: which checkpoint a detector is, and its views or tiles; none of an exported one.

    Args:
        detector: from `load_detector`.
    """
    if not isinstance(detector, trained.Detector):
        return []
    ways = (detector.program.views, detector.program.tiles)
    lines = [detector.checkpoint.line] if detector.checkpoint else []
    return [*lines, *(way.describe() for way in ways if way)]
