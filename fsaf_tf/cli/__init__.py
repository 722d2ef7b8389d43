"""What the tools share: flags of their own, a quiet start, and an error of the user's input on one line."""

import logging as std_logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from absl import flags, logging

from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.errors import UserError
from fsaf_tf.files import parts
from fsaf_tf.terminal import commands, faults, lasting

RUNNER = "runner"


def run(main: Callable[..., None], own_flags: flags.FlagValues, description: str, verbs: Sequence[str] = ()) -> None:
    """Runs a tool and exits: 0 when it is done, 1 with one line when the user can mend it.

    Args:
        main: the tool; imports TensorFlow itself, so that help and wrong flags are told at once. Gets the verb where
            there are some.
        own_flags: its flags, read here from the command line. Where `define_runner` is among them, what stands after a
            `--` is left to it.
        description: what `--help` says above them.
        verbs: what the tool can do, where the first word says which.
    """
    with lasting.streams():
        _run(main, own_flags, description, verbs)


def _run(main: Callable[..., None], own_flags: flags.FlagValues, description: str, verbs: Sequence[str]) -> None:
    words = mistakes.before_dashes(sys.argv)[0] if RUNNER in own_flags else sys.argv
    if any(word in ("-h", "--help", "-help") for word in words[1:]):
        flags_help = own_flags.get_help(include_special_flags=False)
        print(commands.as_typed(f"{description.strip()}\n\nFlags:\n{flags_help}"))
        sys.exit(0)
    quiet()
    try:
        verb = mistakes.read(own_flags, words, verbs)
        main(*[verb] * bool(verbs))
        _say_missing_letters()
        parts.sweep_written(print)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        line = faults.line(error)
        if not line:
            raise
        sys.exit(f"error: {line}")
    sys.exit(0)


def _say_missing_letters() -> None:
    """Where pictures were drawn, a line on the letters that no font had."""
    fonts = sys.modules.get("fsaf_tf.visualize.fonts")
    line = fonts.note() if fonts else None
    if line:
        print(line)


def define_pictures(own_flags: flags.FlagValues) -> tuple[flags.FlagHolder, ...]:
    """Defines --images, --recursive, --output, --score_threshold, of the tools that write what `predict_files` does.

    And --overwrite.
    """
    own = {"flag_values": own_flags}
    images = flags.DEFINE_string("images", None, "A file, a folder or a glob in quotes.", allow_overwrite=False, **own)
    output = flags.DEFINE_string("output", None, "Folder to write to.", allow_overwrite=False, **own)
    help_of_threshold = "Draw detections of at least this score. All of them are in detections.json."
    threshold = flags.DEFINE_float("score_threshold", 0.3, help_of_threshold, lower_bound=0.0, upper_bound=1.0, **own)
    return images, define_recursive(own_flags), output, threshold, outputs.define_overwrite(own_flags)


def define_recursive(own_flags: flags.FlagValues) -> flags.FlagHolder:
    """Defines --recursive, of the tools whose --images may be a folder."""
    return flags.DEFINE_bool("recursive", False, "Take the folders inside of --images, too.", flag_values=own_flags)


def define_runner(own_flags: flags.FlagValues, default: str | None) -> Callable[[], tuple[str, list[str]] | None]:
    """Defines --runner, of the tools that work by Apache Beam.

    Args:
        own_flags: of the tool.
        default: a runner; None where the tool works without Beam if none is given.

    Returns:
        What gives the runner and the words after `--`, its own options; None without a runner.
    """
    help_of_it = "Of Apache Beam: DirectRunner, DataflowRunner, FlinkRunner, ...; its own options come after a `--`."
    runner = flags.DEFINE_string(RUNNER, default, help_of_it, flag_values=own_flags, allow_overwrite=False)

    def given() -> tuple[str, list[str]] | None:
        options = mistakes.before_dashes(sys.argv)[1]
        if options and not runner.value:
            raise UserError(f"{options[0]!r} stands after `--`, where options of --runner are; there is no --runner")
        return (runner.value, options) if runner.value else None

    return given


def define_checkpoint(own_flags: flags.FlagValues, whose: str, define=flags.DEFINE_string):
    """Defines --checkpoint, which all tools have alike that take a trained detector.

    Args:
        own_flags: of the tool.
        whose: the flag that names the run.
        define: `flags.DEFINE_multi_string` where there may be several runs.
    """
    rule = f"Of {whose}: best, newest, a checkpoint's name or path. If not given, the best that can be read, else the"
    several = define is flags.DEFINE_multi_string
    more = " Once for all of them, or as often and in the same order." if several else ""
    options = {} if several else {"allow_overwrite": False}
    return define("checkpoint", None, f"{rule} newest that can.{more}", flag_values=own_flags, **options)


def define_branch(own_flags: flags.FlagValues) -> flags.FlagHolder:
    """Defines --branch, of the tools that take one branch of a detector with both."""
    names = ["both", "anchor_free", "anchor_based"]  # of `config.experiment`, which takes seconds to import
    help_of_it = "Of a run with both branches: one of them, without the other one's layers."
    return flags.DEFINE_enum("branch", None, names, help_of_it, flag_values=own_flags)


def define_tiles(own_flags: flags.FlagValues) -> Callable[[], dict | None]:
    """Defines --tile and --overlap, of the tools that detect; what it returns gives them as keys of `task.tiles`."""
    help_of_tile = "Of a run: cut pictures into square tiles of so many pixels, for small objects in large pictures."
    help_of_overlap = "Share of its side by which a tile overlaps its neighbours; objects up to there are seen whole."
    own = {"flag_values": own_flags}
    tile = flags.DEFINE_integer("tile", None, help_of_tile, lower_bound=1, **own)
    overlap = flags.DEFINE_float("overlap", None, help_of_overlap, lower_bound=0.0, upper_bound=0.9, **own)

    def keys() -> dict | None:
        if tile.value is None and overlap.value is not None:
            raise UserError("--overlap is for --tile, the side of a tile in pixels")
        given = {"size": tile.value, "overlap": overlap.value}
        return {key: value for key, value in given.items() if value is not None} or None

    return keys


def checkpoint_of_each(given: list[str] | None, runs: list[str], flag: str) -> list[str | None]:
    """The --checkpoint of each run, of a flag that may be given once for all of them."""
    if given and not runs:
        raise UserError(f"--checkpoint is for a run in {flag}; there is none")
    given = given or [None]
    if len(given) not in (1, len(runs)):
        raise UserError(f"--checkpoint is given {len(given)} times for {len(runs)} {flag}; once is for all of them")
    return given * len(runs) if len(given) == 1 else given


def quiet() -> None:
    """Silences what TensorFlow and the Garden say at every start and a user can do nothing about.

    Call it before TensorFlow is imported. Errors reach the user as Python exceptions all the same. Whoever wants to see
    everything, such as why a GPU is not found, sets `TF_CPP_MIN_LOG_LEVEL=0`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logging.set_verbosity(logging.ERROR)
    std_logging.getLogger("tensorflow").setLevel("ERROR")
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, SyntaxWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category)
