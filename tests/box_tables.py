"""Tables of boxes, for the tests of what counts them."""

import numpy as np

from fsaf_tf.data.box_table import BoxTable


def of_boxes(boxes: list[tuple], sizes=((100, 100),), classes=None, images=None, crowd=None) -> BoxTable:
    """The table of boxes x, y, w, h.

    Args:
        boxes: n of them.
        sizes: height and width of the pictures.
        classes: of the boxes, the first one if not given.
        images: of the boxes, the first one if not given.
        crowd: of the boxes, none if not given.
    """
    given = np.reshape(np.array(boxes, np.float64), [-1, 4])
    nothing, sizes = np.zeros(len(given)), np.array(sizes, np.int32)
    images = np.array(nothing if images is None else images, np.int64)
    corners = np.concatenate([given[:, 1::-1], (given[:, :2] + given[:, 2:])[:, ::-1]], axis=1)
    return BoxTable(
        file_names=[f"{number}.png" for number in range(len(sizes))],
        sizes=sizes,
        image_index=images,
        boxes_yxyx=np.clip(corners, 0, np.tile(sizes, 2)[images]).astype(np.float32),
        given_xywh=given,
        class_indices=np.array(nothing if classes is None else classes, np.int32),
        crowd=np.array(nothing if crowd is None else crowd, bool),
        ignored=nothing.astype(bool),
        duplicate=nothing.astype(bool),
    )
