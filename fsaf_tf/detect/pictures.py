"""What every detector takes: a picture, its path, or several of either."""

import itertools
import os
from collections.abc import Iterator
from typing import Any, overload

import numpy as np

from fsaf_tf.data import pixels
from fsaf_tf.errors import UserError
from fsaf_tf.run.checkpoints import Checkpoint

BATCH = 8  # pictures that are held and looked at together

Picture = np.ndarray | str | os.PathLike[str]


class OfPictures:
    """A detector's call; a subclass says what it does with a few pictures in `_detect_all`.

    Attributes:
        class_names: a list of the names of its K classes.
        category_ids: a list of their ids.
        checkpoint: where its variables come from; None of an exported model.
    """

    class_names: list[str]
    category_ids: list[int]
    checkpoint: Checkpoint | None = None

    @overload
    def __call__(self, images: str | os.PathLike[str], **options: Any) -> dict[str, Any]: ...

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...], **options: Any) -> list[dict[str, Any]]: ...

    @overload
    def __call__(self, images: np.ndarray, **options: Any) -> Any: ...  # its shape says whether it is one or several

    def __call__(self, images: Any, **options: Any) -> Any:
        """Detects what is in a picture, or in each of several.

        Args:
            images: `[H, W, 3]` uint8 RGB of any size; the path of a picture file, which is turned as its EXIF
                orientation says; a list or tuple of these; or pictures of one size `[B, H, W, 3]`.
            **options: of a trained detector `resize`: False takes pictures at their own size, not at that of training.

        Returns:
            boxes: `[D, 4]` float32 yxyx in pixels of the picture, D detections by falling score. Of several pictures a
                list of such dicts.
            scores: `[D]` float32, 0 to 1.
            classes: `[D]` int32, of `class_names`.
            names: list of D names.
            levels: `[D]` int32, the pyramid level that each comes from.
            branch: `[D]` int32, 0 anchor-free, 1 anchor-based.

        Raises:
            UserError: a picture of another type or shape; a file that cannot be read.
        """
        if isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4:
            return list(self._of_several(iter(images), options))
        return self._detect_all([read(images)], **options)[0]

    def _of_several(self, images: Iterator[Picture], options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while batch := [read(image) for image in itertools.islice(images, BATCH)]:
            yield from self._detect_all(batch, **options)

    def _detect_all(self, images: list[np.ndarray]) -> list[dict[str, Any]]:
        """The detections of each of at most `BATCH` pictures `[H, W, 3]` uint8."""
        raise NotImplementedError


def read(image: Picture) -> np.ndarray:
    """A picture, from its file if it is a path; a UserError if it is no uint8 RGB picture with pixels."""
    if isinstance(image, (str, os.PathLike)):
        try:
            return pixels.read(image, upright=True)
        except UserError as error:
            raise UserError(f"{os.fspath(image)}: {error}") from error
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"an image must be a path or a uint8 array [height, width, 3], RGB, not {found}")
    if 0 in image.shape:
        raise UserError(f"an image of {image.shape[0]} x {image.shape[1]} pixels shows nothing")
    return image
