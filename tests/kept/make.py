"""Makes `kept/0.1.tar.xz`: a run, a SavedModel and a TFLite file as a version of the package leaves them.

    python tests/kept/make.py 0.1

Every later version must load and go on with what is kept here; see tests/test_kept.py. Only the tools are called, so
that this file need not change with the package; a version that writes something new adds an archive beside the others.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).parent.parent.parent
STEPS, FURTHER_STEPS = 60, 3
FURTHER = (
    "--experiment=tiny.yaml",
    "--mode=train",
    f"--params_override=trainer.train_steps={STEPS + FURTHER_STEPS},trainer.steps_per_loop=1,"
    "trainer.summary_interval=1,trainer.checkpoint_interval=1,trainer.max_to_keep=5",
    "--model_dir=run",
)
EXPERIMENT = """
task:
  model:
    max_level: 6
    backbone: {type: mobilenet, mobilenet: {model_id: MobileNetV2, filter_size_scale: 0.05}}
    fpn: {channels: 8}
    heads: {convs: 1, channels: 8}
    anchor_free: {effective: 0.3, loss_weight: 0.7}
    postprocess: {score_threshold: 0.02, max_detections: 10}
  input_size: {shorter_side: 64, longer_side: 96}
  train_data: {annotation_file: shapes.json, image_dir: images, global_batch_size: 4, random_flip: false}
  validation_data: {annotation_file: shapes.json, image_dir: images, global_batch_size: 4}
trainer:
  train_steps: 60
  steps_per_loop: 5
  summary_interval: 20
  checkpoint_interval: 60
  validation_interval: 60
  max_to_keep: 1
  optimizer_config:
    optimizer: {type: sgd, sgd: {momentum: 0.9, global_clipnorm: 10.0}}
    learning_rate: {type: constant, constant: {learning_rate: 0.1}}
    warmup: {type: linear, linear: {warmup_steps: 10, warmup_learning_rate: 0.01}}
"""


def draw_pictures(folder: pathlib.Path) -> None:
    """Four pictures of 64 x 96 px with two boxes each, and their COCO JSON with ids that are no indices."""
    images, annotations = [], []
    (folder / "images").mkdir()
    for number in range(1, 5):
        picture = Image.new("RGB", (96, 64), (30, 40, 50))
        draw = ImageDraw.Draw(picture)
        boxes = {17: (6 + 6 * number, 8, 24, 20), 3: (50, 30 - 4 * number, 36 - 4 * number, 30)}
        for category, (x, y, width, height) in boxes.items():
            draw.rectangle((x, y, x + width - 1, y + height - 1), (220, 60, 60) if category == 3 else (60, 200, 220))
            box = {"bbox": [x, y, width, height], "area": width * height, "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": category, **box})
        picture.save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 64})
    categories = [{"id": 17, "name": "blue"}, {"id": 3, "name": "red"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "shapes.json").write_text(json.dumps(content))


def call(folder: pathlib.Path, tool: str, *arguments: str) -> None:
    """Runs a tool in a folder, by paths relative to that: no path of a machine is recorded."""
    script = os.path.relpath(ROOT / "tools" / f"{tool}.py", folder)
    subprocess.run([sys.executable, script, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def change(folder: pathlib.Path, after: str) -> dict[str, float]:
    """How far the further steps moved each weight: the norm of the difference, by the key in the checkpoint."""
    before, after = (tf.train.load_checkpoint(str(folder / prefix)) for prefix in (f"run/ckpt-{STEPS}", after))
    keys = [key for key in before.get_variable_to_shape_map() if key.startswith("model/") and "SLOT" not in key]
    return {key: float(np.linalg.norm(after.get_tensor(key) - before.get_tensor(key))) for key in sorted(keys)}


def main(version: str) -> None:
    """Writes the archive of a version."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        folder = pathlib.Path(name)
        draw_pictures(folder)
        (folder / "tiny.yaml").write_text(EXPERIMENT)
        call(folder, "train", "--experiment=tiny.yaml", "--model_dir=run")
        shutil.rmtree(folder / "run" / "train")  # TensorBoard's events: nothing loads them
        shutil.rmtree(folder / "run" / "validation")
        call(folder, "export", "--format=saved_model", "--model_dir=run", "--output=saved_model")
        call(folder, "export", "--format=tflite", "--model_dir=run", "--output=tflite")
        for kind, model in {
            "run": "run",
            "saved_model": "saved_model",
            "tflite": "tflite/model_float32.tflite",
        }.items():
            call(folder, "predict", f"--model={model}", "--images=images", f"--output=found/{kind}")
            shutil.rmtree(folder / "found" / kind / "pictures")
        shutil.copytree(folder / "run", folder / "further")
        call(folder, "train", *FURTHER[:-1], "--model_dir=further")
        moved = change(folder, f"further/ckpt-{STEPS + FURTHER_STEPS}")
        (folder / "change.json").write_text(json.dumps(moved, indent=0))
        with tarfile.open(pathlib.Path(__file__).parent / f"{version}.tar.xz", "w:xz") as archive:
            for each in ("run", "saved_model", "tflite", "found", "images", "shapes.json", "tiny.yaml", "change.json"):
                archive.add(folder / each, each)


if __name__ == "__main__":
    main(sys.argv[1])
