"""What follows from the values of an experiment, by the formulas of the paper and of its keys' descriptions.

NumPy and loops. Each function takes all values, flat, and asserts what was seen with them.
"""

import naive
import numpy as np
import tensorflow as tf
import world

from fsaf_tf.data import augment

MOVED = 1e-3  # of their size: how far weights are moved to see what the loss does
CAFFE = np.array([103.939, 116.779, 123.68]), np.ones(3), [2, 1, 0]  # mean, deviation, order of the channels
TORCHVISION = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375]), [0, 1, 2]


def part(values: dict, section: str) -> dict:
    """The values of one section by their last names."""
    return {key.removeprefix(section): value for key, value in values.items() if key.startswith(section)}


def pick(values: dict, *keys: str) -> dict:
    """Some values by their last names."""
    return {key.rsplit(".", 1)[1]: values[key] for key in keys}


def seen_under(seen: dict, prefix: str) -> dict:
    """What was seen under a name, by the rest of its name."""
    return {name.removeprefix(prefix): value for name, value in seen.items() if name.startswith(prefix)}


def normalised(image: np.ndarray, size, values: dict) -> np.ndarray:
    """A canvas `[H, W, 3]` as the network sees it: normalised as the backbone wants it, zero outside of `size`."""
    backbone = part(values, "task.model.backbone.")
    is_caffe = backbone["type"] == "resnet" and backbone["resnet.form"] == "caffe"
    mean, deviation, order = CAFFE if is_caffe else TORCHVISION
    result = (image[..., order] - mean) / deviation
    result[size[0] :], result[:, size[1] :] = 0, 0
    return result.astype(np.float32)


# Learning.


def focal(values: dict) -> dict:
    return {"alpha": values["task.losses.focal_alpha"], "gamma": values["task.losses.focal_gamma"]}


def losses(values: dict, model) -> dict[str, float]:
    """The terms of the loss of `world.scene` by sections 3.2 to 3.4."""
    batch = {key: value.numpy() for key, value in world.scene().items()}
    images = np.stack([normalised(*pair, values) for pair in zip(batch["image"], batch["image_size"])])
    outputs = {key: {level: maps.numpy() for level, maps in levels.items()} for key, levels in model(images).items()}
    kernels = [v.numpy().astype(float) for v in model.trainable_variables if "kernel" in v.name]
    terms = {"weight_decay": values["task.losses.weight_decay"] / 2 * sum(np.sum(kernel**2) for kernel in kernels)}
    terms["left_out"] = np.mean(batch["left_out"])
    terms["total_loss"] = terms["weight_decay"]
    if values["task.model.anchor_free.enabled"]:
        own = _anchor_free(values, batch, outputs)
        terms |= {f"anchor_free/{name}": value for name, value in own.items()}
        terms["total_loss"] += values["task.model.anchor_free.loss_weight"] * (own["class_loss"] + own["box_loss"])
    if values["task.model.anchor_based.enabled"]:
        own = _anchor_based(values, batch, outputs)
        terms |= {f"anchor_based/{name}": value for name, value in own.items()}
        terms["total_loss"] += own["class_loss"] + own["box_loss"]
    return terms


def _anchor_free(values: dict, batch: dict, outputs: dict) -> dict[str, float]:
    names = ("selection", "soft_levels", "soft_temperature", "effective", "ignoring", "offset_scale")
    keys = pick(values, *(f"task.model.anchor_free.{name}" for name in names))
    if values["task.model.anchor_free.selection_warmup_share"]:  # the step is the first
        keys["selection"] = values["task.model.anchor_free.selection_warmup"]
    keys |= pick(values, "task.model.location_offset") | focal(values)
    images, rows = [], zip(batch["boxes"], batch["classes"], batch["valid"])
    for index, instances in enumerate(rows):
        maps = [
            {int(level): maps[index] for level, maps in outputs[f"anchor_free_{name}"].items()}
            for name in ("logits", "offsets")
        ]
        images.append(naive.anchor_free_losses(*maps, *instances, **keys, epsilon=1e-6))
    selected = np.concatenate([image["levels"][valid] for image, valid in zip(images, batch["valid"])])
    levels = [int(level) for level in outputs["anchor_free_logits"]]
    by_size = np.array([naive.heuristic_level(box, levels) for box in batch["boxes"][batch["valid"]]])
    offsets = np.concatenate([maps.ravel() for maps in outputs["anchor_free_offsets"].values()])
    return (
        _means(images)
        | {"dead_offsets": np.mean(offsets <= 0)}
        | {f"level_{level}": np.mean(selected == level) for level in levels}
        | {f"level_{level}_by_size": np.mean(by_size == level) for level in levels}
    )


