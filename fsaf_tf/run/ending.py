"""How a run ends that does not come to its end: on one line, with what to do and what is kept."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from fsaf_tf.config import schema
from fsaf_tf.data import images, records
from fsaf_tf.errors import UserError
from fsaf_tf.run import non_finite, on_disk, tf_config
from fsaf_tf.run.task import NON_FINITE
from fsaf_tf.run.tf_config import Place
from fsaf_tf.run.workers import line_of_the_lost
from fsaf_tf.terminal import commands, faults
from fsaf_tf.terminal.interrupts import Interrupted
from fsaf_tf.terminal.progress import Progress

# The Garden's words for `trainer.loss_upper_bound`.
_LOSS_BOUND = re.compile(r"The loss value is (\S+), which is larger than the bound (\S+),")


@contextlib.contextmanager
def told(progress: Progress, model_dir: str, task: schema.Task, place: Place = tf_config.ALONE) -> Iterator[None]:
    """Turns signals, bad images, a loss that blew up and what the machine cannot do into their lines.

    Args:
        progress: of the run.
        model_dir: its folder.
        task: names its data.
        place: of this process in its cluster.

    Raises:
        UserError: a line that the user can act on.
        SystemExit: after a signal, with 128 and its number.
    """
    try:
        yield
    except (Interrupted, SystemError) as error:
        # The latter is what TensorFlow's C++ makes of an exception that is raised in the middle of it.
        stop = error.__cause__ or error.__context__ if isinstance(error, SystemError) else error
        if not isinstance(stop, Interrupted):
            raise
        progress.tell(f"Stopped by {stop} ({_kept(model_dir)}). The same command goes on: {commands.this_one()}")
        raise SystemExit(128 + stop.signum) from None
    except (tf.errors.OpError, OSError, MemoryError) as error:
        lost = line_of_the_lost(error, place)
        if isinstance(error, tf.errors.InvalidArgumentError) and not lost:
            raise _of_images(error, model_dir) or error from error
        line = lost or _of_records(error, task) or faults.line(error)
        if not line:
            raise
        raise UserError(f"{line} ({_kept(model_dir)})") from error
    except RuntimeError as error:
        bound = _LOSS_BOUND.search(str(error))
        if not bound:
            raise
        value, limit = (float(number) for number in bound.groups())
        raise UserError(
            f"The loss is {value:g}, over trainer.loss_upper_bound, {limit:g}; nothing was saved after that. Lower the"
            " rate (first lines), or clip the gradient (global_clipnorm of the optimizer)."
        ) from error
    finally:
        progress.close()


def _kept(model_dir: str) -> str:
    newest = next(iter(on_disk.prefixes(model_dir)), None)
    return f"{newest} is kept" if newest else "no checkpoint yet"


def _of_images(error: tf.errors.InvalidArgumentError, model_dir: str) -> UserError | None:
    """A loss that is not finite, with its images, or an image that cannot be taken."""
    guarded = re.search(f"{NON_FINITE}.*", str(error))
    if not guarded:
        return images.user_error(error)
    words = " ".join(re.sub(r"[\[\]\"]", " ", guarded[0]).split())
    look = "Look at these images"
    if non_finite.is_kept(model_dir):
        look += f" ({commands.of_tool('replay', f'--model_dir={model_dir}')} makes the step again)"
    return UserError(f"{words}; no checkpoint was saved after that. {look}, or lower the rate.")


def _of_records(error: Exception, task: schema.Task) -> str | None:
    """Which record of a TFRecord file is damaged, which the error does not say."""
    if not isinstance(error, tf.errors.DataLossError):
        return None
    paths = [data.input_path for data in (task.train_data, task.validation_data) if data.input_path]
    return next(filter(None, map(records.damaged, paths)), None)
