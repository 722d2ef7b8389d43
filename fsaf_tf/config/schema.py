"""The typed experiment: every constant of the paper is a default here, with its section.

One experiment, `fsaf`, is registered with the Garden's factory. A file in `experiments/` holds only what differs.
"""

import dataclasses
from typing import Any

from official.core import config_definitions, exp_factory
from official.modeling import hyperparams

from fsaf_tf import anchors, branches, losses
from fsaf_tf.config.backbone_keys import Backbone
from fsaf_tf.config.data_sources import Data as Data
from fsaf_tf.config.data_sources import TrainData, ValidationData
from fsaf_tf.config.fields import above_zero, chosen, limited
from fsaf_tf.config.schedule import Trainer
from fsaf_tf.postprocess import FUSIONS, Decoding, Suppression
from fsaf_tf.pyramid import BACKBONE_TOP, Geometry, levels
from fsaf_tf.selection import RULES, WARMUPS, Selection


@dataclasses.dataclass
class FPN(hyperparams.Config):
    """The feature pyramid, P3 to P7 (section 3.1; [22]).

    Attributes:
        channels: of every level, whichever `pyramid` there is.
        relu_before_p7: of the FPN alone; off in mmdetection's weights.
    """

    channels: int = limited(256, 1)
    relu_before_p7: bool = True


@dataclasses.dataclass
class Heads(hyperparams.Config):
    """The two subnets of Fig. 4, shared by the levels and by both branches: `convs` 3x3 layers of `channels`.

    Attributes:
        convs: layers before the outputs.
        channels: of each of these layers.
        batch_norm: normalise after each of them, each level by its own statistics. The paper does not; short
            trainings from random values gain much by it (docs/recipes.md).
    """

    convs: int = limited(4, 0)
    channels: int = limited(256, 1)
    batch_norm: bool = False


@dataclasses.dataclass
class AnchorFree(hyperparams.Config):
    """The anchor-free branch (sections 3.1 to 3.3).

    Attributes:
        enabled: build the branch.
        selection: how a training instance gets its level: `online` (Eq. 1 and 2), `heuristic` (Eq. 3), or `soft`: the
            levels with the least losses share it, see docs/selection.md.
        soft_levels: of `soft`: so many levels share an instance.
        soft_temperature: of `soft`: the losses are divided by it, so that near 0 the least one has it all.
        selection_warmup: the rule at the start: `heuristic` (Eq. 3), or `random`, a level drawn anew for each instance
            in each step.
        selection_warmup_share: of `trainer.train_steps` that have it; 0 has none, as in the paper.
        effective: epsilon_e, the effective box's share of an instance's sides (section 3.2).
        ignoring: epsilon_i, the ignoring box's share (section 3.2).
        offset_scale: S, offsets are in units of `S * 2^l` pixels (section 3.2).
        loss_weight: lambda, the weight of both its losses (section 3.4).
    """

    enabled: bool = True
    selection: str = chosen("online", RULES)
    soft_levels: int = limited(3, 1)
    soft_temperature: float = limited(1.0, 1e-3)
    selection_warmup: str = chosen("heuristic", WARMUPS)
    selection_warmup_share: float = limited(0.0, 0, 1)
    effective: float = limited(0.2, 0, 1)
    ignoring: float = limited(0.5, 0, 1)
    offset_scale: float = limited(4.0, 1e-3)
    loss_weight: float = limited(0.5, 0)


@dataclasses.dataclass
class AnchorBased(hyperparams.Config):
    """RetinaNet's own branch ([22]; the paper keeps it "as original").

    Attributes:
        enabled: build the branch.
        scales: anchor sizes of a level, in units of `4 * 2^l` pixels.
        aspect_ratios: height over width.
        positive_iou: an anchor is positive from this IoU on.
        negative_iou: an anchor is background under this IoU; in between it is ignored.
        box_loss_beta: where smooth L1 turns from quadratic to linear.
    """

    enabled: bool = False
    scales: list[float] = above_zero(lambda: [2 ** (i / 3) for i in range(3)], least_count=1)
    aspect_ratios: list[float] = above_zero(lambda: [0.5, 1.0, 2.0], least_count=1)
    positive_iou: float = limited(0.5, 0, 1)
    negative_iou: float = limited(0.4, 0, 1)
    box_loss_beta: float = limited(1 / 9, 1e-6)

    def shapes(self) -> anchors.Shapes:
        """The anchors of a location."""
        return anchors.Shapes(tuple(self.scales), tuple(self.aspect_ratios))


