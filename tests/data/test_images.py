"""Encoded images: sizes from headers, formats, and errors that name the file."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from encoded import encode
from PIL import Image

from fsaf_tf.data import images
from fsaf_tf.data.bad_pictures import NONE_ALLOWED
from fsaf_tf.errors import UserError

HEIGHT, WIDTH = 20, 30


def picture(mode: str = "RGB") -> Image.Image:
    ramp = np.add.outer(np.arange(HEIGHT) * 8, np.arange(WIDTH) * 3).astype(np.uint8)
    return Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1)).convert(mode)


def transparent() -> Image.Image:
    image = picture("RGBA")
    image.putalpha(picture("L"))
    return image


def decode(examples: tf.data.Dataset, *at_once: int) -> tf.data.Dataset:
    return NONE_ALLOWED.leave_out(images.decode_examples(images.add_headers(examples), *at_once))


def outcomes(files: dict[str, bytes]) -> dict:
    """The decoded example of each file, or its error: one pipeline goes on past failed checks."""
    examples = tf.data.Dataset.from_tensor_slices({"image_bytes": list(files.values()), "file_name": list(files)})
    decoded, results = iter(decode(examples)), {}
    for name in files:
        try:
            results[name] = next(decoded)
            assert results[name]["file_name"].numpy().decode() == name
        except tf.errors.InvalidArgumentError as error:
            results[name] = images.user_error(error) or error
    return results


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 20000 x 20000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + b"\0\0\0\x40IDAT" + bytes(64)


SIXTEEN_BITS = Image.fromarray(np.full((HEIGHT, WIDTH), 40_000, np.uint16))
FORMATS = {
    "jpeg": encode(picture(), "JPEG"),
    "grey jpeg": encode(picture("L"), "JPEG"),
    "cmyk jpeg": encode(picture("CMYK"), "JPEG"),
    "png": encode(picture(), "PNG"),
    "rgba png": encode(picture("RGBA"), "PNG"),
    "palette png": encode(picture("P"), "PNG"),
    "bit png": encode(picture("1"), "PNG"),
    "16-bit png": encode(SIXTEEN_BITS, "PNG"),
    "gif": encode(picture(), "GIF"),
    "animated gif": encode(picture(), "GIF", save_all=True, append_images=[picture().rotate(180)]),
    "bmp": encode(picture(), "BMP"),
    "webp": encode(picture(), "WEBP"),
    "lossless webp": encode(picture(), "WEBP", lossless=True),
    "transparent webp": encode(transparent(), "WEBP", lossless=True),
    "extended webp": encode(picture("RGBA"), "WEBP", exif=b"Exif\0\0"),
}


NO_IMAGES = {
    "empty": b"",
    "short": b"\x89PNG",
    "text": b"not an image at all, but long enough for a header",
    "jpeg that ends in its header": FORMATS["jpeg"][:100],
    'Bäume/it\'s [1] "x".jpg': b"",
}
DAMAGED = {
    "cut jpeg": encode(picture().resize((300, 200)), "JPEG")[:-500],
    "cut png": FORMATS["png"][:-60],
}


@pytest.fixture(scope="module")
def results():
    return outcomes({**FORMATS, **NO_IMAGES, **DAMAGED, "bomb": bomb()})


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_its_size_and_three_channels(results, kind):
    example = results[kind]
    assert example["size"].numpy().tolist() == [HEIGHT, WIDTH]
    assert example["image"].shape == (HEIGHT, WIDTH, 3) and example["image"].dtype == tf.uint8
    assert "image_bytes" not in example


def test_pixels_are_those_of_the_file(results):
    assert np.array_equal(results["png"]["image"], np.asarray(picture()))
    assert results["16-bit png"]["image"].numpy().max() == 40_000 // 256


@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_has_the_pixels_that_pillow_gives(subsampling):
    noise = np.random.default_rng(0).integers(0, 256, [61, 83, 3], np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", quality=80, subsampling=subsampling)
    np.testing.assert_array_equal(images.decode(tf.constant(data)), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("kind", [*NO_IMAGES, *DAMAGED])
def test_what_cannot_be_read_is_an_error_that_names_the_file(results, kind):
    assert isinstance(results[kind], UserError)
    assert str(results[kind]).startswith(f"{kind} cannot be read: ")


def test_huge_image_is_refused_by_its_header(results):
    assert str(results["bomb"]) == "bomb cannot be read: 400000000 pixels, more than the 134217728 that are read"


def test_order_is_kept_when_decoding_in_parallel():
    data = [encode(picture().resize((8 + i, 8)), "PNG") for i in range(40)]
    examples = tf.data.Dataset.from_tensor_slices({"image_bytes": data, "file_name": [str(i) for i in range(40)]})
    decoded = decode(examples.repeat(2))
    assert [example["image"].shape[1] for example in decoded] == 2 * [8 + i for i in range(40)]


def test_other_errors_are_not_taken_for_ours():
    assert images.user_error(tf.errors.InvalidArgumentError(None, None, "assertion failed: [x]")) is None


def test_as_many_are_decoded_at_a_time_as_fit_the_memory(monkeypatch):
    small, large = [480, 640], [10_000, 10_000]
    assert images.fitting_at_once(np.array([small] * 100)) == images.AT_ONCE
    assert images.fitting_at_once(np.array([small] * 100 + [large])) == images.AT_ONCE
    assert images.fitting_at_once(np.array([small] * 100 + [large] * 8)) == 1
    assert images.fitting_at_once(np.array([[3000, 4000]] * 100)) == 14
    assert images.fitting_at_once(np.array([[20_000, 20_000]])) == 1
    monkeypatch.setattr(images, "MEMORY", 3 * images.BYTES_OF_PIXEL * HEIGHT * WIDTH)
    assert images.fitting_at_once(np.array([[HEIGHT, WIDTH]] * 9)) == 3


@pytest.mark.parametrize("at_once", [1, 3])
def test_fewer_at_a_time_are_the_same_in_the_same_order(at_once):
    data = [encode(picture().resize((8 + i, 8)), "PNG") for i in range(9)]
    examples = tf.data.Dataset.from_tensor_slices({"image_bytes": data, "file_name": [str(i) for i in range(9)]})
    decoded = decode(examples, at_once)
    assert [example["image"].shape[1] for example in decoded] == [8 + i for i in range(9)]
