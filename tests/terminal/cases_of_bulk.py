"""The cases of `test_injection.py` for work in shards, and for what is beside shards."""

import functools
import json
import pathlib

import tensorflow as tf
from cases_of_data import annotations
from cases_of_files import GFILE, picture, text
from injected import LOOK, OPEN, TF_CREATE, TF_OPEN, TF_READ, TF_WRITE, Case

from fsaf_tf.bulk import job, pictures, predict, prepare, shards
from fsaf_tf.data import coco_json, digest, manifest
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import image_files
from fsaf_tf.serving import load

CLASSES = Classes(("cat",), (1,))


class OneReader:
    """Reads one picture, without a data set."""

    def go_through(self, names, sizes, take) -> dict[str, str]:
        """As `pictures.Reader`."""
        take(pictures.Picture(0, pathlib.Path(self.file).read_bytes(), 1))
        return {}

    def __init__(self, file: str):
        self.file = file


def work(folder) -> shards.Writing:
    """One shard of one picture, which has its plan."""
    table = coco_json.read(annotations(folder))
    a_job, _ = job.begin(str(folder), 1, {"input": "x"})
    manifest.write_table(a_job.plan(0), table)
    return shards.Writing(a_job, str(folder), str(folder), "auto", table.classes)


def write_shard(folder) -> shards.Writing:
    """The same, written."""
    writing = work(folder)
    writing.do(0, OneReader(picture(folder)))
    return writing


def is_kept(folder) -> bool:
    """Whether a shard that is there is kept."""
    return write_shard(folder).is_kept(0)


def begin_again(folder) -> None:
    """A job in a folder that has something else."""
    text(folder, "unfinished/mine.txt")
    job.begin(str(folder), 1, {})


def read_manifest(folder) -> manifest.Manifest:
    """A manifest of one shard, which is there."""
    file = text(folder, "data-0.tfrecord", "x")
    text(folder, manifest.TABLE)
    rows = [{"file": "data-0.tfrecord", "pictures": 1, "bytes": 1, "digest": digest.of_file(file)}]
    content = {"tool": manifest.TOOL, "classes": CLASSES.categories(), "shards": rows, "findings": []}
    content["table"] = {"digest": ""}
    text(folder, manifest.FILE, json.dumps(content))
    return manifest.read(str(folder))


def check_shards(folder) -> None:
    """Compares it with its shard."""
    there = read_manifest(folder)
    there.check_shards(there.shards)


def read_table(folder) -> None:
    """Reads the boxes beside it."""
    there = read_manifest(folder)
    there.table(there.shards)


def is_done(folder) -> bool:
    """Whether a folder has all of some data."""
    return prepare._is_done(str(folder), {}, print)


def digest_of(folder) -> str:
    """The digest of a file."""
    return digest.of_file(text(folder, "a.bin"))


WRITE_SHARD = Case(write_shard, TF_CREATE)
BEGIN = Case(functools.partial(begin_again), TF_OPEN)
DIGEST = Case(digest_of, TF_OPEN)
CASES = {
    "bulk/job.py:Job.done:tf.io.gfile.listdir": Case(lambda folder: work(folder).job.done(), TF_OPEN),
    "bulk/job.py:Job.end:tf.io.gfile.rmtree": Case(lambda folder: work(folder).job.end(), TF_CREATE),
    "bulk/job.py:Job.forget:tf.io.gfile.remove": Case(lambda folder: write_shard(folder).job.forget(0), TF_CREATE),
    "bulk/job.py:begin:tf.io.gfile.exists": BEGIN,
    "bulk/job.py:begin:tf.io.gfile.listdir": BEGIN,
    "bulk/job.py:begin:tf.io.gfile.makedirs": Case(work, TF_CREATE),
    "bulk/predict.py:_state:paths.state": Case(
        lambda folder: predict._state(text(folder, "a.jpg")), LOOK, goes_on=True
    ),
    "bulk/prepare.py:_is_done:tf.io.gfile.listdir": Case(is_done, TF_OPEN),
    "bulk/shards.py:Writing.is_kept:tf.io.gfile.exists": Case(is_kept, TF_OPEN),
    "bulk/shards.py:_state:paths.state": Case(write_shard, LOOK[1:]),
    "bulk/shards.py:Writing.do:tf.io.TFRecordWriter": WRITE_SHARD,
    "bulk/shards.py:Writing.do:tf.io.gfile.stat": WRITE_SHARD._replace(errors=TF_OPEN),
    "bulk/shards.py:Writing.do.take:writer.write": WRITE_SHARD._replace(
        errors=TF_WRITE, owner=tf.io.TFRecordWriter, attribute="write"
    ),
    "data/digest.py:of_file:tf.io.gfile.GFile": DIGEST,
    "data/digest.py:of_file:file.read": DIGEST._replace(errors=TF_READ, owner=GFILE, attribute="read"),
    "data/manifest.py:Manifest.check_shards:tf.io.gfile.stat": Case(check_shards, TF_OPEN),
    "data/manifest.py:Manifest.table:tf.io.gfile.exists": Case(read_table, TF_OPEN),
    "data/manifest.py:read:tf.io.gfile.exists": Case(read_manifest, TF_OPEN),
    "detect/image_files.py:listed:paths.read_bytes": Case(
        lambda folder: image_files.listed(text(folder, "list.txt", "a")), OPEN
    ),
    "serving/load.py:files_of:tf.io.gfile.exists": Case(
        lambda folder: load.files_of((str(folder), f"{folder}/ckpt-1")), TF_OPEN
    ),
}