@dataclasses.dataclass
class Postprocess(hyperparams.Config):
    """From outputs to detections (sections 3.2 and 3.4).

    Attributes:
        score_threshold: a candidate's score is above this.
        max_per_level: at most so many candidates of a level of a branch.
        nms_iou: a box that overlaps a better one of its class by more than this is dropped.
        max_detections: at most so many detections of an image.
        multi_label: every class of an anchor-free location is a candidate, as in mmdetection; if not, only its best
            one, as in the paper. An anchor gives one for each class in any case.
        fusion: what a detection of two branches is made of: `best` is the best of the candidates that the suppression
            takes for one object, as in the paper; `mean` the mean of both branches' best ones among them, boxes
            weighted by their scores. What one branch alone has found gets half of its score.
    """

    score_threshold: float = limited(0.05, 0, 1)
    max_per_level: int = limited(1000, 1)
    nms_iou: float = limited(0.5, 0, 1)
    max_detections: int = limited(100, 1)
    multi_label: bool = False
    fusion: str = chosen("best", FUSIONS)

    def suppression(self) -> Suppression:
        """Which candidates are detections."""
        return Suppression(self.score_threshold, self.nms_iou, self.max_detections, self.fusion)


@dataclasses.dataclass
class Model(hyperparams.Config):
    """The detector.

    Attributes:
        num_classes: 0 takes the number from the training data's annotations.
        min_level: the lowest level of the pyramid, 3 in the paper: strides are 2 to the power of the level.
        max_level: the highest one, 7 in the paper.
        location_offset: where cell (i, j) of level l stands: `((i + offset) * 2^l, (j + offset) * 2^l)`.
        pyramid: what makes the levels out of the backbone's maps: the FPN of RetinaNet, or another detector's that the
            module plugs into (section 3): `ssd`, `dssd`, `nas_fpn`; see docs/hosts.md.
    """

    num_classes: int = limited(0, 0)
    min_level: int = limited(3, 2, BACKBONE_TOP)
    max_level: int = limited(7, BACKBONE_TOP)
    location_offset: float = limited(0.5, 0, 1)
    backbone: Backbone = dataclasses.field(default_factory=Backbone)
    pyramid: str = chosen("fpn", ("fpn", "ssd", "dssd", "nas_fpn"))
    fpn: FPN = dataclasses.field(default_factory=FPN)
    heads: Heads = dataclasses.field(default_factory=Heads)
    anchor_free: AnchorFree = dataclasses.field(default_factory=AnchorFree)
    anchor_based: AnchorBased = dataclasses.field(default_factory=AnchorBased)
    postprocess: Postprocess = dataclasses.field(default_factory=Postprocess)

    def geometry(self) -> Geometry:
        """The values that boxes, cells and offsets depend on."""
        return Geometry(
            levels=tuple(levels(self.min_level, self.max_level)),
            location_offset=self.location_offset,
            offset_scale=self.anchor_free.offset_scale,
            effective=self.anchor_free.effective,
            ignoring=self.anchor_free.ignoring,
        )


@dataclasses.dataclass
class Losses(hyperparams.Config):
    """What both branches share: the focal loss ([22]) and the weight decay (section 3.4).

    Attributes:
        focal_alpha: alpha, the weight of a class at the places of its objects; 1 - alpha elsewhere.
        focal_gamma: gamma, how much less what is classified well counts; 0 is cross-entropy.
        weight_decay: the sum of the squares of all kernels, times half of this, is added to the loss.
    """

    focal_alpha: float = limited(0.25, 0, 1)
    focal_gamma: float = limited(2.0, 0)
    weight_decay: float = limited(1e-4, 0)


@dataclasses.dataclass
class InputSize(hyperparams.Config):
    """Image size in pixels for training, evaluation and prediction (section 4), padded to multiples of 32.

    Attributes:
        shorter_side: what an image's shorter side becomes, unless the longer one would exceed `longer_side`.
        longer_side: the most that the longer side becomes.
        keep_aspect: if not, an image is stretched to both sides, rounded up to multiples of 32, as libraries of phones
            do it with a TFLite model.
    """

    shorter_side: int = limited(800, 1)
    longer_side: int = limited(1333, 1)
    keep_aspect: bool = True


@dataclasses.dataclass
class TestAugmentation(hyperparams.Config):
    """Test-time augmentation (Table 3): detection in several sizes of an image, merged before the suppression.

    A size is the one of `input_size`, both sides of it, times one ratio. Either list gives the sizes; the other must be
    empty.

    Attributes:
        enabled: evaluation and prediction do it. Training does not.
        shorter_sides: sizes by `shorter_side` in pixels. Detectron has this list beside 800, the size of training,
            which counts here only if it is in the list.
        ratios: sizes as multiples of `input_size`, for detectors trained at other sizes than the paper's.
        flip: each size is mirrored left to right, too.
    """

    enabled: bool = False
    shorter_sides: list[int] = above_zero(lambda: [400, 500, 600, 700, 900, 1000, 1100, 1200])
    ratios: list[float] = above_zero(list)
    flip: bool = True


