"""Fig. 5: what each location of each level learns of an image, before and after the selection of levels."""

import numpy as np
import tensorflow as tf

from fsaf_tf import pyramid, regions, targets
from fsaf_tf.data.examples import Source
from fsaf_tf.detect.trained import Detector
from fsaf_tf.figures import pictures
from fsaf_tf.visualize.targets import Learnt, draw_maps

_HOW = {
    "online": "After it, the object is on the level where its loss is least (Eq. 2)",
    "heuristic": "After it, the object is on the level that its size prescribes (Eq. 3)",
    "soft": "After it, the object is on the levels where its loss is least, more on those with less",
}


def draw(detector: Detector, name: str, source: Source):
    """Draws the maps of pictures one by one.

    Args:
        detector: of a run with an anchor-free branch, whose weights choose the levels.
        name: what to call it.
        source: pictures with boxes.

    Yields:
        A picture's id and its figure `[H, W, 3]` uint8.
    """
    branch = detector.config.anchor_free()
    for host, batch, outputs in pictures.as_trained(source, detector):
        targets_of_batch = branch.targets(outputs, regions.Instances.of_batch(batch))
        after = {key: value[0].numpy() for key, value in targets_of_batch.items()}
        instances = {key: host[key][0] for key in ("boxes", "classes", "valid")} | {"levels": after.pop("levels")}
        distances = offsets(instances["boxes"], after["instance"], outputs, branch.geometry)
        learnt = Learnt(on_every_level(batch, outputs), after, distances)
        figure = draw_maps(
            host["image"][0],
            instances,
            learnt,
            branch.geometry,
            detector.classes.names,
            title="What each cell of the pyramid learns",
            lines=[
                f"Image {host['image_id'][0]}, {name}, at the network's input size. One row a pyramid level, one small"
                " square a cell of its map.",
                "Before selection every object has an effective and an ignored area on every level."
                f" {_HOW[branch.selection.rule]}; only there its effective area is positive. Its ignored"
                " area also counts on the levels next to it.",
                "Where effective areas overlap the smaller object has the cell. The distances from a cell to the four"
                " sides of its object are what the box offsets learn, in units of"
                f" {branch.geometry.offset_scale:g} cells of their level.",
            ],
        )
        yield int(host["image_id"][0]), figure


def on_every_level(batch: dict, outputs: dict) -> dict[str, np.ndarray]:
    """The targets `[P, ...]` of one image if each instance were on every level: `positive`, `instance`, `negative`."""
    logits = outputs["anchor_free_logits"]
    layout = pyramid.Layout.of_maps(logits)
    num_classes = logits[str(layout.levels[0])].shape[-1]
    location_levels, found = layout.location_levels().numpy(), {}
    for level in layout.levels:
        learns = tf.fill(tf.shape(batch["classes"]), True)[..., None] & (tf.constant(layout.levels) == level)
        of_level = targets.anchor_free_targets(regions.Instances.of_batch(batch), learns, layout, num_classes)
        for key, value in of_level.items():
            found.setdefault(key, []).append(value[0].numpy()[location_levels == level])
    return {key: np.concatenate(values) for key, values in found.items()}


def offsets(boxes: np.ndarray, instance: np.ndarray, outputs: dict, geometry: pyramid.Geometry) -> np.ndarray:
    """What the locations learn if `instance` `[P]` of `boxes` `[N, 4]` is theirs: `[P, 4]` top, left, bottom, right.

    In units of `offset_scale * 2^l` pixels, section 3.2.
    """
    layout = pyramid.Layout.of_maps(outputs["anchor_free_offsets"])
    y, x = layout.locations(geometry.location_offset).numpy().T
    y1, x1, y2, x2 = boxes[instance].T
    unit = geometry.offset_scale * 2.0 ** layout.location_levels().numpy()
    return np.stack([y - y1, x - x1, y2 - y, x2 - x], axis=-1) / unit[:, None]
