"""An experiment's training step and detection as XLA programs, its weights and its data, for `train.py` beside it.

    python benchmarks/accelerator/export.py --output=runs/xla --key=fsaf --experiment=fsaf_r50 \
        --config_file=benchmarks/bccd.yaml,benchmarks/bccd_as_mmdet.yaml --canvas=240x320 --batch=4

The step is the project's own, from the pictures in uint8 to the gradients. What a study varies goes in as numbers,
`KNOBS`, so that one program serves all of it.
"""

import dataclasses
import json
import pathlib

import numpy as np
from absl import app, flags

from fsaf_tf import cli

cli.quiet()

import tensorflow as tf  # noqa: E402

from fsaf_tf import boxes, branches, objective, postprocess, regions, selection  # noqa: E402
from fsaf_tf.config import experiment  # noqa: E402
from fsaf_tf.data import augment, pipeline  # noqa: E402
from fsaf_tf.data.source import open_source  # noqa: E402
from fsaf_tf.modeling import backbones, detector, freezing  # noqa: E402

OUTPUT = flags.DEFINE_string("output", "runs/xla", "A folder.")
KEY = flags.DEFINE_string("key", None, "The name of what is written, in train.py's jobs.", required=True)
EXPERIMENT = flags.DEFINE_string("experiment", None, "As of tools/train.py.", required=True)
CONFIG_FILE = flags.DEFINE_list("config_file", [], "Files on top of it.")
OVERRIDE = flags.DEFINE_string("params_override", "", "Keys on top of these.")
CANVAS = flags.DEFINE_string("canvas", None, "HEIGHTxWIDTH of all pictures in px.", required=True)
BATCH = flags.DEFINE_integer("batch", 4, "Pictures a step.")
MAX_INSTANCES = flags.DEFINE_integer("max_instances", 64, "Boxes a picture.")

EVALUATED = 12  # pictures at a time
# What a study varies. `number` is the step's; the others stay as they are through a run.
KNOBS = (
    "number",
    "warmup_steps",
    "warmup_is_random",
    "is_heuristic",
    "soft_levels",
    "soft_temperature",
    "class_weight",
    "box_weight",
    "weight_decay",
    "effective",
    "ignoring",
)


@dataclasses.dataclass(frozen=True)
class VariedSelection:
    """`selection.Selection` with its values as tensors: online is soft with one level."""

    knobs: dict[str, tf.Tensor]

    def weights(self, class_losses, box_losses, boxes, levels, step):
        """See `selection.Selection.weights`."""
        knobs = self.knobs
        by_size = selection.only(selection.select_heuristic(boxes, levels), levels)
        at_random = selection.only(selection.select_random(tf.shape(boxes)[:2], levels, step), levels)
        soft = selection.weigh_soft(
            class_losses + box_losses, tf.cast(knobs["soft_levels"], tf.int32), knobs["soft_temperature"]
        )
        at_first = tf.where(knobs["warmup_is_random"] > 0, at_random, by_size)
        later = tf.where(knobs["is_heuristic"] > 0, by_size, soft)
        return tf.where(knobs["number"] < knobs["warmup_steps"], at_first, later)


class Programs:
    """The step and the detection of one experiment."""

    def __init__(self, config, num_classes: int):
        self.task_config = config.task
        self.model = detector.build_detector(config.task.model, num_classes)
        freezing.freeze(self.model, config.task.freeze)
        backbones.initialize(self.model, config.task.model.backbone)
        levels = config.task.model.geometry().levels
        watched = [name for branch in config.task.branches() for name in self._watched(branch)]
        self.names = ["total_loss", "gradient_norm", *watched]
        self.names += [f"loss_{level}" for level in levels] if config.task.model.anchor_free.enabled else []

    @staticmethod
    def _watched(branch) -> list[str]:
        return [f"{branch.name}/{name}" for name in ("class_loss", "box_loss", *branch.watched())]

    def step(self, knobs, image, image_size, true_boxes, classes, valid):
        """The watched scalars in the order of `names`, and the gradients in that of the trainable variables."""
        config, values = self.task_config, dict(zip(KNOBS, tf.unstack(knobs), strict=True))
        shares = {name: values[name] for name in ("effective", "ignoring")}
        geometry = dataclasses.replace(config.model.geometry(), **shares)
        batch = {"image": image, "image_size": image_size, "boxes": true_boxes, "classes": classes, "valid": valid}
        batch = pipeline.device_stage(batch, detector.normalization(config.model.backbone), geometry)
        variables, scalars = self.model.trainable_variables, {}
        with tf.GradientTape() as tape:
            outputs = self.model(batch["images"], training=True)
            instances = regions.Instances.of_batch(batch)
            decayed = objective.decayed(variables)
            loss = values["weight_decay"] * tf.add_n([0.0, *(tf.nn.l2_loss(kernel) for kernel in decayed)])
            for branch in config.branches():
                weights = (1.0, 1.0)
                if isinstance(branch, branches.AnchorFree):
                    branch = dataclasses.replace(branch, geometry=geometry, selection=VariedSelection(values))
                    weights = values["class_weight"], values["box_weight"]
                step = selection.Step(tf.cast(values["number"], tf.int64), 1)
                result = branch.losses(outputs, instances, step)
                loss += weights[0] * result["class_loss"] + weights[1] * result["box_loss"]
                scalars |= {f"{branch.name}/{name}": result[name] for name in ("class_loss", "box_loss")}
                watch = branch.watch(outputs, instances, result)
                scalars |= {f"{branch.name}/{name}": term.value for name, term in watch.items()}
                scalars |= self._level_losses(branch, instances, result)
        gradients = tape.gradient(loss, variables)
        scalars |= {"total_loss": loss, "gradient_norm": tf.linalg.global_norm(gradients)}
        ordered = [tf.reshape(scalars[name], []) for name in self.names]
        return ordered + [tf.convert_to_tensor(gradient) for gradient in gradients]

    @staticmethod
    def _level_losses(branch, instances, result) -> dict[str, tf.Tensor]:
        """What the instances of a batch would lose in the mean on each level."""
        if not isinstance(branch, branches.AnchorFree):
            return {}
        valid = tf.cast(instances.valid, tf.float32)[..., None]  # [B, N, 1]
        means = tf.reduce_sum(result["instance_losses"] * valid, axis=[0, 1]) / tf.maximum(tf.reduce_sum(valid), 1)
        return {f"loss_{level}": means[index] for index, level in enumerate(branch.geometry.levels)}

    def detect(self, image, image_size):
        """Boxes in pixels of the canvas, scores and classes of all candidates.

        Their suppression is a loop over boxes, which is slow on an accelerator: `train.py` does it beside the training.
        """
        config = self.task_config
        images = augment.normalize(image, image_size, detector.normalization(config.model.backbone))
        found = postprocess.candidates(self.model(images, training=False), config.decoding())
        together = {key: tf.concat([of_level[key] for of_level in found], axis=1) for key in found[0]}
        clipped = boxes.clip(together["boxes"], image_size[:, None])
        return [clipped, together["scores"], together["classes"]]


