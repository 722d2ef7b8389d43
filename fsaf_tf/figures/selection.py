"""Fig. 6: the two losses of an object on each level, and the level that it is trained on."""

import numpy as np

from fsaf_tf import regions, selection
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
    branch = detector.config.anchor_free()
    levels = branch.geometry.levels
    for host, batch, outputs in pictures.as_trained(source, detector):
        image_id, rows = int(host["image_id"][0]), np.flatnonzero(host["valid"][0])
        wanted = rows[rows == instance - 1] if instance else rows[:MOST_OBJECTS]
        if instance and not len(wanted):
            others = ", ".join(map(str, rows + 1)) or "none"
            raise UserError(f"image {image_id} has no object {instance} to train on; it has {others}")
        by_size = selection.select_heuristic(batch["boxes"], levels)[0].numpy()
        result = branch.losses(outputs, regions.Instances.of_batch(batch), None)
        objects = []
        for row in wanted:
            class_loss, box_loss = (result[f"instance_{kind}_losses"][0, row].numpy() for kind in ("class", "box"))
            kind = detector.classes.names[host["classes"][0, row]]
            height, width = np.diff(host["boxes"][0, row].reshape(2, 2), axis=0)[0]
            title = f"{row + 1}: {kind}, {width:.0f} x {height:.0f} px"
            chosen = int(result["levels"][0, row])
            objects.append(charts.Losses(title, class_loss, box_loss, chosen, int(by_size[row])))
        captions = [f"{row + 1} {detector.classes.names[host['classes'][0, row]]}" for row in wanted]
        height, width = host["image_size"][0]
        image = host["image"][0, :height, :width]
        marks = detections.marks(host["boxes"][0, wanted], captions, host["classes"][0, wanted])
        overview = np.asarray(canvas.mark(image, OVERVIEW_SIDE / max(image.shape[:2]), marks))
        is_online = branch.selection.rule != "heuristic"
        yield image_id, charts.selection(overview, objects, levels, f"image {image_id}, {name}", is_online=is_online)
