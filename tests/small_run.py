"""A run's folder with a tiny detector of random weights, for the tests of what loads one."""

import json

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import exp_factory
from PIL import Image

import fsaf_tf
from fsaf_tf.config import experiment
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import predict_files
from fsaf_tf.modeling import detector

NAMES, IDS = ["cat", "dog", "bird"], [17, 18, 16]
CLASSES = Classes(tuple(NAMES), tuple(IDS))
SMALL = {
    "task": {
        "model": {
            "backbone": {"resnet": {"depth": 14, "width_per_group": 8}},
            "fpn": {"channels": 16},
            "heads": {"channels": 16, "convs": 1},
            "anchor_based": {"enabled": True},
            "postprocess": {"score_threshold": 0.005, "max_detections": 20},
        },
        "input_size": {"shorter_side": 64, "longer_side": 96},
    }
}


def small_params():
    """The experiment: both branches, a ResNet of one block a stage."""
    params = exp_factory.get_exp_config("fsaf")
    params.override(SMALL)
    return params


def spread_outputs(model, image: tf.Tensor) -> None:
    """Scales the last convolutions of random values: classes and boxes differ from place to place and overlap.

    Args:
        model: anchor-free alone; is changed.
        image: its input `[1, H, W, 3]`, normalised.
    """
    heads, outputs = model.get_layer("heads"), model(image)
    for layer, wanted, bias in (
        (heads.class_outputs["anchor_free_logits"], 1.5, -1.5),
        (heads.box_outputs["anchor_free_offsets"], 1, 0.5),
    ):
        found = np.std(np.concatenate([np.ravel(level) for level in outputs[layer.name].values()]))
        layer.kernel.assign(layer.kernel * wanted / found)
        layer.bias.assign(np.full(layer.bias.shape, bias))


def write_run(folder, model, step=7, checkpoint="ckpt-7"):
    """A run's folder as the tools leave it, with the variables of `model`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(experiment.to_yaml(small_params()))
    CLASSES.write(f"{folder}/labels.json")
    optimizer = tf.Variable(0.0)  # something that is in the checkpoint and not needed
    saved = tf.train.Checkpoint(model=model, optimizer=optimizer, global_step=tf.Variable(step, dtype=tf.int64))
    directory, name = (folder / checkpoint).parent, (folder / checkpoint).name
    tf.train.CheckpointManager(saved, directory, max_to_keep=5, checkpoint_name=name.rsplit("-", 1)[0]).save(step)
    return folder


def build_model():
    """The experiment's model with random weights, the same each time."""
    tf_keras.utils.set_random_seed(1)
    return detector.build_detector(small_params().task.model, len(NAMES))


def write_run_and_data(folder, model: dict, pictures) -> None:
    """Writes `run`, a detector of these keys that finds something in each picture, and `data`, what it finds in them.

    Args:
        folder: where both are put.
        model: keys of `task.model`.
        pictures: `[h, w, 3]` uint8 each.
    """
    params, data = small_params(), folder / "data"
    params.task.model.override(model)
    params.task.validation_data.override({"annotation_file": f"{data}/annotations.json", "image_dir": str(data)})
    tf_keras.utils.set_random_seed(1)
    network = detector.build_detector(params.task.model, len(NAMES))
    spread_outputs(network, tf.random.normal([1, 64, 96, 3], stddev=64))
    write_run(folder / "run", network)
    (folder / "run" / "params.yaml").write_text(experiment.to_yaml(params))
    data.mkdir()
    detect, images, annotations = fsaf_tf.load_detector(folder / "run"), [], []
    for number, picture in enumerate(pictures, start=1):
        Image.fromarray(picture).save(data / f"{number}.png")
        height, width = picture.shape[:2]
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        for result in predict_files.to_coco(detect(picture), number, detect.category_ids):
            area = result["bbox"][2] * result["bbox"][3]
            annotations.append({**result, "id": len(annotations) + 1, "area": area, "iscrowd": 0})
    categories = [{"id": index, "name": name} for index, name in zip(IDS, NAMES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (data / "annotations.json").write_text(json.dumps(content))
