"""Detects objects in pictures, in a video or before a camera.

    python tools/predict.py --model=runs/fsaf_r50 --images=photos --output=out
    python tools/predict.py --model=exported/fsaf_r50 --video=street.mp4 --output=out
    python tools/predict.py --model=exported/model_int8.tflite --camera=0 --output=out

--model is the folder of a run, a SavedModel, or a .tflite or .onnx file. Of a run the best checkpoint is taken, else
the newest; --checkpoint says otherwise: newest, or a path such as runs/fsaf_r50/ckpt-500, which also goes without
--model.

What is written is the same for all. Of pictures it is out/detections.json, in the form of COCO's results with file
names, and the pictures with their boxes in out/pictures. Of a folder all pictures are taken, whatever their names end
in; what else is there is counted in a line, and --recursive takes its folders, too.

A picture is turned as its EXIF orientation says before anything else; boxes are in pixels of the upright picture.
Files that cannot be read are named and left out; the exit status is 1 only if none can be read.

--test_augmentation looks at each picture in several sizes, mirrored too, and merges what is found: slower by as many
times, and better for models that were trained with scale jitter. `on` takes the sizes of the model's experiment, by
default the paper's, which are meant for models trained at 800 px; `off` is for an experiment that has it on. Others are
given as multiples of the size of training, or by their shorter side in pixels:

    "--test_augmentation=ratios=[0.5,0.75,1.0,1.25,1.5]"
    "--test_augmentation=shorter_sides=[600,800],flip=false"

--tile=640 cuts large pictures with small objects into tiles of 640 x 640 pixels, looks at each as at a picture, and at
the whole, and merges what is found; docs/tiles.md.

--forms writes further files beside these, for other tools:

    coco     out/coco.json: all detections as annotations with a score, with images and categories
    csv      out/detections.csv: all detections, a row each
    yolo     out/yolo/labels/NAME.txt of each picture, and the names of the classes in out/yolo
    labelme  out/labelme/NAME.json of each picture, to be corrected with labelme

The last two have no scores: they hold what is drawn, from --score_threshold on. --image_ids=instances.json gives the
pictures the ids that they have in these annotations; else they are numbered from 1.

--runner=DirectRunner looks at pictures in shards, by Apache Beam, and writes the same files when all are done: the same
command goes on where it was killed. Other runners take more machines; their options come after a `--`. It needs the
extra [beam]; docs/bulk.md.

Of a video it is out/video.mp4, without sound, and out/detections.json with `frame`, counted from 0, and `seconds`. A
camera goes on until Ctrl-C, which keeps what there is.
"""

