"""One rule of what a file's pixels are: a grid of formats and of all who read pictures, equal in every bit."""

import functools
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from encoded import encode, turned
from PIL import Image, ImageCms

from fsaf_tf.data import frames, images, pixels
from fsaf_tf.detect import predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.serving import decode

HEIGHT, WIDTH = 20, 31


def _colours() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ramps = np.stack([y * 12, x * 8, (x + y) * 5], axis=-1)
    return np.clip(ramps + np.random.default_rng(0).integers(-9, 9, ramps.shape), 0, 255).astype(np.uint8)


COLOURS = _colours()
GREY = np.repeat(COLOURS[..., 1:2], 3, axis=-1)
PICTURE, DEEP = Image.fromarray(COLOURS), COLOURS[..., 1].astype(np.uint16) * 256 + 77


def mode(name: str) -> Image.Image:
    return PICTURE.convert(name)


def seen_through(name: str) -> Image.Image:
    image = mode(name)
    image.putalpha(mode("L"))
    return image


def png(depth: int, kind: int, values: np.ndarray, **chunks: bytes) -> bytes:
    """A PNG of rows of packed values, with further chunks before its pixels, and of those named `after_` behind."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, kind, 0, 0, 0))
    before = [chunk(name.encode(), content) for name, content in chunks.items() if not name.startswith("after_")]
    after = [chunk(name[6:].encode(), content) for name, content in chunks.items() if name.startswith("after_")]
    parts = [header, *before, chunk(b"IDAT", zlib.compress(rows)), *after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def packed(bits: int) -> np.ndarray:
    """A grey picture's upper bits, packed row by row."""
    places = np.arange(7, 7 - bits, -1)
    return np.packbits((COLOURS[..., 1, None] >> places & 1).reshape(HEIGHT, -1), axis=1)


def tiff(values: np.ndarray, **options) -> bytes:
    return encode(Image.fromarray(values), "TIFF", **options)


