"""Prediction on many pictures, by Apache Beam: the files that `detect.predict_files` writes, from shards."""

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fsaf_tf.bulk import job as jobs
from fsaf_tf.bulk import runner, seen, watch
from fsaf_tf.bulk.job import Job
from fsaf_tf.data import arrays, digest
from fsaf_tf.detect import forms, kept, predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.run import lock
from fsaf_tf.serving import load
from fsaf_tf.terminal.progress import Progress, prediction_line

PICTURES_OF_SHARD = 50


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be looked at, and what is wanted of it.

    Attributes:
        arguments: of `load_detector`.
        files: the pictures.
        output: the folder for all that is written.
        score_threshold: detections of at least this are drawn.
        least: `[K]`, see `kept.Kept`; None to keep all.
        forms: what else is written, of `forms.FORMS`.
        image_ids: of the files, see `predict_files.write`.
        num_shards: how many; None for one of every `PICTURES_OF_SHARD` pictures.
    """

    arguments: tuple
    files: list[str]
    output: str
    score_threshold: float
    least: np.ndarray | None = None
    forms: Sequence[str] = ()
    image_ids: Mapping[str, int] | None = None
    num_shards: int | None = None


class Loaded(NamedTuple):
    """A detector of a process, and what its threads hold while one of them asks it."""

    detector: Callable
    turn: threading.Lock


_of_this_process: dict[str, Loaded] = {}


@dataclasses.dataclass(frozen=True)
class Looking:
    """The work on a shard; see `job.Work`.

    Attributes:
        job: whose plans are the names of pictures, and of what is drawn of them.
        arguments: of `load_detector`, as JSON; they name one checkpoint, which stays the same.
        score_threshold: detections of at least this are drawn.
        least: see `kept.Kept`.
    """

    job: Job
    arguments: str
    score_threshold: float
    least: np.ndarray | None

    def plan(self, shard: int, files: Sequence[str], drawn: Sequence[str]) -> None:
        """Writes the plan of a shard."""
        arrays.write(self.job.plan(shard), {"files": arrays.of_texts(files), "drawn": arrays.of_texts(drawn)})

    def load(self) -> Loaded:
        """The detector, loaded once in a process."""
        if self.arguments not in _of_this_process:
            keep(self.arguments, load.load_detector(*json.loads(self.arguments)))
        return _of_this_process[self.arguments]

    def do(self, shard: int, loaded: Loaded) -> None:
        """Looks at the pictures of a shard, draws what is found, and writes its result."""
        plan = arrays.read(self.job.plan(shard))
        files, drawn = (arrays.to_texts(plan[name]) for name in ("files", "drawn"))
        detector, rows = kept.Kept(loaded.detector, self.least), []
        for file, path in zip(files, drawn):
            try:
                image = predict_files.read_image(file)
            except UserError as error:
                rows.append(error)
                continue
            with loaded.turn:
                detections = detector(image)
            rows.append(predict_files.draw(path, image, detections, self.score_threshold))
        seen.write(self.job.result(shard), rows, detector.cut_off)


def keep(arguments: str, detector: Callable) -> None:
    """Keeps a detector for the shards of this process, in the place of an earlier one."""
    _of_this_process.clear()
    _of_this_process[arguments] = Loaded(detector, threading.Lock())


def run(wanted: Wanted, detector: Callable, by: runner.Runner) -> None:
    """Looks at pictures, or goes on with it, and writes what `predict_files.run` does.

    Args:
        wanted: what is to be looked at.
        detector: of `wanted.arguments`.
        by: does it.

    Raises:
        UserError: there is other work in the output, a shard cannot be done, or as `predict_files.write`.
    """
    from fsaf_tf.bulk import beam_pipeline

    do, line, files, output = beam_pipeline.ready(by), Progress(), wanted.files, wanted.output
    arguments = load.arguments_of(detector, wanted.arguments)
    drawn = predict_files.picture_paths(files, output)
    with lock.held(output, [lock.PREDICTION], line.say):
        num_shards = min(wanted.num_shards or -(-len(files) // PICTURES_OF_SHARD), len(files))
        job, is_old = jobs.begin(output, num_shards, _identity(wanted, arguments, num_shards))
        work = Looking(job, json.dumps(arguments), wanted.score_threshold, wanted.least)
        keep(work.arguments, detector)
        layout, done = np.array_split(np.arange(len(files)), num_shards), job.done()
        if is_old:
            line.say(f"{output}: goes on; {len(done)} of {num_shards} shards are there and kept")
        todo = sorted({*range(num_shards)} - {*done})
        for shard in todo:
            names = [files[place] for place in layout[shard]]
            work.plan(shard, names, [drawn[name] for name in names])
        tell = lambda done, rate: prediction_line(done, len(files), rate, "images")  # noqa: E731
        with watch.told(job, [len(places) for places in layout], line, tell):
            do(work, todo)
        _merge(wanted, job, detector, line.say)
        job.end()


def _merge(wanted: Wanted, job: Job, detector: Callable, say: Callable[[str], None]) -> None:
    """The results of all shards as one, in the order of the files."""
    cut_off = 0

    def rows() -> Iterator[predict_files.Seen | UserError]:
        nonlocal cut_off
        for shard in range(job.num_shards):
            of_shard, count = seen.read(job.result(shard))
            cut_off += count
            yield from of_shard

    others = None
    if wanted.forms:
        others = forms.writer(wanted.forms, wanted.output, detector.classes, wanted.score_threshold)
    to = predict_files.Output(
        wanted.output, wanted.files, detector.category_ids, wanted.score_threshold, others, wanted.image_ids
    )
    predict_files.record(rows(), to, say)
    predict_files.say_cut_off(cut_off, len(wanted.files), detector.most)


def _identity(wanted: Wanted, arguments: tuple, num_shards: int) -> dict[str, Any]:
    """What makes it this work and no other: pictures by name, size and time, the model by its files."""
    rows = [[number, file, *_state(file)] for number, file in enumerate(wanted.files)]
    least = None if wanted.least is None else [score if np.isfinite(score) else "none" for score in wanted.least]
    return {
        "pictures": digest.of_rows(rows),
        "model": digest.of_rows([[file, digest.of_file(file)] for file in load.files_of(arguments)]),
        "options": digest.of_rows([list(arguments), [least]]),
        "score_threshold": wanted.score_threshold,
        "shards": num_shards,
    }


def _state(file: str) -> list[int]:
    """Size and time of a file; nothing of one that cannot be looked at, which is named when its turn comes."""
    try:
        return paths.state(file)
    except (OSError, tf.errors.OpError):
        return []
