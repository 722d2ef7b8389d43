"""What a reader is asked for."""

from typing import NamedTuple

from fsaf_tf.data.readers.pictures import Pictures


class Request(NamedTuple):
    """Attributes:
    file: the path that was given: a file or a folder.
    split: `train`, `val` or `test`, of a file that has several; empty where nobody said which.
    pictures: those that the annotations are of.
    """

    file: str
    split: str
    pictures: Pictures
