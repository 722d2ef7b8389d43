"""The EXIF orientation of an encoded JPEG, PNG or WebP in a graph, by TensorFlow's own ops; see `data.pixels`."""

import tensorflow as tf

MAX_PARTS = 1000  # of a file, that are looked at for an EXIF part
JPEG, PNG, WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"WEBP"
_EXIF = b"Exif\0\0"
_ORIENTATION, _SHORT = 0x112, 3  # a tag of TIFF, and the type of its value


def orientation(data: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a picture, 1 if it says none."""
    is_png, is_webp = starts(data, 0, PNG), starts(data, 8, WEBP)
    start = tf.where(is_png, 8, tf.where(is_webp, 12, 2))
    length = tf.strings.length(data)

    def go_on(part, position, found):
        return (found < 0) & (position >= 0) & (position < length)

    def step(part, position, found):
        head = bytes_at(data, position, 8)
        is_exif, content, end = _part(head, is_png, is_webp)
        has_prefix = starts(data, position + content, _EXIF)
        is_exif &= is_png | is_webp | has_prefix
        content += tf.where(has_prefix, len(_EXIF), 0)
        return part + 1, position + end, tf.where(is_exif, position + content, found)

    state = (0, start, -1)
    _, _, tiff = tf.while_loop(go_on, step, state, parallel_iterations=1, maximum_iterations=MAX_PARTS)
    return tf.cond(tiff < 0, lambda: 1, lambda: _tiff_orientation(data, tiff))


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Applies an EXIF orientation, 1 to 8, to `[h, w, 3]`."""
    image = tf.cond(orientation > 4, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    number = (orientation - 1) % 4  # 0 as it is, 1 left to right, 2 both, 3 upside down
    image = tf.cond(number >= 2, lambda: tf.reverse(image, [0]), lambda: image)
    image = tf.cond((number == 1) | (number == 2), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.ensure_shape(image, [None, None, 3])


def _part(head: tf.Tensor, is_png: tf.Tensor, is_webp: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of a JPEG's segment, a PNG's or a WebP's chunk: may it hold EXIF, and where do its content and the next begin.

    `head` is its first 8 bytes. A next one before this, a negative number, ends the search.
    """
    jpeg_end = tf.where((head[0] == 0xFF) & (head[1] != 0xDA), 2 + number(head[2:4], True), -(2**30))  # DA: the scan
    jpeg_end = tf.where((head[0] == 0xFF) & (head[1] == 0xFF), 1, jpeg_end)  # a marker may be filled up in front
    png_length, webp_length = number(head[:4], True), number(head[4:], False)
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
    head = bytes_at(data, start, 8)
    big = _equal(head[:2], b"MM")
    directory = start + number(head[4:], big)
    count = number(bytes_at(data, directory, 2), big)
    entries = tf.reshape(bytes_at(data, directory + 2, 12 * count), [-1, 12])
    tags, types, values = (number(entries[:, i : i + 2], big) for i in (0, 2, 8))
    found = tf.boolean_mask(values, (tags == _ORIENTATION) & (types == _SHORT) & (values >= 1) & (values <= 8))
    return tf.concat([found, [1]], axis=0)[0]


def _choose(is_png: tf.Tensor, is_webp: tf.Tensor, png, webp, jpeg) -> tf.Tensor:
    return tf.where(is_png, png, tf.where(is_webp, webp, jpeg))


def bytes_at(data: tf.Tensor, position, count) -> tf.Tensor:
    """Some bytes of a string as `[count]` int32, zeros where it has none."""
    length = tf.strings.length(data)
    inside = (position >= 0) & (position <= length)
    piece = tf.strings.substr(data, tf.where(inside, position, length), count)
    found = tf.cast(tf.io.decode_raw(piece, tf.uint8), tf.int32)
    padded = tf.concat([found, tf.zeros([count - tf.size(found)], tf.int32)], axis=0)
    return tf.reshape(padded, [count])


def number(values: tf.Tensor, big_endian) -> tf.Tensor:
    """Bytes `[..., n]` as whole numbers; one past 2^31 becomes negative."""
    values = tf.where(big_endian, tf.reverse(values, [-1]), values)
    return tf.reduce_sum(values * [256**i for i in range(values.shape[-1])], axis=-1)


def _equal(values: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.reduce_all(values == list(magic))


def starts(data: tf.Tensor, position, magic: bytes) -> tf.Tensor:
    """Whether `magic` stands at a position."""
    return _equal(bytes_at(data, position, len(magic)), magic)
