"""Whether the anchors of a branch fit the boxes of data, by shape alone, both centred; which others would."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fsaf_tf import anchors
from fsaf_tf.data import augment, kept_boxes
from fsaf_tf.data.box_table import BoxTable
from fsaf_tf.data.kept_boxes import Sizing

# Growths of anchors or pictures that are tried: thirds of an octave, as the scales of RetinaNet are apart.
OCTAVES, PER_OCTAVE = 4, 3
MOST_BOXES = 10_000  # that a growth is tried on
WORTH = 0.05  # share of the boxes that a greater change must win
LEAST_WON = 0.1  # share of the boxes that an advice must win


class Fit(NamedTuple):
    """The anchors of a data set's boxes.

    Attributes:
        sides: `[n, 2]` height and width in pixels of the input, of the boxes that are trained on.
        best: `[n]` the IoU of each with the anchor that fits it best.
        branch: the anchors.
        levels: of the pyramid.
    """

    sides: np.ndarray
    best: np.ndarray
    branch: anchors.Anchors
    levels: tuple[int, ...]

    @property
    def is_fit(self) -> np.ndarray:
        """`[n]` bool: an anchor that stood right would learn it."""
        return self.best >= self.branch.matching.positive_iou

    @property
    def share(self) -> float:
        """Of the boxes that have an anchor."""
        return float(self.is_fit.mean())

    def line(self) -> str:
        """The share in words."""
        return f"{self.share:.0%} have an anchor of IoU {self.branch.matching.positive_iou:g} or more"

    def advice(self, sizing: Sizing) -> str:
        """The scales and the size of input at which the anchors fit more boxes; another one where none helps."""
        sides = self.sides[:: max(1, len(self.sides) // MOST_BOXES)]
        steps = OCTAVES * PER_OCTAVE

        def share(growth: float) -> float:
            best = best_iou(sides * growth, self.branch.shapes, self.levels)
            return float(np.mean(best >= self.branch.matching.positive_iou))

        growths = sorted((2 ** (step / PER_OCTAVE) for step in range(-steps, steps + 1)), key=lambda x: abs(np.log(x)))
        shares = {growth: share(growth) for growth in growths}
        advised = []
        growth = _least(shares)
        if growth:
            scales = self._scales(growth, keep=shares[1.0] >= WORTH)
            advised.append(f"task.model.anchor_based.scales=[{scales}] fit {shares[growth]:.0%}")
        larger = _least({growth: share for growth, share in shares.items() if growth >= 1})
        if larger:
            side = round(larger * sizing.shorter_side / augment.MULTIPLE) * augment.MULTIPLE
            advised.append(f"an input of {sizing.at(side)} {shares[larger]:.0%}")
        if advised:
            return ", ".join(advised)
        low, high = np.quantile(sides[:, 0] / sides[:, 1], [0.25, 0.75])
        return f"half of the boxes are {low:.2g} to {high:.2g} times as high as wide: see anchor_based.aspect_ratios"

    def _scales(self, growth: float, keep: bool) -> str:
        """Those that are shorter by a growth; with `keep` those there are, and the ones between, beside them.

        Without the ones there are, larger boxes would move to the coarser map of a higher level: docs/results.md.
        """
        octaves = math.log2(growth)
        steps = round(abs(octaves) * PER_OCTAVE)
        growths = [2 ** (octaves * step / steps) for step in range(0 if keep else steps, steps + 1)]
        rounded = {f"{scale / growth:.2g}" for growth in growths for scale in self.branch.shapes.scales}
        return ",".join(sorted(rounded, key=float))


def _least(shares: dict[float, float]) -> float | None:
    """The growth next to 1 that wins about as much as the best one; None if that is little. The first one is 1."""
    best = max(shares.values())
    if best < shares[1.0] + LEAST_WON:
        return None
    return next(growth for growth, share in shares.items() if share >= best - WORTH)


def fit(table: BoxTable, sizing: Sizing, branch: anchors.Anchors, levels: Sequence[int]) -> Fit:
    """The fit of the boxes that a training at this size learns."""
    sides = kept_boxes.resized_sides(table, sizing)[kept_boxes.trained(table, sizing)]
    return Fit(sides, best_iou(sides, branch.shapes, levels), branch, tuple(levels))


def best_iou(sides: np.ndarray, shapes: anchors.Shapes, levels: Sequence[int]) -> np.ndarray:
    """`[n]`: the IoU of each box of height and width `[n, 2]` with the best anchor of any level on its centre."""
    best, area = np.zeros(len(sides)), np.prod(sides, axis=1)
    for level in levels:
        corners = anchors.anchors(1, 1, level, shapes, location_offset=0.5).numpy()  # [A, 4]
        for anchor in corners[:, 2:] - corners[:, :2]:
            shared = np.prod(np.minimum(sides, anchor), axis=1)
            best = np.maximum(best, shared / (area + np.prod(anchor) - shared))
    return best
