"""Which way up a picture is taken: as it is stored, or as its EXIF orientation says it is meant to be seen.

Boxes belong to one of the two frames, and a file of annotations does not say to which. Where the declared height and
width fit only one of them (a quarter turn), it is that one. Else JSON of people's own is taken upright, as labelling
tools show pictures, and TFDS and TFRecord as stored, as their pipelines read them. A key, `exif_orientation`, decides
otherwise.
"""

import tensorflow as tf

from fsaf_tf.data import images

AUTO, UPRIGHT, STORED = "auto", "upright", "stored"


def turn(orientation: tf.Tensor, stored: tf.Tensor, declared: tf.Tensor, rule: str) -> tf.Tensor:
    """The EXIF orientations to apply.

    Args:
        orientation: `[...]` int32, 1 to 8.
        stored: `[..., 2]` int32, height and width as stored.
        declared: `[..., 2]` int32, as the annotations have them.
        rule: `auto`, `upright` or `stored`.

    Returns:
        `[...]` int32; 1 leaves a picture as it is stored.
    """
    if rule == STORED:
        return tf.ones_like(orientation)
    if rule == UPRIGHT:
        return orientation
    fits_stored, fits_upright = (
        tf.reduce_all(sides == declared, axis=-1) for sides in (stored, seen_size(stored, orientation))
    )
    return tf.where(fits_stored & ~fits_upright, 1, orientation)


def seen_size(stored: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Height and width `[..., 2]` of stored pictures once they are turned."""
    return tf.where(tf.expand_dims(orientation > 4, -1), tf.reverse(stored, [-1]), stored)


def check_declared(example: dict, rule: str) -> dict:
    """Puts `turn` in the place of `declared` and `orientation`, and the turned size into `size`.

    Raises (when the data set runs): a picture whose size is not the declared one.
    """
    declared, stored = example.pop("declared"), example["size"]
    turned = turn(example.pop("orientation"), stored, declared, rule)
    size = seen_size(stored, turned)
    check = images.require(
        tf.reduce_all(size == declared),
        *(example["file_name"], " has height, width "),
        tf.strings.reduce_join(tf.strings.as_string(size), separator=", "),
        " and not as declared",
    )
    with tf.control_dependencies([check]):
        return {**example, "size": tf.identity(size), "turn": turned}


def take(example: dict, *, upright: bool) -> dict:
    """Puts `turn`, the EXIF orientation, in the place of `orientation`, and the turned size into `size`.

    As it is stored, an example has no `turn`.
    """
    orientation = example.pop("orientation")
    return {**example, "size": seen_size(example["size"], orientation), "turn": orientation} if upright else example
