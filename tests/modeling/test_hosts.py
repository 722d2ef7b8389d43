"""Pyramids other than the FPN as hosts of the module (section 3)."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.config import schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector, dssd, nas_fpn, ssd
from fsaf_tf.run.task import FSAFTask

NORM = {"momentum": 0.9, "synchronized": False}
DEPTHS = {"3": 4, "4": 6, "5": 8}
BUILDERS = {
    "ssd": lambda: ssd.SSD(3, 7, channels=6),
    "dssd": lambda: dssd.DSSD(3, 7, channels=6, norm=NORM),
    "nas_fpn": lambda: nas_fpn.NASFPN(3, 7, DEPTHS, channels=6, norm=NORM),
}


def features(height: int, width: int) -> dict[str, tf.Tensor]:
    """C3 to C5 of an image."""
    return {
        level: tf.random.stateless_normal(
            [2, -(-height // 2 ** int(level)), -(-width // 2 ** int(level)), depth], seed=(int(level), 0)
        )
        for level, depth in DEPTHS.items()
    }


@pytest.mark.parametrize("host", BUILDERS)
def test_levels_have_ceil_of_size_over_stride_cells(host):
    layer = BUILDERS[host]()
    for height, width in ((256, 384), (800, 1344), (97, 131), (9, 8)):
        pyramid = layer(features(height, width))
        assert list(pyramid) == ["3", "4", "5", "6", "7"]
        for level, cells in pyramid.items():
            stride = 2 ** int(level)
            assert cells.shape == (2, -(-height // stride), -(-width // stride), 6)


def test_ssd_has_no_way_down():
    """A level depends on the backbone's map of its own alone, those above P5 on C5."""
    layer, maps = BUILDERS["ssd"](), features(96, 128)
    before = layer(maps)
    for changed in ("3", "4", "5"):
        after = layer({**maps, changed: maps[changed] + 1})
        moved = {level for level in before if not np.array_equal(before[level], after[level])}
        assert moved == ({"5", "6", "7"} if changed == "5" else {changed})


def test_extra_levels_of_ssd_by_other_means():
    layer, maps = BUILDERS["ssd"](), features(96, 128)
    pyramid = layer(maps)
    reduction, extra = layer.extras["7"]
    reduced = tf.nn.relu(tf.nn.conv2d(pyramid["6"], reduction.kernel, 1, "VALID") + reduction.bias)
    strided = tf.nn.conv2d(reduced, extra.kernel, 2, [[0, 0], [1, 1], [1, 1], [0, 0]]) + extra.bias
    assert reduction.kernel.shape == (1, 1, 6, 3)
    np.testing.assert_allclose(pyramid["7"], tf.nn.relu(strided), atol=1e-5)


def test_a_level_of_dssd_is_its_own_map_times_the_deconvolved_one_above():
    """Fu et al. 2017. With identity kernels the product is SSD's level times the level above, each cell four times."""
    layer, maps = BUILDERS["dssd"](), features(100, 124)  # P6 has 2 x 2 cells, P5 4 x 4
    layer(maps)
    module = layer.modules["5"]
    identity = np.zeros([3, 3, 6, 6], np.float32)
    identity[1, 1] = np.eye(6)
    for conv in (module.above, module.own_0, module.own_1):
        conv.kernel.assign(identity)
    module.deconvolution.kernel.assign(np.tile(np.eye(6, dtype=np.float32), [2, 2, 1, 1]))
    pyramid, own = layer(maps), layer.ssd(maps)["5"]
    height, width = own.shape[1:3]
    above = np.repeat(np.repeat(pyramid["6"], 2, axis=1), 2, axis=2)[:, :height, :width]
    at_rest = 1 / np.sqrt(1 + 1e-3)  # normalisation before it has seen anything
    np.testing.assert_allclose(
        pyramid["5"], np.maximum(np.maximum(own, 0) * above * at_rest**3, 0), rtol=1e-4, atol=1e-6
    )


def test_nas_fpn_at_sizes_of_its_own_is_the_gardens():
    layer, maps = BUILDERS["nas_fpn"](), features(128, 256)
    ours, garden = layer(maps), layer.pyramid(maps)
    for level in ours:
        np.testing.assert_array_equal(ours[level], garden[level])


def test_nas_fpn_takes_only_its_own_levels():
    model = schema.Model()
    model.override({"pyramid": "nas_fpn", "max_level": 6})
    with pytest.raises(UserError, match="nas_fpn has the levels 3 to 7"):
        detector.build_detector(model, 2)


def _batch() -> dict[str, tf.Tensor]:
    """Two images, a bright box in each."""
    image = np.random.default_rng(0).integers(0, 60, [2, 64, 96, 3])
    image[0, 10:50, 20:70] += 150
    image[1, 30:44, 60:90] += 150
    return {
        "image": tf.constant(image, tf.uint8),
        "image_size": tf.constant([[64, 96]] * 2, tf.int32),
        "image_id": tf.constant([1, 2], tf.int64),
        "boxes": tf.constant([[[10.0, 20, 50, 70]], [[30, 60, 44, 90]]]),
        "classes": tf.constant([[0], [1]]),
        "valid": tf.constant([[True], [True]]),
        "left_out": tf.zeros([2], tf.int32),
    }


@pytest.mark.parametrize(("host", "joint"), [*((host, False) for host in BUILDERS), ("ssd", True)])
def test_trains_on_every_host(host, joint):
    """FSAF alone on each, both on the cheapest: steps on the same two images lessen the loss, and move every part."""
    task = schema.Task()
    changes = {
        "pyramid": host,
        "backbone": {"resnet": {"depth": 14, "width_per_group": 8, "weights": ""}},
        "fpn": {"channels": 16},
        "heads": {"convs": 1, "channels": 16},
        "anchor_based": {"enabled": joint},
    }
    task.override({"model": changes, "train_data": {"max_instances": 1}})
    tf_keras.utils.set_random_seed(0)
    model = detector.build_detector(task.model, 2)
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer = tf_keras.optimizers.legacy.Adam(0.001)
    losses = [float(FSAFTask(task).train_step(_batch(), model, optimizer)["loss"]) for _ in range(2)]
    assert losses[-1] < losses[0]
    for part in ("backbone", host, "heads"):
        values = zip(before, model.trainable_variables)
        own = {id(variable) for variable in model.get_layer(part).trainable_variables}
        moved = [not np.array_equal(old, new) for old, new in values if id(new) in own]
        assert np.mean(moved) > 0.9, part
