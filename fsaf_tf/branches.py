"""The two branches of Fig. 4 as values: their outputs' names, what they learn and find, and what is worth watching.

A branch has `per_location` rows of outputs at each location: one, or one for each anchor.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import tensorflow as tf

from fsaf_tf import anchors, criterion, losses, pyramid, regions, selection, targets
from fsaf_tf.selection import Step

Outputs = dict[str, dict[str, tf.Tensor]]


class Term(NamedTuple):
    """A scalar of one batch, and what the batch weighs in the mean over several."""

    value: tf.Tensor
    weight: tf.Tensor | float = 1.0


@dataclasses.dataclass(frozen=True)
class AnchorFree:
    """The anchor-free branch (sections 3.1 to 3.3).

    Attributes:
        geometry: of boxes, cells and offsets.
        selection: how an instance gets its level.
        elementwise: its losses.
        loss_weight: lambda, of both (section 3.4).
    """

    name: ClassVar[str] = "anchor_free"
    number: ClassVar[int] = 0  # in detections
    logits: ClassVar[str] = "anchor_free_logits"  # these two are keys of the detector's outputs
    boxes: ClassVar[str] = "anchor_free_offsets"
    per_location: ClassVar[int] = 1
    finds_every_class: ClassVar[bool] = False  # a row is found as its best class alone (section 3.2)

    geometry: pyramid.Geometry
    selection: "selection.Selection"
    elementwise: losses.Elementwise
    loss_weight: float

    def losses(self, outputs: Outputs, instances: regions.Instances, step: Step | None) -> dict[str, tf.Tensor]:
        """What `criterion.anchor_free` returns."""
        maps = outputs[self.logits], outputs[self.boxes]
        return criterion.anchor_free(*maps, instances, self.geometry, self.selection, self.elementwise, step)

    def targets(self, outputs: Outputs, instances: regions.Instances) -> dict[str, tf.Tensor]:
        """What each location would learn: `targets.anchor_free_targets`, and the selected `levels` `[B, N]`."""
        result, logits = self.losses(outputs, instances, None), outputs[self.logits]
        layout = pyramid.Layout.of_maps(logits)
        num_classes = logits[str(layout.levels[0])].shape[-1]
        learnt = targets.anchor_free_targets(instances, result["weights"] > 0, layout, num_classes)
        return learnt | {"levels": result["levels"]}

    def decode(self, offsets: tf.Tensor, rows: tf.Tensor, size: tuple, level: int) -> tf.Tensor:
        """Boxes from outputs (section 3.2, inference).

        Args:
            offsets: `[B, k, 4]` float32, the outputs of some locations of a level.
            rows: `[B, k]` int32, which these are.
            size: height and width of the level's map.
            level: l.

        Returns:
            `[B, k, 4]` yxyx in pixels.
        """
        positions = tf.gather(pyramid.locations(*size, level, self.geometry.location_offset), rows)  # [B, k, 2]
        return regions.decode_offsets(offsets, positions, level, self.geometry.offset_scale)

    def watched(self) -> list[str]:
        """The names in `watch`."""
        return ["dead_offsets", *self.level_names()]

    def level_names(self) -> list[str]:
        """The names in `level_shares`."""
        return [f"level_{level}{kind}" for kind in ("", "_by_size") for level in self.geometry.levels]

    def watch(self, outputs: Outputs, instances: regions.Instances, result: dict[str, tf.Tensor]) -> dict[str, Term]:
        """Whether the selection uses all levels and the ReLU still lets gradients through.

        Args:
            outputs: the detector's.
            instances: the batch's.
            result: of `losses`.

        Returns:
            `dead_offsets`, the share of offsets that the ReLU cuts to zero, and `level_shares`.
        """
        offsets = tf.concat([tf.reshape(maps, [-1]) for maps in outputs[self.boxes].values()], axis=0)
        dead = Term(tf.reduce_mean(tf.cast(offsets <= 0, tf.float32)))
        return {"dead_offsets": dead, **self.level_shares(instances, result)}

    def level_shares(self, instances: regions.Instances, result: dict[str, tf.Tensor]) -> dict[str, Term]:
        """The share of the instances that selects a level, `level_3` .., and that Eq. 3 gives it, `level_3_by_size` ..

        A batch weighs as many instances as it has.
        """
        valid = tf.cast(instances.valid, tf.float32)
        count, levels = tf.reduce_sum(valid), self.geometry.levels
        shares = {}
        for kind, chosen in (("", result["levels"]), ("_by_size", selection.select_heuristic(instances.boxes, levels))):
            for level in levels:
                on_level = tf.reduce_sum(tf.cast(chosen == level, tf.float32) * valid)
                shares[f"level_{level}{kind}"] = Term(tf.math.divide_no_nan(on_level, count), weight=count)
        return shares


@dataclasses.dataclass(frozen=True)
class AnchorBased:
    """RetinaNet's own branch ([22]), see `criterion.anchor_based`.

    Attributes:
        anchors: which there are, and what they learn.
        elementwise: its losses.
    """

    name: ClassVar[str] = "anchor_based"
    number: ClassVar[int] = 1
    logits: ClassVar[str] = "anchor_based_logits"
    boxes: ClassVar[str] = "anchor_based_deltas"
    finds_every_class: ClassVar[bool] = True
    loss_weight: ClassVar[float] = 1.0  # section 3.4: L = L_ab + ...

    anchors: anchors.Anchors
    elementwise: losses.Elementwise

    @property
    def per_location(self) -> int:
        """A."""
        return self.anchors.shapes.per_location

    def losses(self, outputs: Outputs, instances: regions.Instances, step: Step | None) -> dict[str, tf.Tensor]:
        """What `criterion.anchor_based` returns, the same at each step."""
        return criterion.anchor_based(
            outputs[self.logits], outputs[self.boxes], instances, self.anchors, self.elementwise
        )

    def decode(self, deltas: tf.Tensor, rows: tf.Tensor, size: tuple, level: int) -> tf.Tensor:
        """Boxes from the deltas of some anchors of a level; see `AnchorFree.decode`."""
        places = anchors.anchors(*size, level, self.anchors.shapes, self.anchors.location_offset)  # [P * A, 4]
        return anchors.decode(deltas, tf.gather(places, rows))

    def watched(self) -> list[str]:
        """Nothing beside what every branch has."""
        return []

    def watch(self, outputs: Outputs, instances: regions.Instances, result: dict[str, tf.Tensor]) -> dict[str, Term]:
        """See `watched`."""
        return {}


Branch = AnchorFree | AnchorBased
