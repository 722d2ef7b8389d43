"""What came of the pictures of a shard, in a file."""

from collections.abc import Iterator, Sequence

import numpy as np

from fsaf_tf.data import arrays
from fsaf_tf.detect.predict_files import Seen
from fsaf_tf.errors import UserError

_COLUMNS = {"boxes": (np.float32, [0, 4]), "scores": (np.float32, [0]), "classes": (np.int32, [0])}


def write(path: str, rows: Sequence[Seen | UserError], cut_off: int) -> None:
    """Writes it in one piece.

    Args:
        path: of the file.
        rows: of each picture what was seen, or why it cannot be read.
        cut_off: how many have as many detections as are kept.
    """
    good = [row for row in rows if isinstance(row, Seen)]
    columns = {
        name: np.concatenate([np.zeros(shape, kind), *(np.asarray(row.detections[name], kind) for row in good)])
        for name, (kind, shape) in _COLUMNS.items()
    }
    sizes = [[row.height, row.width, len(row.detections["scores"])] for row in good]
    arrays.write(
        path,
        {
            **columns,
            "sizes": np.reshape(np.array(sizes, np.int64), [-1, 3]),
            "unreadable": arrays.of_texts([str(row) if isinstance(row, UserError) else "" for row in rows]),
            "is_read": np.array([isinstance(row, Seen) for row in rows]),
            "undrawn": arrays.of_texts([row.undrawn or "" for row in good]),
            "cut_off": np.int64(cut_off),
        },
    )


def read(path: str) -> tuple[Iterator[Seen | UserError], int]:
    """What `write` was given. Raises a UserError where it is damaged."""
    content = arrays.read(path)

    def rows() -> Iterator[Seen | UserError]:
        good, start = zip(content["sizes"].tolist(), arrays.to_texts(content["undrawn"])), 0
        for problem, is_read in zip(arrays.to_texts(content["unreadable"]), content["is_read"]):
            if not is_read:
                yield UserError(problem)
                continue
            (height, width, count), undrawn = next(good)
            detections = {name: content[name][start : start + count] for name in _COLUMNS}
            start += count
            yield Seen(height, width, detections, undrawn or None)

    return rows(), int(content["cut_off"])
