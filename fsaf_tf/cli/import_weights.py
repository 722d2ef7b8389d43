"""Turns published weights into a detector of fsaf_tf.

    python tools/import_weights.py --source=mmdet --weights=fsaf_r50.pth --experiment=fsaf_r50 --output=runs/imported

writes runs/imported with a checkpoint, the experiment as these weights need it, and the labels. Sources:

    keras        Keras Applications' ResNet-50, 101, 152 (.h5): the backbone
    torchvision  ResNet-50, 101, 152, ResNeXt-101-64x4d: the backbone
    mmdet        mmdetection's FSAF and RetinaNet: the detector. For an experiment with both branches --weights is given
                 twice, FSAF and RetinaNet

.pth files need PyTorch, which the extra [convert] installs; .safetensors and .npz with the same names do not. No code
in a file is run.
"""

import os

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes
from fsaf_tf.config import catalog
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import commands

_FLAGS = flags.FlagValues()
_SOURCE = flags.DEFINE_enum(
    "source", None, ["keras", "torchvision", "mmdet"], "Whose weights they are.", flag_values=_FLAGS
)
_WEIGHTS = flags.DEFINE_multi_string(
    "weights",
    [],
    "The file: .h5 for keras (or `imagenet`: Keras downloads it), else .pth, .pt, .safetensors or .npz.",
    flag_values=_FLAGS,
)
_EXPERIMENT = flags.DEFINE_string(
    "experiment",
    None,
    "A name in experiments/, or the path of a YAML file: the detector that takes the weights.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write, not there yet or empty.", flag_values=_FLAGS, allow_overwrite=False
)
_LABELS = flags.DEFINE_string(
    "labels",
    "",
    "Names and ids of the classes, where the weights are not of COCO: annotations of the data, or a labels.json.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_import, _FLAGS, __doc__)


def _import() -> None:
    mistakes.require(_FLAGS, "source", "weights", "experiment", "output")
    mistakes.want_files(_FLAGS, "weights")
    output = _OUTPUT.value
    catalog.find(_EXPERIMENT.value)  # before TensorFlow, which takes seconds to import
    if os.path.lexists(output) and not (os.path.isdir(output) and not os.listdir(output)):
        raise UserError(f"--output={output} is there already; give another one, nothing is overwritten")
    from fsaf_tf.run import import_published

    lines = import_published.run(_SOURCE.value, _WEIGHTS.value, _EXPERIMENT.value, output, _LABELS.value)
    print(*lines, *_next_steps(output, trained=_SOURCE.value == "mmdet" and len(_WEIGHTS.value) == 1), sep="\n")


def _next_steps(output: str, trained: bool) -> list[str]:
    """The commands to go on with."""
    start = f"--params_override=task.init_checkpoint={output}"
    custom = f"  {commands.of_tool('train', '--experiment=custom', start)},...  # your images"
    if not trained:
        same = commands.of_tool("train", f"--experiment={_EXPERIMENT.value}", start)
        return ["Next, training:", f"  {same}", custom]
    return [
        "Next:",
        f"  {commands.of_tool('predict', f'--model={output}', '--images=photos', '--output=out')}",
        f"  {commands.of_tool('train', '--mode=eval', f'--model_dir={output}')}  # the data by --params_override",
        custom,
    ]


if __name__ == "__main__":
    main()
