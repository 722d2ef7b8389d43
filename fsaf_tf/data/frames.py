"""Which way up a picture is taken: as it is stored, or as its EXIF orientation says it is meant to be seen.

Boxes belong to one of the two frames, and a file of annotations does not say to which. Where the declared height and
width fit only one of them (a quarter turn), it is that one. Else JSON of people's own is taken upright, as labelling
tools show pictures, and TFDS and TFRecord as stored, as their pipelines read them. A key, `exif_orientation`, decides
otherwise.
"""

import tensorflow as tf

from fsaf_tf.data import images
from fsaf_tf.data.bad_pictures import BadPictures

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


def check_declared(examples: tf.data.Dataset, rule: str, *, in_graph: bool = False) -> tf.data.Dataset:
    """Adds `turn`, which the header of a picture and its declared `size` say, and `problem`: "" if they fit.

    Args:
        examples: with `image_bytes` and the declared `size`.
        rule: `turn`'s.
        in_graph: see `images.add_headers`.
    """

    def check(example: dict) -> dict:
        declared, stored = example.pop("declared"), example["size"]
        turned = turn(example.pop("orientation"), stored, declared, rule)
        size = seen_size(stored, turned)
        sides = tf.strings.reduce_join(tf.strings.as_string(size), separator=", ")
        differs = tf.strings.join(["has height, width ", sides, " and not as declared"])
        problem = images.first_problem(example, tf.where(tf.reduce_all(size == declared), "", differs))
        return {**example, "size": size, "turn": turned, "problem": problem}

    declared = examples.map(lambda example: {**example, "declared": example["size"]})
    return images.add_headers(declared, in_graph=in_graph).map(check)


def read_declared(rows: tf.data.Dataset, bad: BadPictures, rule: str, *, in_graph: bool = False) -> tf.data.Dataset:
    """Reads the picture files of rows with a `path` and the declared `size`, and leaves out the bad ones.

    With `in_graph` by TensorFlow's ops alone; then a bad one is an error.
    """
    read = images.read_files(rows, may_fail=bad.are_allowed and not in_graph)
    return bad.leave_out(check_declared(read, rule, in_graph=in_graph))


def take(example: dict, *, upright: bool) -> dict:
    """Puts `turn`, the EXIF orientation, in the place of `orientation`, and the turned size into `size`.

    As it is stored, an example has no `turn`. One that it has already, above 0, is what its record says of itself.
    """
    orientation, said = example.pop("orientation"), example.pop("turn", None)
    if said is None and not upright:
        return example
    turned = orientation if upright else tf.ones_like(orientation)
    turned = turned if said is None else tf.where(said > 0, said, turned)
    return {**example, "size": seen_size(example["size"], turned), "turn": turned}
