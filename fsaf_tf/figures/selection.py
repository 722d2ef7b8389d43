"""Fig. 6: the two losses of an object on each level, and the level that it is trained on."""

import numpy as np
import tensorflow as tf

from fsaf_tf import objective, pyramid, selection
from fsaf_tf.data.examples import Source
from fsaf_tf.detect.trained import Detector
from fsaf_tf.errors import UserError
from fsaf_tf.figures import pictures
from fsaf_tf.visualize import canvas, charts, detections

MOST_OBJECTS = 6  # of a picture, if none is asked for
OVERVIEW_SIDE = 560  # pixels; about what is left of it in the figure, so that captions keep their size


def draw(detector: Detector, name: str, source: Source, instance: int = 0):
    """Draws the bars of pictures one by one.

    Args:
        detector: of a run with an anchor-free branch.
        name: what to call it.
        source: pictures with boxes.
        instance: the object wanted, by its place in the annotations, from 1; 0 for the first few.

    Yields:
        A picture's id and its figure, of Matplotlib.

    Raises:
        UserError: a picture has no such object to train on: the message lists those that it has.
    """
    levels = pyramid.levels(detector.config.model.min_level, detector.config.model.max_level)
    for host, batch, outputs in pictures.as_trained(source, detector):
        image_id, rows = int(host["image_id"][0]), np.flatnonzero(host["valid"][0])
        wanted = rows[rows == instance - 1] if instance else rows[:MOST_OBJECTS]
        if instance and not len(wanted):
            others = ", ".join(map(str, rows + 1)) or "none"
            raise UserError(f"image {image_id} has no object {instance} to train on; it has {others}")
        by_size = selection.select_heuristic(batch["boxes"], levels)[0].numpy()
        objects = []
        for row in wanted:
            class_loss, box_loss, chosen = losses(batch, outputs, row, detector)
            kind = detector.class_names[host["classes"][0, row]]
            height, width = np.diff(host["boxes"][0, row].reshape(2, 2), axis=0)[0]
            title = f"{row + 1}: {kind}, {width:.0f} x {height:.0f} px"
            objects.append(charts.Losses(title, class_loss, box_loss, chosen, int(by_size[row])))
        captions = [f"{row + 1} {detector.class_names[host['classes'][0, row]]}" for row in wanted]
        height, width = host["image_size"][0]
        image = host["image"][0, :height, :width]
        marks = detections.marks(host["boxes"][0, wanted], captions, host["classes"][0, wanted])
        overview = np.asarray(canvas.mark(image, OVERVIEW_SIDE / max(image.shape[:2]), marks))
        is_online = detector.config.model.anchor_free.selection == "online"
        yield image_id, charts.selection(overview, objects, levels, f"image {image_id}, {name}", is_online=is_online)


def losses(batch: dict, outputs: dict, row: int, detector: Detector) -> tuple[np.ndarray, np.ndarray, int]:
    """Class loss and box loss `[L]` of one instance on every level (the two terms of Eq. 1), and its level."""
    task = detector.config
    keys = ("boxes", "classes", "valid", "cell_ranges")
    alone = {key: batch[key][:, row : row + 1] for key in keys}
    found = objective.anchor_free_losses(alone, outputs, task)
    # Where every location predicts the instance's own box no box loss is left.
    perfect = {**outputs, "anchor_free_offsets": _perfect_offsets(alone["boxes"][0, 0], outputs, task.model)}
    class_loss = objective.anchor_free_losses(alone, perfect, task)["instance_losses"][0, 0].numpy()
    both = found["instance_losses"][0, 0].numpy()
    return class_loss, np.maximum(both - class_loss, 0.0), int(found["levels"][0, 0])


def _perfect_offsets(box: tf.Tensor, outputs: dict, model) -> dict[str, tf.Tensor]:
    """Offsets by level with which every location predicts `box` `[4]`."""
    maps = {}
    for level, like in outputs["anchor_free_offsets"].items():
        where = pyramid.locations(*like.shape[1:3], int(level), model.location_offset)
        distances = tf.concat([where - box[:2], box[2:] - where], axis=-1)
        maps[level] = tf.reshape(distances / (model.anchor_free.offset_scale * 2 ** int(level)), like.shape)
    return maps
