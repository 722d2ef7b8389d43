"""Pictures of strangers inside a graph: the pixels of `predict_files.read_image`, or an error that names the place."""

import pathlib
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from encoded import ORIENTATION, encode, turned
from PIL import Image

from fsaf_tf.data import images
from fsaf_tf.detect import predict_files
from fsaf_tf.serving import decode

HEIGHT, WIDTH = 21, 34


def picture(mode: str = "RGB") -> Image.Image:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return Image.fromarray(np.stack([y * 12, x * 7, (x + y) * 4], axis=-1).astype(np.uint8)).convert(mode)


def with_alpha(mode: str = "RGBA") -> Image.Image:
    image = picture(mode)
    image.putalpha(picture("L"))
    return image


def big_endian(data: bytes) -> bytes:
    """The JPEG with an EXIF part in Motorola's byte order, behind a comment, orientation 6."""
    entry = struct.pack(">HHIHH", ORIENTATION, 3, 1, 6, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 2) + struct.pack(">HHII", 0x100, 4, 1, 5) + entry + b"\0" * 4
    parts = [(0xFE, b"a comment"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0"), (0xE1, b"Exif\0\0" + tiff)]
    segments = [struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in parts]
    return data[:2] + b"".join(segments) + data[2:]


def filled(data: bytes) -> bytes:
    """The JPEG with bytes before its first marker, as the format allows."""
    return data[:2] + b"\xff" * 3 + data[2:]


def png(width: int, height: int, before: bytes = b"", content: bytes = b"") -> bytes:
    """A PNG of 8-bit RGB that says what it is told, with a chunk `before` its header."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    first = chunk(b"noNe", before) if before else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + first + header + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """A JPEG with another size in its frame header."""
    data = encode(picture(), "JPEG")
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def webp(width: int, height: int, frame: Image.Image) -> bytes:
    """An extended WebP whose canvas is not its frame's size."""
    content = encode(frame, "WEBP", lossless=True)[12:]
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + canvas + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bare_webp() -> bytes:
    """The frame directly after "WEBP", where libwebp reads it too."""
    body = b"WEBP" + encode(picture(), "WEBP", lossless=True)[20:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def damaged_png() -> bytes:
    return encode(with_alpha(), "PNG")[:-40]


SIXTEEN_BITS = Image.fromarray((np.mgrid[:HEIGHT, :WIDTH].sum(axis=0) * 1000).astype(np.uint16))
GOOD = {
    "jpeg": encode(picture(), "JPEG"),
    "jpeg of many scans": encode(picture(), "JPEG", progressive=True),
    "grey jpeg": encode(picture("L"), "JPEG"),
    "cmyk jpeg": encode(picture("CMYK"), "JPEG"),
    "jpeg with a filled marker before its orientation": filled(turned(picture(), 6, "JPEG")),
    "jpeg of one pixel": encode(picture().resize((1, 1)), "JPEG"),
    "jpeg with another byte order": big_endian(encode(picture(), "JPEG")),
    "png": encode(picture(), "PNG"),
    "grey png": encode(picture("L"), "PNG"),
    "rgba png": encode(with_alpha(), "PNG"),
    "grey png with alpha": encode(with_alpha("L"), "PNG"),
    "palette png": encode(picture("P"), "PNG"),
    "bit png": encode(picture("1"), "PNG"),
    "16-bit png": encode(SIXTEEN_BITS, "PNG"),
    "png of one pixel": encode(picture().resize((1, 1)), "PNG"),
    "webp": encode(picture(), "WEBP"),
    "lossless webp": encode(picture(), "WEBP", lossless=True),
    "webp with alpha": encode(with_alpha(), "WEBP"),
}
for number in range(1, 9):
    for format_name, options in (("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("WEBP", {})):
        GOOD[f"{format_name} {options} {number}"] = turned(picture(), number, format_name, **options)

BAD = {
    "empty": (b"", "is empty"),
    "text": (b"no picture at all", "is no JPEG, PNG or WebP"),
    "zeros": (b"\0" * 1000, "is no JPEG, PNG or WebP"),
    "gif": (encode(picture(), "GIF"), "is a GIF; send JPEG, PNG or WebP"),
    "bmp": (encode(picture(), "BMP"), "is a BMP; send JPEG, PNG or WebP"),
    "tiff": (encode(picture(), "TIFF"), "is no JPEG, PNG or WebP"),
    "animated webp": (
        encode(picture(), "WEBP", save_all=True, append_images=[picture().rotate(180)]),
        "is an animated WebP; send a still picture",
    ),
    "jpeg that ends in its header": (GOOD["jpeg"][:100], "is damaged: its header cannot be read"),
    "cut jpeg": (encode(picture().resize((300, 200)), "JPEG")[:-500], "is damaged: decoding fails"),
    "cut png": (damaged_png(), "is damaged: decoding fails"),
    "cut webp": (GOOD["lossless webp"][:-20], "is damaged: decoding fails"),
    "huge png": (png(60_000, 60_000), "has 60000 x 60000 pixels; at most 50000000 in all are decoded"),
    "png past 2^31": (png(2**31 + 5, 2**31 + 5), "is damaged: its header cannot be read"),
    "huge jpeg": (jpeg(60_000, 60_000), "has 60000 x 60000 pixels"),
    "huge webp": (webp(16_000, 16_000, picture()), "has 16000 x 16000 pixels"),
    "png whose header comes late": (
        png(20_000, 20_000, before=struct.pack(">II", 1, 1) * 2),
        "is no JPEG, PNG or WebP",
    ),
    "webp with a small canvas": (webp(10, 10, picture()), "is damaged: decoding fails"),
    "webp without a chunk": (bare_webp(), "is no JPEG, PNG or WebP"),
}


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def headers(data):
    return decode.read_headers(data)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def last(data):
    """The last of some pictures, decoded."""
    sizes, orientations = decode.read_headers(data)
    place = tf.size(data) - 1
    return decode.decode(data[place], sizes[place], orientations[place], place)


def said(function, *data: bytes) -> str:
    """The line of the error that some pictures give."""
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        function(list(data))
    return str(images.user_error(error.value))


@pytest.mark.parametrize("kind", GOOD)
def test_pixels_are_those_of_the_tools(kind, tmp_path):
    (tmp_path / "picture").write_bytes(GOOD[kind])
    np.testing.assert_array_equal(last([GOOD[kind]]), predict_files.read_image(str(tmp_path / "picture")))


def test_headers():
    sizes, orientations = headers([GOOD["png"], GOOD["JPEG {} 6"], GOOD["jpeg of one pixel"]])
    assert sizes.numpy().tolist() == [[HEIGHT, WIDTH], [HEIGHT, WIDTH], [1, 1]]
    assert orientations.numpy().tolist() == [1, 6, 1]


def test_no_picture():
    sizes, orientations = headers(tf.zeros([0], tf.string))
    assert sizes.shape == (0, 2) and orientations.shape == (0,)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_is_named_by_its_place(kind):
    data, words = BAD[kind]
    assert said(last, GOOD["png"], data).startswith(f"inputs[1] {words}")


def test_every_bad_header_of_a_request_is_named():
    assert said(headers, b"", GOOD["png"], BAD["gif"][0]) == (
        "inputs[0] is empty; inputs[2] is a GIF; send JPEG, PNG or WebP"
    )
    assert said(headers, *[b""] * 12).count("is empty") == 10


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0" + b"\xff" * 40,
        b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 65535),
        b"Exif\0\0II*\0" + struct.pack("<IHHHIHH", 8, 1, ORIENTATION, 3, 1, 9, 0),
        b"Exif\0\0II*\0" + struct.pack("<I", 2**31 - 1),
    ],
    ids=["nothing", "no directory", "a directory past the end", "an orientation of 9", "an offset past the end"],
)
def test_exif_that_says_nothing(exif):
    data = GOOD["jpeg"]
    data = data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(exif) + 2) + exif + data[2:]
    assert headers([data])[1].numpy().tolist() == [1]


def test_a_file_of_many_parts_ends_the_search():
    """A million empty parts would be a million turns of a loop."""
    part = struct.pack(">BBH", 0xFF, 0xFE, 2)
    data = GOOD["JPEG {} 6"]
    assert headers([data[:2] + part * 100 + data[2:]])[1].numpy().tolist() == [6]
    assert headers([data[:2] + part * 2000 + data[2:]])[1].numpy().tolist() == [1]


def example(**features: bytes) -> bytes:
    features = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_examples():
    found = decode.examples_to_data(tf.constant([example(**{"image/encoded": b"data"}), b"\xff", example(a=b"b")]))
    assert found.numpy().tolist() == [b"data", b"", b""]


def test_an_example_that_ends_tensorflows_parser_has_no_picture():
    """In a graph, as it is exported: protobuf's parser refuses it before."""
    file = pathlib.Path(__file__).parent.parent / "data" / "damaged_example.tfrecord"
    [damaged] = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    found = tf.function(decode.examples_to_data)(tf.constant([damaged, example(**{"image/encoded": b"data"})]))
    assert found.numpy().tolist() == [b"", b"data"]