import os

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.config import catalog
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
_MODEL = flags.DEFINE_string(
    "model",
    None,
    "The folder of a run, a SavedModel (a version, or the folder of them: the newest), or a .tflite or .onnx file.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_CHECKPOINT = cli.define_checkpoint(_FLAGS, "--model")
_IMAGES, _RECURSIVE, _OUTPUT, _SCORE_THRESHOLD, _OVERWRITE = cli.define_pictures(_FLAGS)
_IMAGE_LIST = flags.DEFINE_string(
    "image_list",
    None,
    "In the place of --images: a text file that names a picture a line.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_VIDEO = flags.DEFINE_string("video", None, "A video file.", flag_values=_FLAGS, allow_overwrite=False)
_CAMERA = flags.DEFINE_string(
    "camera",
    None,
    "The number of a camera, 0 for the first, or the address of its stream.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_TEST_AUGMENTATION = flags.DEFINE_string(
    "test_augmentation",
    None,
    "Look at each picture in several sizes and merge what is found: on, off, or keys of task.test_augmentation.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_FORMS = flags.DEFINE_list(
    "forms", [], "Further files for other tools, with commas: coco, csv, yolo, labelme.", flag_values=_FLAGS
)
_IMAGE_IDS = flags.DEFINE_string(
    "image_ids",
    None,
    "Annotations, of any form in docs/data.md, with the ids of the pictures.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_CLASSES = flags.DEFINE_list("classes", [], "Only these, by their names with commas.", flag_values=_FLAGS)
_THRESHOLDS = flags.DEFINE_string(
    "thresholds",
    None,
    "A report on validation data, NAME.json of tools/analyze.py: keep detections of each class from its threshold on.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_MAX_DETECTIONS = flags.DEFINE_integer(
    "max_detections",
    None,
    "Of a run: at most so many of a picture, in the place of task.model.postprocess.max_detections.",
    lower_bound=1,
    flag_values=_FLAGS,
)
_NMS_IOU = flags.DEFINE_float(
    "nms_iou",
    None,
    "Of a run: drop boxes that overlap a better one by more, in the place of task.model.postprocess.nms_iou.",
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=_FLAGS,
)
_BRANCH = cli.define_branch(_FLAGS)
_tiles = cli.define_tiles(_FLAGS)
_runner = cli.define_runner(_FLAGS, None)
_SHARDS = flags.DEFINE_integer(
    "shards", None, "Of --runner: how many; one of every 50 pictures if not given.", lower_bound=1, flag_values=_FLAGS
)
_MAX_FRAMES = flags.DEFINE_integer(
    "max_frames", 0, "Of a video or a camera at most so many; 0 for all.", lower_bound=0, flag_values=_FLAGS
)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_predict, _FLAGS, __doc__)


def _predict() -> None:
    _check_flags()
    model, checkpoint = _which()
    if _IMAGES.value or _IMAGE_LIST.value:
        _pictures(model, checkpoint)
    else:
        _frames(model, checkpoint)


def _check_flags() -> None:
    """Raises a UserError where flags do not go together."""
    by = _runner()
    given = [flag.name for flag in (_IMAGES, _IMAGE_LIST, _VIDEO, _CAMERA) if flag.value]
    if not given:
        raise UserError("--images is missing, or --image_list, --video or --camera (--help lists the flags)")
    if len(given) > 1:
        raise UserError(f"give --{given[0]} or --{given[1]}, not both")
    of_pictures = given[0] in ("images", "image_list")
    if _RECURSIVE.present and not _IMAGES.value:
        raise UserError("--recursive is for --images, a folder")
    for name in ("forms", "image_ids", cli.RUNNER, "shards"):
        if _FLAGS[name].value and not of_pictures:
            raise UserError(f"--{name} is for --images")
    if of_pictures and _MAX_FRAMES.present:
        raise UserError("--max_frames is for --video and --camera only")
    if _SHARDS.value and not by:
        raise UserError("--shards is for --runner, which looks at pictures in shards")
    mistakes.require(_FLAGS, "output")
    mistakes.want_folders(_FLAGS, "output")
    mistakes.want_files(_FLAGS, "image_list", "video", "thresholds")


def _which() -> tuple[str, str | None]:
    """The model, and which checkpoint of it."""
    name, checkpoint = _EXPERIMENT.value, _CHECKPOINT.value or None
    if name:
        catalog.find(name)  # before TensorFlow, which takes seconds to import
    if _MODEL.value:
        return _MODEL.value, checkpoint
    return (_run_folder(name), checkpoint) if checkpoint in (None, "best", "newest") else (checkpoint, None)


def _pictures(model: str, checkpoint: str | None) -> None:
    from fsaf_tf.detect import forms, image_files, predict_files

    forms.check(_FORMS.value)
    if _IMAGE_LIST.value:
        files = image_files.listed(_IMAGE_LIST.value)
    else:
        files = image_files.find(_IMAGES.value, recursive=_RECURSIVE.value, output=_OUTPUT.value)
    written = [*predict_files.picture_paths(files, _OUTPUT.value).values()]
    written += forms.paths(_FORMS.value, _OUTPUT.value, predict_files.shared_names(files).values())
    reads = [*files, _IMAGE_LIST.value, _IMAGE_IDS.value, _THRESHOLDS.value]
    outputs.check_predictions(_OUTPUT.value, written, reads=reads, overwrite=_OVERWRITE.value)
    ids = predict_files.read_image_ids(_IMAGE_IDS.value, files) if _IMAGE_IDS.value else None
    if _runner():
        _in_shards(model, checkpoint, files, ids)
        return
    predict_files.run(
        _load(model, checkpoint),
        files,
        _OUTPUT.value,
        score_threshold=_drawn_from(),
        wanted_forms=_FORMS.value,
        image_ids=ids,
    )


def _in_shards(model: str, checkpoint: str | None, files: list[str], ids: dict[str, int] | None) -> None:
    """The same by Beam."""
    from fsaf_tf.bulk import runner

    runner.check_installed()
    from fsaf_tf.bulk import predict
    from fsaf_tf.serving import load

    arguments = _arguments(model, checkpoint)
    detector = load.load_detector(*arguments)
    for line in load.describe(detector):
        print(line)
    wanted = predict.Wanted(
        arguments=arguments,
        files=files,
        output=_OUTPUT.value,
        score_threshold=_drawn_from(),
        least=_least(detector.class_names),
        forms=_FORMS.value,
        image_ids=ids,
        num_shards=_SHARDS.value,
    )
    name, options = _runner()
    predict.run(wanted, detector, runner.Runner(name, tuple(options)))


def _frames(model: str, checkpoint: str | None) -> None:
    from fsaf_tf.detect import predict_video

    video = f"{_OUTPUT.value}/{predict_video.FILE}"
    outputs.check_predictions(
        _OUTPUT.value, [video], reads=[_VIDEO.value, _THRESHOLDS.value], overwrite=_OVERWRITE.value
    )
    predict_video.run(
        _load(model, checkpoint),
        _VIDEO.value or _CAMERA.value,
        _OUTPUT.value,
        is_live=bool(_CAMERA.value),
        max_frames=_MAX_FRAMES.value,
        score_threshold=_drawn_from(),
    )


def _run_folder(name: str | None) -> str:
    """Where the experiment's run is if nothing else was said."""
    if not name:
        raise UserError("give --model, the folder of a run or an exported model, or --experiment (--help says more)")
    folder = os.path.join("runs", catalog.find(name).stem)
    if not os.path.isdir(folder):
        raise UserError(f"there is no {folder}; train {name} first, or give --model")
    return folder


def _arguments(model: str, checkpoint: str | None) -> tuple:
    """Those of `load_detector`."""
    given = {flag.name: flag.value for flag in (_MAX_DETECTIONS, _NMS_IOU) if flag.value is not None}
    return model, checkpoint, _TEST_AUGMENTATION.value, _EXPERIMENT.value, given, _BRANCH.value, _tiles()


def _load(model: str, checkpoint: str | None):
    """The detector with what --classes and --thresholds keep of its detections."""
    from fsaf_tf.detect import kept
    from fsaf_tf.serving import load

    detector = load.load_detector(*_arguments(model, checkpoint))
    for line in load.describe(detector):
        print(line)
    return kept.Kept(detector, _least(detector.class_names))


def _least(names: list[str]):
    """From which score on detections of each class are kept."""
    from fsaf_tf.detect import kept

    if not _THRESHOLDS.value:
        return kept.least_scores(names, _CLASSES.value)
    from fsaf_tf.analysis import thresholds

    given = thresholds.read(_THRESHOLDS.value)
    known = ", ".join(f"{name} {given.of[name]:g}" for name in names[: kept.SHOWN] if name in given.of)
    least = kept.least_scores(names, _CLASSES.value, given.of, given.one)
    print(f"Kept from these scores on: {known}; classes without one from {given.one:g} on")
    return least


def _drawn_from() -> float:
    """The score from which on detections are drawn: what --thresholds keeps is, unless something else is asked for."""
    return 0.0 if _THRESHOLDS.value and not _SCORE_THRESHOLD.present else _SCORE_THRESHOLD.value


if __name__ == "__main__":
    main()
