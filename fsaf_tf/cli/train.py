"""Trains and evaluates a detector.

    python tools/train.py --experiment=fsaf_r50

`--experiment` is the name of a file in experiments/ or the path of a YAML file of your own. Everything is written to
--model_dir; the same command goes on from the last checkpoint there.

    python tools/train.py --mode=eval --model_dir=runs/fsaf_r50

evaluates the best checkpoint there, else the newest, by the experiment that is recorded there; --checkpoint names
another one, and --params_override other validation data with the same classes. metrics.json and detections.json are
written beside the checkpoint: the newest's into the folder of the run, the best's into its best/, those of any other,
such as ckpt-500, into a folder ckpt-500-eval. --branch=anchor_free evaluates one branch of a detector that was trained
with both; its files go into a folder of their own, best-anchor_free. --tile=640 cuts large pictures into tiles of so
many pixels.

    python tools/train.py --mode=eval --model=exported/model_int8.tflite --experiment=runs/fsaf_r50/params.yaml

evaluates an exported model, a SavedModel, a .tflite or an .onnx file, on the validation data of an experiment. Its
metrics.json and detections.json go into a folder beside it, exported/model_int8-eval, or into --model_dir.
"""

import pathlib

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.config import catalog
from fsaf_tf.errors import UserError
from fsaf_tf.run import mode

DATA_ONLY = "custom"  # what data keys are laid over where no experiment is named

_FLAGS = flags.FlagValues()
_EXPERIMENT = flags.DEFINE_string(
    "experiment", None, "A name in experiments/, or the path of a YAML file.", flag_values=_FLAGS, allow_overwrite=False
)
_MODE = flags.DEFINE_enum(
    "mode",
    "train_and_eval",
    list(mode.MODES),
    "What to do; continuous_eval evaluates each new checkpoint of a training that runs elsewhere.",
    flag_values=_FLAGS,
)
_MODEL_DIR = flags.DEFINE_string(
    "model_dir",
    None,
    "Folder of the run: checkpoints, logs, figures. runs/<experiment> if not given.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_MODEL = flags.DEFINE_string(
    "model",
    None,
    "eval: a SavedModel (a version, or the folder of them: the newest), a .tflite or .onnx file, or a run's folder.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_CHECKPOINT = cli.define_checkpoint(_FLAGS, "the run, with --mode=eval")
_BRANCH = cli.define_branch(_FLAGS)
_tiles = cli.define_tiles(_FLAGS)
_CONFIG_FILE = flags.DEFINE_multi_string(
    "config_file", [], "A YAML file with further differences; may be given several times.", flag_values=_FLAGS
)
_PARAMS_OVERRIDE = flags.DEFINE_string(
    "params_override",
    "",
    "Single keys, such as trainer.train_steps=500,task.input_size.shorter_side=320; or YAML.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_PRINT_CONFIG = flags.DEFINE_bool(
    "print_config", False, "Print the resolved experiment, what each key means beside it, and stop.", flag_values=_FLAGS
)
_REPLICAS = flags.DEFINE_integer(
    "replicas",
    None,
    "With --print_config: rates and steps on so many devices, by the images on each.",
    lower_bound=1,
    flag_values=_FLAGS,
)
_DOWNLOAD = flags.DEFINE_bool("download", False, "Let TFDS download data that is not there.", flag_values=_FLAGS)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_train, _FLAGS, __doc__)


def _train() -> None:
    mistakes.want_folders(_FLAGS, "model_dir")
    mistakes.want_files(_FLAGS, "config_file")
    if _REPLICAS.value and not _PRINT_CONFIG.value:
        raise UserError("--replicas is for --print_config; a run takes the devices that there are (docs/scaling.md)")
    if _CHECKPOINT.value and _MODE.value != "eval":
        raise UserError("--checkpoint is for --mode=eval; a training goes on from the newest checkpoint of its run")
    if _BRANCH.value and _MODE.value != "eval":
        raise UserError("--branch is for --mode=eval; task.model says which branches are trained")
    if _tiles() and _MODE.value != "eval":
        raise UserError("--tile is for --mode=eval; a training draws task.train_data.augmentation.tile pixels")
    if _MODEL.value:
        _evaluate(_MODEL.value)
        return
    name, model_dir = _EXPERIMENT.value, _MODEL_DIR.value
    is_recorded = not name and model_dir and _MODE.value == "eval"
    if not name and not is_recorded:
        raise UserError(
            f"--experiment is missing; give the path of a YAML file or: {', '.join(catalog.names())}"
            " (only --mode=eval does without, with --model_dir)"
        )
    if name:
        path = catalog.find(name)  # before TensorFlow, which takes seconds to import
        model_dir = model_dir or str(pathlib.Path("runs") / path.stem)
    _run(name, model_dir)


def _evaluate(model: str) -> None:
    """--model: a run like --model_dir, or an exported model, of which no experiment is recorded."""
    if _MODE.value != "eval":
        raise UserError("--model is for --mode=eval; to train from its weights, set task.init_checkpoint to a run")
    name = _EXPERIMENT.value
    if name:
        catalog.find(name)
    from fsaf_tf.serving import exported_models

    path = exported_models.find(model)
    if path is None:
        if _MODEL_DIR.value:
            raise UserError(f"{model} is no exported model; give a run as --model_dir alone")
        _run(name, model)
        return
    for flag in ("checkpoint", "branch", "tile"):
        if _FLAGS[flag].value:
            raise UserError(f"{path} is an exported model and has no checkpoints, nor branches; leave --{flag} out")
    if not (name or _PARAMS_OVERRIDE.value or _CONFIG_FILE.value):
        raise UserError(
            "an exported model does not know its data: give --experiment, such as the params.yaml of its run, or the"
            " keys of task.validation_data by --params_override"
        )
    params = _load(name or DATA_ONLY, None)
    if params is not None:
        from fsaf_tf.serving import evaluate_exported

        outputs.check_evaluation(_MODEL_DIR.value or evaluate_exported.folder_of(path))
        evaluate_exported.evaluate(path, params, _MODEL_DIR.value, download=_DOWNLOAD.value)


def _run(name: str | None, model_dir: str) -> None:
    params = _load(name, model_dir)
    if params is not None:
        from fsaf_tf.config import experiment
        from fsaf_tf.run import training

        if _tiles():
            experiment.cut_into_tiles(params, _tiles())
        parts = {"checkpoint": _CHECKPOINT.value or None, "branch": _BRANCH.value}
        training.run(params, model_dir, _MODE.value, **parts, download=_DOWNLOAD.value)


def _load(name: str | None, model_dir: str | None):
    """The experiment, by its name or as a run records it; None if it was to be printed alone."""
    from fsaf_tf.config import experiment, reference, schedule

    said = []
    changes = _CONFIG_FILE.value, _PARAMS_OVERRIDE.value
    params = experiment.load(name, *changes, said.append) if name else experiment.load_run(model_dir, *changes)
    if _PRINT_CONFIG.value:
        said += experiment.rates_report(params)
        if _REPLICAS.value:
            batch_size = params.task.train_data.global_batch_size
            said += schedule.replicas_table(params.trainer, batch_size, _REPLICAS.value)
        text = reference.commented(params, experiment.to_yaml(params))
        print(text, "", *(f"# {line}" for line in said), sep="\n")
        return None
    print(*said, sep="\n", end="\n" * bool(said))
    return params


if __name__ == "__main__":
    main()
