"""Files of COCO's results: read and checked as a whole, and given to the pictures that they are of."""

import collections
import json
import os
import pathlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from fsaf_tf.data import coco_values
from fsaf_tf.data.classes import GREATEST_ID
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths, storage
from fsaf_tf.terminal import faults

DETECTIONS = "detections.json"
KEYS = ("category_id", "bbox", "score")


def read(file: str) -> list[dict]:
    """Reads results, of evaluations and of tools/predict.py, whose results name files.

    Returns:
        Dicts with `category_id`, `bbox` `[x, y, width, height]` in pixels, `score`, and `image_id` or `file_name`; all
        have a `file_name` if the first one has.

    Raises:
        UserError: it cannot be read or is no file of results; the message names the entry.
    """
    try:
        with faults.named(file):
            results = json.loads(paths.read_bytes(file).decode("utf-8"))
    except OSError as error:
        raise UserError(faults.line(error)) from error
    except RecursionError:
        raise UserError(f"{file}: it is nested too deep") from None
    except ValueError as error:
        raise UserError(f"{file}: not JSON: {error}") from error
    if not isinstance(results, list):
        raise UserError(f"{file}: not COCO's results: they are a list of image_id, {', '.join(KEYS)}")
    keys = (*KEYS, "file_name" if have_names(results) else "image_id")
    for number, row in enumerate(results):
        mistake = _mistake(row, keys)
        if mistake:
            raise UserError(f"{file}: entry {number}, {mistake}")
    return results


def have_names(results: Sequence[dict]) -> bool:
    """Whether the results name files, which then say more than ids: a prediction knows of no others."""
    return bool(results) and isinstance(results[0], dict) and "file_name" in results[0]


def _mistake(row: dict, keys: Sequence[str]) -> str | None:
    if not isinstance(row, dict) or any(key not in row for key in keys):
        return f"not one of COCO's results: it needs {', '.join(keys)}"
    for key in ("image_id", "category_id"):
        if key in keys and type(row[key]) is not int:
            return f"{key} is no whole number: {row[key]!r:.200}"
        if key in keys and abs(row[key]) > GREATEST_ID:
            return f"{key} is beyond 2^53: {row[key]!s:.200}"
    if "file_name" in keys and not (isinstance(row["file_name"], str) and row["file_name"]):
        return f"file_name is no name: {row['file_name']!r:.200}"
    box = row["bbox"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(coco_values.is_number, (*box, row["score"]))):
        return f"bbox is not four finite numbers, or score not one: {box!s:.200}, {row['score']!r:.200}"
    if min(box[2:]) < 0:
        return f"bbox has a width or height under 0: {box!s:.200}"
    return None


def by_path_end(names: Iterable[str]) -> Callable[[str], str | None]:
    """A function that finds a path again among `names`, which may have more or fewer folders before the file's name.

    Of several that end alike the one with the most folders in common is it.

    Returns:
        The function, of a path: one of `names`, or None. Raises `UserError` if two fit equally well.
    """
    known = collections.defaultdict(list)
    for name in set(names):
        known[_parts(name)[0]].append(name)

    def find(path: str) -> str | None:
        parts, fitting = _parts(path), {}
        for name in known.get(parts[0], ()):
            theirs = _parts(name)
            if all(one == other for one, other in zip(parts, theirs)):
                fitting.setdefault(min(len(parts), len(theirs)), []).append(name)
        best = fitting[max(fitting)] if fitting else [None]
        if path in best:
            return path
        if len(best) > 1:
            raise UserError(f"{path} may be {' or '.join(sorted(best)[:2])}; give names with more of their folders")
        return best[0]

    return find


def _parts(path: str) -> tuple[str, ...]:
    """The file's name, its folder, the folder of that.

    In one form: macOS writes `ü` as two characters (NFD) where others write one (NFC).
    """
    one_form = unicodedata.normalize("NFC", storage.utf8(pathlib.Path(path).as_posix()))
    return pathlib.PurePosixPath(one_form).parts[::-1]


def check_inside(name: str, file_name: str, rows: Sequence[dict], height: int, width: int) -> None:
    """Refuses results that name files where a box ends outside of the picture, as tools/predict.py gives none.

    Then they are of the picture turned upright by its EXIF orientation, and boxes of annotations of the stored pixels.

    Args:
        name: of the results, for the message.
        file_name: the picture's.
        rows: results of that picture.
        height: of the picture as it is stored, in pixels.
        width: likewise.

    Raises:
        UserError: a box ends more than a pixel outside.
    """
    for row in rows:
        x, y, wide, high = row["bbox"]
        if x + wide > width + 1 or y + high > height + 1:
            raise UserError(
                f"{name}: the box {row['bbox']} ends outside of {file_name}, {width} x {height} px as it is stored;"
                " prediction turns a picture by its EXIF orientation, annotations do not: use the detections of an"
                " evaluation (tools/train.py --mode=eval), or turn the files"
            )


def names_of(paths: Sequence[str]) -> list[str]:
    """A short name for each run or file of detections: so much of the end of its path as tells it from the others."""
    parts = [pathlib.Path(os.path.abspath(path)).parts for path in paths]
    parts = [each[:-1] if each[-1] == DETECTIONS else each for each in parts]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]).removesuffix(".json") for each in parts]
        if len(set(names)) == len(names):
            break
    return names
