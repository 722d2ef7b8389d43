"""What a form cannot hold of some annotations: counted, in words, and what is left for it to hold."""

import numpy as np

from fsaf_tf.data import frames, picture_files
from fsaf_tf.data.annotated import Annotated
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.data.findings import listed
from fsaf_tf.data.writers.form import LEFT_OUT, Form
from fsaf_tf.errors import UserError

_LEAST_OVER = 0.001  # px; less is from shares of a picture that were rounded
_ROUNDING = 0.01  # of an area, that of a box and as it is given may differ by


def held(form: Form, table: Annotations) -> Annotations:
    """The annotations without what the form leaves out.

    Raises:
        UserError: nothing is left.
    """
    crowd = table.crowd & ~table.ignored
    left_out = (crowd & (form.crowd == LEFT_OUT)) | (table.ignored & (form.ignored == LEFT_OUT))
    left = table.of_boxes(~left_out) if left_out.any() else table
    left = left if form.has_empty_pictures else left.of_images(np.diff(left.splits) > 0)
    if not len(left.crowd):
        raise UserError(f"{table.file}: no box is left that {form.title} can hold; take --form=coco")
    return left


def lines(form: Form, table: Annotations) -> list[str]:
    """What becomes of that which a form cannot hold, a line for each kind of which there is some."""
    title, left = form.title, held(form, table)
    of_box = left.boxes_xywh[:, 2] * left.boxes_xywh[:, 3]
    areas = np.count_nonzero(np.abs(left.area - of_box) > _ROUNDING * np.maximum(of_box, 1))
    counts = {
        f"crowds: {{}} {form.crowd}": np.count_nonzero(table.crowd & ~table.ignored) * bool(form.crowd),
        f"boxes to be ignored: {{}} {form.ignored}": np.count_nonzero(table.ignored) * bool(form.ignored),
        "areas of masks: {} become width times height": areas * (not form.has_areas),
        "boxes over the border: {} end there": _count_over(left) * form.is_clipped,
        "pictures without a box: {} are left out": (len(table.sizes) - len(left.sizes)) * (not form.has_empty_pictures),
    }
    rows = [f"{title} has no {words.format(f'{count:,}')}" for words, count in counts.items() if count]
    names = [name for place, name in enumerate(table.classes.names) if place not in left.class_indices]
    if names and not form.has_empty_classes:
        rows.append(f"{title} has no classes without a box: {len(names):,} are left out ({listed(names)})")
    if areas and form.has_areas:
        rows.append(f"{title} is written without masks and polygons: {areas:,} boxes keep their areas alone")
    if not form.has_ids:
        rows.append(f"{title} has no ids of pictures and classes: whoever reads it numbers them anew")
    return rows


def _count_over(table: Annotations) -> int:
    """How many boxes reach over the border of their picture."""
    limits = table.sizes[table.image_index][:, ::-1]
    ends = table.boxes_xywh[:, :2] + table.boxes_xywh[:, 2:]
    over = np.maximum(-table.boxes_xywh[:, :2], ends - limits)
    return np.count_nonzero(np.any(over > _LEAST_OVER, axis=1))


def check_frames(form: Form, annotated: Annotated) -> None:
    """Raises a UserError where a form would turn boxes: that does not say how large pictures are.

    Boxes of a picture as it is stored, which EXIF turns by a quarter, are known by the size that stands beside them.
    """
    if form.has_sizes:
        return
    folder, table = picture_files.Folder(annotated.image_dir, frames.UPRIGHT), annotated.table
    sizes = map(tuple, table.sizes.tolist())
    turned = [name for name, size in zip(table.file_names, sizes) if folder.size_of(name) not in (None, size)]
    if turned:
        raise UserError(
            f"{table.file}: the boxes of {len(turned):,} of {len(table.sizes):,} pictures are of the picture as it is"
            f" stored, and not as EXIF turns it ({turned[0]}); {form.title} could not say so: take --form=coco or voc"
        )