def of_pillow(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


SIXTEEN = np.stack([DEEP] * 4, axis=-1).astype(">u2")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TURNED = Image.fromarray(np.ascontiguousarray(COLOURS[::-1, ::-1]))

# Those that lose nothing, with the pixels that they were made of.
EXACT = {
    "png": (encode(PICTURE, "PNG"), COLOURS),
    "png, grey": (encode(mode("L"), "PNG"), np.array(mode("L").convert("RGB"))),
    "png, bits": (encode(mode("1"), "PNG"), np.array(mode("1").convert("RGB"))),
    "png, transparent": (encode(seen_through("RGBA"), "PNG"), COLOURS),
    "png, grey and transparent": (encode(seen_through("LA"), "PNG"), np.array(mode("L").convert("RGB"))),
    "png, one colour transparent": (encode(PICTURE, "PNG", transparency=tuple(map(int, COLOURS[3, 4]))), COLOURS),
    "png, palette": (encode(mode("P"), "PNG"), np.array(mode("P").convert("RGB"))),
    "png, palette and transparent": (encode(mode("P"), "PNG", transparency=3), np.array(mode("P").convert("RGB"))),
    "png, 4 colours": (encode(PICTURE.quantize(4), "PNG", bits=2), np.array(PICTURE.quantize(4).convert("RGB"))),
    "png, 2 bits": (png(2, 0, packed(2)), GREY // 64 * 85),
    "png, 4 bits": (png(4, 0, packed(4)), GREY // 16 * 17),
    "png, 16 bits": (encode(Image.fromarray(DEEP), "PNG"), GREY),
    "png, 16 bits, colours": (png(16, 2, SIXTEEN[..., :3]), GREY),
    "png, 16 bits, transparent": (png(16, 6, SIXTEEN), GREY),
    "png, 16 bits, grey and transparent": (png(16, 4, SIXTEEN[..., :2]), GREY),
    "png, gamma": (png(8, 2, COLOURS, gAMA=struct.pack(">I", 100_000)), COLOURS),
    "png, profile": (encode(PICTURE, "PNG", icc_profile=PROFILE), COLOURS),
    "png, animated": (encode(PICTURE, "PNG", save_all=True, append_images=[TURNED]), COLOURS),
    "webp": (encode(PICTURE, "WEBP", lossless=True), COLOURS),
    "webp, transparent": (encode(seen_through("RGBA"), "WEBP", lossless=True, exact=True), COLOURS),
    "webp, animated": (encode(PICTURE, "WEBP", save_all=True, append_images=[TURNED], lossless=True), COLOURS),
    "bmp": (encode(PICTURE, "BMP"), COLOURS),
    "bmp, 32 bits": (encode(mode("RGBA"), "BMP"), COLOURS),
    "bmp, grey": (encode(mode("L"), "BMP"), np.array(mode("L").convert("RGB"))),
    "bmp, palette": (encode(mode("P"), "BMP"), np.array(mode("P").convert("RGB"))),
    "bmp, bits": (encode(mode("1"), "BMP"), np.array(mode("1").convert("RGB"))),
    "gif": (encode(mode("P"), "GIF"), np.array(mode("P").convert("RGB"))),
    "gif, transparent": (encode(mode("P"), "GIF", transparency=3), np.array(mode("P").convert("RGB"))),
    "gif, animated": (
        encode(mode("P"), "GIF", save_all=True, append_images=[TURNED.convert("P")]),
        np.array(mode("P").convert("RGB")),
    ),
    "tiff": (encode(PICTURE, "TIFF"), COLOURS),
    "tiff, packed": (encode(PICTURE, "TIFF", compression="tiff_lzw"), COLOURS),
    "tiff, transparent": (encode(seen_through("RGBA"), "TIFF"), COLOURS),
    "tiff, palette": (encode(mode("P"), "TIFF"), np.array(mode("P").convert("RGB"))),
    "tiff, bits": (encode(mode("1"), "TIFF"), np.array(mode("1").convert("RGB"))),
    "tiff, pages": (encode(PICTURE, "TIFF", save_all=True, append_images=[TURNED]), COLOURS),
    "tiff, 16 bits": (tiff(DEEP), GREY),
    "tiff, 32 bits, small": (tiff(COLOURS[..., 1].astype(np.int32)), GREY),
    "tiff, 32 bits, as of 16": (tiff(COLOURS[..., 1].astype(np.int32) * 257), GREY),
    "tiff, 32 bits": (tiff(COLOURS[..., 1].astype(np.int32) * 1_000_000), None),
    "tiff, shares": (tiff((COLOURS[..., 1] / 255).astype(np.float32)), GREY),
    "tiff, floats": (tiff(COLOURS[..., 1].astype(np.float32)), GREY),
    "tiff, not a number": (tiff(np.where(COLOURS[..., 1] > 99, np.nan, 0.5).astype(np.float32)), None),
    "ppm": (encode(PICTURE, "PPM"), COLOURS),
    "pgm": (encode(mode("L"), "PPM"), np.array(mode("L").convert("RGB"))),
    "pgm, 16 bits and dark": (f"P5 {WIDTH} {HEIGHT} 65535\n".encode() + (DEEP // 256).astype(">u2").tobytes(), None),
    "tga": (encode(PICTURE, "TGA"), COLOURS),
    "pcx": (encode(PICTURE, "PCX"), COLOURS),
    "jpeg 2000": (encode(PICTURE, "JPEG2000"), COLOURS),
    "qoi": (encode(PICTURE, "QOI"), COLOURS),
}
LOSSY = {
    "jpeg": encode(PICTURE, "JPEG"),
    "jpeg, full colour": encode(PICTURE, "JPEG", quality=95, subsampling=0),
    "jpeg, 4:2:2": encode(PICTURE, "JPEG", subsampling=1),
    "jpeg, grey": encode(mode("L"), "JPEG"),
    "jpeg, cmyk": encode(mode("CMYK"), "JPEG"),
    "jpeg, rgb": encode(PICTURE, "JPEG", keep_rgb=True),
    "jpeg, progressive": encode(PICTURE, "JPEG", progressive=True),
    "jpeg, restarts": encode(PICTURE, "JPEG", restart_marker_rows=1),
    "jpeg, two pictures": encode(PICTURE, "MPO", save_all=True, append_images=[TURNED]),
    "webp, lossy": encode(PICTURE, "WEBP"),
    "webp, lossy and transparent": encode(seen_through("RGBA"), "WEBP"),
    "tiff, jpeg": encode(PICTURE, "TIFF", compression="jpeg"),
    "tiff, cmyk": encode(mode("CMYK"), "TIFF"),
    "avif": encode(PICTURE, "AVIF"),
    "avif, transparent": encode(seen_through("RGBA"), "AVIF"),
}
EXIF = {f"{kind} {number}": turned(PICTURE, number, kind) for kind in ("PNG", "TIFF") for number in range(1, 9)}
EXIF |= {f"{kind} {number}": turned(PICTURE, number, kind) for kind in ("JPEG", "WEBP", "AVIF") for number in (3, 6)}
EXIF["PNG 6, behind the pixels"] = png(
    8, 2, COLOURS, after_eXIf=b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\3\0\0\0\1\0\6" + b"\0" * 6
)
GRID = {**{kind: data for kind, (data, _) in EXACT.items()}, **LOSSY, **EXIF}
SERVED = [kind for kind in GRID if kind.split(",")[0].split()[0].lower() in ("jpeg", "png", "webp")]
SERVED = [kind for kind in SERVED if kind not in ("jpeg 2000", "webp, animated")]

served = tf.function(
    lambda data: decode.decode(data[0], *(part[0] for part in decode.read_headers(data)), 0),
    input_signature=[tf.TensorSpec([1], tf.string)],
)


@pytest.fixture(scope="module")
def in_pipelines():
    """Each picture as training and evaluation, analysis and figures have it: as it is stored, and upright."""
    data = tf.data.Dataset.from_tensor_slices({"image_bytes": list(GRID.values()), "file_name": list(GRID)})
    takes = (functools.partial(frames.take, upright=upright) for upright in (False, True))
    both = (images.decode_examples(images.add_headers(data).map(take)) for take in takes)
    return dict(zip(GRID, zip(*(list(examples) for examples in both))))


@pytest.mark.parametrize("kind", GRID)
def test_all_who_read_a_picture_see_the_same(in_pipelines, kind, tmp_path):
    (tmp_path / "picture").write_bytes(GRID[kind])
    stored, upright = (pixels.read(io.BytesIO(GRID[kind]), upright=upright) for upright in (False, True))
    header = pixels.read_header(str(tmp_path / "picture"))
    assert (header.height, header.width) == stored.shape[:2] == (HEIGHT, WIDTH)
    for example, expected in zip(in_pipelines[kind], (stored, upright)):
        assert example["size"].numpy().tolist() == list(expected.shape[:2])
        np.testing.assert_array_equal(example["image"], expected)
    np.testing.assert_array_equal(predict_files.read_image(str(tmp_path / "picture")), upright)
    if kind in SERVED:
        np.testing.assert_array_equal(served([GRID[kind]]), upright)


@pytest.mark.parametrize("strip", [1, 5 * WIDTH])
def test_a_huge_picture_is_converted_by_strips_to_the_same(strip, monkeypatch):
    whole = {kind: pixels.read(io.BytesIO(data), upright=True) for kind, data in GRID.items()}
    monkeypatch.setattr(pixels, "STRIP", strip)
    for kind, data in GRID.items():
        np.testing.assert_array_equal(pixels.read(io.BytesIO(data), upright=True), whole[kind], err_msg=kind)


@pytest.mark.parametrize("kind", [kind for kind, (_, expected) in EXACT.items() if expected is not None])
def test_what_loses_nothing_has_the_pixels_it_was_made_of(kind):
    data, expected = EXACT[kind]
    np.testing.assert_array_equal(pixels.read(io.BytesIO(data), upright=True), expected)


@pytest.mark.parametrize("kind", LOSSY)
def test_what_loses_something_has_the_pixels_of_pillow(kind):
    np.testing.assert_array_equal(pixels.read(io.BytesIO(LOSSY[kind]), upright=True), of_pillow(LOSSY[kind]))


def test_numbers_of_32_bits_are_shares_of_the_largest_where_no_other_white_fits():
    def read(kind):
        return pixels.read(io.BytesIO(EXACT[kind][0]), upright=True)

    expected = np.rint(GREY / GREY.max() * 255)
    np.testing.assert_array_equal(read("tiff, 32 bits"), expected)
    np.testing.assert_array_equal(read("tiff, not a number"), np.where(GREY > 99, 0, 128))
    assert read("pgm, 16 bits and dark").max() == 1  # of 65,535, although no value is above 255


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_picture_is_turned_as_its_exif_says(kind, number):
    """By NumPy's turns, in the words of the EXIF standard: where row 0 and column 0 are to be seen."""
    seen = {
        1: COLOURS,  # top, left
        2: COLOURS[:, ::-1],  # top, right
        3: np.rot90(COLOURS, 2),  # bottom, right
        4: COLOURS[::-1],  # bottom, left
        5: COLOURS.swapaxes(0, 1),  # left, top
        6: np.rot90(COLOURS, -1),  # right, top
        7: np.rot90(COLOURS, 2).swapaxes(0, 1),  # right, bottom
        8: np.rot90(COLOURS),  # left, bottom
    }
    stream = io.BytesIO(EXIF[f"{kind} {number}"])
    np.testing.assert_array_equal(pixels.read(stream, upright=True), seen[number])
    np.testing.assert_array_equal(pixels.read(stream, upright=False), COLOURS)
    assert pixels.read_header(stream).orientation == number


def test_headers_tell_bits_pages_and_format():
    facts = {kind: pixels.read_header(io.BytesIO(GRID[kind]))[3:] for kind in GRID}
    assert facts["png, 16 bits, colours"] == ("PNG", 16, 1) and facts["png"] == ("PNG", 8, 1)
    assert facts["tiff, pages"] == ("TIFF", 8, 2) and facts["tiff, shares"] == ("TIFF", 32, 1)
    assert facts["gif, animated"][2] == 2 and facts["jpeg, two pictures"] == ("MPO", 8, 1)


def claiming(side: int) -> bytes:
    """A PNG whose header says it has other sides."""
    data = EXACT["png"][0]
    header = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


REFUSED = {
    "an empty file": (b"", "an empty file"),
    "text": (b"no picture, but long enough to be one", "not an image that can be read"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 99, "HEIC, which is not read: save it as JPEG"),
    "cut": (EXACT["png"][0][:-60], "damaged: "),
    "bomb": (claiming(12_000), "144000000 pixels, more than the 134217728 that are read"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_one_line(kind, tmp_path):
    data, words = REFUSED[kind]
    (tmp_path / "picture").write_bytes(data)
    for file in (io.BytesIO(data), tmp_path / "picture"):
        with pytest.raises(UserError) as error:
            pixels.read(file, upright=True)
        assert str(error.value).startswith(words) and "\n" not in str(error.value)
