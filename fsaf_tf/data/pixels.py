"""What an encoded picture's pixels are: the one rule, for whoever reads a picture.

Pillow decides which formats are read, and decodes on the host. `data.images` decodes JPEG, PNG and WebP by TensorFlow,
as an exported graph must, to the same pixels in every bit.

- Of an animation or of several pages the first one.
- Palettes, grey, CMYK and the other colour spaces become RGB; transparency is dropped, what is under it stays.
- Up to 16 bits a channel: the upper 8 of those that the file declares. Numbers of 32 bits declare no white: it is the
  first of 1 (floats alone), 255 and 65,535 that no value exceeds, else the largest value.
- The EXIF orientation (of JPEG, PNG, WebP, TIFF, AVIF, not what XMP says) is known, and applied by who wants it.
"""

import contextlib
import io
import os
import re
import struct
import warnings
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

# A file that is called so is meant as a picture.
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff"),
    ".webp",
)
# A picture is refused by its header when it holds more pixels: a 17 kB PNG can unpack to hundreds of megabytes.
MAX_PIXELS = 2**27
STRIP = 2**22  # pixels of a larger picture that are converted at a time

ORIENTATION = 0x112  # a tag of EXIF and of TIFF
_BITS_PER_SAMPLE = 258  # of TIFF
_WHITES = (1, 255, 65_535)
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_DEEP = ("I", "F")

# Our own limit holds, and odd metadata are no fault. For good, since `catch_warnings` is not for several threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class Header(NamedTuple):
    """What is known of a picture without decoding it.

    Attributes:
        height, width: in pixels, as it is stored.
        orientation: of EXIF, 1 (upright as it is stored) to 8.
        format: Pillow's name for it.
        bits: of a channel.
        pages: more than one in an animation or a TIFF of several pages.
    """

    height: int
    width: int
    orientation: int
    format: str
    bits: int
    pages: int


def read_header(file: str | BinaryIO) -> Header:
    """The header of a picture, a path or an open file.

    Raises:
        UserError: it is none that can be read, or has too many pixels; the message says why, and not which file.
    """
    with _opened(file) as image:
        height, width = image.height, image.width
        orientation = _orientation(image)
        if image.format == "TIFF" and orientation > 4:  # Pillow tells the sides of a TIFF as it is seen
            height, width = width, height
        pages = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # the others are a phone's own use
        return Header(height, width, orientation, image.format, _bits(image), pages)


def read(file: str | os.PathLike[str] | BinaryIO, *, upright: bool) -> np.ndarray:
    """A picture, a path or an open file, as `[h, w, 3]` uint8 RGB.

    Args:
        file: the picture.
        upright: as it is meant to be seen; else as it is stored.

    Raises:
        UserError: see `read_header`; or it is damaged.
    """
    with _opened(file) as image:
        orientation, is_tiff = _orientation(image), image.format == "TIFF"
        pixels = _rgb(image)
    if is_tiff:  # Pillow has turned it
        return pixels if upright else turn(pixels, _inverse(orientation))
    return turn(pixels, orientation) if upright else pixels


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Applies an EXIF orientation, 1 to 8, to `[h, w, 3]`."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    rows, columns = {0: (1, 1), 1: (1, -1), 2: (-1, -1), 3: (-1, 1)}[(orientation - 1) % 4]
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _inverse(orientation: int) -> int:
    """The orientation that undoes this one: 6 and 8 are quarter turns, all others undo themselves."""
    return {6: 8, 8: 6}.get(orientation, orientation)


