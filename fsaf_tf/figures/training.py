"""The losses, the average precision and the share of each level over the steps of runs, from their event files."""

import collections
import re

import tensorflow as tf

from fsaf_tf.errors import UserError

_LEVEL = re.compile(r"anchor_free/level_(\d+)$")


def read(model_dir: str) -> dict[str, dict[int, float]]:
    """All scalars of a run: `{"training_loss": {step: value}, ...}`, evaluation's AP among them.

    Of a step that a restart went through again the later value counts. The last record of a run that is still going on
    may be cut off; what stands before it counts.

    Raises:
        UserError: there are no event files.
    """
    files = [path for part in ("train", "validation") for path in tf.io.gfile.glob(f"{model_dir}/{part}/*tfevents*")]
    if not files:
        raise UserError(f"{model_dir} has no event files in train/ and validation/: is it the folder of a run?")
    found = collections.defaultdict(dict)
    for event in sorted((event for path in files for event in _events(path)), key=lambda event: event.wall_time):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                found[value.tag][event.step] = float(tf.make_ndarray(value.tensor))
    return {tag: dict(sorted(points.items())) for tag, points in found.items()}


def _events(path: str) -> list:
    events = []
    try:
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            # `read` sorts by time: without what a picture holds, the list is short.
            if any(value.metadata.plugin_data.plugin_name == "scalars" for value in event.summary.value):
                events.append(event)
    except tf.errors.DataLossError:
        pass
    return events


def level_shares(scalars: dict[str, dict[int, float]]) -> dict[int, dict[int, float]]:
    """The share of objects by level and step, of a run with an anchor-free branch; empty for others."""
    found = {int(match[1]): points for tag, points in scalars.items() if (match := _LEVEL.match(tag))}
    return dict(sorted(found.items()))
