"""The model card of an exported model: what it is, what it was trained on, its figures, where it comes from.

Every value is read from the files of the run or is the detector's own, so that no value is kept twice: settings that
programs need are in the model itself (`serving/metadata.py`, `assets/labels.json`), and the card is for people. What no
file records is said to be unknown.
"""

import dataclasses
import datetime
import os
from collections.abc import Mapping
from typing import Any

from fsaf_tf.config import experiment, plain_values
from fsaf_tf.detect import trained
from fsaf_tf.evaluate import average_precision
from fsaf_tf.files import storage
from fsaf_tf.run import records
from fsaf_tf.serving.card_pieces import figure, files_of, known, sha256, table, text
from fsaf_tf.serving.card_pieces import versions as in_words
from fsaf_tf.terminal import commands

MARK = "<!-- fsaf_tf model card -->"  # by which a later export knows its own
NAME, ENDING = "model_card.md", ".card.md"
_NOT_EVALUATED = "This exported model itself was not evaluated."
_UNKNOWN = "not recorded"
_SHOWN = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
# Keys of the task by which detections, and so figures, come about.
_OF_DETECTIONS = ("model.", "tiles.", "test_augmentation.", "input_size.")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What an exporter says of what it has written.

    Attributes:
        form: such as `TFLite, int8`.
        input: what it takes, in words.
        files: those with the network, whose digests are taken.
        title: the name of the model.
    """

    form: str
    input: str
    files: tuple[str, ...]
    title: str


def beside(path: str) -> str:
    """The card's path for a model that is one file: `model_int8.card.md` of `model_int8.tflite`."""
    return f"{os.path.splitext(path)[0]}{ENDING}"


def write(detector: trained.Detector, exported: Exported, path: str) -> str:
    """Writes the card of a model, whole or not at all.

    Args:
        detector: that was exported.
        exported: what was made of it.
        path: of the card.

    Returns:
        `path`.

    Raises:
        UserError: a file of the run cannot be read, or the card cannot be written.
    """
    prefix = detector.checkpoint.prefix if detector.checkpoint else ""
    run = experiment.folder_of(prefix) if prefix else None
    starts = storage.read_dict(f"{run}/run.json").get("starts") if run else None
    start = starts[-1] if isinstance(starts, list) and starts and isinstance(starts[-1], dict) else {}
    metrics = detector.checkpoint.read_metrics() if detector.checkpoint else {}
    sections = [
        MARK,
        f"# {text(exported.title)}",
        f"A detector of fsaf_tf (FSAF, Zhu, He and Savvides, CVPR 2019), exported as {exported.form}.",
        _model(detector, exported),
        _data(detector, start, metrics),
        _figures(detector, run, metrics),
        _classes(detector, metrics),
        _use(detector),
        _licence(detector),
        _origin(detector, exported, start),
    ]
    storage.write_text(path, "\n\n".join(sections) + "\n")
    return path


def add_figures(path: str, name: str, figures: Mapping[str, Any], images: int) -> None:
    """Puts the figures of the exported model itself into its card.

    Args:
        path: of the card.
        name: of the model; of several where each is for some of the pictures.
        figures: of `average_precision.coco_metrics`.
        images: that they are of.
    """
    found = ", ".join(f"{key} {figure(figures.get(key))}" for key in ("AP", "AP50"))
    said = f"This exported model itself ({text(name)}): {found} on the {images} images that the run is evaluated on."
    storage.write_text(path, storage.read_text(path).replace(_NOT_EVALUATED, said))


def _model(detector: trained.Detector, exported: Exported) -> str:
    config = detector.config.model
    branches = [name for name in ("anchor_free", "anchor_based") if getattr(config, name).enabled]
    rows = {
        "form": exported.form,
        "branches": " and ".join(name.replace("_", "-") for name in branches),
        "backbone": f"{config.backbone.type}: {_words(config.backbone.get().as_dict())}",
        "levels": ", ".join(f"P{level}" for level in detector.program.geometry.levels),
        "parameters": f"{detector.model.count_params():,}",
        "classes": len(detector.classes),
        "input": exported.input,
    }
    return f"## Model\n\n{table(('', ''), rows.items())}"


def _data(detector: trained.Detector, start: Mapping, metrics: Mapping) -> str:
    """What it was trained and evaluated on, as far as the run's files say."""
    task, recorded = detector.config, known(start, "data")
    is_imported = detector.checkpoint is not None and not detector.checkpoint.step
    train = ("training", "", "", "")
    if not is_imported:
        train = ("training", _words(task.train_data.source_keys()), known(recorded, "train").get("images"), "")
    keys = known(metrics, "data") or task.validation_keys()
    images = metrics.get("images", known(recorded, "validation").get("images"))
    rows = [train, ("evaluation", _words(keys), images, _words(known(metrics, records.DIGEST)))]
    shown = table(("for", "data", "images", "digest"), [[cell or _UNKNOWN for cell in row] for row in rows])
    imported = "\n\nThe weights were imported, not trained by this run: see who published them." if is_imported else ""
    return f"## Data\n\n{shown}{imported}"


