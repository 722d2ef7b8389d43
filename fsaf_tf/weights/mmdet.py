"""mmdetection's FSAF and RetinaNet checkpoints, version 2 and 3, into our detector.

`SETTINGS` says how their network differs from the paper's, the orders below how their channels differ from ours. FSAF's
anchor is a square of the stride's side, one a location, so its outputs are our offsets in units of `4 * 2^l` pixels.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import tf_keras

from fsaf_tf.config import schema
from fsaf_tf.errors import UserError
from fsaf_tf.weights import table, torchvision
from fsaf_tf.weights.files import Tensors

# What the weights were trained with, in an experiment's task: locations and anchors at `i * 2^l`, every class over the
# threshold at a location, and the image size.
SETTINGS = {
    "model": {
        "location_offset": 0.0,
        "backbone": {"resnet": {"form": "pytorch", "weights": "checkpoint"}},
        "fpn": {"relu_before_p7": False},
        "postprocess": {"multi_label": True},
    },
    "input_size": {"shorter_side": 800, "longer_side": 1333},
}
BACKBONE = "backbone."
CLASSES, BOXES = "bbox_head.retina_cls", "bbox_head.retina_reg"
FREE_ORDER = (0, 2, 1, 3)  # theirs: top, bottom, left, right
BASED_ORDER = (1, 0, 3, 2)  # theirs: x, y, w, h
FSAF = 0  # in the place of a number of anchors


class Checkpoint(NamedTuple):
    """A file and what it is of.

    Attributes:
        tensors: its content.
        anchors: A of RetinaNet, or `FSAF`.
        class_names: as the file has them, None if it does not say.
    """

    tensors: Tensors
    anchors: int
    class_names: tuple[str, ...] | None

    @property
    def kind(self) -> str:
        """For messages."""
        return "RetinaNet" if self.anchors else "FSAF"

    @property
    def num_classes(self) -> int:
        """K."""
        return _rows(self.tensors, CLASSES) // (self.anchors or 1)


def checkpoint(tensors: Tensors) -> Checkpoint:
    """Says what a file is of, by the channels of its last convolutions.

    Raises:
        UserError: neither FSAF nor RetinaNet, or one that our detector would run otherwise than mmdetection.
    """
    path, meta = tensors.path, tensors.meta
    missing = [name for name in (f"{CLASSES}.weight", f"{BOXES}.weight") if name not in tensors.shapes]
    if missing:
        raise UserError(f"{path} has no {' and no '.join(missing)}: it is no FSAF or RetinaNet of mmdetection")
    # 2.x has the text of its configuration under `config`, 3.x under `cfg`.
    if re.search(r"""style\s*=\s*['"]caffe""", str(meta.get("config") or meta.get("cfg") or "")):
        raise UserError(f"{path} has a backbone of mmdetection's style caffe; only those of style pytorch are imported")
    if re.match(r"[01]\.", str(meta.get("mmdet_version", ""))):
        raise UserError(
            f"{path} is of mmdetection {meta['mmdet_version']}, whose anchors stand elsewhere; 2.0 is the least"
        )
    boxes, rows = _rows(tensors, BOXES), _rows(tensors, CLASSES)
    anchors = FSAF if boxes == 4 else boxes // 4
    if boxes % 4 or rows % (anchors or 1):
        raise UserError(
            f"{path}: {BOXES} and {CLASSES} have {boxes} and {rows} channels, which fit no FSAF or RetinaNet"
        )
    result = Checkpoint(tensors, anchors, _class_names(meta))
    if result.class_names is not None and len(result.class_names) != result.num_classes:
        raise UserError(f"{path} names {len(result.class_names)} classes, but {CLASSES} has {result.num_classes}")
    return result


def _rows(tensors: Tensors, convolution: str) -> int:
    """The channels that a convolution gives; 0 of what is none."""
    shape = tensors.shapes[f"{convolution}.weight"]
    return shape[0] if shape else 0


def _class_names(meta: dict) -> tuple[str, ...] | None:
    """2.x has them as `CLASSES`, 3.x in `dataset_meta`; a data set of one class may have its name alone."""
    dataset = meta.get("dataset_meta") or {}
    names = next((found[key] for found in (meta, dataset) for key in ("CLASSES", "classes") if found.get(key)), None)
    return (names,) if isinstance(names, str) else names and tuple(map(str, names))


def load(detector: tf_keras.Model, found: list[Checkpoint], model: schema.Model, class_order: Sequence[int]):
    """Sets the weights of a detector: all of them from the first file, the outputs of its branch from each.

    Args:
        detector: from `build_detector`.
        found: one checkpoint for each branch of the detector, FSAF's first.
        model: what the detector was built from.
        class_order: which of their classes is our first, second, ...

    Raises:
        UserError: a file does not fit the detector.
    """
    first, *others = found
    network = torchvision.described(model.backbone.resnet)
    torchvision.check_architecture(first.tensors, model.backbone.resnet, BACKBONE)
    what = f"mmdetection's {first.kind} with {network}"
    table.fill(entries(detector, first.anchors, class_order), first.tensors, what, unused=torchvision.is_unused)
    for each in others:  # its subnets, pyramid and backbone are the first file's now
        outputs = _outputs(detector.get_layer("heads"), each.anchors, class_order)
        table.fill(outputs, each.tensors, f"mmdetection's {each.kind}", unused=lambda name: True)


def entries(detector: tf_keras.Model, anchors: int, class_order: Sequence[int]) -> list[table.Entry]:
    """The table of a whole checkpoint, of FSAF for 0 anchors, else of RetinaNet."""
    head = detector.get_layer("heads")
    return [
        *torchvision.entries(detector.get_layer("backbone"), BACKBONE),
        *_neck(detector.get_layer("fpn")),
        *_numbered("bbox_head.cls_convs", head.class_tower),
        *_numbered("bbox_head.reg_convs", head.box_tower),
        *_outputs(head, anchors, class_order),
    ]


def _neck(pyramid: tf_keras.layers.Layer) -> list[table.Entry]:
    """Of our `FPN`. Theirs are numbered from the lowest level up, P6 and P7 after P5."""
    outputs = [*pyramid.merged_outputs.values(), *pyramid.extra_outputs.values()]
    return _numbered("neck.lateral_convs", pyramid.laterals.values()) + _numbered("neck.fpn_convs", outputs)


def _numbered(name: str, layers: Iterable[tf_keras.layers.Conv2D]) -> list[table.Entry]:
    return [torchvision.conv(layer, f"{name}.{index}.conv") for index, layer in enumerate(layers)]


def _outputs(head: tf_keras.layers.Layer, anchors: int, class_order: Sequence[int]) -> list[table.Entry]:
    """The convolutions of one branch of our `Heads`; here and there the first anchor's channels come first."""
    branch, boxes, box_order = (
        ("anchor_based", "deltas", BASED_ORDER) if anchors else ("anchor_free", "offsets", FREE_ORDER)
    )
    class_rows, box_rows = (
        [anchor * len(order) + index for anchor in range(anchors or 1) for index in order]
        for order in (class_order, box_order)
    )
    return [
        torchvision.conv(head.class_outputs[f"{branch}_logits"], CLASSES, class_rows),
        torchvision.conv(head.box_outputs[f"{branch}_{boxes}"], BOXES, box_rows),
    ]
