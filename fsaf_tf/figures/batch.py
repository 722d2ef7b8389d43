"""What training feeds the network: the first pictures of an experiment, with all that is drawn for them."""

from collections.abc import Iterator, Sequence

import numpy as np
from official.core import config_definitions
from PIL import Image

from fsaf_tf.data import pipeline
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Source
from fsaf_tf.visualize import canvas

LEAST_SIDE = 480  # pixels of a picture's longer side
GREY = (70, 70, 70)


def draw(params: config_definitions.ExperimentConfig, source: Source, count: int) -> np.ndarray:
    """Draws the first training pictures on their canvases, `[H, W, 3]` uint8.

    Boxes that are learnt have the colour and the name of their class; those that are not are dashed.

    Args:
        params: the experiment.
        source: its training data.
        count: how many pictures.
    """
    rows = _rows(params, source)
    return of_rows([next(rows) for _ in range(count)], source.classes)


def of_rows(rows: Sequence[dict[str, np.ndarray]], classes: Classes) -> np.ndarray:
    """Draws pictures of training batches, `[H, W, 3]` uint8.

    Args:
        rows: of `pipeline.build_dataset`'s batches, one for each picture.
        classes: of the data.
    """
    panels = [_panel(row, classes) for row in rows]
    size = [max(panel.size[axis] for panel in panels) for axis in (0, 1)]
    return np.asarray(canvas.tile([_on_grey(panel, size) for panel in panels]))


def _rows(params: config_definitions.ExperimentConfig, source: Source) -> Iterator[dict[str, np.ndarray]]:
    """The pictures of the training batches one by one."""
    config = params.task.train_data
    batches = pipeline.build_dataset(source, config, params.task.input_size, batch_size=config.global_batch_size)
    for batch in batches.as_numpy_iterator():
        for index in range(len(batch["image"])):
            yield {key: values[index] for key, values in batch.items()}


def _panel(row: dict[str, np.ndarray], classes: Classes) -> Image.Image:
    count = int(row["valid"].sum() + row["left_out"])
    rows = zip(row["boxes"][:count], row["classes"], row["valid"])
    marks = [
        canvas.Mark(box, classes.names[label] if valid else "", canvas.colour(label), dashed=not valid)
        for box, label, valid in rows
    ]
    image, size = row["image"], row["image_size"]
    factor = max(1, -(-LEAST_SIDE // max(image.shape[:2])))
    title = f"image {row['image_id']}: {size[0]} x {size[1]} of {image.shape[0]} x {image.shape[1]} px, {count} boxes"
    title += f", {row['left_out']} not learnt" if row["left_out"] else ""
    return canvas.panel(canvas.mark(image, factor, marks), title)


def _on_grey(panel: Image.Image, size: list[int]) -> Image.Image:
    whole = Image.new("RGB", tuple(size), GREY)  # a canvas is black where there is no picture
    whole.paste(panel)
    return whole