@dataclasses.dataclass
class Tiles(hyperparams.Config):
    """Large pictures with small objects: evaluation and prediction cut each into square tiles that overlap.

    Attributes:
        size: side of a tile in pixels of the picture, which becomes `input_size.shorter_side`; 0 for no tiles. A
            picture that is no larger is looked at as without them.
        overlap: share of the side by which neighbours overlap at least; objects up to there are whole in one tile.
        whole: the whole picture is looked at, too, for larger objects.
    """

    size: int = limited(0, 0)
    overlap: float = limited(0.2, 0, 0.9)
    whole: bool = True


@dataclasses.dataclass
class Evaluation(hyperparams.Config):
    """How COCO's figures are taken.

    Attributes:
        max_detections: of each class in each image the best so many are counted. COCO's is 100; above it
            `task.model.postprocess.max_detections`, what is kept of an image, all classes together, must be as large.
    """

    max_detections: int = limited(100, 1)


@dataclasses.dataclass
class Task(config_definitions.TaskConfig):
    """What `fsaf_tf.run.task.FSAFTask` is built from.

    Attributes:
        init_checkpoint: start from the weights of a run or of an import: its folder, or a checkpoint in it. Its
            `params.yaml` then gives the architecture, too, unless --config_file or --params_override set it.
        freeze: layers that are not trained, as patterns (regular expressions of whole names): `backbone`, `fpn`,
            `heads/class_tower_.*`. Frozen batch normalisation uses its statistics.
        head_rate_multiplier: the learning rate of the heads, as a multiple of the rate of everything else.
        accumulation_steps: the images of a step are taken in so many parts, whose gradients are added up: a large
            `global_batch_size` in the memory of a part. Batch normalisation that is trained sees a part.
    """

    name: str = "fsaf"
    freeze: list[str] = dataclasses.field(default_factory=list)
    head_rate_multiplier: float = limited(1.0, 1e-3)
    accumulation_steps: int = limited(1, 1)
    model: Model = dataclasses.field(default_factory=Model)
    losses: Losses = dataclasses.field(default_factory=Losses)
    input_size: InputSize = dataclasses.field(default_factory=InputSize)
    test_augmentation: TestAugmentation = dataclasses.field(default_factory=TestAugmentation)
    tiles: Tiles = dataclasses.field(default_factory=Tiles)
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    train_data: TrainData = dataclasses.field(default_factory=TrainData)
    validation_data: ValidationData = dataclasses.field(default_factory=ValidationData)

    def validation_keys(self) -> dict[str, Any]:
        """The keys that say which the validation data are: their own, or those of the part of `train_data`."""
        fraction = self.validation_data.fraction
        if not fraction:
            return self.validation_data.source_keys()
        return {**self.train_data.source_keys(), "fraction": fraction, "seed": self.train_data.seed}

    def anchor_free(self) -> "branches.AnchorFree":
        """The anchor-free branch, whether it is enabled or not."""
        branch = self.model.anchor_free
        return branches.AnchorFree(
            geometry=self.model.geometry(),
            selection=Selection(
                branch.selection,
                branch.soft_levels,
                branch.soft_temperature,
                branch.selection_warmup,
                branch.selection_warmup_share,
            ),
            elementwise=losses.Elementwise(self._focal(), losses.IoU(losses.LEAST_IOU)),
            loss_weight=branch.loss_weight,
        )

    def anchor_based(self) -> "branches.AnchorBased":
        """The anchor-based branch, whether it is enabled or not."""
        branch = self.model.anchor_based
        matching = anchors.Matching(branch.positive_iou, branch.negative_iou)
        return branches.AnchorBased(
            anchors=anchors.Anchors(branch.shapes(), self.model.location_offset, matching),
            elementwise=losses.Elementwise(self._focal(), losses.SmoothL1(branch.box_loss_beta)),
        )

    def branches(self) -> "tuple[branches.Branch, ...]":
        """Those that are enabled."""
        every = ((self.model.anchor_free, self.anchor_free()), (self.model.anchor_based, self.anchor_based()))
        return tuple(branch for config, branch in every if config.enabled)

    def decoding(self) -> Decoding:
        """How the outputs become candidates."""
        postprocess = self.model.postprocess
        return Decoding(self.branches(), postprocess.max_per_level, postprocess.multi_label)

    def _focal(self) -> "losses.Focal":
        return losses.Focal(self.losses.focal_alpha, self.losses.focal_gamma)


@exp_factory.register_config_factory("fsaf")
def fsaf() -> config_definitions.ExperimentConfig:
    """The paper's experiment, section 3.4: FSAF with ResNet-50 on COCO, 90k steps of 16 images."""
    return config_definitions.ExperimentConfig(task=Task(), trainer=Trainer())
