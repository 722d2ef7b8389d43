"""The start of a run in a cluster: the workers meet, and find out whether they are alike, before anything is built."""

import contextlib
import dataclasses
import faulthandler
import functools
import hashlib
import json
import time

import tensorflow as tf
from official.core import config_definitions

from fsaf_tf.config import plain_values
from fsaf_tf.data import digest
from fsaf_tf.data.examples import Source
from fsaf_tf.data.source import Sources
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.run import devices, lock, tf_config
from fsaf_tf.run.checkpoints import Checkpoint
from fsaf_tf.run.mode import Mode
from fsaf_tf.run.tf_config import Place
from fsaf_tf.run.workers import Workers
from fsaf_tf.terminal.progress import Progress, Quiet

_OWN = ("runtime.task_index",)  # keys in which the workers may differ
_SEEN_WITHIN = 60.0  # seconds; network drives tell of new files late


def meet(runtime: config_definitions.RuntimeConfig, mode: Mode) -> Workers:
    """This process among those of its cluster, once all of them are there; it says who it is.

    Raises:
        UserError: see `devices.place`, `tf_config.meet` and `devices.build_strategy`.
    """
    place = devices.place(runtime, mode)
    if place.is_alone:
        return Workers(place, devices.build_strategy(runtime))
    what = "the chief" if place.is_chief else f"{place.name(0)} says what the run does"
    print(f"This is {place.name()}; {what}.", flush=True)
    tf_config.meet(place, functools.partial(print, flush=True))
    # One that dies right then leaves the others in TensorFlow's C++, where Python has no say any more.
    faulthandler.dump_traceback_later(tf_config.MEETING, exit=True)
    try:
        return Workers(place, devices.build_strategy(runtime))
    finally:
        faulthandler.cancel_dump_traceback_later()


def progress_of(place: Place) -> Progress:
    """The lines of a process: all of the chief's, the first and the last ones of the others."""
    return Progress() if place.is_chief else Quiet()


def check_alike(workers: Workers, params: config_definitions.ExperimentConfig, mode: str) -> None:
    """Raises a UserError on every worker if their experiments, or what they are to do, differ."""
    if workers.place.is_alone:
        return
    values = plain_values.flatten(params.as_dict()) | {"--mode": mode, "TensorFlow": tf.__version__}
    texts = {key: json.dumps(value, default=str) for key, value in values.items() if key not in _OWN}
    workers.check_same("experiment", texts)


def check_folder(workers: Workers, model_dir: str) -> None:
    """Raises a UserError on every worker if one does not see the chief's folder, by its lock.

    A run that is started again would begin elsewhere on each.
    """
    if workers.place.is_alone or paths.is_remote(model_dir):
        return
    path = f"{model_dir}/{lock.TRAINING}"
    wanted = workers.of_chief(lambda: _read(path))
    end = time.monotonic() + _SEEN_WITHIN
    while (found := _read(path)) != wanted and time.monotonic() < end:
        time.sleep(0.5)
    blind = [number for number, is_same in enumerate(workers.gather(found == wanted)) if not is_same]
    if blind:
        raise UserError(
            f"{workers.place.name(blind[0])} does not see {path} of the chief: --model_dir must be a folder that all"
            " workers share"
        )


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        with open(path, encoding="utf-8") as file:
            return file.read()
    return ""


def agreed(workers: Workers, chosen: Checkpoint | None) -> Checkpoint | None:
    """The checkpoint that the chief goes on from or evaluates, on every worker.

    Args:
        workers: of the run.
        chosen: the chief's; not looked at on the others.

    Raises:
        UserError: one of them has other files under its name, or none.
    """
    if workers.place.is_alone:
        return chosen
    told = workers.of_chief(lambda: chosen and [dataclasses.asdict(chosen), _fingerprint(chosen.prefix)])
    if told is None:
        return None
    values, wanted = told
    blind = [number for number, own in enumerate(workers.gather(_fingerprint(values["prefix"]))) if own != wanted]
    if blind:
        raise UserError(
            f"{workers.place.name(blind[0])} does not see {values['prefix']} as the chief does: --model_dir must be a"
            " folder that all workers share"
        )
    return Checkpoint(**{**values, "notes": tuple(values["notes"])})


def _fingerprint(prefix: str) -> str:
    """Of the index of a checkpoint, which has a checksum of every tensor; empty if it is not there."""
    with contextlib.suppress(tf.errors.OpError):
        with tf.io.gfile.GFile(f"{prefix}.index", "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    return ""


def check_same_data(workers: Workers, sources: Sources) -> None:
    """Raises a UserError on every worker if their data differ: in number, classes, and boxes where these are known."""
    if not workers.place.is_alone:
        parts = {"training": sources.train, "validation": sources.validation}
        workers.check_same("data set", {name: _content(source) for name, source in parts.items() if source})


def _content(source: Source) -> str:
    words = f"{source.num_images} images, {len(source.classes)} classes"
    if not source.boxes:  # all pictures would be gone through
        return words
    return f"{words}, content {digest.of(source.ground_truth())[digest.BOXES][:8]}"
