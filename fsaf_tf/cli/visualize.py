"""Draws the paper's figures from trained detectors, as PNG.

    python tools/visualize.py --figure=targets --model=runs/fsaf_r50 --count=2 --output=out
    python tools/visualize.py --figure=selection --model=runs/fsaf_r50 --image_ids=17 --instance=3 --output=out
    python tools/visualize.py --figure=compare --model=runs/retinanet_r50 --model=runs/fsaf_r50 --output=out
    python tools/visualize.py --figure=levels --model=runs/fsaf_r50 --output=out
    python tools/visualize.py --figure=training --model=runs/retinanet_r50 --model=runs/fsaf_r50 --output=out
    python tools/visualize.py --figure=batch --experiment=my.yaml --output=out

targets (Fig. 5): what each cell of each level learns of an image, before and after the selection of levels.
selection (Fig. 6): the losses of an object on each level, and the level that is chosen.
compare (Fig. 1 and 7): what two detectors find in the same images, and what they miss.
levels (Fig. 8): the level that found each object, and whether a rule gives the same; levels.csv and levels.json.
training: losses, AP and the share of each level over the steps, from the event files of runs.
batch: the first pictures that a training feeds the network, with all that is drawn for them; no model is needed.

Otherwise pictures are the data that the run was last evaluated on, or --images with the boxes of --annotations; levels
and compare also take images without annotations.
"""

import os

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.errors import UserError

FIGURES = ("targets", "selection", "compare", "levels", "training", "batch")
COUNT = 4

_FLAGS = flags.FlagValues()
_OWN = {"flag_values": _FLAGS, "allow_overwrite": False}
_FIGURE = flags.DEFINE_enum("figure", None, FIGURES, "Which.", **_OWN)
_MODEL = flags.DEFINE_multi_string(
    "model",
    [],
    "The folder of a run or an import. Twice for compare, which also takes exported models and detections.json files;"
    " as often as wanted for training.",
    flag_values=_FLAGS,
)
_CHECKPOINT = cli.define_checkpoint(_FLAGS, "--model", flags.DEFINE_multi_string)
_LABELS = flags.DEFINE_list("labels", [], "What to call each --model, in their order; else by its folder.", **_OWN)
_IMAGES = flags.DEFINE_string("images", None, "A file, a folder or a glob in quotes.", **_OWN)
_RECURSIVE = cli.define_recursive(_FLAGS)
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "The boxes of --images, of any form in docs/data.md.", **_OWN)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", **_OWN)
_IMAGE_IDS = flags.DEFINE_list("image_ids", [], "Ids of the images wanted, as the data have them.", **_OWN)
_COUNT = flags.DEFINE_integer(
    "count",
    COUNT,
    "Draw so many images, the first ones. Chart and table of levels are of all images whatever it is.",
    lower_bound=1,
    **_OWN,
)
_INSTANCE = flags.DEFINE_integer(
    "instance", 0, "For selection: the object wanted, as numbered there; 0 for the first six.", lower_bound=0, **_OWN
)
_RULE = flags.DEFINE_enum(
    "rule",
    "size",
    ("size", "anchor"),
    "For levels: what the level is compared with, Eq. 3 or the level of RetinaNet's anchor that fits best.",
    **_OWN,
)
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold", 0.3, "For compare and levels: leave out detections of less.", 0.0, 1.0, **_OWN
)
_EXPERIMENT = flags.DEFINE_string("experiment", None, "For batch: as of tools/train.py.", **_OWN)
_CONFIG_FILE = flags.DEFINE_multi_string("config_file", [], "For batch: likewise.", flag_values=_FLAGS)
_PARAMS_OVERRIDE = flags.DEFINE_string("params_override", "", "For batch: likewise.", **_OWN)
_OVERWRITE = outputs.define_overwrite(_FLAGS)
# The figures that read a flag; the others refuse it.
_READERS = {
    "instance": ("selection",),
    "rule": ("levels",),
    "score_threshold": ("compare", "levels"),
    "images": ("targets", "selection", "compare", "levels"),
    "image_ids": ("targets", "selection", "compare", "levels"),
    "checkpoint": ("targets", "selection", "compare", "levels"),
    "count": ("targets", "selection", "compare", "levels", "batch"),
    "experiment": ("batch",),
    "config_file": ("batch",),
    "params_override": ("batch",),
}


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_visualize, _FLAGS, __doc__)


