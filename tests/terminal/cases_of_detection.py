"""The cases of `test_injection.py` for prediction on videos and for figures."""

import os
import types

import numpy as np
import pytest
import tensorflow as tf
from cases_of_data import annotations, shard
from cases_of_files import GFILE, picture, text
from injected import CREATE, LOOK, MEMORY, TF_OPEN, TF_RUN, TF_WRITE, Case, system

from fsaf_tf.data import examples
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import forms
from fsaf_tf.figures import batch, pictures, training

cv2 = pytest.importorskip("cv2")
from fsaf_tf.detect import predict_video  # noqa: E402 (an extra)

# Prediction on a video.


def video(folder, name: str = "in.mp4") -> str:
    """Writes three frames of 64 x 48 px."""
    writer = cv2.VideoWriter(f"{folder}/{name}", cv2.VideoWriter_fourcc(*predict_video.CODEC), 25.0, (64, 48))
    for _ in range(3):
        writer.write(np.zeros([48, 64, 3], np.uint8))
    writer.release()
    return f"{folder}/{name}"


class Nothing:
    """A detector that finds nothing, and may fail at a frame or a picture."""

    category_ids, class_names, most = [1], ["cat"], 100

    def __init__(self, fails_at: int = -1, finds: int = 0):
        self._turn, self._fails_at, self._finds = 0, fails_at, finds

    def __call__(self, image: np.ndarray) -> dict:
        self._turn += 1
        if self._turn == self._fails_at:
            raise OSError(5, "Input/output error", "camera")
        count = self._finds
        found = {"boxes": np.tile(np.float32([1, 1, 5, 5]), (count, 1)), "scores": np.full(count, 0.9, np.float32)}
        return found | {"classes": np.zeros(count, np.int32), "names": ["cat"] * count}


def predict(folder, detector=None) -> None:
    predict_video.run(detector or Nothing(), video(folder), f"{folder}/out")


def predict_and_fail(folder) -> None:
    predict(folder, Nothing(fails_at=1))


def predict_again(folder) -> None:
    """After a prediction that an error ended."""
    text(folder, "out/video.unfinished.mp4")
    predict(folder)


def out_of_memory(path: str) -> cv2.error:
    """OpenCV's own, of a picture that no machine has room for."""
    with pytest.raises(cv2.error) as error:
        cv2.copyMakeBorder(np.zeros([1, 1, 3], np.uint8), 0, 2**30, 0, 2**30, cv2.BORDER_CONSTANT)
    return error.value


OF_OPENCV = (out_of_memory, MEMORY)


def write_forms(folder) -> None:
    """Over those of before."""
    for name in (forms.COCO, forms.CSV):
        text(folder, f"out/{name}", "of before")
    with forms.writer(("coco", "csv"), f"{folder}/out", Classes(("cat",), (1,)), 0.3) as add:
        add(forms.Found("a.png", "a.png", 1, 48, 64, Nothing(finds=1)(None)))


WRITE_FORMS = Case(write_forms, TF_WRITE, GFILE, "write")
VIDEO = Case(predict, OF_OPENCV)
DETECTION = {
    "detect/forms.py:_coco:file.write": WRITE_FORMS,
    "detect/forms.py:_coco.add:file.write": WRITE_FORMS,
    "detect/forms.py:_csv.write:file.write": WRITE_FORMS,
    "detect/predict_video.py:_open:cv2.VideoCapture": VIDEO,
    "detect/predict_video.py:_read:capture.read": VIDEO._replace(via="cv2.VideoCapture"),
    "detect/predict_video.py:_Writer._open:cv2.VideoWriter": VIDEO,
    "detect/predict_video.py:_Writer._add:self._video.write": VIDEO._replace(via="cv2.VideoWriter", leaves=True),
    "detect/predict_video.py:_frames_in:cv2.VideoCapture": VIDEO._replace(leaves=True),
    "detect/predict_video.py:_Writer.__exit__:os.replace": Case(predict, CREATE, names="out/video", leaves=True),
    "detect/predict_video.py:_Writer.__exit__:os.remove": Case(predict_again, LOOK[1:]),
}


# Figures.


def first_batch(folder) -> None:
    """The first picture of a training's data."""
    rows = tf.data.Dataset.from_tensors({"image": tf.zeros([1, 2])})
    config = types.SimpleNamespace(global_batch_size=1)
    params = types.SimpleNamespace(task=types.SimpleNamespace(train_data=config, input_size=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch.pipeline, "build_dataset", lambda *args, **kwargs: rows)
        next(batch._rows(params, None))


def annotated(folder) -> None:
    """The pictures of a figure, with their boxes."""
    with pytest.MonkeyPatch.context() as patch:  # what else a picture needs takes long to build
        patch.setattr(pictures.frames, "check_declared", lambda rows, rule: rows)
        patch.setattr(pictures.NONE_ALLOWED, "leave_out", lambda rows: rows)
        source = pictures.of_annotated_files([picture(folder)], annotations(folder))
        list(examples.named_errors(source.examples()))


def curves(folder) -> None:
    """What the event files of a run hold."""
    (folder / "train").mkdir()
    os.rename(shard(folder), folder / "train/x.tfevents.1")
    training.read(str(folder))


FIGURES = {
    "figures/batch.py:_rows:batches.as_numpy_iterator": Case(first_batch, TF_RUN, tf.data.Dataset, "as_numpy_iterator"),
    "figures/pictures.py:of_annotated_files.rows:paths.read_bytes": Case(annotated, (*system(2, 13, 5), MEMORY)),
    "figures/training.py:read:tf.io.gfile.glob": Case(curves, TF_OPEN),
    "figures/training.py:_events:tf.data.TFRecordDataset": Case(curves, TF_OPEN),
    "figures/training.py:_events:tf.data.TFRecordDataset.as_numpy_iterator": Case(
        curves, TF_OPEN, tf.data.Dataset, "as_numpy_iterator"
    ),
}


CASES = DETECTION | FIGURES
