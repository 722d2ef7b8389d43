"""Prediction on files: which images, their detections in COCO's form, their pictures."""

import collections
import contextlib
import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fsaf_tf import visualize
from fsaf_tf.data import coco_json, pixels
from fsaf_tf.data.readers import door
from fsaf_tf.detect import forms, kept
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision, coco_results
from fsaf_tf.files import storage
from fsaf_tf.run import lock
from fsaf_tf.terminal import faults
from fsaf_tf.terminal.progress import Progress, prediction_line, track

PICTURES = "pictures"
FILES_SHOWN = 20


def read_image(file: str) -> np.ndarray:
    """An image file as `[H, W, 3]` uint8 RGB, upright; see `data.pixels`.

    Raises:
        UserError: it cannot be read; the message says why.
    """
    return pixels.read(file, upright=True)


def run(
    detector: Callable,
    files: list[str],
    output: str,
    *,
    score_threshold: float = visualize.SHOWN_SCORE,
    wanted_forms: Sequence[str] = (),
    image_ids: Mapping[str, int] | None = None,
) -> None:
    """Detects what is in files, one by one, and writes it; see `write`.

    Args:
        detector: from `load_detector`, of whatever kind, or `kept.Kept` of one.
        files: image files.
        output: see `write`.
        score_threshold: see `write`.
        wanted_forms: what else is written, of `forms.FORMS`.
        image_ids: see `write`.
    """
    detector = detector if isinstance(detector, kept.Kept) else kept.Kept(detector)

    def found():
        for file in files:
            try:
                image = read_image(file)
            except UserError as error:
                yield error
            else:
                yield image, detector(image)

    others = forms.writer(wanted_forms, output, detector.classes, score_threshold) if wanted_forms else None
    ids = detector.category_ids
    write(found(), files, output, ids, score_threshold=score_threshold, others=others, image_ids=image_ids)
    say_cut_off(detector.cut_off, len(files), detector.most)


def say_cut_off(count: int, total: int, most: int) -> None:
    """Says how many of the pictures have as many detections as are kept, if any have."""
    if count:
        print(
            f"{count} of {total} pictures have {most} detections, and no more are kept"
            " (task.model.postprocess.max_detections, of a run --max_detections): they may show more objects."
        )


def write(
    found: Iterable[tuple[np.ndarray, dict] | UserError],
    files: list[str],
    output: str,
    category_ids: Sequence[int],
    *,
    score_threshold: float = visualize.SHOWN_SCORE,
    others: forms.Writer | None = None,
    image_ids: Mapping[str, int] | None = None,
) -> None:
    """Writes `detections.json` and the pictures, and says what was done.

    `detections.json` is in the form of COCO's results with a `file_name` each: the file's path from the folder that all
    files share. `image_id` is the file's number among `files`, from 1, if no others are given.

    Args:
        found: for each file in their order the picture and its detections, or why there are none; taken one by one.
        files: image files; those that cannot be read are named at the end.
        output: folder for `detections.json` and the folder `pictures`.
        category_ids: the annotations' id of each class.
        score_threshold: draw detections of at least this; the file has all of them.
        others: writes further forms.
        image_ids: of the files.

    Raises:
        UserError: no file can be read, a picture would replace one of the files, another prediction writes to `output`,
            or it cannot be written to; then the detections are there as far as they were made.
    """
    pictures, line = picture_paths(files, output), Progress()
    to = Output(output, files, category_ids, score_threshold, others, image_ids)

    def drawn() -> Iterator[Seen | UserError]:
        for file, each in zip(files, found):
            yield each if isinstance(each, UserError) else draw(pictures[file], *each, score_threshold)

    with lock.held(output, [lock.PREDICTION], line.say):
        seen = track(drawn(), line, lambda done, rate: prediction_line(done, len(files), rate, "images"))
        record(seen, to, line.say)


class Seen(NamedTuple):
    """What came of a picture: its size in pixels, its detections, and why it could not be drawn, if it could not."""

    height: int
    width: int
    detections: Mapping
    undrawn: str | None


@dataclasses.dataclass(frozen=True)
class Output:
    """Where the detections of files go; see `write`, which has the same by these names."""

    folder: str
    files: Sequence[str]
    category_ids: Sequence[int]
    score_threshold: float = visualize.SHOWN_SCORE
    others: forms.Writer | None = None
    image_ids: Mapping[str, int] | None = None


