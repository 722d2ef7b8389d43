"""Annotations written to a folder, which is there as a whole or not at all."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping, Sequence

from fsaf_tf.data.annotated import Annotated
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.data.writers import losses
from fsaf_tf.data.writers.form import Content, Form
from fsaf_tf.errors import UserError
from fsaf_tf.files import parts, paths, storage

LEAVE, COPY, LINK = "leave", "copy", "link"
STEM = "annotations"  # of a file that is the only one


@dataclasses.dataclass(frozen=True)
class Target:
    """Where annotations go.

    Attributes:
        output: the folder, which is not there or empty.
        form: of the annotations.
        pictures: `LEAVE` them where they are, `COPY` or `LINK` them.
    """

    output: str
    form: Form
    pictures: str = LEAVE

    def base(self, part: str) -> str:
        """The folder of a part, from `output`: its own where each part is a folder of files."""
        return "" if self.form.ending or self.form.of_all else part

    def annotation_file(self, part: str) -> str:
        """What is given as annotation_file of a part."""
        shown = self.form.shown.format(stem=part or (STEM if self.form.ending else "")).removesuffix(":")
        return os.path.join(*filter(None, (self.output, self.base(part), shown)))

    def picture_folder(self, part: str) -> str:
        """Where the pictures of a part go that are copied or linked, from `base`."""
        return os.path.join(self.form.picture_folder, part if self.form.of_all else "").rstrip("/")

    def image_dir(self, part: str, image_dir: str) -> str:
        """What is given as image_dir of a part whose pictures are in `image_dir`."""
        if self.pictures == LEAVE:
            return image_dir
        return os.path.join(*filter(None, (self.output, self.base(part), self.picture_folder(part))))


def check_output(target: Target) -> None:
    """Before anything is read: raises a UserError where the folder may not be written."""
    output = target.output
    if target.form.needs_pictures and target.pictures == LEAVE:
        raise UserError(
            f"{target.form.title} finds boxes by the place of the pictures: add --link_images, or --copy_images"
        )
    if paths.is_remote(output):
        raise UserError(f"--output={output}: annotations are written to local folders alone; copy them from there")
    if output.endswith((".json", ".csv", ".xml", ".yaml", ".txt")):
        raise UserError(f"--output={output}: give a folder; what is in it is named by the tool")
    if os.path.isdir(output) and os.listdir(output):
        raise UserError(f"--output={output} is there and not empty; nothing is written over: give another folder")
    if os.path.lexists(output) and not os.path.isdir(output):
        raise UserError(f"--output={output} is a file; give a folder")
    storage.check_folder(output)


def write(
    target: Target, sets: Mapping[str, Annotations], annotated: Annotated, say: Callable[[str], None]
) -> list[str]:
    """Writes the annotations of one or several parts.

    Args:
        target: where.
        sets: the annotations by the name of their part; the name of a set that is the only one is empty.
        annotated: that they are of.
        say: prints a line.

    Returns:
        Lines on what the form cannot hold, and on what to give as annotation_file and image_dir.

    Raises:
        UserError: the form cannot hold them, or the folder cannot be written.
    """
    output, form = os.path.abspath(target.output), target.form
    losses.check_frames(form, annotated)
    lines = losses.lines(form, annotated.table)
    os.makedirs(os.path.dirname(output), exist_ok=True)
    parts.sweep(output + parts.PART, say)
    writing = parts.signed(output + parts.PART)
    try:
        for part, table in sets.items():
            _write_part(target, part, losses.held(form, table), annotated.image_dir, writing)
        for name, text in form.of_all(annotated.table.classes, list(sets)) if form.of_all else ():
            _write(os.path.join(writing, name), text)
        os.sync()  # once for all files, before they get their name
        os.rename(writing, output)
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    return lines + [_shown(target, part, annotated.image_dir) for part in sets]


def _shown(target: Target, part: str, image_dir: str) -> str:
    """What a run is told of a part."""
    keys = f"annotation_file={target.annotation_file(part)}, image_dir={target.image_dir(part, image_dir)}"
    return f"{part}: {keys}" if part else keys


def _write_part(target: Target, part: str, table: Annotations, image_dir: str, writing: str) -> None:
    """Writes the files of a part below a folder that is not there yet."""
    base = os.path.join(writing, target.base(part))
    os.makedirs(base, exist_ok=True)
    final = os.path.join(os.path.abspath(target.output), target.base(part))
    pictures = os.path.relpath(os.path.abspath(image_dir), final)
    if target.pictures != LEAVE:
        pictures = target.picture_folder(part) or "."
        _take(table.file_names, image_dir, os.path.join(base, pictures), target.pictures)
    stem = part or (STEM if target.form.ending else "")
    for name, text in target.form.files(Content(stem, table, pictures)):
        path = os.path.join(base, name)
        if os.path.lexists(path):
            raise UserError(f"{name} is a picture and would be annotations, too; leave --copy_images out")
        _write(path, text)


def _write(path: str, text: str) -> None:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        name = ascii(error.object[error.start : error.end])
        raise UserError(
            f"{os.path.basename(path)}: {name} is no UTF-8; rename the picture, or take --form=coco"
        ) from None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(encoded)


def _take(names: Sequence[str], image_dir: str, folder: str, how: str) -> None:
    """Copies or links pictures into a folder."""
    for name in names:
        path, source = os.path.join(folder, name), os.path.join(os.path.abspath(image_dir), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if how == COPY:
            shutil.copyfile(source, path)
        else:
            os.symlink(os.path.realpath(source), path)
