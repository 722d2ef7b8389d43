"""What a report is made of: the detections of one or several detectors, the ground truth they share, and pictures."""

import collections
import dataclasses
import io
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from fsaf_tf.config import data_sources, experiment, schema
from fsaf_tf.data import box_table, coco, coco_json, digest, examples, frames
from fsaf_tf.data.classes import LABELS, Classes, recorded_classes
from fsaf_tf.data.findings import Finding
from fsaf_tf.data.readers import door
from fsaf_tf.data.source import open_validation
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import coco_results
from fsaf_tf.files import storage
from fsaf_tf.run import records
from fsaf_tf.terminal import commands

SPLIT = "val"  # what is evaluated on, where annotations have several parts
THUMBNAIL_SIDE = 420  # pixels; some 20 kB a picture


class Data(NamedTuple):
    """What detections are compared with.

    Attributes:
        annotations: of any form, the ground truth; if not given, what the runs were evaluated on.
        image_dir: the folder of its images.
        download: let TFDS fetch data that is not there.
        max_detections: see `average_precision.coco_metrics`; if not given, what the evaluations were taken with.
    """

    annotations: str | None
    image_dir: str | None
    download: bool
    max_detections: int | None = None


def run_data(folder: str) -> dict[str, Any]:
    """Where the data come from that an evaluation was of: see `schema.Task.validation_keys`.

    Args:
        folder: of an evaluation: that of a run, of its best checkpoint, of an exported model's.

    Raises:
        UserError: nothing in the folder says so.
    """
    recorded = storage.read_dict(f"{folder}/metrics.json").get("data")
    run = experiment.folder_of(folder)
    if not (recorded or run):
        raise UserError(
            f"{folder} is no folder of a run, nor of an evaluation: it has no params.yaml; give --annotations"
        )
    return recorded or records.data_keys(experiment.read_params(run))


def check_same_data(folders: Sequence[str]) -> None:
    """Refuses evaluations that were of other data than the first one: by their content, else by their names."""
    digests = {folder: _recorded_digest(folder) for folder in folders}
    if all(digests.values()):
        for folder, content in digests.items():
            if content != digests[folders[0]]:
                raise UserError(
                    f"{folder} was evaluated on data of another content than {folders[0]}; evaluate both on the same"
                    " data, or give --annotations"
                )
        return
    data = {folder: run_data(folder) for folder in folders}
    for folder, keys in data.items():
        if keys != data[folders[0]]:
            raise UserError(
                f"{folder} was evaluated on {keys}, {folders[0]} on {data[folders[0]]}; evaluate both on the same"
                " data, or give --annotations"
            )


def check_unchanged(folder: str, ground_truth: dict) -> str | None:
    """Compares the data that an evaluation was of with those that its detections are now held against.

    Args:
        folder: of the evaluation.
        ground_truth: COCO's, of the data.

    Returns:
        A line if boxes have changed since then; None if nothing has, or nothing was recorded.

    Raises:
        UserError: they have other pictures or other ids, so that detections are not of them.
    """
    recorded, now = _recorded_digest(folder), digest.of(ground_truth)
    if not recorded or recorded == now:
        return None
    if recorded[digest.PICTURES] != now[digest.PICTURES]:
        raise UserError(
            f"{folder}/{coco_results.DETECTIONS} is of data with other pictures or other ids than these; evaluate"
            f" again{_command_of(folder)}"
        )
    return f"The boxes of the data have changed since {folder} was evaluated; figures are of the boxes as they are now."


def _command_of(folder: str) -> str:
    """How an evaluation of a run's checkpoint is made, behind a colon; nothing of an exported model's."""
    run = experiment.folder_of(folder)
    if not run:
        return ""
    newest = ["--checkpoint=newest"] if os.path.realpath(run) == os.path.realpath(folder) else []
    return f": {commands.of_tool('train', '--mode=eval', f'--model_dir={run}', *newest)}"


def _recorded_digest(folder: str) -> dict[str, str] | None:
    return storage.read_dict(f"{folder}/metrics.json").get(records.DIGEST)


def open_run_data(folder: str, *, download: bool = False) -> examples.Source:
    """Opens what `run_data` names."""
    run = experiment.folder_of(folder)
    task = experiment.read_params(run).task if run else schema.Task()
    source = open_validation(_with_data(task, run_data(folder)), download=download)
    recorded = run and recorded_classes(run)
    if recorded and source.fits(recorded):  # detections may be of a class that the data do not list
        return examples.with_classes(source, recorded, f"the run in {run}")
    return source


def _with_data(task: schema.Task, keys: dict[str, Any]) -> schema.Task:
    """The task with the validation data of these keys, see `schema.Task.validation_keys`."""
    task, own = task.replace(), dict(keys)
    fraction, nothing = own.pop("fraction", 0.0), dict.fromkeys(data_sources.SOURCES, "")
    task.validation_data.override({**nothing, "fraction": fraction})
    if fraction:
        task.train_data.sources = []
        task.train_data.override({**nothing, **own})
    else:
        task.validation_data.override(own)
    return task


class GroundTruth(NamedTuple):
    """What detections are held against.

    Attributes:
        dict: COCO's.
        source: of the pictures; None if there are none.
        findings: what was taken, joined or left out in it.
        has_ids: the ids of its pictures are those of the annotations; else they were numbered in reading.
    """

    dict: dict
    source: examples.Source | None
    findings: Sequence[Finding]
    has_ids: bool = True


