"""Timings.

    python tools/benchmark.py --what=criterion

of the criterion, as ratios of things measured in turn in one run.

    python tools/benchmark.py --what=detectors

of the nine detectors of Table 2 at 800 x 1344 with random weights, beside the paper's milliseconds.

    python tools/benchmark.py --what=inference --model_dir=runs/fsaf_r50 --sizes=320x320,512x512 --threads=1,2

of a detector as checkpoint, SavedModel, frozen graph, ONNX and TFLite: size, warm-up (loading and the first picture,
without the import of the runtime), latency of a decoded picture, and peak memory, each in a process of its own. "CPU
ms" is the time of all cores together and says more than the latency does where other work runs; "of SavedModel" is its
ratio. --rounds=5 starts five processes of each form, all forms in turn, and takes the medians.
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_WHAT = flags.DEFINE_enum(
    "what", "criterion", ["criterion", "detectors", "inference"], "What to time.", flag_values=_FLAGS
)
_REPEATS = flags.DEFINE_integer(
    "repeats", 7, "Timed runs of each; the median counts.", lower_bound=1, flag_values=_FLAGS
)
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "inference: the folder of a run or an import.", flag_values=_FLAGS)
_SIZES = flags.DEFINE_list("sizes", ["320x320"], "inference: HEIGHTxWIDTH of the input, several.", flag_values=_FLAGS)
_THREADS = flags.DEFINE_list("threads", ["2"], "inference: numbers of threads, several.", flag_values=_FLAGS)
_FORMS = flags.DEFINE_list(
    "forms", [], "inference: these alone and the SavedModel, such as ONNX,TFLite int8; all if none.", flag_values=_FLAGS
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 1, "inference: processes of each form, all forms in turn.", lower_bound=1, flag_values=_FLAGS
)
_IMAGES = flags.DEFINE_string(
    "images",
    None,
    "inference: a folder or a glob of pictures, which TFLite int8 is calibrated with.",
    flag_values=_FLAGS,
)
_OUTPUT = flags.DEFINE_string("output", "", "A JSON file for the figures.", flag_values=_FLAGS)
_OVERWRITE = outputs.define_overwrite(_FLAGS)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_benchmark, _FLAGS, __doc__)


def _benchmark() -> None:
    """Times what is asked for, prints a table and writes the figures."""
    measure = {"criterion": _criterion, "detectors": _detectors, "inference": _inference}[_WHAT.value]
    if not _OUTPUT.value:
        measure()
        return
    from fsaf_tf.files import storage

    reads = outputs.files_below(_MODEL_DIR.value, _IMAGES.value)
    outputs.check([_OUTPUT.value], reads=reads, is_ours=lambda path: False, overwrite=_OVERWRITE.value)
    storage.try_writing(_OUTPUT.value)
    storage.write_json(_OUTPUT.value, measure())


def _criterion() -> dict[str, float]:
    from fsaf_tf.timing import criterion

    return criterion.run(_REPEATS.value)


def _detectors() -> list[dict]:
    from fsaf_tf.timing import detectors

    print(detectors.header())
    return detectors.run(_REPEATS.value)


def _inference() -> list[dict]:
    mistakes.require(_FLAGS, "model_dir")
    sizes = [_numbers("sizes", size.split("x"), 2) for size in _SIZES.value]
    threads = [_numbers("threads", [count], 1)[0] for count in _THREADS.value]
    from fsaf_tf.timing import inference

    print(inference.header())
    repeats = (_REPEATS.value, _ROUNDS.value)
    return inference.run(_MODEL_DIR.value, sizes, threads, *repeats, _IMAGES.value, _FORMS.value)


def _numbers(flag: str, texts: list[str], count: int) -> tuple[int, ...]:
    if len(texts) != count or not all(text.isdecimal() and int(text) for text in texts):
        raise UserError(f"--{flag}: {'x'.join(texts)} is not understood (--help lists the flags)")
    return tuple(map(int, texts))


if __name__ == "__main__":
    main()