def main(_):
    """Writes all of it."""
    output = pathlib.Path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    config = experiment.load(EXPERIMENT.value, CONFIG_FILE.value, OVERRIDE.value)
    tf.random.set_seed(0)
    train = open_source(config.task.train_data)
    programs = Programs(config, len(train.classes))
    height, width = map(int, CANVAS.value.split("x"))
    batch, rows = BATCH.value, MAX_INSTANCES.value
    model = programs.model
    place = {id(variable.handle): index for index, variable in enumerate(model.variables)}
    canvases = [tf.TensorSpec([EVALUATED, height, width, 3], tf.uint8), tf.TensorSpec([EVALUATED, 2], tf.int32)]
    step = [
        tf.TensorSpec([len(KNOBS)]),
        tf.TensorSpec([batch, height, width, 3], tf.uint8),
        tf.TensorSpec([batch, 2], tf.int32),
        tf.TensorSpec([batch, rows, 4]),
        tf.TensorSpec([batch, rows], tf.int32),
        tf.TensorSpec([batch, rows], tf.bool),
    ]
    captured = {}
    for name, python, specs in (("step", programs.step, step), ("detect", programs.detect, canvases)):
        function = tf.function(python, jit_compile=True, autograph=False)
        zeros = [tf.zeros(spec.shape, spec.dtype) for spec in specs]
        concrete = function.get_concrete_function(*zeros)
        captured[name] = [place[id(handle)] for handle in concrete.captured_inputs]
        program = function.experimental_get_compiler_ir(*zeros)(stage="hlo_serialized")
        (output / f"{KEY.value}.{name}.hlo").write_bytes(program)
        print(name, len(program), "bytes", len(captured[name]), "variables", flush=True)
    is_published = bool(getattr(config.task.model.backbone.get(), "weights", ""))
    described, stored = _initial_values(model, is_published)
    np.savez_compressed(output / f"{KEY.value}_weights.npz", **stored)
    layout = {
        "canvas": [height, width],
        "batch": batch,
        "evaluated": EVALUATED,
        "max_instances": rows,
        "knobs": KNOBS,
        "names": programs.names,
        "captured": captured,
        "trainable": [place[id(variable.handle)] for variable in model.trainable_variables],
        "variables": described,
    }
    (output / f"{KEY.value}.json").write_text(json.dumps(layout))


def _initial_values(model, is_published: bool):
    """Of each variable its name, shape and how it begins; and the values of those that come from a file."""
    described, stored = [], {}
    of_backbone = {id(variable) for variable in model.get_layer("backbone").variables}
    for index, variable in enumerate(model.variables):
        values = variable.numpy()
        row = {"name": variable.name, "shape": list(values.shape)}
        if values.size and values.std() < 1e-6 * max(1.0, abs(float(values.flat[0]))):
            row["value"] = float(values.flat[0])
        elif is_published and id(variable) in of_backbone:
            stored[str(index)], row["stored"] = _rounded(values), 1
        else:
            row["std"] = float(values.std())
        described.append(row)
    return described, stored


def _rounded(values: np.ndarray) -> np.ndarray:
    """Kernels in half precision with 8 significant bits, which packs ResNet-50 to 37 MB."""
    if values.ndim == 1:
        return values
    bits = (values.astype(np.float16).view(np.uint16).astype(np.uint32) + 4) & ~np.uint32(7)
    return bits.astype(np.uint16).view(np.float16)


if __name__ == "__main__":
    app.run(main)
