"""COCO's figures of an exported model, picture by picture, on the validation data of an experiment."""

import os
import time

from official.core import config_definitions

from fsaf_tf import storage
from fsaf_tf.classes import Classes
from fsaf_tf.data import images
from fsaf_tf.data.examples import Source, named_errors
from fsaf_tf.data.source import open_source
from fsaf_tf.detect.predict_files import to_coco
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision, metrics_table
from fsaf_tf.run import records
from fsaf_tf.serving import exported_models
from fsaf_tf.terminal.progress import Progress, evaluation_line, track


def evaluate(
    path: str, params: config_definitions.ExperimentConfig, output: str | None = None, *, download: bool = False
) -> dict:
    """Evaluates an exported model and writes `metrics.json` and `detections.json`, as an evaluation of a run does.

    Pictures are taken as they are stored, as in every evaluation: EXIF orientation is not applied.

    Args:
        path: of the file or of the version, from `exported_models.find`.
        params: an experiment; its `task.validation_data` is used alone.
        output: folder to write to; `PATH-eval` beside the model if not given.
        download: let TFDS download what is not there.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: the data have other classes than the model, one of them cannot be read, or the experiment wants
            test-time augmentation.
    """
    exported_models.refuse_augmentation(path, params.task.test_augmentation.enabled)
    output = output or f"{path.removesuffix('.tflite')}-eval"
    if os.path.exists(f"{output}/params.yaml"):
        raise UserError(f"{output} is the folder of a run, whose figures these are not; give another --model_dir")
    detector, progress = exported_models.load(path), Progress()
    source = open_source(params.task.validation_data, download=download)
    _check_classes(detector.classes, source, path)
    storage.make_folder(output)
    progress.say(f"{source.name}: {source.num_images} images, {len(source.classes)} classes")
    start = time.monotonic()
    results = _detect(detector, source, progress)
    metrics = storage.plain(average_precision.coco_metrics(source.ground_truth(), results))
    facts = {"images": source.num_images, "model": path, "data": records.data_keys(params)}
    metrics |= {**facts, "seconds": round(time.monotonic() - start, 1)}
    records.write_evaluation(output, metrics, results)
    progress.say(f"Evaluation of {path}, {source.num_images} images:")
    progress.say(metrics_table.format_table(metrics))
    progress.say(f"The figures are in {output}/metrics.json, the detections in {output}/detections.json")
    return metrics


def _detect(detector, source: Source, progress: Progress) -> list[dict]:
    examples, results = named_errors(images.decode_examples(source.examples())), []
    for example in track(examples, progress, lambda done, rate: evaluation_line(done, source.num_images, rate)):
        results += to_coco(detector(example["image"]), example["image_id"], detector.classes.ids)
    return results


def _check_classes(classes: Classes, source: Source, path: str) -> None:
    """The category id of a detection must mean the same in the data; the class index may be another."""
    theirs, ours = (Classes.by_id(zip(side.ids, side.names)) for side in (source.classes, classes))
    difference = theirs.difference(ours)
    if difference:
        raise UserError(
            f"{source.name} has other classes than {path}: {difference}; a category id must mean the same in both"
        )
