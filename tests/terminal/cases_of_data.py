"""The cases of `test_injection.py` for data: annotations, pictures, records."""

import gzip
import json
import os
import zlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from cases_of_files import DAMAGED, GFILE, picture, text
from google.protobuf import json_format
from injected import (
    CREATE,
    LOOK,
    OPEN,
    READ,
    TF_CREATE,
    TF_OPEN,
    TF_READ,
    TF_RUN,
    WRITE,
    Case,
    simply,
    system,
)

from fsaf_tf.data import (
    annotated,
    coco_json,
    examples,
    frames,
    images,
    label_map,
    picture_files,
    pixels,
    records,
    same_pictures,
)
from fsaf_tf.data import tfds as tfds_data
from fsaf_tf.data.readers import files, open_images, yolo_names
from fsaf_tf.data.writers import forms, write
from fsaf_tf.detect import image_files
from fsaf_tf.evaluate import coco_results


def shard(folder) -> str:
    """Writes a TFRecord file of one record."""
    path = str(folder / "one.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"content")
    return path


def same(folder):
    """Which of two pictures are the same."""
    names = [os.path.basename(picture(folder, name)) for name in ("a.png", "b.png")]
    return same_pictures.repeated(same_pictures.Pictures(str(folder), names), "file")


def same_content(folder):
    """Likewise, of as many as there are."""
    return same_pictures.keys(str(folder), [os.path.basename(picture(folder, name)) for name in ("a.png", "b.png")])


def annotations(folder) -> str:
    """Writes COCO JSON."""
    content = '{"images": [{"id": 1, "file_name": "picture.png", "height": 8, "width": 8}],'
    content += '"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}],'
    return text(folder, "annotations.json", content + '"categories": [{"id": 1, "name": "cat"}]}')


def written(folder, pictures: str = write.LEAVE) -> None:
    """Annotations of a picture in another form."""
    file = annotations(folder)
    picture(folder)
    given = annotated.read(file, str(folder), frame=frames.AUTO)
    write.write(write.Target(f"{folder}/new/out", forms.FORMS["voc"], pictures), {"": given.table}, given, print)


def packed(folder) -> str:
    """The same, compressed."""
    path = annotations(folder) + ".gz"
    with gzip.open(path, "wb") as file, open(annotations(folder), "rb") as plain:
        file.write(plain.read())
    return path


def remote(folder):
    """Looks for a picture in a folder of another file system."""
    path = f"ram://{folder}"
    tf.io.gfile.makedirs(path)
    picture_files.check("file", picture_files.Folder(path, "auto"), ["x.png"], np.ones([1, 2]))


def builder(folder):
    """A builder of TFDS whose data are not there."""
    return tfds_data._builder("shapes", str(folder))


def bytes_of(folder) -> bytes:
    """The bytes of a picture that may fail."""
    return images._bytes_of(picture(folder).encode())


READ_HEADER = Case(lambda folder: picture_files._read_header(picture(folder)), OPEN)
NO_IMAGE = Case(lambda folder: pixels.read(text(folder, "picture.png", "text"), upright=True), OPEN)
COUNT = Case(lambda folder: records.count_records(shard(folder)), TF_OPEN)
DATASET = tf.data.Dataset
CASES = {
    "data/readers/files.py:read_bytes:tf.io.gfile.GFile": Case(
        lambda folder: coco_json.read(annotations(folder)), TF_OPEN
    ),
    "data/readers/files.py:read_bytes:stream.read": Case(
        lambda folder: coco_json.read(annotations(folder)), TF_READ, GFILE, "read"
    ),
    "data/readers/files.py:read:gzip.decompress": Case(
        lambda folder: coco_json.read(packed(folder)),
        tuple(
            simply(error) for error in (EOFError("ended"), gzip.BadGzipFile("CRC"), zlib.error("bad"), MemoryError())
        ),
        names="error:",
    ),
    "data/examples.py:named_errors:dataset.as_numpy_iterator": Case(
        lambda folder: list(examples.named_errors(DATASET.range(2))), TF_RUN, DATASET, "as_numpy_iterator"
    ),
    "data/picture_files.py:_listing:os.listdir": Case(
        lambda folder: picture_files.Folder(str(folder), "auto").has("x.png"), LOOK
    ),
    "data/picture_files.py:_listing:tf.io.gfile.listdir": Case(remote, TF_OPEN),
    "data/picture_files.py:_read_header:open": READ_HEADER,
    "data/picture_files.py:_read_header:os.path.getsize": READ_HEADER,
    "data/picture_files.py:_read_header:stream.seek": READ_HEADER._replace(errors=READ, via="open"),
    "data/picture_files.py:_read_header:stream.read": READ_HEADER._replace(errors=READ, via="open"),
    "data/pixels.py:_opened:Image.open": Case(
        lambda folder: pixels.read(picture(folder), upright=True), (*OPEN, *READ, *DAMAGED), names="error:"
    ),
    "data/pixels.py:_no_image:paths.open_to_read": NO_IMAGE,
    "data/images.py:_bytes_of:tf.io.gfile.GFile": Case(bytes_of, TF_OPEN),
    "data/images.py:_bytes_of:stream.read": Case(bytes_of, TF_READ, owner=GFILE, attribute="read"),
    "data/pixels.py:_no_image:stream.seek": NO_IMAGE._replace(errors=READ, via="paths.open_to_read"),
    "data/pixels.py:_no_image:stream.read": NO_IMAGE._replace(errors=READ, via="paths.open_to_read"),
    "data/records.py:open_records:tf.io.gfile.glob": Case(
        lambda folder: records.open_records(shard(folder), "", upright=False), TF_OPEN
    ),
    "data/label_map.py:find:tf.io.gfile.exists": Case(
        lambda folder: records.open_records(shard(folder), "", upright=False), TF_OPEN
    ),
    "data/label_map.py:find:tf.io.gfile.glob": Case(
        lambda folder: records.open_records(shard(folder), "", upright=False), TF_OPEN
    ),
    "data/label_map.py:read:tf.io.gfile.exists": Case(lambda folder: label_map.read(f"{folder}/a.pbtxt"), TF_OPEN),
    "data/readers/files.py:_walk:os.walk": Case(lambda folder: files.names_in(str(folder), (".xml",)), LOOK),
    "data/readers/files.py:_walk:tf.io.gfile.walk": Case(
        lambda folder: files.names_in(f"ram://{folder}", (".xml",)), TF_OPEN
    ),
    "data/readers/open_images.py:class_names:paths.names": Case(
        lambda folder: open_images.class_names(f"{folder}/a.csv"), LOOK
    ),
    "data/readers/yolo_names.py:_files_in:paths.names": Case(lambda folder: yolo_names.near(str(folder)), LOOK),
    "data/records.py:count_records:tf.io.gfile.GFile": COUNT,
    "data/records.py:count_records:stream.seek": COUNT._replace(errors=TF_READ, owner=GFILE, attribute="seek"),
    "data/records.py:count_records:stream.read": COUNT._replace(errors=TF_READ, owner=GFILE, attribute="read"),
    "data/records.py:damaged:tf.io.gfile.glob": Case(lambda folder: records.damaged(shard(folder)), TF_OPEN),
    "data/records.py:damaged:tf.data.TFRecordDataset": Case(lambda folder: records.damaged(shard(folder)), TF_OPEN),
    "data/same_pictures.py:Pictures.by_bytes:os.stat": Case(same, LOOK, goes_on=True),
    "data/same_pictures.py:Pictures.digest:pathlib.Path.read_bytes": Case(
        same, system(2, 5, 13, 24, 116), goes_on=True
    ),
    "data/same_pictures.py:Pictures.start:open": Case(same_content, OPEN[:-1], goes_on=True),
    "data/same_pictures.py:Pictures.start:file.read": Case(same_content, READ[:-1], via="open", goes_on=True),
    "data/writers/write.py:check_output:os.listdir": Case(
        lambda folder: write.check_output(write.Target(str(folder), forms.FORMS["coco"])), LOOK
    ),
    "data/writers/write.py:write:os.makedirs": Case(written, CREATE),
    "data/writers/write.py:_write_part:os.makedirs": Case(written, CREATE),
    "data/writers/write.py:write:os.rename": Case(written, CREATE),
    "data/writers/write.py:_write:os.makedirs": Case(written, CREATE),
    "data/writers/write.py:_write:open": Case(written, CREATE),
    "data/writers/write.py:_write:file.write": Case(written, WRITE, via="open"),
    "data/writers/write.py:_take:os.makedirs": Case(lambda folder: written(folder, write.COPY), CREATE),
    "data/writers/write.py:_take:shutil.copyfile": Case(lambda folder: written(folder, write.COPY), CREATE),
    "data/writers/write.py:_take:os.symlink": Case(lambda folder: written(folder, write.LINK), CREATE),
    "data/tfds.py:_builder:tfds.builder": Case(
        builder,
        (*LOOK, *TF_OPEN, simply(json_format.ParseError("Failed to parse")), simply(ValueError("x"))),
        tfds,
        "builder",
    ),
    "data/tfds.py:_prepared:builder.is_prepared": Case(
        lambda folder: tfds_data._prepared("voc/2012", str(folder), False),
        TF_OPEN,
        tfds.core.DatasetBuilder,
        "is_prepared",
    ),
    "data/tfds.py:_prepared:builder.download_and_prepare": Case(
        lambda folder: tfds_data._prepared("shapes", str(folder), False),
        (*CREATE, *TF_CREATE, simply(ConnectionError("no network"))),
        tfds.core.DatasetBuilder,
        "download_and_prepare",
    ),
    "data/tfds.py:_read:builder.as_dataset": Case(
        lambda folder: tfds_data._read(builder(folder), "train", examples.FIXED_ORDER),
        TF_OPEN,
        tfds.core.DatasetBuilder,
        "as_dataset",
    ),
    "detect/image_files.py:find:paths.glob": Case(lambda folder: image_files.find(f"{folder}/*"), LOOK),
    "detect/image_files.py:_inside:paths.names": Case(lambda folder: image_files.find(str(folder)), LOOK),
    "detect/image_files.py:_is_picture:Image.open": Case(
        lambda folder: image_files.find(os.path.dirname(text(folder, picture(folder) and "other"))),
        (*LOOK, *READ[:-1], *DAMAGED),
        goes_on=True,
    ),
    "detect/image_files.py:_is_picture:paths.open_to_read": Case(
        lambda folder: image_files.find(os.path.dirname(text(folder, picture(folder) and "other"))),
        (*LOOK, *READ[:-1]),
        goes_on=True,
    ),
    "evaluate/coco_results.py:read:paths.read_bytes": Case(
        lambda folder: coco_results.read(text(folder, "a.json", "[]")),
        (
            *OPEN,
            *READ,
            simply(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no start")),
            simply(RecursionError("deep")),
            simply(json.JSONDecodeError("Expecting value", "x", 0)),
        ),
    ),
}