def _anchor_based(values: dict, batch: dict, outputs: dict) -> dict[str, float]:
    keys = pick(
        values, *(f"task.model.anchor_based.{key}" for key in ("positive_iou", "negative_iou", "box_loss_beta"))
    )
    shapes = [values[f"task.model.anchor_based.{key}"] for key in ("scales", "aspect_ratios")]
    images = []
    for index, valid in enumerate(batch["valid"]):
        places, rows = [], {"logits": [], "deltas": []}
        for level, maps in outputs["anchor_based_logits"].items():
            places.append(naive.anchors(maps.shape[1:3], int(level), *shapes, values["task.model.location_offset"]))
            for name, kept in rows.items():
                kept.append(outputs[f"anchor_based_{name}"][level][index].reshape(len(places[-1]), -1))
        flat = [np.concatenate(each) for each in (rows["logits"], rows["deltas"])]
        instances = batch["boxes"][index][valid], batch["classes"][index][valid]
        images.append(naive.anchor_based_losses(*flat, *instances, np.concatenate(places), **keys, **focal(values)))
    return _means(images)


def _means(images: list[dict]) -> dict[str, float]:
    names = {"class_loss": "class_loss", "box_loss": "box_loss", "num_positives": "positives"}
    return {new: np.mean([image[name] for image in images]) for name, new in names.items()}


def check_terms(values: dict, seen: dict) -> None:
    """Each term; the norm of the gradient is that of the step over its rate."""
    squares = [np.sum(gradient**2) for gradient in _gradients(values, seen).values()]
    expected = losses(values, world.stand_in(values)) | {"gradient_norm": np.sqrt(np.sum(squares))}
    terms = seen_under(seen, "terms/")
    assert set(terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-3, atol=1e-6, err_msg=name)


def check_step(values: dict, seen: dict) -> None:
    """The first step is minus the rate times the gradient, that of the heads times their multiplier.

    Of the gradient its product with a direction, that is the slope of the loss there; but for soft selection, whose
    weights move with the loss and have no gradient.
    """
    variables = world.stand_in(values).trainable_variables
    gradients = _gradients(values, seen)
    assert set(gradients) == {variable.name for variable in variables}
    if values["task.model.anchor_free.selection"] == "soft":
        return
    directions = [np.sign(gradients[v.name]) * world.draw(v.name).uniform(0, np.std(v), v.shape) for v in variables]
    starts, reached = [v.numpy() for v in variables], []
    for side in (MOVED, -MOVED):
        model = world.stand_in(values)
        for variable, start, direction in zip(variables, starts, directions):
            variable.assign(start + side * direction)
        reached.append(losses(values, model)["total_loss"])
    slope = sum(np.sum(gradients[v.name] * direction) for v, direction in zip(variables, directions))
    np.testing.assert_allclose(slope, (reached[0] - reached[1]) / (2 * MOVED), rtol=0.02)


def _gradients(values: dict, seen: dict) -> dict[str, np.ndarray]:
    """Those that the first step was made of."""
    rate, factor = rates(values)[0], values["task.head_rate_multiplier"]
    steps = seen_under(seen, "step/")
    return {name: -step / (rate * factor if name.startswith("heads/") else rate) for name, step in steps.items()}


def rates(values: dict) -> list[float]:
    """Those of section 3.4 for 16 images after steps 0, 500, 70,000 and 85,000, for the images of a batch."""
    return [values["task.train_data.global_batch_size"] / 16 * rate for rate in (0.01 / 3, 0.01, 0.001, 0.0001)]


def check_rates(values: dict, seen: dict) -> None:
    np.testing.assert_allclose(list(seen_under(seen, "rates/").values()), rates(values), rtol=1e-5)


# Detecting.


def check_detections(values: dict, seen: dict) -> None:
    """The best of each level and branch of each view, suppressed together, in pixels of the original picture."""
    if values["task.tiles.size"]:
        _check_tiled(values, seen)
        return
    batch, model = world.scene(), world.stand_in(values)
    keys = part(values, "task.model.postprocess.")
    limits = {key: keys[key] for key in ("nms_iou", "max_detections", "fusion")}
    found = seen_under(seen, "detections/")
    for index, (original, number) in enumerate(zip(batch["original_size"].numpy(), batch["image_id"])):
        pictures, candidates = _pictures(values, batch, index), []
        frame = pictures[0][1]
        for image, size, is_mirrored in pictures:
            of_view = _candidates(values, model(normalised(image, size, values)[None]))
            candidates += [_in_frame(candidate, size, frame, is_mirrored) for candidate in of_view]
        expected = naive.suppress(candidates, frame, **limits)
        assert found["image_id"][index] == number and found["num_detections"][index] == len(expected) > 3
        assert found["boxes"].shape == (2, keys["max_detections"], 4)
        _check_rows({key: column[index] for key, column in found.items()}, expected, np.tile(original / frame, 2))


