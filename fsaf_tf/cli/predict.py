"""Detects objects in pictures.

    python tools/predict.py --checkpoint=runs/fsaf_r50 --images=photos --output=out

writes out/detections.json, in the form of COCO's results with file names, and the pictures with their boxes in
out/pictures. A picture is turned as its EXIF orientation says before anything else; boxes are in pixels of the upright
picture. Files that cannot be read are named and left out; the exit status is 1 only if none can be read.
"""

import os

from absl import flags

from fsaf_tf import catalog, cli
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_EXPERIMENT = flags.DEFINE_string(
    "experiment",
    None,
    "A name in experiments/, or the path of a YAML file. Says what was trained where the checkpoint has no params.yaml"
    " beside it; without --checkpoint, the run in runs/<experiment> is taken.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "The folder of a run (its best checkpoint, else the newest), or the file prefix of a checkpoint.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_IMAGES = flags.DEFINE_string(
    "images", None, "A file, a folder or a glob in quotes.", flag_values=_FLAGS, allow_overwrite=False
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", flag_values=_FLAGS, allow_overwrite=False)
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold",
    0.3,
    "Draw detections of at least this score. All of them are in detections.json.",
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=_FLAGS,
)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_predict, _FLAGS, __doc__)


def _predict() -> None:
    for flag in (_IMAGES, _OUTPUT):
        if not flag.value:
            raise UserError(f"--{flag.name} is missing (--help lists the flags)")
    name = _EXPERIMENT.value
    checkpoint = _CHECKPOINT.value or _run_folder(name)
    if name:
        catalog.find(name)  # before TensorFlow, which takes seconds to import
    from fsaf_tf import prediction

    files = prediction.find_images(_IMAGES.value)
    detector = _load(name, checkpoint)
    prediction.run(detector, files, _OUTPUT.value, score_threshold=_SCORE_THRESHOLD.value)


def _run_folder(name: str | None) -> str:
    """Where the experiment's run is if nothing else was said."""
    if not name:
        raise UserError(
            "give --checkpoint, the folder of a run or a checkpoint in it, or --experiment (--help says more)"
        )
    folder = os.path.join("runs", catalog.find(name).stem)
    if not os.path.isdir(folder):
        raise UserError(f"there is no {folder}; train {name} first, or give --checkpoint")
    return folder


def _load(name: str | None, checkpoint: str):
    """The detector of a checkpoint: what `params.yaml` beside it, or else the experiment, says was trained."""
    from fsaf_tf import checkpoints, experiment, inference

    prefix = checkpoints.find(checkpoint)
    folder = os.path.dirname(prefix)
    run = next((path for path in (folder, os.path.dirname(folder)) if os.path.isfile(f"{path}/params.yaml")), None)
    if not (run or name):
        raise UserError(f"there is no params.yaml beside {prefix}; say by --experiment what it is a checkpoint of")
    params = experiment.read_params(run) if run else experiment.load(name)
    return inference.restore_detector(params.task, run or folder, prefix)


if __name__ == "__main__":
    main()
