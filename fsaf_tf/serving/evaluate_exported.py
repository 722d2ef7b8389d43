"""COCO's figures of an exported model, picture by picture, on the validation data of an experiment or a run."""

import os
import time
from collections.abc import Callable, Sequence

from official.core import config_definitions

from fsaf_tf.data import digest
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Source, named_errors, with_classes
from fsaf_tf.data.source import open_validation as open_validation_data
from fsaf_tf.detect import trained
from fsaf_tf.detect.predict_files import to_coco
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision, metrics_table
from fsaf_tf.files import paths, storage
from fsaf_tf.run import lock, records
from fsaf_tf.serving import canvas, exported_models, onnx_model
from fsaf_tf.terminal.progress import Progress, evaluation_line, track

CHECKPOINT, STRETCHED = "checkpoint", "stretched by a library"  # rows beside those of files
LOSS = 0.01  # AP; a file that loses more is said loudly


def evaluate(
    path: str, params: config_definitions.ExperimentConfig, output: str | None = None, *, download: bool = False
) -> dict:
    """Evaluates an exported model and writes `metrics.json` and `detections.json`, as an evaluation of a run does.

    Pictures are taken as in every evaluation: whether upright or as they are stored, their data say.

    Args:
        path: of the file or of the version, from `exported_models.find`.
        params: an experiment; its `task.validation_data` is used alone.
        output: folder to write to; `PATH-eval` beside the model if not given.
        download: let TFDS download what is not there.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: the data have other classes than the model, one of them cannot be read, or the experiment wants
            test-time augmentation, or tiles of a file.
    """
    exported_models.refuse_augmentation(path, params.task.test_augmentation.enabled)
    if params.task.tiles.size and path.endswith(exported_models.FILES):
        raise UserError(f"{path} sees one picture and no tiles; give --params_override=task.tiles.size=0")
    output = output or folder_of(path)
    if paths.exists(f"{output}/params.yaml"):
        raise UserError(f"{output} is the folder of a run, whose figures these are not; give another --model_dir")
    detector, progress = exported_models.load(path), Progress()
    source = _with_classes(open_validation_data(params.task, download=download), detector.classes, path)
    with lock.held(output, [lock.EVALUATION], progress.say):
        return _evaluate(path, params, output, source, detector, progress)


def _evaluate(
    path: str,
    params: config_definitions.ExperimentConfig,
    output: str,
    source: Source,
    detector: Callable,
    progress: Progress,
) -> dict:
    """Detects, counts, writes and says."""
    counts = f"{source.name}: {source.num_images} images, {len(source.classes)} classes"
    progress.say("\n  ".join([counts, *(finding.line for finding in source.findings)]))
    start = time.monotonic()
    results = _detect({path: detector}, source, detector.classes, progress)[path]
    ground_truth, most = source.ground_truth(), params.task.evaluation.max_detections
    metrics = storage.plain(average_precision.coco_metrics(ground_truth, results, most))
    facts = {"images": source.num_images, "model": path, "data": records.data_keys(params)}
    facts |= {records.DIGEST: digest.of(ground_truth)}
    metrics |= {**facts, "seconds": round(time.monotonic() - start, 1)}
    records.write_evaluation(output, metrics, results)
    progress.say(f"Evaluation of {path}, {source.num_images} images:")
    progress.say(metrics_table.format_table(metrics))
    progress.say(f"The figures are in {output}/metrics.json, the detections in {output}/detections.json")
    return metrics


def folder_of(path: str) -> str:
    """Where the evaluation of a model goes if nothing else is said: beside it."""
    return f"{os.path.splitext(path)[0] if path.endswith(exported_models.FILES) else path}-eval"


def open_validation(detector: trained.Detector) -> Source:
    """The validation data that a run records, for `compare`.

    Raises:
        UserError: there are none, they are not there, or they have other classes than the detector.
    """
    try:
        source = open_validation_data(detector.config)
    except UserError as error:
        raise UserError(f"--evaluate needs the run's task.validation_data: {error}") from error
    return _with_classes(source, detector.classes, detector.checkpoint.prefix)


def compare(detector: trained.Detector, paths: Sequence[str], source: Source) -> dict[str, dict]:
    """Evaluates TFLite or ONNX files beside the detector that they were made of, and prints what they lose.

    Args:
        detector: is taken without test-time augmentation, which a file does not have.
        paths: what one export wrote, a file for each canvas of `canvas.choose`: a picture is for one of them.
        source: from `open_validation`.

    Returns:
        What `average_precision.coco_metrics` gives, by row of the table: of the checkpoint, of the files, and of
        TFLite files with pictures that keep their aspect in training but are stretched, as libraries do it.
    """
    files, progress = [exported_models.load(path) for path in paths], Progress()
    name = name_of(paths)
    rows = {CHECKPOINT: detector.at_one_size(), name: _by_orientation(files)}
    if isinstance(files[0], exported_models.TFLite) and files[0].canvas.keep_aspect:
        rows[STRETCHED] = _by_orientation([file.stretching() for file in files])
    metrics = figures(rows, source, detector.classes, progress, detector.config.evaluation.max_detections)
    rows_and_notes = [metrics_table.format_rows(metrics, source.num_images)]
    progress.say("\n  ".join(rows_and_notes + metrics_table.ceiling_lines(metrics[CHECKPOINT])))
    loss = metrics[CHECKPOINT]["AP"] - metrics[name]["AP"]
    if loss > LOSS:
        progress.say(f"THE FILE LOSES {loss:.3f} AP: {_advice(files)}")
    return metrics


def name_of(paths: Sequence[str]) -> str:
    """The row of `compare` that several files have together."""
    return ", ".join(map(os.path.basename, paths))


def figures(
    rows: dict[str, Callable],
    source: Source,
    classes: Classes,
    progress: Progress,
    max_detections: int = average_precision.MOST,
) -> dict[str, dict]:
    """What `average_precision.coco_metrics` gives for each of several detectors of the same classes, by their names."""
    results, ground_truth = _detect(rows, source, classes, progress), source.ground_truth()
    return {name: average_precision.coco_metrics(ground_truth, results[name], max_detections) for name in rows}


def _detect(rows: dict[str, Callable], source: Source, classes: Classes, progress: Progress) -> dict[str, list[dict]]:
    """COCO's results of each detector, by its name."""
    examples, results = (
        named_errors(source.decode(source.examples())),
        {name: [] for name in rows},
    )
    for example in track(examples, progress, lambda done, rate: evaluation_line(done, source.num_images, rate)):
        for name, detector in rows.items():
            results[name] += to_coco(detector(example["image"]), example["image_id"], classes.ids)
    return results


def _by_orientation(files: Sequence[Callable]) -> Callable:
    return lambda image: canvas.of_orientation(files, image.shape[:2])(image)


def _advice(files: Sequence[exported_models.TFLite | onnx_model.ONNX]) -> str:
    """What to do about a loss."""
    first = files[0]
    if len(files) == 1 and first.canvas and min(first.canvas.size) < first.canvas.longer_side:
        return "not every picture is as large or as wide on its input as in training; take --canvas=both"
    if isinstance(first, onnx_model.ONNX):
        return "it should lose nothing; are onnxruntime and tf2onnx those of constraints.txt?"
    if first.quantize == "int8":
        return "give more --images, of the kind that the model will see, or take --quantize=float16"
    return "its padding is not that of training; take --canvas=both"


def _with_classes(source: Source, classes: Classes, path: str) -> Source:
    """The category id of a detection must mean the same in the data; the class index may be another."""
    return with_classes(source, Classes.by_id(zip(classes.ids, classes.names)), path)