def _visualize() -> None:
    _check()
    if _FIGURE.value == "batch":
        _check_output([])
        _draw_batch()
        return
    ids = _read_ids()
    from fsaf_tf.evaluate import coco_results
    from fsaf_tf.figures import write_figures

    figure, models, output, images = _FIGURE.value, _MODEL.value, _OUTPUT.value, _images()
    _check_output(images)
    names = _LABELS.value or coco_results.names_of(models)
    if len(set(names)) < len(names):
        raise UserError(f"the models need names that differ, by --labels; they are called {', '.join(names)}")
    if figure == "training":
        write_figures.over_time(models, names, output)
        return
    all_of_them = figure == "levels" and not _IMAGE_IDS.value
    count = 0 if ids or all_of_them else _COUNT.value
    choice = write_figures.Choice(images, _ANNOTATIONS.value or "", ids, count)
    wanted = [write_figures.Model(*each) for each in zip(models, names, _checkpoints(models))]
    if figure == "targets":
        write_figures.targets(wanted[0], output, choice)
    elif figure == "selection":
        write_figures.selection(wanted[0], output, choice, _INSTANCE.value)
    elif figure == "compare":
        write_figures.compare(wanted, output, choice, _SCORE_THRESHOLD.value)
    else:
        write_figures.levels(
            wanted[0],
            output,
            choice,
            score_threshold=_SCORE_THRESHOLD.value,
            rule=_RULE.value,
            pictures_wanted=len(ids) or _COUNT.value,
        )


def _check_output(images: list[str]) -> None:
    """What the figures would replace: all files there with the names of this kind."""
    figure, output = _FIGURE.value, _OUTPUT.value
    tables = r"|levels\.(csv|json)" if figure == "levels" else ""
    of_table = outputs.has_keys("model", "data", "images", "score_threshold")
    outputs.check(
        outputs.in_folder(output, rf"{figure}(_-?\d+)?\.png{tables}"),
        reads=[*images, _ANNOTATIONS.value, *_MODEL.value, *_CONFIG_FILE.value],
        is_ours=outputs.by_ending(
            png=outputs.has_mark("fsaf-visualize"),
            json=of_table,
            csv=lambda path: os.path.isfile(f"{output}/levels.json") and of_table(f"{output}/levels.json"),
        ),
        overwrite=_OVERWRITE.value,
    )


def _images() -> list[str]:
    """The files of --images; none if it is not given."""
    from fsaf_tf.detect import image_files

    return image_files.find(_IMAGES.value, recursive=_RECURSIVE.value, output=_OUTPUT.value) if _IMAGES.value else []


def _draw_batch() -> None:
    from fsaf_tf.config import experiment
    from fsaf_tf.figures import write_figures

    params = experiment.load(_EXPERIMENT.value, _CONFIG_FILE.value, _PARAMS_OVERRIDE.value)
    write_figures.batch(params, _OUTPUT.value, _COUNT.value)


def _checkpoints(models: list[str]) -> list[str | None]:
    """The --checkpoint of each model; files of detections have none."""
    runs = [model for model in models if not model.endswith(".json")]
    of_run = iter(cli.checkpoint_of_each(_CHECKPOINT.value, runs, "--model"))
    return [next(of_run) if model in runs else None for model in models]


def _check() -> None:
    """What is wrong with the flags, before TensorFlow is imported."""
    mistakes.require(_FLAGS, "figure", "output", "experiment" if _FIGURE.value == "batch" else "model")
    mistakes.want_folders(_FLAGS, "output")
    mistakes.want_files(_FLAGS, "config_file")
    if _FIGURE.value == "batch" and _MODEL.value:
        raise UserError("--figure=batch needs no --model: it draws the data of --experiment")
    figure, given = _FIGURE.value, len(_MODEL.value)
    if figure == "compare" and given != 2:
        raise UserError(f"--figure=compare needs --model twice, not {given} times")
    if figure not in ("compare", "training") and given > 1:
        raise UserError(f"--figure={figure} takes one --model")
    for name, readers in _READERS.items():
        if _FLAGS[name].present and figure not in readers:
            raise UserError(f"--{name} is for --figure={' or '.join(readers)}")
    if _RECURSIVE.present and not _IMAGES.value:
        raise UserError("--recursive is for --images, a folder")
    if _ANNOTATIONS.value and not _IMAGES.value:
        raise UserError("--annotations needs --images")
    if figure in ("targets", "selection") and _IMAGES.value and not _ANNOTATIONS.value:
        raise UserError(f"--figure={figure} needs boxes: give --annotations with --images")
    if _IMAGE_IDS.value and _COUNT.present:
        raise UserError("give --image_ids or --count, not both")
    if _LABELS.value and len(_LABELS.value) != given:
        raise UserError(f"--labels has {len(_LABELS.value)} names for {given} --model")


def _read_ids() -> list[int]:
    try:
        ids = [int(each) for each in _IMAGE_IDS.value]
    except ValueError as error:
        raise UserError(f"--image_ids are whole numbers with commas between them: {error}") from error
    if any(not -(2**63) <= each < 2**63 for each in ids):
        raise UserError("--image_ids are whole numbers of at most 64 bits")
    return ids


if __name__ == "__main__":
    main()
