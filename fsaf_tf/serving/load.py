"""One call for a detector of any kind: a run, a SavedModel, a TFLite file."""

import os

from fsaf_tf.detect import trained
from fsaf_tf.errors import UserError
from fsaf_tf.serving import exported_models


def load_detector(
    path: str | os.PathLike, checkpoint: str | os.PathLike | None = None, test_augmentation: dict | None = None
) -> trained.Detector | exported_models.SavedModel | exported_models.TFLite:
    """Loads a detector of any kind; all are called alike, with a picture.

    Args:
        path: the folder of a run, a SavedModel (a version, or the folder of the versions: the newest), or a `.tflite`
            file.
        checkpoint: of a run, see `trained.load_detector`.
        test_augmentation: of a run, see there.

    Returns:
        A callable with `class_names` and `category_ids`; see `trained.Detector`. What is exported has no `model` and
        no `preprocess`, and takes pictures at the size it was exported for.

    Raises:
        UserError: there is no such thing, or it cannot be read.
    """
    found = exported_models.find(path)
    if found is None:
        return trained.load_detector(path, checkpoint, test_augmentation)
    exported_models.refuse_augmentation(found, test_augmentation is not None)
    if checkpoint is not None:
        raise UserError(f"{found} is an exported model and has no checkpoints; leave checkpoint out")
    return exported_models.load(found)
