"""One shard of TFRecords: a plan of pictures and boxes to a file in the Garden's keys, and what came of it."""

import dataclasses
import io
import json
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fsaf_tf.bulk import pictures
from fsaf_tf.bulk.job import Job
from fsaf_tf.data import arrays, coco, digest, manifest, pixels, records
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.files import paths, storage


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a shard.

    Attributes:
        bytes: of its file.
        digest: of its file.
        headers: of its pictures by their names, in the order of the records.
        turns: of each the EXIF orientation that is applied to it.
        problems: what is wrong with those that were left out, by name.
        stamp: of all of them when they were read, see `Writing.stamp`.
    """

    bytes: int
    digest: str
    headers: dict[str, pixels.Header]
    turns: list[int]
    problems: dict[str, str]
    stamp: str

    def write(self, path: str) -> None:
        """Writes it in one piece."""
        content = {**dataclasses.asdict(self), "headers": list(self.headers.items())}
        arrays.write(path, {"content": arrays.of_texts([json.dumps(content)])})

    @classmethod
    def read(cls, path: str) -> "Result":
        """What `write` wrote. Raises a UserError where it is damaged."""
        content = json.loads(arrays.to_texts(arrays.read(path)["content"])[0])
        headers = {name: pixels.Header(*header) for name, header in content["headers"]}
        return cls(**{**content, "headers": headers})


@dataclasses.dataclass(frozen=True)
class Writing:
    """The work on a shard; see `job.Work`.

    Attributes:
        job: whose plans are tables of `manifest.write_table`.
        output: the folder of the shards.
        image_dir: the folder of the pictures.
        rule: which way up boxes take them, `frames.turn`'s.
        classes: K of them.
    """

    job: Job
    output: str
    image_dir: str
    rule: str
    classes: Classes

    def path(self, shard: int) -> str:
        """Of the file of a shard."""
        return f"{self.output}/data-{shard:05d}-of-{self.job.num_shards:05d}.tfrecord"

    def plan(self, shard: int) -> Annotations:
        """The pictures of a shard with all their boxes."""
        return manifest.read_table(self.job.plan(shard), self.job.plan(shard), self.classes)

    def stamp(self, names: Sequence[str]) -> str:
        """What picture files are, by their sizes and times: another one where one has come, gone or changed."""
        return digest.of_rows([[name, *_state(os.path.join(self.image_dir, name))] for name in names])

    def is_kept(self, shard: int) -> bool:
        """Whether the file of a shard that is done, and its pictures, good or bad, are what they were."""
        result, path = Result.read(self.job.result(shard)), self.path(shard)
        is_whole = tf.io.gfile.exists(path) and digest.of_file(path) == result.digest
        return is_whole and self.stamp(self.plan(shard).file_names) == result.stamp

    def load(self) -> pictures.Reader:
        """What reads the pictures."""
        return pictures.Reader(self.image_dir, self.rule)

    def do(self, shard: int, loaded: pictures.Reader) -> None:
        """Writes a shard, and its result."""
        table, path = self.plan(shard).distinct(), self.path(shard)
        stamp = self.stamp(table.file_names)
        boxes, headers, turns = coco.clipped_yxyx(table).astype(np.float32), {}, []
        with storage.named_at_end(path) as part, tf.io.TFRecordWriter(part) as writer:

            def take(picture: pictures.Picture) -> None:
                header = pixels.read_header(io.BytesIO(picture.encoded))
                writer.write(_example(table, boxes, picture, header))
                headers[table.file_names[picture.place]] = header
                turns.append(picture.turn)

            problems = loaded.go_through(table.file_names, table.sizes, take)
        size = tf.io.gfile.stat(path).length
        Result(size, digest.of_file(path), headers, turns, problems, stamp).write(self.job.result(shard))


def _state(path: str) -> list[int]:
    """Size and time of a file; nothing of one that is not there."""
    try:
        return paths.state(path)
    except (FileNotFoundError, tf.errors.NotFoundError):
        return []


def _example(table: Annotations, boxes: np.ndarray, picture: pictures.Picture, header: pixels.Header) -> bytes:
    """The record of a picture.

    The Garden's keys are of the picture as it is stored, which its decoder sees; ours of the frame of the annotations.

    Args:
        table: the shard's pictures and boxes.
        boxes: `[n, 4]` float32 yxyx, clipped, in pixels of that frame.
        picture: a good one of them.
        header: its own.
    """
    place = picture.place
    own = slice(table.splits[place], table.splits[place + 1])
    shares = stored_shares(boxes[own] / np.tile(table.sizes[place], 2).astype(np.float64), picture.turn)
    classes = table.class_indices[own]
    sides = zip(("ymin", "xmin", "ymax", "xmax"), shares.T)
    features = {
        "image/encoded": _bytes([picture.encoded]),
        "image/format": _bytes([header.format.lower().encode()]),
        "image/filename": _bytes([table.file_names[place].encode()]),
        "image/source_id": _bytes([str(table.image_ids[place]).encode()]),
        "image/height": _ints([header.height]),
        "image/width": _ints([header.width]),
        **{f"image/object/bbox/{side}": _floats(values) for side, values in sides},
        "image/object/class/label": _ints(np.array(table.classes.ids, np.int64)[classes]),
        "image/object/class/text": _bytes([table.classes.names[index].encode() for index in classes]),
        "image/object/is_crowd": _ints(table.crowd[own].astype(np.int64)),
        "image/object/difficult": _ints(table.ignored[own].astype(np.int64)),
        "image/object/area": _floats(table.area[own]),
        records.PIXELS: _floats(np.ravel(boxes[own])),
        records.TURN: _ints([picture.turn]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def stored_shares(shares: np.ndarray, turn: int) -> np.ndarray:
    """Boxes `[n, 4]` yxyx, in shares of a picture turned by an EXIF orientation, in shares of the stored one."""
    y1, x1, y2, x2 = shares.T
    flips_x, flips_y = (turn - 1) % 4 in (1, 2), (turn - 1) % 4 in (2, 3)
    y1, y2 = (1 - y2, 1 - y1) if flips_y else (y1, y2)
    x1, x2 = (1 - x2, 1 - x1) if flips_x else (x1, x2)
    return np.stack([x1, y1, x2, y2] if turn > 4 else [y1, x1, y2, x2], axis=1)


def _bytes(values: list[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _floats(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _ints(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