@contextlib.contextmanager
def _opened(file: str | BinaryIO) -> Iterator[Image.Image]:
    """A picture whose header is good; whatever Pillow raises, also while it decodes, becomes a `UserError`."""
    try:
        with _source(file) as source, Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{image.width * image.height} pixels, more than the {MAX_PIXELS} that are read")
            yield image
    except UserError:
        raise
    except Image.UnidentifiedImageError:
        raise UserError(_no_image(file)) from None
    except Image.DecompressionBombError as error:  # from twice Pillow's own limit on, which is said with the size
        size = re.search(r"\d+", str(error))
        words = f"{size[0]} pixels, more than the {MAX_PIXELS}" if size else f"more than the {MAX_PIXELS} pixels"
        raise UserError(f"{words} that are read") from None
    except OSError as error:  # of the file system, or of Pillow, about what is in the file
        raise UserError(error.strerror or f"damaged: {error}") from error
    except MemoryError:
        raise UserError("too large for the memory") from None
    except Exception as error:  # a damaged file makes Pillow's decoders raise almost anything
        raise UserError(f"damaged: {str(error) or type(error).__name__}") from error


def _source(file: str | BinaryIO) -> contextlib.AbstractContextManager:
    """What Pillow opens: remote storage is not reached by a name."""
    is_local = hasattr(file, "read") or not paths.is_remote(file)
    return contextlib.nullcontext(file) if is_local else paths.open_to_read(file)


def _no_image(file: str | BinaryIO) -> str:
    with contextlib.nullcontext(file) if hasattr(file, "read") else paths.open_to_read(file) as stream:
        stream.seek(0)
        head = stream.read(12)
    if not head:
        return "an empty file"
    is_heic = head[4:8] == b"ftyp" and head[8:12] in _HEIC
    return "HEIC, which is not read: save it as JPEG" if is_heic else "not an image that can be read"


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        value = image.tag_v2.get(ORIENTATION, 1)
    else:
        exif = Image.Exif()
        exif.load(image.info.get("exif") or _late_exif(image))
        value = exif.get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _late_exif(image: Image.Image) -> bytes:
    """The EXIF part of a PNG that has it behind its pixels, which Pillow reads when it decodes."""
    if image.format != "PNG":
        return b""
    stream = image.fp
    place = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return stream.read(length)
            stream.seek(length + 4, io.SEEK_CUR)
        return b""
    finally:
        stream.seek(place)


def _bits(image: Image.Image) -> int:
    """Bits of a channel."""
    if image.format == "TIFF":
        declared = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
        return max(declared) if isinstance(declared, tuple) else declared
    if image.mode in _DEEP:
        return 32
    raw_mode = str(image.tile[0][3]) if image.format == "PNG" and image.tile else image.mode
    return 16 if ";16" in raw_mode else 1 if image.mode == "1" else 8


def _rgb(image: Image.Image) -> np.ndarray:
    """The pixels of an opened picture."""
    if image.mode.startswith("I;16"):
        depth = min(_bits(image), 16) if image.format == "TIFF" else 16
        image = Image.fromarray((np.asarray(image, np.uint16) >> max(depth - 8, 0)).clip(0, 255).astype(np.uint8))
    elif image.mode in _DEEP:
        # Pillow gives a PNM of 16 bits as 32, with white at 65,535.
        image = Image.fromarray(_eight_bits(np.asarray(image), _WHITES[-1] if image.format == "PPM" else None))
    elif image.mode == "LAB":
        image = ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    elif image.mode in ("RGBa", "La"):  # colours times their opacity
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    return _by_strips(image)


def _by_strips(image: Image.Image) -> np.ndarray:
    """A picture as RGB, some rows at a time: Pillow makes four copies of what it converts and hands over."""
    rows = max(STRIP // image.width, 1)
    if image.height <= rows:
        return np.array(image.convert("RGB"))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _eight_bits(values: np.ndarray, white: float | None) -> np.ndarray:
    """Numbers of 32 bits, whole or not, as shares of white; what is no number or under 0 is black."""
    is_whole = np.issubdtype(values.dtype, np.integer)
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(0)
    largest = values.max(initial=0.0)
    whites = _WHITES[1:] if is_whole else _WHITES
    white = white or next((white for white in whites if largest <= white), largest)
    return np.rint(values / white * 255).astype(np.uint8)