def _words(values: Mapping[str, Any]) -> str:
    """Keys with their values."""
    return ", ".join(f"{key} {plain_values.shown(value)}" for key, value in values.items() if value is not None)


def _figures(detector: trained.Detector, run: str | None, metrics: Mapping) -> str:
    """Those of the checkpoint; what was otherwise then; and a line on the exported model, see `add_figures`."""
    if not metrics:
        return f"## Figures\n\nNot evaluated: there is no `metrics.json` of this checkpoint. {_NOT_EVALUATED}"
    names = [name for name in _SHOWN if name in metrics]
    shown = table(names, [[figure(metrics[name]) for name in names]])
    most = metrics.get("max_detections") or average_precision.MOST
    of = f"Of the checkpoint, by COCO's rules on {metrics.get('images', _UNKNOWN)} images, {most} detections an image"
    ways = [key for key in ("test_augmentation", "tiles") if metrics.get(key)]
    with_ways = f", with `task.{'` and `task.'.join(ways)}`" if ways else ""
    changed = _changed(detector, run)
    others = f" Exported with other values than the run's: {changed}." if changed else ""
    alone = " The exported model has no test-time augmentation." if "test_augmentation" in ways else ""
    return f"## Figures\n\n{of}{with_ways}:\n\n{shown}\n\n{_NOT_EVALUATED}{others}{alone}"


def _changed(detector: trained.Detector, run: str | None) -> str:
    """The keys by which the exported detector is another than that which was evaluated."""
    recorded = records.recorded_params(run) if run else {}
    now = plain_values.flatten({"task": detector.config.as_dict()})
    of_detections = tuple(f"task.{part}" for part in _OF_DETECTIONS)
    changed = [key for key in now if key.startswith(of_detections) and now[key] != recorded.get(key, now[key])]
    return ", ".join(f"`{key}` {plain_values.shown(now[key])}, not {recorded[key]}" for key in changed)


def _classes(detector: trained.Detector, metrics: Mapping) -> str:
    by_class = known(metrics, "AP_by_class")
    rows = [
        (index, category_id, name, figure(by_class.get(name)) if metrics else "not evaluated")
        for index, (name, category_id) in enumerate(zip(detector.class_names, detector.category_ids))
    ]
    return f"## Classes\n\n{table(('class', 'category id', 'name', 'AP'), rows)}"


def _use(detector: trained.Detector) -> str:
    size, post = detector.config.input_size, detector.config.model.postprocess
    kept = "keeping their aspect" if size.keep_aspect else "stretched"
    return f"""## Intended use, and limits

For finding objects of these classes in pictures of the kind that it was trained on. Pictures of another kind, other
cameras, lights and sizes of objects among them, are not covered by the figures above: evaluate on your own first. It
tells nothing of what is in none of its classes, and must not be the only means where a miss can hurt somebody.

- Pictures were trained on at {size.shorter_side} px of the shorter side, {size.longer_side} px of the longer at most,
  {kept}. How it finds objects of other sizes than there were is not known.
- At most {post.max_detections} detections of a picture, scores over {post.score_threshold}, suppression by class over
  IoU {post.nms_iou}. The score from which on a detection is worth showing is yours to choose."""


def _licence(detector: trained.Detector) -> str:
    started = [f"`task.init_checkpoint` {detector.config.init_checkpoint}"] if detector.config.init_checkpoint else []
    weights = getattr(detector.config.model.backbone.get(), "weights", None)
    started += [f"the backbone's weights {weights}"] if weights else []
    if detector.checkpoint and not detector.checkpoint.step:
        started = ["those that were imported"]
    return (
        "## Licence\n\nThe code is under the Apache License 2.0. The weights have no licence of their own in the run's"
        " files: whoever passes them on says under which they are, as the licences of the training data and of the"
        f" weights that training started from allow ({text(' and '.join(started)) or 'random values'})."
    )


def _origin(detector: trained.Detector, exported: Exported, start: Mapping) -> str:
    checkpoint = detector.checkpoint
    rows = {"checkpoint": str(checkpoint) if checkpoint else "none: made in a program"}
    if checkpoint:
        rows["step"] = checkpoint.step or "0: imported weights"
        for file in files_of(checkpoint.prefix):
            rows[f"SHA-256 of {os.path.basename(file)}"] = sha256(file)
    for file in exported.files:
        rows[f"SHA-256 of {os.path.basename(file)}"] = sha256(file)
    rows |= {
        "training's command": start.get("command", _UNKNOWN),
        "training's code": start.get("git") or _UNKNOWN,
        "training's packages": in_words(known(start, "packages")) or _UNKNOWN,
        "export's command": commands.this_one(),
        "export's packages": in_words(records.versions()),
        "exported": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    return f"## Where it comes from\n\n{table(('', ''), rows.items())}"