def record(seen: Iterable[Seen | UserError], to: Output, say: Callable[[str], None]) -> None:
    """Writes `detections.json` and further forms, and says what was done; see `write`. The folder is locked already.

    Args:
        seen: of each file in their order what came of it, or why it cannot be read; taken one by one.
        to: where they go.
        say: prints a line.
    """
    files, output = to.files, to.folder
    names, unreadable, undrawn, counts = shared_names(files), {}, {}, collections.Counter()
    with contextlib.ExitStack() as stack:
        storage.make_folder(f"{output}/{PICTURES}")
        add = stack.enter_context(storage.results_file(f"{output}/detections.json", say))
        add_to_others = stack.enter_context(to.others) if to.others else None
        for number, (file, each) in enumerate(zip(files, seen), start=1):
            if isinstance(each, UserError):
                unreadable[file] = each
                continue
            image_id = to.image_ids[file] if to.image_ids else number
            if add_to_others:
                add_to_others(forms.Found(file, names[file], image_id, each.height, each.width, each.detections))
            for result in to_coco(each.detections, image_id, to.category_ids):
                add({**result, "file_name": names[file]})
                counts["found"] += 1
                counts["drawn"] += result["score"] >= to.score_threshold
            if each.undrawn:
                undrawn[file] = each.undrawn
        if len(unreadable) == len(files):
            _report_unreadable(unreadable, len(files))
            raise UserError("no picture can be read")
    _report_unreadable(unreadable, len(files))  # when the file is safe, whatever comes of printing
    said = f"{counts['found']} detections in {len(files) - len(unreadable)} images: {output}/detections.json"
    say(f"{said}; {counts['drawn']} with score {to.score_threshold:g} or more: {output}/{PICTURES}")
    if undrawn:
        first = next(iter(undrawn.values()))
        raise UserError(f"{len(undrawn)} of {len(files)} pictures cannot be written, all detections are: {first}")


def read_image_ids(annotation_file: str, files: Sequence[str]) -> dict[str, int]:
    """The ids that pictures have in annotations, where they are known by the ends of their paths.

    Args:
        annotation_file: of any form; of COCO JSON `images` is read, and nothing else: it needs no boxes.
        files: the pictures.

    Raises:
        UserError: it cannot be read, does not have one of the pictures, or has two of them as one image.
    """
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    beside = door.image_dir_of(annotation_file, "val")
    id_of = coco_json.image_ids(annotation_file, image_dir=beside or shared, split="val")
    find = coco_results.by_path_end(id_of)
    names = {file: find(os.path.abspath(file)) for file in files}
    unknown = [file for file, name in names.items() if name is None]
    if unknown:
        raise UserError(f"{annotation_file} has no {unknown[0]} ({len(unknown)} of {len(files)} pictures)")
    file_of: dict[str, str] = {}
    for file, name in names.items():
        if file_of.setdefault(name, file) != file:
            raise UserError(f"{file_of[name]} and {file} are both {name} of {annotation_file}; give one of them")
    return {file: id_of[name] for file, name in names.items()}


def shared_names(files: list[str]) -> dict[str, str]:
    """Each file's path from the folder that all share: its name in `detections.json`."""
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    return {file: pathlib.Path(os.path.relpath(os.path.abspath(file), shared)).as_posix() for file in files}


def picture_paths(files: list[str], output: str) -> dict[str, str]:
    """Where each file's picture goes. All are JPEG: other names get that ending too, once more if another has it."""
    names = shared_names(files)
    taken = {name for name in names.values() if _is_jpeg(name)}
    pictures = {}
    for file, name in names.items():
        if not _is_jpeg(name):
            while (name := f"{name}.jpg") in taken:
                pass
            taken.add(name)
        pictures[file] = f"{output}/{PICTURES}/{name}"
    replaced = {os.path.realpath(file) for file in files} & {os.path.realpath(path) for path in pictures.values()}
    if replaced:
        raise UserError(f"the picture of {min(replaced)} would be written over it; give another --output")
    return pictures


def _is_jpeg(name: str) -> bool:
    return name.lower().endswith((".jpg", ".jpeg"))


def to_coco(detections: dict, image_id: int, category_ids: Sequence[int]) -> list[dict]:
    """The detections of one picture in the form of COCO's results."""
    batch = {key: detections[key][None] for key in ("boxes", "scores", "classes")}
    return average_precision.detections_to_coco(
        {**batch, "num_detections": [len(detections["scores"])]}, [image_id], category_ids
    )


def draw(path: str, image: np.ndarray, detections: Mapping, score_threshold: float) -> Seen:
    """Writes the picture of detections. That the machine cannot is no reason to lose the detections."""
    try:
        picture, encoded = visualize.marked(image, detections, score_threshold), io.BytesIO()
        # Full colour, for the small letters; whose it is, for the next time.
        picture.save(encoded, format="JPEG", quality=92, subsampling=0, comment=forms.TOOL)
        storage.make_folder(os.path.dirname(path))
        storage.write_bytes(path, encoded.getvalue())
    except Exception as error:
        problem = str(error) if isinstance(error, UserError) else faults.line(error)
        if not problem:
            raise
        return Seen(*image.shape[:2], detections, problem)
    return Seen(*image.shape[:2], detections, None)


def _report_unreadable(unreadable: dict[str, UserError], total: int) -> None:
    if not unreadable:
        return
    lines = [f"  {file}: {error}" for file, error in unreadable.items()]
    lines = lines[:FILES_SHOWN] + [f"  and {len(lines) - FILES_SHOWN} more"] * (len(lines) > FILES_SHOWN)
    print(f"{len(unreadable)} of {total} files cannot be read and are left out:", *lines, sep="\n")