def open_ground_truth(data: Data, folders: Sequence[str], results: Sequence[str] = ()) -> GroundTruth:
    """The annotations given, with their pictures where there is a folder of them; else what the first run validates on.

    Args:
        data: what was given.
        folders: of evaluations.
        results: files of detections besides. Where the annotations have names of classes and no ids, those of the run
            that one of all these lies in the folder of are taken.

    Raises:
        UserError: see `data.coco`; or nothing says which ids the names have.
    """
    file = data.annotations
    image_dir = data.image_dir or (door.image_dir_of(file, SPLIT) if file else None)
    if file and not image_dir:
        table = coco_json.read(file, split=SPLIT)
        findings = (*table.findings, *box_table.findings(coco.box_table(table), file))
        if table.by_name:
            table = _with_ids(table, folders, results)
        return GroundTruth(coco.ground_truth(table), None, findings, has_ids=not table.form)
    if file:
        source = coco.open_coco(file, image_dir, frame=frames.AUTO, split=SPLIT)
        if source.by_name:
            source = examples.with_classes(source, *_recorded(file, folders, results))
    else:
        source = open_run_data(folders[0], download=data.download)
    return GroundTruth(source.ground_truth(), source, source.findings, has_ids=not (file and source.form))


def _with_ids(table: coco_json.Annotations, folders: Sequence[str], results: Sequence[str]) -> coco_json.Annotations:
    """Annotations whose classes are known by name, with the ids that these have in a run."""
    classes, whose = _recorded(table.file, folders, results)
    if not set(table.classes.names) <= set(classes.names):
        raise UserError(f"{table.file} has other classes than {whose}: {table.classes.difference(classes)}")
    index_of = {name: index for index, name in enumerate(classes.names)}
    indices = np.array([index_of[name] for name in table.classes.names], np.int32)
    return dataclasses.replace(table, classes=classes, class_indices=indices[table.class_indices])


def _recorded(file: str, folders: Sequence[str], results: Sequence[str]) -> tuple[Classes, str]:
    """The classes that detections were made with, and whose they are."""
    places = [*folders, *(os.path.dirname(path) or "." for path in results)]
    for place in (run for each in places for run in (experiment.folder_of(each), each) if run):
        classes = recorded_classes(place)
        if classes:
            return classes, f"the run in {place}"
    raise UserError(
        f"{file} has names of classes and no ids, and no {LABELS} beside the detections says which ids these have: give"
        " --model_dir, or COCO JSON with the detector's ids"
    )


def read_results(file: str, ground_truth: dict, *, has_ids: bool = True) -> list[dict]:
    """Reads COCO's results and checks them against the ground truth.

    Those with a `file_name`, of tools/predict.py, have the image id of the ground truth's image of that name: they were
    numbered when nothing was known of it.

    Raises:
        UserError: see `coco_results.read`; or it has an image or a category that the ground truth lacks.
    """
    results = coco_results.read(file)
    if results and not has_ids and not coco_results.have_names(results):
        raise UserError(
            f"{file} knows pictures by ids, and the annotations have none: give COCO JSON with these ids, or the"
            " detections.json of tools/predict.py, which has names"
        )
    if coco_results.have_names(results):
        results = _with_image_ids(file, results, ground_truth["images"])
    for key, table in (("image_id", "images"), ("category_id", "categories")):
        known = {row["id"] for row in ground_truth[table]}
        for number, row in enumerate(results):
            if row[key] not in known:
                raise UserError(
                    f"{file}: entry {number}, {key} {row[key]}: the ground truth has none; is it of other data?"
                )
    return [{key: row[key] for key in ("image_id", *coco_results.KEYS)} for row in results]


def _with_image_ids(file: str, results: list[dict], images: list[dict]) -> list[dict]:
    by_name = {image["file_name"]: image for image in images}
    find = coco_results.by_path_end(by_name)
    rows_of = collections.defaultdict(list)
    for row in results:
        rows_of[row["file_name"]].append(row)
    image_of = {name: find(name) for name in rows_of}
    unknown = [name for name, image in image_of.items() if image is None]
    if unknown:
        raise UserError(
            f"{file}: {unknown[0]} is no image of the ground truth ({len(unknown)} of {len(image_of)} pictures)"
        )
    name_of: dict[str, str] = {}
    for name, image in image_of.items():
        other = name_of.setdefault(image, name)
        if other != name:
            raise UserError(f"{file} has results of {other} and of {name}: which is {image} of the ground truth?")
        coco_results.check_inside(file, name, rows_of[name], by_name[image]["height"], by_name[image]["width"])
    return [{**row, "image_id": by_name[image_of[row["file_name"]]]["id"]} for row in results]


def pictures(source: examples.Source, image_ids: Collection[int]) -> Iterator[tuple[int, Image.Image]]:
    """Id and pixels of the wanted pictures, the way up that evaluation takes them.

    Raises:
        UserError: one is damaged.
    """
    wanted = tf.constant(list(image_ids), tf.int64)
    chosen = source.examples().filter(lambda example: tf.reduce_any(example["image_id"] == wanted))
    for example in examples.named_errors(source.decode(chosen)):
        yield int(example["image_id"]), Image.fromarray(example["image"])


def jpeg(picture: Image.Image, side: int) -> bytes:
    """A JPEG file of a picture whose sides are so many pixels at most."""
    small, encoded = picture.copy(), io.BytesIO()
    small.thumbnail((side, side))
    small.save(encoded, "JPEG", quality=80)
    return encoded.getvalue()
