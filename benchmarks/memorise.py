"""Can `fsaf_r50` learn eight images by heart? It must: a mistake in targets, losses or decoding shows here first.

    python benchmarks/memorise.py --data=../shared/data --output=runs/memorise

Takes the first images, by id, of COCO's `train2017` annotations that together hold a crowd box, an image without boxes
and at least 12 classes, trains on them and evaluates on them.
"""

import json
import pathlib

from absl import flags

from fsaf_tf import cli

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_string("data", "../shared/data", "The folder with coco_mini and weights.", FLAGS)
OUTPUT = flags.DEFINE_string("output", "runs/memorise", "The run's folder.", FLAGS)
COUNT, CLASSES = 8, 12


def choose(dataset: dict) -> dict:
    """The subset: the first crowd image, the first empty one, and the first six others that make it 12 classes."""
    by_image = {image["id"]: [] for image in dataset["images"]}
    for annotation in dataset["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    ids = sorted(by_image)
    crowd = next(i for i in ids if any(box["iscrowd"] for box in by_image[i]))
    empty = next(i for i in ids if not by_image[i])
    chosen = sorted({crowd, empty, *[i for i in ids if i not in (crowd, empty)][: COUNT - 2]})
    annotations = [box for i in chosen for box in by_image[i]]
    classes = {box["category_id"] for box in annotations}
    if len(classes) < CLASSES:
        raise ValueError(f"images {chosen} hold {len(classes)} classes, {CLASSES} are wanted")
    print(f"images {chosen}: {len(annotations)} boxes of {len(classes)} classes")
    categories = [category for category in dataset["categories"] if category["id"] in classes]
    images = [image for image in dataset["images"] if image["id"] in chosen]
    return {"images": images, "annotations": annotations, "categories": categories}


def main():
    """Writes the subset, trains on it and evaluates on it."""
    from fsaf_tf.config import experiment
    from fsaf_tf.run import training

    data, output = pathlib.Path(DATA.value), pathlib.Path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    subset = choose(json.loads((data / "coco_mini/annotations/instances_train2017.json").read_text()))
    (output / "eight.json").write_text(json.dumps(subset))
    images = {
        "tfds_name": "",
        "tfds_split": "",
        "image_dir": str(data / "coco_mini/train2017"),
        "annotation_file": str(output / "eight.json"),
    }
    weights = data / "weights/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    overrides = {
        "task": {
            "losses": {"weight_decay": 0.0},
            "model": {"backbone": {"resnet": {"weights": str(weights), "train_bn_affine": True}}},
            "input_size": {"shorter_side": 320, "longer_side": 448},
            "train_data": {**images, "global_batch_size": 4, "random_flip": False},
            "validation_data": images,
        },
        "trainer": {
            "train_steps": 400,
            "validation_interval": 400,
            "checkpoint_interval": 100,
            "summary_interval": 20,
            "optimizer_config": {
                "optimizer": {"type": "adam", "adam": {"global_clipnorm": 10.0}},
                "learning_rate": {"type": "cosine", "cosine": {"initial_learning_rate": 0.0006, "decay_steps": 400}},
                "warmup": {"linear": {"warmup_steps": 40, "warmup_learning_rate": 0.0001}},
            },
        },
    }
    training.run(experiment.load("fsaf_r50", overrides=json.dumps(overrides)), str(output / "run"), "train_and_eval")


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
