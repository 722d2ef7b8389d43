"""What the trials work on: drawn pictures, a tiny detector that is trained on them, a video, published weights."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image

from fsaf_tf.data import drawing

ROOT = pathlib.Path(__file__).parent.parent.parent
STEPS, SAVED, EVALUATED = 40, 10, 20  # of the tiny run: its length, and how often it is saved and evaluated
_TRAINING, _VALIDATION = 12, 6  # pictures
# The smallest detector; its batches hold a part of the pictures and are augmented, so that the order of data shows.
_EXPERIMENT = """
task:
  model:
    max_level: 5
    backbone: {{type: resnet, resnet: {{depth: 14, width_per_group: 8, form: pytorch, weights: ''}}}}
    fpn: {{channels: 16}}
    heads: {{convs: 1, channels: 16}}
    postprocess: {{score_threshold: 0.001, max_detections: 10}}
  input_size: {{shorter_side: 96, longer_side: 128}}
  train_data: {{annotation_file: {folder}/train.json, image_dir: {folder}/pictures, global_batch_size: 2}}
  validation_data: {{annotation_file: {folder}/validation.json, image_dir: {folder}/pictures, global_batch_size: 2}}
trainer:
  train_steps: {steps}
  steps_per_loop: 5
  summary_interval: 5
  checkpoint_interval: {saved}
  validation_interval: {evaluated}
  optimizer_config:
    learning_rate: {{stepwise: {{boundaries: [30], values: [0.01, 0.001]}}}}
    warmup: {{linear: {{warmup_steps: 5, warmup_learning_rate: 0.001}}}}
"""


def write_data(folder: pathlib.Path) -> pathlib.Path:
    """Pictures of shapes, their annotations, and the experiment; its path. What is there stays."""
    experiment = folder / "tiny.yaml"
    if experiment.exists():
        return experiment
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    categories = [{"id": number, "name": name} for number, name in enumerate(drawing.CLASS_NAMES, start=1)]
    ids = {category["name"]: category["id"] for category in categories}
    for name, numbers in (("train", range(_TRAINING)), ("validation", range(_TRAINING, _TRAINING + _VALIDATION))):
        images, annotations = [], []
        for number in numbers:
            picture, objects = drawing.draw(7, number)
            file = f"{number:03d}.png"
            Image.fromarray(picture).save(folder / "pictures" / file)
            height, width = picture.shape[:2]
            images.append({"id": number + 1, "file_name": file, "width": width, "height": height})
            for item in objects:
                y1, x1, y2, x2 = item["box"]
                box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": int(item["area"]), "iscrowd": 0}
                own = {"id": 100 * number + len(annotations), "image_id": number + 1}
                annotations.append({**own, "category_id": ids[item["name"]], **box})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    text = _EXPERIMENT.format(folder=folder, steps=STEPS, saved=SAVED, evaluated=EVALUATED)
    experiment.write_text(text, encoding="utf-8")
    return experiment


def train_command(experiment: pathlib.Path, run: pathlib.Path) -> list[str]:
    """The command of a training, as a user types it."""
    return [sys.executable, "tools/train.py", f"--experiment={experiment}", f"--model_dir={run}"]


def trained(folder: pathlib.Path) -> pathlib.Path:
    """The folder of a run of the experiment in `folder` that came to its end without a disturbance."""
    run = folder / "undisturbed"
    if not run.exists():
        part = folder / "in_training"
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(train_command(write_data(folder), part), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        part.rename(run)
    return run


def write_video(path: pathlib.Path) -> None:
    """A video of 12 frames of noise and a moving square, 128 x 96 px."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (128, 96))
    for number in range(12):
        frame = np.random.default_rng(number).integers(0, 120, [96, 128, 3], np.uint8)
        frame[20:60, 5 * number : 5 * number + 40] = 220
        writer.write(frame)
    writer.release()


def write_weights(folder: pathlib.Path) -> pathlib.Path:
    """Weights of torchvision's names for a tiny ResNet, `weights.npz`. Starts TensorFlow: call it in a fork.

    Returns:
        The experiment that takes them, `published.yaml`.
    """
    from fsaf_tf.config import backbone_keys
    from fsaf_tf.modeling import resnet
    from fsaf_tf.weights import torchvision

    config = backbone_keys.ResNet(depth=14, width_per_group=8, form="pytorch", weights="")
    random = np.random.default_rng(1)
    entries = torchvision.entries(resnet.build_resnet(config))
    shapes = {name: shape for entry in entries for name, shape in entry.shapes.items()}
    values = {name: random.uniform(0.01, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(folder / "weights.npz", **values)
    experiment = folder / "published.yaml"
    experiment.write_text(_PUBLISHED, encoding="utf-8")
    return experiment


_PUBLISHED = """
task:
  model:
    backbone: {resnet: {depth: 14, width_per_group: 8}}
    fpn: {channels: 16}
    heads: {channels: 16, convs: 1}
  input_size: {shorter_side: 96, longer_side: 128}
"""