def _check_rows(found: dict, expected: list, scale) -> None:
    """The detections of one picture, whose boxes are in other pixels than those expected."""
    scores, boxes, classes, levels, branches = zip(*expected)
    np.testing.assert_allclose(found["scores"][: len(expected)], scores, rtol=1e-4)
    np.testing.assert_allclose(found["boxes"][: len(expected)], np.array(boxes) * scale, rtol=1e-4, atol=0.01)
    for name, column in (("classes", classes), ("levels", levels), ("branch", branches)):
        np.testing.assert_array_equal(found[name][: len(expected)], column)


def _check_tiled(values: dict, seen: dict) -> None:
    """Tile by tile as pictures; then together, first what no tile cuts."""
    picture, model = world.large_picture(), world.stand_in(values)
    keys = part(values, "task.model.postprocess.")
    limits = {key: keys[key] for key in ("nms_iou", "max_detections")}
    size, sides = picture.shape[:2], pick(values, "task.input_size.shorter_side", "task.input_size.longer_side")
    found = []
    for window, is_whole in zip(*naive.windows(*size, **part(values, "task.tiles."))):
        shown = picture[window[0] : window[2], window[1] : window[3]]
        longer = sides["longer_side" if is_whole else "shorter_side"]
        canvas, on_canvas = (
            value.numpy() for value in augment.resize_and_pad(tf.constant(shown), sides["shorter_side"], longer)
        )
        scale = np.tile(shown.shape[:2] / on_canvas, 2)
        candidates = _candidates(values, model(normalised(canvas, on_canvas, values)[None]))
        for score, box, *rest in naive.suppress(candidates, on_canvas, **limits, fusion=keys["fusion"]):
            box = tuple(np.array(box) * scale + np.tile(window[:2], 2))
            found.append(((score, box, *rest), naive.is_cut(box, window, size)))
    expected = naive.joined(found, size, **limits)
    found = {key: column[0] for key, column in seen_under(seen, "detections/").items()}
    assert found["num_detections"] == len(expected) > 3
    _check_rows(found, expected, 1)


def _pictures(values: dict, batch: dict, index: int) -> list:
    """What the network is to see of one picture of the scene: image, its size, and whether it is mirrored."""
    augmentation = part(values, "task.test_augmentation.")
    views = world.views() if augmentation["enabled"] else [batch]
    pictures = []
    for view in views:
        image, size = view["image"][index].numpy(), view["image_size"][index].numpy()
        pictures.append((image, size, False))
        if augmentation["enabled"] and augmentation["flip"]:
            mirrored = image.copy()
            mirrored[:, : size[1]] = image[:, : size[1]][:, ::-1]
            pictures.append((mirrored, size, True))
    return pictures


def _candidates(values: dict, outputs: dict) -> list:
    """Those of one picture, of both branches."""
    keys = part(values, "task.model.")
    free = pick(values, "task.model.location_offset", "task.model.anchor_free.offset_scale")
    based = pick(
        values, "task.model.location_offset", *(f"task.model.anchor_based.{k}" for k in ("scales", "aspect_ratios"))
    )
    free["multi_label"] = keys["postprocess.multi_label"]
    limits = pick(values, *(f"task.model.postprocess.{key}" for key in ("score_threshold", "max_per_level")))
    found = []
    for branch, boxes, of_level, own in (
        ("anchor_free", "offsets", naive.anchor_free_candidates, free),
        ("anchor_based", "deltas", naive.anchor_based_candidates, based),
    ):
        for level, logits in outputs.get(f"{branch}_logits", {}).items():
            maps = logits[0].numpy(), outputs[f"{branch}_{boxes}"][level][0].numpy()
            found += naive.best_candidates(of_level(*maps, int(level), **own), **limits)
    return found


def _in_frame(candidate: tuple, size, frame, is_mirrored: bool) -> tuple:
    """A candidate of a view in pixels of the first one."""
    score, (y1, x1, y2, x2), *rest = candidate
    if is_mirrored:
        x1, x2 = size[1] - x2, size[1] - x1
    return score, tuple(np.array([y1, x1, y2, x2]) * np.tile(frame / size, 2)), *rest
