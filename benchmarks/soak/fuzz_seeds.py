"""Valid inputs of every kind that the library reads, small: what is changed a little by `fuzz_mutations`."""

import io
import json
import os
import pathlib
import pickle
import tempfile
import zipfile

import h5py
import numpy as np
import safetensors.numpy
import tensorflow as tf
from PIL import Image

from fsaf_tf.serving import flatbuffer, metadata

ROOT = pathlib.Path(__file__).parents[2]
HEIGHT, WIDTH = 12, 16
CLASSES = {"names": ["cat", "dog"], "category_ids": [1, 3]}
COCO = {
    "info": {"description": "made"},
    "images": [
        {"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
        {"id": 2, "file_name": "sub/b.jpg", "height": 30, "width": 40},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 5.5, 6], "area": 33.0, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0, 0, 40, 30], "segmentation": [[0, 0, 40, 0, 40, 30]]},
        {"id": 3, "image_id": 2, "category_id": 3, "bbox": [3, 3, 9, 9], "iscrowd": 1, "ignore": 0},
    ],
    "categories": [{"id": 1, "name": "cat", "supercategory": "x"}, {"id": 3, "name": "dog"}],
}
RESULTS = [
    {"image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 5.0, 6.0], "score": 0.9},
    {"image_id": 2, "category_id": 3, "bbox": [0.0, 0.0, 40.0, 30.0], "score": 0.1},
]
# What is read beside COCO JSON, where the file has the sizes of its pictures.
OTHER_FORMS = (
    b"<annotation><filename>a.png</filename><size><width>16</width><height>12</height></size><object><name>cat</name>"
    b"<difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object>"
    b"</annotation>",
    b"<?xml version='1.0'?><annotations><meta><task><labels><label><name>dog</name></label></labels></task></meta>"
    b"<image id='0' name='a.png' width='16' height='12'><box label='cat' xtl='1' ytl='2' xbr='5' ybr='6' rotation='9'/>"
    b"<polygon label='cat' points='1,2;3,4;5,1'><attribute name='iscrowd'>true</attribute></polygon></image>"
    b"</annotations>",
    b"<annotations><meta><task><original_size><width>16</width><height>12</height></original_size></task></meta>"
    b"<track label='cat'><box frame='0' outside='0' xtl='1' ytl='2' xbr='5' ybr='6'/><box frame='3' outside='0' xtl='1'"
    b" ytl='2' xbr='5' ybr='6'/></track></annotations>",
    b"filename,width,height,class,xmin,ymin,xmax,ymax\na.png,16,12,cat,1,2,5,6\n",
    b"dog,1,2,4,4,a.png,16,12\ncat,1,2,5,6,a.png,16,12\n",
    b'{"shapes": [{"label": "cat", "points": [[1, 2], [3, 4]], "shape_type": "rectangle"}], "imagePath": "a.png",'
    b' "imageHeight": 12, "imageWidth": 16}',
    b'[{"id": 1, "data": {"image": "/data/a.png"}, "annotations": [{"result": [{"id": "r", "original_width": 16,'
    b' "original_height": 12, "type": "rectanglelabels", "value": {"x": 5, "y": 5, "width": 50, "height": 50,'
    b' "rotation": 9, "rectanglelabels": ["cat"]}}]}]}]',
)
OTHER_TOOLS = (
    b"0 0.5 0.5 0.25 0.25\n1 0.1 0.2 0.3 0.4\n",
    b'[{"image": "a.png", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}]',
    b'{"image_url": "a", "label": [{"label": "cat"}]}\n{"image_url": "b", "label": []}\n',
)


def as_json(*values) -> list[bytes]:
    """Each as the content of a file."""
    return [json.dumps(value).encode() for value in values]


def pictures() -> list[bytes]:
    """Of all formats and kinds of pixels that matter."""
    pixels = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x112] = 6
    colour, grey = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels[..., 0])
    made = [
        *((colour, kind, {}) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")),
        (colour, "JPEG", {"exif": exif.tobytes(), "progressive": True}),
        (colour, "PNG", {"exif": exif.tobytes()}),
        (colour, "WEBP", {"exif": exif.tobytes(), "lossless": True}),
        (colour, "TIFF", {"exif": exif, "compression": "tiff_lzw"}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (Image.fromarray(pixels), "PNG", {}),
        (Image.fromarray(pixels), "WEBP", {}),
        (grey.convert("1"), "PNG", {}),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG", {}),
        (Image.fromarray(pixels[..., 0].astype(np.float32)), "TIFF", {}),
        (colour, "WEBP", {"save_all": True, "append_images": [grey.convert("RGB")]}),
    ]
    return [_encoded(*row) for row in made]


def _encoded(image: Image.Image, kind: str, options: dict) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def records() -> list[bytes]:
    """Serialized `tf.train.Example`s."""
    encoded = pictures()

    def example(picture: bytes, boxes: list[list[float]], labels: list[int], **more: tf.train.Feature) -> bytes:
        sides = zip(("ymin", "xmin", "ymax", "xmax"), zip(*boxes) if boxes else [[]] * 4)
        features = {
            "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture])),
            "image/source_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"7"])),
            "image/object/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
            **{
                f"image/object/bbox/{side}": tf.train.Feature(float_list=tf.train.FloatList(value=values))
                for side, values in sides
            },
            **more,
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    crowd = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    return [
        example(encoded[1], [[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]], [1, 3]),
        example(encoded[0], [[0.1, 0.2, 0.5, 0.6]], [3], **{"image/object/is_crowd": crowd}),
        example(encoded[7], [], []),
    ]


def framed(payload: bytes) -> bytes:
    """A TFRecord of a serialized example: its checksums are right."""
    path = written(b"", ".tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(payload)
    data = pathlib.Path(path).read_bytes()
    os.remove(path)
    return data


def payload(record: bytes) -> bytes:
    """What `framed` was given."""
    return record[12:-4]


def weights() -> dict[str, list[bytes]]:
    """Files of two tensors by their ending."""
    values = {"conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3), "bn1.bias": np.float32([1.5])}
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, **values)
    np.savez_compressed(packed, **values, count=np.int64(3))
    made = {".npz": [plain.getvalue(), packed.getvalue()], ".safetensors": [safetensors.numpy.save(values)]}
    for name, options in (("plain", {}), ("packed", {"chunks": True, "compression": "gzip"})):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            layer = file.create_group(f"model_weights/{name}" if options else name)
            layer.create_dataset("kernel:0", data=np.ones([3, 4], np.float32), **options)
            layer.attrs["weight_names"] = ["kernel:0"]
        made.setdefault(".h5", []).append(stream.getvalue())
    try:
        import torch
    except ImportError:
        return made | {".pth": [pickle.dumps({"a": 1})]}
    made[".pth"] = []
    for is_zip in (True, False):
        stream, tensors = io.BytesIO(), {name: torch.from_numpy(value) for name, value in values.items()}
        torch.save(
            {"state_dict": tensors, "meta": {"CLASSES": ("a", "b")}}, stream, _use_new_zipfile_serialization=is_zip
        )
        made[".pth"].append(stream.getvalue())
    return made


def tflite_settings() -> dict:
    """What an export writes of itself."""
    canvas = {"height": 32, "width": 32, "keep_aspect": True, "shorter_side": 32, "longer_side": 32}
    return {
        "variant": "detections",
        "quantize": "none",
        "canvas": {**canvas, "padding": [124, 116, 104], "orientation": ""},
        "class_names": CLASSES["names"],
        "category_ids": CLASSES["category_ids"],
        "maps": {"3": [4, 4]},
        "postprocess": {"score_threshold": 0.05, "nms_iou": 0.5, "max_detections": 10},
    }


def packed(settings) -> bytes:
    """A `.tflite` file of one sum with these settings in it, whatever they are."""
    model = flatbuffer.read(_of_one_sum())
    flatbuffer.add_metadata(model, metadata.SETTINGS, json.dumps(settings).encode())
    return flatbuffer.write(model)


_CONVERTED: list[bytes] = []


def _of_one_sum() -> bytes:
    if not _CONVERTED:
        add = tf.function(lambda x: x + 1.0, input_signature=[tf.TensorSpec([1, 32, 32, 3])])
        converter = tf.lite.TFLiteConverter.from_concrete_functions([add.get_concrete_function()])
        _CONVERTED.append(converter.convert())
    return _CONVERTED[0]


def experiments() -> list[bytes]:
    """The project's own, the short ones first."""
    return sorted((path.read_bytes() for path in (ROOT / "experiments").glob("*.yaml")), key=len)


def written(data: bytes, suffix: str) -> str:
    """A file of its own with this content; for what must have a path."""
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as file:
        file.write(data)
    return file.name


def is_zip(data: bytes) -> bool:
    """Whether it is an archive whose list can be read."""
    return zipfile.is_zipfile(io.BytesIO(data))
