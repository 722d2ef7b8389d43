"""Pictures as the bytes of files."""

import io

from PIL import Image

ORIENTATION = 0x112  # a tag of EXIF


def encode(image: Image.Image, kind: str, **options) -> bytes:
    """An image file of Pillow's format `kind`."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(image: Image.Image, orientation: int, kind: str, **options) -> bytes:
    """The same with an EXIF orientation, 1 to 8; its pixels stay."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(image, kind, exif=exif.tobytes(), **options)
