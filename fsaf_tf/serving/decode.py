"""Encoded pictures of strangers, inside an exported graph: what they claim, whether to decode them, and decoding.

Nothing is decoded before its header was read: a PNG of 17 kB can unpack to hundreds of megabytes. A picture's pixels
are those that `predict_files.read_image` gives, EXIF orientation applied; grey, palette, CMYK, alpha and 16-bit
pictures become RGB of 8 bits likewise. All ops are TensorFlow's own.
"""

from collections.abc import Callable

import tensorflow as tf

from fsaf_tf.data import images

# 8160 x 6120, the largest that telephones take in practice. Decoding takes 3 bytes a pixel, 6 when the picture is
# turned, and 6 more in a JPEG of many scans.
MAX_PIXELS = 50_000_000
MAX_PARTS = 1000  # of a file, that are looked at for an EXIF part
FORMATS = "JPEG, PNG or WebP"
EXAMPLE_KEY = "image/encoded"

_JPEG, _PNG, _WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"WEBP"
_EXIF = b"Exif\0\0"
_ORIENTATION, _SHORT = 0x112, 3  # a tag of TIFF, and the type of its value
_LISTED = 10  # bad pictures of one request that are named


def read_headers(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks what pictures claim to be; an error names each bad one by its place, `inputs[2]`.

    Args:
        data: `[B]` strings, encoded pictures.

    Returns:
        Height and width of the stored pictures, `[B, 2]` int32, and their EXIF orientations, `[B]` int32, 1 to 8.
    """
    signature = tf.TensorSpec([3], tf.int32)
    headers = tf.map_fn(_header, data, fn_output_signature=signature)
    problems = tf.map_fn(_problem, (data, headers), fn_output_signature=tf.TensorSpec([], tf.string))
    bad = tf.where(problems != "")[:_LISTED, 0]
    lines = tf.strings.join(["inputs[", tf.strings.as_string(bad), "] ", tf.gather(problems, bad)])
    with tf.control_dependencies([images.require(tf.size(bad) == 0, tf.strings.reduce_join(lines, separator="; "))]):
        return tf.identity(headers[:, :2]), tf.identity(headers[:, 2])


def decode(data: tf.Tensor, size: tf.Tensor, orientation: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """A picture `[h, w, 3]` uint8, RGB, upright; an error names one that is damaged.

    Args:
        data: scalar string.
        size: `[2]` int32, as its header says.
        orientation: its EXIF orientation.
        place: its index in the request.
    """
    image = attempt(data, images.decode, tf.zeros([0, 0, 3], tf.uint8))
    whole = tf.reduce_all(tf.shape(image)[:2] == size)
    message = tf.strings.join(["inputs[", tf.strings.as_string(place), "] is damaged: decoding fails"])
    with tf.control_dependencies([images.require(whole, message)]):
        image = tf.identity(image)
    return turn_upright(image, orientation)


def examples_to_data(examples: tf.Tensor) -> tf.Tensor:
    """The encoded pictures `[B]` of serialized `tf.train.Example`s; an error names those that have none."""
    features = {EXAMPLE_KEY: tf.io.FixedLenFeature([], tf.string, "")}
    nothing = tf.constant("")

    def parse(example):
        return attempt(example, lambda each: tf.io.parse_single_example(each, features)[EXAMPLE_KEY], nothing)

    return tf.map_fn(parse, examples, fn_output_signature=tf.TensorSpec([], tf.string))


def attempt(value: tf.Tensor, function: Callable, otherwise: tf.Tensor) -> tf.Tensor:
    """`function(value)`, or `otherwise` where one of its ops fails.

    Only tf.data goes on after an error inside a graph.
    """
    result = tf.data.Dataset.from_tensors(value).map(function).ignore_errors(log_warning=False)
    return result.concatenate(tf.data.Dataset.from_tensors(otherwise)).take(1).get_single_element()


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Applies an EXIF orientation, 1 to 8, to `[h, w, 3]`."""
    image = tf.cond(orientation > 4, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    number = (orientation - 1) % 4  # 0 as it is, 1 left to right, 2 both, 3 upside down
    image = tf.cond(number >= 2, lambda: tf.reverse(image, [0]), lambda: image)
    image = tf.cond((number == 1) | (number == 2), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.ensure_shape(image, [None, None, 3])


def _header(data: tf.Tensor) -> tf.Tensor:
    """Height, width and orientation `[3]`; zeros if they cannot be read."""

    def read(data):
        return tf.concat([images.header_size(data), [_orientation(data)]], axis=0)

    return attempt(data, read, tf.zeros(3, tf.int32))


def _problem(data_and_header: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """What is wrong with a picture, "" if nothing is."""
    data, header = data_and_header
    height, width = header[0], header[1]
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    size = tf.strings.join([tf.strings.as_string(width), " x ", tf.strings.as_string(height)])
    cases = [
        (tf.strings.length(data) == 0, "is empty"),
        (_starts(data, 0, b"GIF8"), f"is a GIF; send {FORMATS}"),
        (_starts(data, 0, b"BM"), f"is a BMP; send {FORMATS}"),
        (~_is_known(data), f"is no {FORMATS}"),
        (_is_animated(data), "is an animated WebP; send a still picture"),
        ((height < 1) | (width < 1), "is damaged: its header cannot be read"),
        (pixels > MAX_PIXELS, tf.strings.join(["has ", size, f" pixels; at most {MAX_PIXELS} in all are decoded"])),
    ]
    problem = tf.constant("")
    for condition, words in cases[::-1]:
        problem = tf.where(condition, words, problem)
    return problem


def _is_known(data: tf.Tensor) -> tf.Tensor:
    """Whether the header is where `images.header_size` looks for it, and the decoder too.

    libpng takes its size from the first IHDR wherever that is, libwebp from a frame that follows "WEBP" directly.
    """
    png = _starts(data, 0, _PNG) & _starts(data, 12, b"IHDR")
    frame = tf.reduce_any([_starts(data, 12, kind) for kind in (b"VP8 ", b"VP8L", b"VP8X")])
    return _starts(data, 0, _JPEG) | png | (_starts(data, 0, b"RIFF") & _starts(data, 8, _WEBP) & frame)


def _is_animated(data: tf.Tensor) -> tf.Tensor:
    return _starts(data, 8, _WEBP) & _starts(data, 12, b"VP8X") & (_bytes(data, 20, 1)[0] // 2 % 2 == 1)


def _orientation(data: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a picture, 1 if it says none."""
    is_png, is_webp = _starts(data, 0, _PNG), _starts(data, 8, _WEBP)
    start = tf.where(is_png, 8, tf.where(is_webp, 12, 2))
    length = tf.strings.length(data)

    def go_on(part, position, found):
        return (found < 0) & (position >= 0) & (position < length)

    def step(part, position, found):
        head = _bytes(data, position, 8)
        is_exif, content, end = _part(head, is_png, is_webp)
        has_prefix = _starts(data, position + content, _EXIF)
        is_exif &= is_png | is_webp | has_prefix
        content += tf.where(has_prefix, len(_EXIF), 0)
        return part + 1, position + end, tf.where(is_exif, position + content, found)

    state = (0, start, -1)
    _, _, tiff = tf.while_loop(go_on, step, state, parallel_iterations=1, maximum_iterations=MAX_PARTS)
    return tf.cond(tiff < 0, lambda: 1, lambda: _tiff_orientation(data, tiff))


def _part(head: tf.Tensor, is_png: tf.Tensor, is_webp: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of a JPEG's segment, a PNG's or a WebP's chunk: may it hold EXIF, and where do its content and the next begin.

    `head` is its first 8 bytes. A next one before this, a negative number, ends the search.
    """
    jpeg_end = tf.where((head[0] == 0xFF) & (head[1] != 0xDA), 2 + _number(head[2:4], True), -(2**30))  # DA: the scan
    jpeg_end = tf.where((head[0] == 0xFF) & (head[1] == 0xFF), 1, jpeg_end)  # a marker may be filled up in front
    png_length, webp_length = _number(head[:4], True), _number(head[4:], False)
    png_end = tf.where(png_length < 0, -(2**30), 12 + png_length)
    webp_end = tf.where(webp_length < 0, -(2**30), 8 + webp_length + webp_length % 2)
    is_exif = _choose(is_png, is_webp, _equal(head[4:], b"eXIf"), _equal(head[:4], b"EXIF"), head[1] == 0xE1)
    return (
        is_exif,
        _choose(is_png, is_webp, 8, 8, 4),
        _choose(is_png, is_webp, png_end, webp_end, jpeg_end),
    )


def _tiff_orientation(data: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of the TIFF header at `start`, 1 if there is none."""
    head = _bytes(data, start, 8)
    big = _equal(head[:2], b"MM")
    directory = start + _number(head[4:], big)
    count = _number(_bytes(data, directory, 2), big)
    entries = tf.reshape(_bytes(data, directory + 2, 12 * count), [-1, 12])
    tags, types, values = (_number(entries[:, i : i + 2], big) for i in (0, 2, 8))
    found = tf.boolean_mask(values, (tags == _ORIENTATION) & (types == _SHORT) & (values >= 1) & (values <= 8))
    return tf.concat([found, [1]], axis=0)[0]


def _choose(is_png: tf.Tensor, is_webp: tf.Tensor, png, webp, jpeg) -> tf.Tensor:
    return tf.where(is_png, png, tf.where(is_webp, webp, jpeg))


def _bytes(data: tf.Tensor, position, count) -> tf.Tensor:
    """Some bytes of a string as `[count]` int32, zeros where it has none."""
    length = tf.strings.length(data)
    inside = (position >= 0) & (position <= length)
    piece = tf.strings.substr(data, tf.where(inside, position, length), count)
    found = tf.cast(tf.io.decode_raw(piece, tf.uint8), tf.int32)
    padded = tf.concat([found, tf.zeros([count - tf.size(found)], tf.int32)], axis=0)
    return tf.reshape(padded, [count])


def _number(values: tf.Tensor, big_endian) -> tf.Tensor:
    """Bytes `[..., n]` as whole numbers; one past 2^31 becomes negative."""
    values = tf.where(big_endian, tf.reverse(values, [-1]), values)
    return tf.reduce_sum(values * [256**i for i in range(values.shape[-1])], axis=-1)


def _equal(values: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.reduce_all(values == list(magic))


def _starts(data: tf.Tensor, position, magic: bytes) -> tf.Tensor:
    """Whether `magic` stands at a position."""
    return _equal(_bytes(data, position, len(magic)), magic)
