"""Which network follows from the values of an experiment; see `formulas`."""

import itertools
import re

import formulas
import numpy as np
import world


def check_network(values: dict, seen: dict) -> None:
    """Its variables, their shapes, which of them are trained."""
    found = formulas.seen_under(seen, "network/")
    configured = values["task.model.num_classes"]
    if configured not in (0, 3):
        assert found == {"line": f"task.model.num_classes is {configured}, but a.json has 3 classes."}
        return
    expected = {name: (shape, _is_trained(name, trained, values)) for name, shape, trained in _variables(values)}
    if values["task.model.backbone.type"] != "resnet":  # the others are looked at elsewhere
        found = {name: value for name, value in found.items() if name in expected}
    assert found == expected


def _is_trained(name: str, trained: bool, values: dict) -> bool:
    names = (name.rsplit("/", 1)[0], name.split("/")[0])
    return trained and not any(re.fullmatch(pattern, each) for pattern in values["task.freeze"] for each in names)


def _variables(values: dict):
    """(name, shape, trained) of each variable, by sections 3.1 and 4 and the description of the keys."""
    keys = formulas.part(values, "task.model.")
    if keys["backbone.type"] == "resnet":
        yield from _resnet(formulas.part(keys, "backbone.resnet."))
    yield from _pyramid(keys)
    yield from _heads(keys)


def _resnet(keys: dict):
    has_weights = bool(keys["weights"])
    for stage, name, shape, _, _ in _convolutions(keys):
        trained = not has_weights or stage > keys["frozen_stages"]
        yield f"{name}_conv/kernel:0", shape, trained
        for variable in ("gamma", "beta"):
            yield f"{name}_bn/{variable}:0", shape[-1:], trained and (keys["train_bn_affine"] or not has_weights)
        for variable in ("moving_mean", "moving_variance"):
            yield f"{name}_bn/{variable}:0", shape[-1:], False


