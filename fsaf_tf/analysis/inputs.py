"""What a report is made of: the detections of one or several detectors, the ground truth they share, and pictures."""

import io
import json
import os
import pathlib
from collections.abc import Sequence

import tensorflow as tf
from PIL import Image

from fsaf_tf import checks, configs, experiment, run_files
from fsaf_tf.data import coco, coco_json, examples, images
from fsaf_tf.data.source import open_source
from fsaf_tf.errors import UserError

DETECTIONS = "detections.json"
KEYS = ("image_id", "category_id", "bbox", "score")
THUMBNAIL_SIDE = 420  # pixels; some 20 kB a picture


def run_data(model_dir: str) -> dict[str, str]:
    """Where the data come from that a run, or an exported model, was last evaluated on: keys of `configs.Data`.

    Raises:
        UserError: nothing in the folder says so.
    """
    recorded = (run_files.read_json(f"{model_dir}/metrics.json") or {}).get("data")
    if not recorded and not os.path.exists(f"{model_dir}/params.yaml"):
        raise UserError(
            f"{model_dir} is no folder of a run, nor of an evaluation: it has no params.yaml; give --annotations"
        )
    return recorded or run_files.data_keys(experiment.read_params(model_dir))


def open_run_data(model_dir: str, *, download: bool = False) -> examples.Source:
    """Opens what `run_data` names."""
    has_params = os.path.exists(f"{model_dir}/params.yaml")
    config = experiment.read_params(model_dir).task.validation_data if has_params else configs.Data()
    config.override({**dict.fromkeys(checks.SOURCES, ""), **run_data(model_dir)})
    return open_source(config, download=download)


def open_annotations(file: str, image_dir: str | None) -> tuple[dict, examples.Source | None]:
    """Ground truth of COCO JSON, and with a folder of its images the source of pictures.

    Raises:
        UserError: see `data.coco`.
    """
    table = coco_json.read(file)
    if not image_dir:
        return coco.ground_truth(table), None
    source = coco.open_coco(file, image_dir, max_instances=len(table.boxes_xywh))
    return source.ground_truth(), source


def read_results(file: str, ground_truth: dict) -> list[dict]:
    """Reads COCO's results and checks them against the ground truth.

    Those with a `file_name`, of tools/predict.py, have the image id of the ground truth's image of that name: they were
    numbered when nothing was known of it.

    Raises:
        UserError: it is no file of results, or has an image or a category that the ground truth lacks.
    """
    try:
        with open(file, encoding="utf-8") as stream:
            results = json.load(stream)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{file}: not JSON: {error}") from error
    if not isinstance(results, list):
        raise UserError(f"{file}: not COCO's results: they are a list of {', '.join(KEYS)}")
    if results and all(isinstance(row, dict) and "file_name" in row for row in results):
        results = _with_image_ids(file, results, ground_truth)
    known = {
        key: {row["id"] for row in ground_truth[table]}
        for key, table in (("image_id", "images"), ("category_id", "categories"))
    }
    for number, row in enumerate(results):
        mistake = _mistake(row, known)
        if mistake:
            raise UserError(f"{file}: entry {number}, {mistake}")
    return [{key: row[key] for key in KEYS} for row in results]


def _with_image_ids(file: str, results: list[dict], ground_truth: dict) -> list[dict]:
    by_name: dict[str, int] = {}
    for image in ground_truth["images"]:
        name = pathlib.PurePath(image["file_name"]).name
        if name in by_name:
            raise UserError(f"{file} names files, but two images of the ground truth are called {name}")
        by_name[name] = image["id"]
    names = [pathlib.PurePath(row["file_name"]).name for row in results]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise UserError(
            f"{file}: {unknown[0]} is no image of the ground truth ({len(unknown)} of {len(names)} results)"
        )
    return [{**row, "image_id": by_name[name]} for row, name in zip(results, names)]


def _mistake(row: dict, known: dict[str, set]) -> str | None:
    if not isinstance(row, dict) or any(key not in row for key in KEYS):
        return f"not one of COCO's results: it needs {', '.join(KEYS)}"
    for key, ids in known.items():
        if row[key] not in ids:
            return f"{key} {row[key]!r}: the ground truth has none; is it of other data?"
    box = row["bbox"]
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(coco_json.is_number(each) for each in (*box, row["score"]))
    ):
        return f"bbox is not four finite numbers, or score not one: {box}, {row['score']!r}"
    return None


def names_of(paths: Sequence[str]) -> list[str]:
    """A short name for each run or file of detections: so much of the end of its path as tells it from the others."""
    parts = [pathlib.Path(os.path.abspath(path)).parts for path in paths]
    parts = [each[:-1] if each[-1] == DETECTIONS else each for each in parts]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]).removesuffix(".json") for each in parts]
        if len(set(names)) == len(names):
            break
    return names


def thumbnails(source: examples.Source, image_ids: Sequence[int]) -> dict[int, bytes]:
    """The wanted pictures as small JPEG files, as they are stored: no EXIF orientation is applied, as in evaluation."""
    if not image_ids:
        return {}
    wanted = tf.constant(list(image_ids), tf.int64)
    chosen = source.examples().filter(lambda example: tf.reduce_any(example["image_id"] == wanted))
    found = {}
    for example in examples.named_errors(images.decode_examples(chosen)):
        picture = Image.fromarray(example["image"])
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=80)
        found[int(example["image_id"])] = encoded.getvalue()
    return found
