"""A step whose loss was not finite, made again image by image: which image, which term, where it begins."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions
from official.modeling import performance

from fsaf_tf.branches import Term
from fsaf_tf.data.classes import LABELS, Classes
from fsaf_tf.data.findings import listed
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector
from fsaf_tf.modeling.normalization import Normalization
from fsaf_tf.run import non_finite, restore
from fsaf_tf.run.task import FSAFTask


@dataclasses.dataclass(frozen=True)
class Replay:
    """A step that was made again.

    Attributes:
        step: its number, from 1.
        classes: of the run.
        images: one batch of each image, that has passed the device stage.
        terms: of each batch that was kept and then of each image, `objective.terms` and `gradient_norm`, as numbers.
        lines: what there is to say.
    """

    step: int
    classes: Classes
    images: list[dict[str, np.ndarray]]
    terms: list[dict[str, float]]
    lines: list[str]

    def pictures(self, normalization: Normalization) -> list[dict[str, np.ndarray]]:
        """The images as rows of host batches, see `pipeline.build_dataset`."""
        rows = [{key: values[0] for key, values in image.items()} for image in self.images]
        return [{**row, "image": normalization.pictures(row["images"])} for row in rows]

    @property
    def is_finite(self) -> bool:
        """Whether nothing is wrong this time."""
        return all(map(_are_finite, self.terms))


def replay(params: config_definitions.ExperimentConfig, model_dir: str) -> Replay:
    """Makes the step again that a run kept, one image at a time and without an update.

    Args:
        params: the run's, or with other values that may mend it.
        model_dir: the run's folder.

    Raises:
        UserError: there is no such step, or what is kept does not fit the experiment.
    """
    if not non_finite.is_kept(model_dir):
        raise UserError(f"{model_dir} keeps no step whose loss was not finite")
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype or "float32")
    classes = Classes.read(f"{model_dir}/{LABELS}")
    task = FSAFTask(params.task, steps=range(params.trainer.train_steps))
    model = detector.build_detector(params.task.model, len(classes))
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    restore.restore(tf.train.Checkpoint(model=model, optimizer=optimizer), non_finite.weights(model_dir))
    step = int(optimizer.iterations) + 1  # the run's own count may be past the step that failed
    batches = non_finite.read_batches(model_dir, step)
    images = [_image(batch, row) for batch in batches for row in range(len(batch["image_id"]))]
    parts = [*batches, *images]
    results = [_of_images(task, part, model, optimizer) for part in parts]
    terms = [{name: float(term.value) for name, term in of_part.items()} for of_part, _ in results]
    lines = [f"Step {step} of {model_dir}, as a whole and image by image:", *_table(parts, terms)]
    wrong = [place for place in range(len(parts)) if not _are_finite(terms[place])]
    lines += _variables(model.variables, "weights", [variable.numpy() for variable in model.variables])
    if wrong:
        place = next((place for place in wrong if place >= len(batches)), wrong[0])  # an image, if one alone is wrong
        part, (_, gradients) = parts[place], results[place]
        lines += _outputs(part, model)
        numbers = [gradient.numpy() for gradient in gradients]
        lines += _variables(model.trainable_variables, f"gradients of {_name(part)}", numbers)
    else:
        lines.append("Every term is finite this time: other values, another machine or other kernels than in training.")
    return Replay(step, classes, images, terms, lines)


def _image(batch: dict[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
    return {key: values[row : row + 1] for key, values in batch.items()}


def _name(part: dict[str, np.ndarray]) -> str:
    ids = part["image_id"].tolist()
    return f"image {ids[0]}" if len(ids) == 1 else f"all {len(ids)}"


def _are_finite(terms: dict[str, float]) -> bool:
    return bool(np.isfinite(list(terms.values())).all())


def _of_images(task: FSAFTask, part: dict, model: tf_keras.Model, optimizer) -> tuple[dict[str, Term], list]:
    tensors = {key: tf.constant(values) for key, values in part.items()}
    terms, gradients = task.of_images(tensors, model=model, optimizer=optimizer)
    return {**terms, "gradient_norm": Term(tf.linalg.global_norm(gradients))}, gradients


def _table(parts: list[dict], terms: list[dict[str, float]]) -> list[str]:
    """A row of each part of a step: the terms that are part of the loss, and the gradient's norm."""
    names = ["total_loss", *(name for name in terms[0] if name.endswith("_loss") and "/" in name), "gradient_norm"]
    widths = [max(len(name), 10) for name in names]
    rows = ["".join([f"{'':>12}{'boxes':>7}", *(f"  {name:>{width}}" for name, width in zip(names, widths))])]
    for part, values in zip(parts, terms):
        numbers = "".join(f"  {values[name]:>{width}.4g}" for name, width in zip(names, widths))
        mark = "" if _are_finite(values) else "  <-"
        rows.append(f"{_name(part):>12}{int(part['valid'].sum()):>7}{numbers}{mark}")
    return rows


def _outputs(part: dict, model: tf_keras.Model) -> list[str]:
    """The largest magnitude of each output on each level, and how many numbers there are not finite."""
    lines = [f"outputs for {_name(part)}, the largest magnitude of each level:"]
    for name, levels in model(part["images"], training=True).items():
        parts = [f"P{level} {_magnitude(values.numpy())}" for level, values in levels.items()]
        lines.append(f"  {name:<22} {', '.join(parts)}")
    return lines


def _magnitude(values: np.ndarray) -> str:
    values = values.astype(np.float32)
    wrong = np.count_nonzero(~np.isfinite(values))
    largest = np.abs(values[np.isfinite(values)]).max(initial=0)
    return f"{largest:.3g}" + (f" ({wrong:,} of {values.size:,} not finite)" if wrong else "")


def _variables(variables: Sequence[tf.Variable], what: str, values: list[np.ndarray]) -> list[str]:
    """Which of the weights, or of their gradients, are not finite, and which is the largest of the others."""
    finite = [np.isfinite(array).all() for array in values]
    wrong = [variable.name for variable, is_finite in zip(variables, finite) if not is_finite]
    largest = [
        (np.abs(array).max(initial=0), variable.name)
        for variable, array, is_finite in zip(variables, values, finite)
        if is_finite
    ]
    value, name = max(largest, default=(0, "none"))
    names = f": {listed(wrong)}" if wrong else ""
    return [
        f"{what}: {len(wrong)} of {len(values)} are not finite{names}; the largest of the others {value:.3g}, {name}"
    ]