def _convolutions(keys: dict):
    """(stage, name, shape, stride, groups) of a ResNet's."""
    planes, groups = 16 if keys["depth"] == 14 else 64, keys["groups"]
    yield 0, "conv1", (7, 7, 3, planes), 2, 1
    before = planes
    for stage, blocks in enumerate({14: (1, 1, 1, 1), 50: (3, 4, 6, 3)}[keys["depth"]], start=1):
        width, after = keys["width_per_group"] * 2 ** (stage - 1) * groups, 2 * planes * 2**stage
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            first, second = (stride, 1) if keys["form"] == "caffe" else (1, stride)
            name = f"conv{stage + 1}_block{block}"
            if block == 1:
                yield stage, f"{name}_0", (1, 1, before, after), stride, 1
            yield stage, f"{name}_1", (1, 1, before, width), first, 1
            yield stage, f"{name}_2", (3, 3, width // groups, width), second, groups
            yield stage, f"{name}_3", (1, 1, width, after), 1, 1
            before = after


C = {14: (128, 256, 512), 50: (512, 1024, 2048), "mobilenet": (32, 96, 320)}  # channels of C3 to C5
C_LITE = {"lite0": (40, 112, 320), "lite2": (48, 120, 352)}


C_KERAS = {
    ("MobileNetV3Small", 1.0): (24, 48, 96),
    ("MobileNetV3Small", 0.75): (24, 40, 72),  # in eights, and not more than a tenth fewer
    ("MobileNet", 1.0): (256, 512, 1024),
}


def _depths(keys: dict) -> tuple[int, int, int]:
    kind = keys["backbone.type"]
    own = formulas.part(keys, f"backbone.{kind}.")
    if kind == "keras_applications":
        return C_KERAS[own["model_id"], own["alpha"]]
    return C_LITE[own["model_id"]] if kind == "efficientnet_lite" else C[own["depth"] if kind == "resnet" else kind]


def _pyramid(keys: dict):
    inputs = dict(zip((3, 4, 5), _depths(keys)))
    channels, top = keys["fpn.channels"], inputs[5]
    for level in range(keys["min_level"], keys["max_level"] + 1):
        if keys["pyramid"] == "fpn":
            convolutions = {f"lateral_{level}": (1, 1, inputs[level], channels)} if level <= 5 else {}
            convolutions[f"output_{level}"] = (3, 3, top if level == 6 else channels, channels)
        elif level <= 5:
            convolutions = {f"projection_{level}": (1, 1, inputs[level], channels)}
        else:
            half = channels // 2
            convolutions = {f"reduction_{level}": (1, 1, top if level == 6 else channels, half)}
            convolutions[f"extra_{level}"] = (3, 3, half, channels)
        for name, shape in convolutions.items():
            yield f"{keys['pyramid']}/{name}/kernel:0", shape, True
            yield f"{keys['pyramid']}/{name}/bias:0", shape[-1:], True


def _heads(keys: dict):
    outputs = {}
    if keys["anchor_free.enabled"]:
        outputs |= {"anchor_free_logits": 3, "anchor_free_offsets": 4}
    if keys["anchor_based.enabled"]:
        anchors = len(keys["anchor_based.scales"]) * len(keys["anchor_based.aspect_ratios"])
        outputs |= {"anchor_based_logits": 3 * anchors, "anchor_based_deltas": 4 * anchors}
    channels = keys["heads.channels"]
    inputs = channels if keys["heads.convs"] else keys["fpn.channels"]
    layers = {name: (3, 3, inputs, count) for name, count in outputs.items()}
    for number in range(keys["heads.convs"]):
        before = channels if number else keys["fpn.channels"]
        layers |= {f"{tower}_tower_{number}": (3, 3, before, channels) for tower in ("class", "box")}
    for name, shape in layers.items():
        yield f"heads/{name}/kernel:0", shape, True
        is_normalised = keys["heads.batch_norm"] and "_tower_" in name
        if not is_normalised:
            yield f"heads/{name}/bias:0", shape[-1:], True
        levels = range(keys["min_level"], keys["max_level"] + 1) if is_normalised else ()
        for level, variable in itertools.product(levels, ("gamma", "beta", "moving_mean", "moving_variance")):
            yield f"heads/{name}_bn_{level}/{variable}:0", shape[-1:], not variable.startswith("moving_")


def check_strides(values: dict, seen: dict) -> None:
    """The backbone halves its maps where its form says so; groups are those of its 3x3 convolutions."""
    if values["task.model.backbone.type"] == "resnet":
        found = {
            name: value for name, value in formulas.seen_under(seen, "strides/").items() if name.startswith("conv")
        }
        expected = _convolutions(formulas.part(values, "task.model.backbone.resnet."))
        assert found == {f"{name}_conv/kernel:0": ((s, s), groups) for _, name, _, s, groups in expected}


def check_start(values: dict, seen: dict) -> None:
    """Where the backbone's weights would be taken from: here there are none, which is said."""
    kind = values["task.model.backbone.type"]
    keys = formulas.part(values, f"task.model.backbone.{kind}.")
    if not keys.get("weights"):
        expected = ""
    elif kind != "resnet":
        expected = f"task.model.backbone.{kind}.weights: {keys['weights']}: there is no such file"
    elif keys["form"] == "pytorch":
        expected = (
            f"task.model.backbone.resnet: the weights {keys['weights']!r} are Keras Applications' and need form caffe"
        )
    elif keys["depth"] == 14 or keys["groups"] > 1:
        expected = "task.model.backbone.resnet: Keras Applications have weights of ResNet-50, 101, 152, not of depth"
        expected += f" {keys['depth']} in {keys['groups']} group"
    else:
        expected = f"task.model.backbone.resnet.weights: {keys['weights']}: there is no such file"
    assert seen["start/line"].startswith(expected) and bool(seen["start/line"]) == bool(expected)


def check_levels(values: dict, seen: dict) -> None:
    """P6 is a convolution of C5 with stride 2, and each level above one of the level before, after a ReLU or not."""
    x, channels = None, values["task.model.fpn.channels"]
    for level in range(6, values["task.model.max_level"] + 1) if values["task.model.pyramid"] == "fpn" else ():
        if x is None:
            x = world.top_features(_depths(formulas.part(values, "task.model."))[2])
        elif values["task.model.fpn.relu_before_p7"]:
            x = np.maximum(x, 0)
        kernel = world.levels_weights(f"fpn/output_{level}/kernel:0", (3, 3, x.shape[-1], channels))
        x = _halved(x, kernel) + world.levels_weights(f"fpn/output_{level}/bias:0", (channels,))
        np.testing.assert_allclose(seen[f"levels/{level}"], x, rtol=1e-3, atol=1e-3)


def _halved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A 3x3 convolution with stride 2, padded by one cell."""
    padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
    rows, columns = (-(-side // 2) for side in x.shape[:2])
    result = np.zeros([rows, columns, kernel.shape[-1]])
    for row, column in np.ndindex(rows, columns):
        window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        result[row, column] = np.tensordot(window, kernel, axes=3)
    return result
