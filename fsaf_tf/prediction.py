"""Prediction on files: which images, their detections in COCO's form, their pictures."""

import glob
import json
import os
import pathlib
import time

import numpy as np
from PIL import Image, ImageOps

from fsaf_tf import evaluation, run_files, visualize
from fsaf_tf.errors import UserError
from fsaf_tf.inference import Detector
from fsaf_tf.progress import Progress, Rate, duration

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")  # taken from a folder
PICTURES = "pictures"
FILES_SHOWN = 20


def find_images(pattern: str) -> list[str]:
    """The files that a file name, a folder (what lies in it, by its ending) or a glob names, sorted.

    Raises:
        UserError: there is none.
    """
    if os.path.isdir(pattern):
        paths = [entry.path for entry in os.scandir(pattern) if entry.name.lower().endswith(SUFFIXES)]
    else:
        paths = [pattern] if os.path.isfile(pattern) else glob.glob(pattern, recursive=True)
    files = sorted(path for path in paths if os.path.isfile(path))
    if not files:
        kinds = f" with a name ending in {', '.join(SUFFIXES)}" if os.path.isdir(pattern) else ""
        raise UserError(f"--images={pattern}: there is no such file{kinds}")
    return files


def read_image(file: str) -> np.ndarray:
    """An image file, of an animation the first frame, as `[H, W, 3]` uint8 RGB, turned upright by its EXIF orientation.

    Raises:
        UserError: it cannot be read; the message says why.
    """
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bits, which `convert` would cut off at 255
                image = Image.fromarray((np.asarray(image, np.int64) >> 8).astype(np.uint8))
            return np.array(image.convert("RGB"))
    except Image.UnidentifiedImageError:
        raise UserError("not an image") from None
    except Exception as error:  # a damaged file makes PIL's decoders raise almost anything
        raise UserError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error


def run(detector: Detector, files: list[str], output: str, *, score_threshold: float = visualize.SHOWN_SCORE) -> None:
    """Writes `detections.json` and the pictures, and says what was done.

    `detections.json` is in the form of COCO's results with a `file_name` each: the file's path from the folder that all
    files share. `image_id` is the file's number among `files`, from 1.

    Args:
        detector: from `inference.load_detector`.
        files: image files; those that cannot be read are named at the end.
        output: folder for `detections.json` and the folder `pictures`.
        score_threshold: draw detections of at least this; the file has all of them.

    Raises:
        UserError: no file can be read, a picture would replace one of the files, or `output` cannot be written to.
    """
    pictures = _picture_paths(files, output)
    _make_folder(f"{output}/{PICTURES}")
    line, rate = Progress(), Rate()
    results, unreadable = [], {}
    for number, (file, name) in enumerate(_shared_names(files).items(), start=1):
        start = time.monotonic()
        try:
            image = read_image(file)
        except UserError as error:
            unreadable[file] = error
            continue
        detections = detector(image)
        results += [{**result, "file_name": name} for result in _to_coco(detections, number, detector.category_ids)]
        _write_picture(pictures[file], visualize.draw_detections(image, detections, score_threshold))
        left = (len(files) - number) / rate.add(1, time.monotonic() - start)
        line.update(f"predicting {number}/{len(files)} images  {rate.per_second:.1f} images/s  ETA {duration(left)}")
    line.close()
    _report_unreadable(unreadable, len(files))
    _write_results(f"{output}/detections.json", results)
    drawn = sum(result["score"] >= score_threshold for result in results)
    found = f"{len(results)} detections in {len(files) - len(unreadable)} images"
    line.say(f"{found}: {output}/detections.json; {drawn} with score {score_threshold:g} or more: {output}/{PICTURES}")


def _shared_names(files: list[str]) -> dict[str, str]:
    """Each file's path from the folder that all share."""
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    return {file: pathlib.Path(os.path.relpath(os.path.abspath(file), shared)).as_posix() for file in files}


def _picture_paths(files: list[str], output: str) -> dict[str, str]:
    """Where each file's picture goes. All are JPEG: other names get that ending too, so that none are the same."""
    pictures = {
        file: f"{output}/{PICTURES}/{name}" + ("" if name.lower().endswith((".jpg", ".jpeg")) else ".jpg")
        for file, name in _shared_names(files).items()
    }
    replaced = {os.path.realpath(file) for file in files} & {os.path.realpath(path) for path in pictures.values()}
    if replaced:
        raise UserError(f"the picture of {min(replaced)} would be written over it; give another --output")
    return pictures


def _to_coco(detections: dict, image_id: int, category_ids: list[int]) -> list[dict]:
    batch = {key: detections[key][None] for key in ("boxes", "scores", "classes")}
    return evaluation.detections_to_coco(
        {**batch, "num_detections": [len(detections["scores"])]}, [image_id], category_ids
    )


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from error


def _write_picture(path: str, picture: np.ndarray) -> None:
    _make_folder(os.path.dirname(path))
    Image.fromarray(picture).save(path, format="JPEG", quality=92, subsampling=0)  # full colour, for the small letters


def _write_results(path: str, results: list[dict]) -> None:
    """COCO's results, a line each."""
    run_files.write_text(path, "[" + ",".join(f"\n{json.dumps(result)}" for result in results) + "\n]\n")


def _report_unreadable(unreadable: dict[str, UserError], total: int) -> None:
    if not unreadable:
        return
    lines = [f"  {file}: {error}" for file, error in unreadable.items()]
    lines = lines[:FILES_SHOWN] + [f"  and {len(lines) - FILES_SHOWN} more"] * (len(lines) > FILES_SHOWN)
    print(f"{len(unreadable)} of {total} files cannot be read and are left out:", *lines, sep="\n")
    if len(unreadable) == total:
        raise UserError("no picture can be read")
