"""Says what a detector gets wrong: one HTML page that opens without a network, and the same figures as JSON beside it.

    python tools/analyze.py --model_dir=runs/fsaf_r50 --output=report.html
    python tools/analyze.py --detections=out/detections.json --annotations=val.json --images=photos --output=report.html

The first takes the detections of a run's best checkpoint, else of its newest, and the data that they are of;
--checkpoint=newest takes those of the newest. The second takes any file of COCO's results, also one that
tools/predict.py wrote, whose pictures are found by name. Either flag may be given several times: detectors on the same
data are shown side by side.

On the page: AP and how far it could be off, precision and recall, AP by size, by shape (long and thin objects), and by
class; the kinds of errors and what each costs; which class is taken for which; from which score on each class is worth
showing; the pictures with the worst errors; and labels that may be wrong. Pages in NAME_pictures beside it have every
picture with all its errors; --browse says how many. It needs the extra [report]. --thresholds=VALIDATION.json tries the
thresholds of an earlier report on these data.
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_DETECTIONS = flags.DEFINE_multi_string(
    "detections", [], "A file of COCO's results. May be given several times.", flag_values=_FLAGS
)
_MODEL_DIR = flags.DEFINE_multi_string(
    "model_dir", [], "The folder of a run, or of an evaluation. May be given several times.", flag_values=_FLAGS
)
_CHECKPOINT = cli.define_checkpoint(_FLAGS, "--model_dir", flags.DEFINE_multi_string)
_ANNOTATIONS = flags.DEFINE_string(
    "annotations",
    None,
    "The ground truth, of any form in docs/data.md; with --model_dir only if its data are not where they were.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_IMAGES = flags.DEFINE_string(
    "images", None, "The folder of the images of --annotations.", flag_values=_FLAGS, allow_overwrite=False
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The page to write, NAME.html; NAME.json comes beside it.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_LABELS = flags.DEFINE_list(
    "labels", [], "Names of the detectors, in the order of --model_dir, then --detections.", flag_values=_FLAGS
)
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold",
    0.3,
    "Confusions and pictures are of detections of at least this score.",
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=_FLAGS,
)
_MAX_DETECTIONS = flags.DEFINE_integer(
    "max_detections",
    None,
    "Count so many detections of a class in an image. If not given, as many as --model_dir was evaluated at, or 100.",
    lower_bound=1,
    flag_values=_FLAGS,
)
_PICTURES = flags.DEFINE_integer("pictures", 6, "Show so many pictures.", lower_bound=0, flag_values=_FLAGS)
_BROWSE = flags.DEFINE_integer(
    "browse",
    500,
    "Write pages of so many pictures, the worst first, with all their errors, into the folder NAME_pictures; 0: none.",
    lower_bound=0,
    flag_values=_FLAGS,
)
_THRESHOLDS = flags.DEFINE_string(
    "thresholds",
    None,
    "A report on validation data, its NAME.json: say what its thresholds of the classes come to on these data.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_DOWNLOAD = flags.DEFINE_bool("download", False, "Let TFDS download data that is not there.", flag_values=_FLAGS)
_OVERWRITE = outputs.define_overwrite(_FLAGS)
_JSON_KEYS = ("title", "data", "score_threshold", "runs")  # of what comes beside the page


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_analyze, _FLAGS, __doc__)


def _analyze() -> None:
    model_dirs, files = _MODEL_DIR.value, _DETECTIONS.value
    mistakes.want_folders(_FLAGS, "model_dir", "images")
    mistakes.want_files(_FLAGS, "detections", "thresholds", "output")
    if not (model_dirs or files):
        raise UserError("give --model_dir or --detections (--help says more)")
    if not (_OUTPUT.value or "").endswith(".html"):
        raise UserError("--output is missing, or does not end in .html")
    if files and not (_ANNOTATIONS.value or model_dirs):
        raise UserError("--detections needs --annotations, the ground truth")
    if _IMAGES.value and not _ANNOTATIONS.value:
        raise UserError("--images is for --annotations; a run knows its images")
    if _LABELS.value and len(_LABELS.value) != len(model_dirs) + len(files):
        raise UserError(f"--labels has {len(_LABELS.value)} names for {len(model_dirs) + len(files)} detectors")
    checkpoints = cli.checkpoint_of_each(_CHECKPOINT.value, model_dirs, "--model_dir")
    from fsaf_tf.analysis import evaluations, inputs, write_report

    evaluated = [evaluations.find(*each) for each in zip(model_dirs, checkpoints)]
    _check_output([evaluation.folder for evaluation in evaluated])
    write_report.make(
        evaluated,
        files,
        _OUTPUT.value,
        data=inputs.Data(_ANNOTATIONS.value, _IMAGES.value, _DOWNLOAD.value, _MAX_DETECTIONS.value),
        labels=_LABELS.value or (),
        wanted=write_report.Wanted(_SCORE_THRESHOLD.value, _PICTURES.value, _BROWSE.value, _THRESHOLDS.value),
    )


def _check_output(folders: list[str]) -> None:
    """What the page and its figures would replace."""
    page = _OUTPUT.value
    of_runs = [f"{folder}/{name}" for folder in folders for name in ("metrics.json", outputs.DETECTIONS)]
    folder = f"{page.removesuffix('.html')}_pictures"
    outputs.check(
        [page, f"{page.removesuffix('.html')}.json", *outputs.in_folder(folder, r"index\.html|page-\d+\.html")],
        reads=[_ANNOTATIONS.value, _THRESHOLDS.value, *_DETECTIONS.value, *of_runs],
        is_ours=outputs.by_ending(html=outputs.has_mark('content="fsaf-analyze"'), json=outputs.has_keys(*_JSON_KEYS)),
        overwrite=_OVERWRITE.value,
    )


if __name__ == "__main__":
    main()
