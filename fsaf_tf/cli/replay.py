"""Makes the step again at which a training stopped because its loss was not finite.

    python tools/replay.py --model_dir=runs/mine --output=step.png

takes the batch and the weights that the run kept, and says for each image which term of the loss is not finite, what
the network puts out for the first such image on each level, and which weights and gradients are not finite. --output
draws the images with the boxes that are learnt. With --params_override it is made with other values:
task.losses.focal_gamma=2, or runtime.mixed_precision_dtype=float32.
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_OWN = {"flag_values": _FLAGS, "allow_overwrite": False}
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of the run.", **_OWN)
_PARAMS_OVERRIDE = flags.DEFINE_string("params_override", "", "Single keys, as of tools/train.py.", **_OWN)
_OUTPUT = flags.DEFINE_string("output", None, "Draw the images there, NAME.png.", **_OWN)
_OVERWRITE = outputs.define_overwrite(_FLAGS)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_replay, _FLAGS, __doc__)


def _replay() -> None:
    if not _MODEL_DIR.value:
        raise UserError(f"--model_dir is missing {mistakes.LIST}")
    mistakes.want_folders(_FLAGS, "model_dir")
    if _OUTPUT.value and not _OUTPUT.value.endswith(".png"):
        raise UserError("--output does not end in .png")
    from fsaf_tf.config import experiment
    from fsaf_tf.figures import batch, write_figures
    from fsaf_tf.modeling import detector
    from fsaf_tf.run import replay

    if _OUTPUT.value:
        is_ours = outputs.has_mark(write_figures.TOOL)
        outputs.check([_OUTPUT.value], reads=[], is_ours=is_ours, overwrite=_OVERWRITE.value)
    params = experiment.load_run(_MODEL_DIR.value, overrides=_PARAMS_OVERRIDE.value)
    made = replay.replay(params, _MODEL_DIR.value.rstrip("/"))
    print("\n".join(made.lines), flush=True)
    if _OUTPUT.value:
        pictures = made.pictures(detector.normalization(params.task.model.backbone))
        print(write_figures.write(batch.of_rows(pictures, made.classes), _OUTPUT.value), flush=True)


if __name__ == "__main__":
    main()
