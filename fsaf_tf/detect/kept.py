"""A detector some of whose detections are kept: of some classes, or from a score on that each class has of its own."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fsaf_tf.errors import UserError

SHOWN = 20  # names of classes, where one is wrong


class Kept:
    """A detector that leaves detections out.

    Attributes:
        category_ids: of the detector.
        classes: of the detector.
        most: at most so many detections of a picture, before some are left out.
        cut_off: how many pictures up to now had so many, and may show more objects.
    """

    def __init__(self, detector: Callable, least: np.ndarray | None = None):
        """Makes one.

        Args:
            detector: from `load_detector`, of whatever kind.
            least: `[K]`, detections of a class that score less are left out; all are kept if it is not given.
        """
        self._detector, self._least, self.cut_off = detector, least, 0
        self.category_ids, self.most = detector.category_ids, detector.most
        self.classes = getattr(detector, "classes", None)  # which only further forms of the detections need

    def __call__(self, image: np.ndarray) -> dict:
        """The detections of one picture that are kept; see `pictures.OfPictures`."""
        detections = self._detector(image)
        self.cut_off += len(detections["scores"]) == self.most
        if self._least is None:
            return detections
        kept = np.flatnonzero(detections["scores"] >= self._least[detections["classes"]])
        return {
            key: [values[place] for place in kept] if isinstance(values, list) else values[kept]
            for key, values in detections.items()
        }


def least_scores(
    names: Sequence[str], wanted: Sequence[str] = (), thresholds: Mapping[str, float] | None = None, other: float = 0.0
) -> np.ndarray | None:
    """From which score on detections of each class are kept, `[K]`; None if all are.

    Args:
        names: of the K classes.
        wanted: the classes that are kept; all if there are none.
        thresholds: by the name of a class.
        other: threshold of a class that has none of its own.

    Raises:
        UserError: a wanted class is none of the detector's, or none of them has a threshold.
    """
    unknown = [name for name in wanted if name not in names]
    if unknown:
        listed = f"{', '.join(names[:SHOWN])}{', ...' * (len(names) > SHOWN)}"
        raise UserError(f"--classes has {unknown[0]!r}; the model has {listed}")
    if thresholds and not set(thresholds) & set(names):
        raise UserError(f"--thresholds is of other classes: {', '.join(list(thresholds)[:SHOWN])}")
    if not (wanted or thresholds):
        return None
    least = [(thresholds or {}).get(name, other if thresholds else 0.0) for name in names]
    return np.array([score if not wanted or name in wanted else np.inf for name, score in zip(names, least)])
