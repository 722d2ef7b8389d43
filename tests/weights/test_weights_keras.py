import json

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.config import backbone_keys, schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones, detector, resnet
from fsaf_tf.weights import imagenet, keras

R50 = backbone_keys.ResNet(depth=50)
OUTPUTS = {"3": "conv3_block4_out", "4": "conv4_block6_out", "5": "conv5_block3_out"}


@pytest.fixture(scope="module")
def weights_file(shared_data):
    return str(shared_data / "weights" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")


@pytest.fixture(scope="module")
def keras_resnet(weights_file):
    return tf_keras.applications.ResNet50(weights=weights_file, include_top=False)


@pytest.fixture(scope="module")
def our_resnet():
    return resnet.build_resnet(R50)


def read_image(shared_data) -> tf.Tensor:
    """The first picture of `coco_mini`, uint8 `[1, H, W, 3]`, cut to a size that no stride divides."""
    folder = shared_data / "coco_mini"
    names = [i["file_name"] for i in json.loads((folder / "annotations/instances_val2017.json").read_text())["images"]]
    image = tf.io.decode_jpeg(tf.io.read_file(str(folder / "val2017" / sorted(names)[0])), channels=3)
    return image[None, :301, :403]


def assert_same_features(ours, theirs, image):
    features = ours(detector.normalization(backbone_keys.Backbone()).normalize(image))
    reference = tf_keras.Model(theirs.input, {k: theirs.get_layer(v).output for k, v in OUTPUTS.items()})
    expected = reference(tf_keras.applications.resnet.preprocess_input(tf.cast(image, tf.float32)))
    for level in OUTPUTS:
        scale = np.max(np.abs(expected[level]))
        assert scale > 1
        np.testing.assert_allclose(features[level], expected[level], rtol=0, atol=1e-4 * scale)


def test_features_are_those_of_keras_applications(shared_data, weights_file, keras_resnet, our_resnet):
    keras.load(our_resnet, keras.read(weights_file, R50), R50)
    assert_same_features(our_resnet, keras_resnet, read_image(shared_data))


def test_imagenet_takes_what_keras_gives(shared_data, keras_resnet, our_resnet, monkeypatch):
    """Stands in for the download alone: a network of Keras Applications with values of its own."""
    theirs = tf_keras.applications.ResNet50(weights=None, include_top=False)
    generator = np.random.default_rng(0)
    theirs.set_weights([w * generator.uniform(0.9, 1.1, w.shape) for w in keras_resnet.get_weights()])
    monkeypatch.setitem(keras.APPLICATIONS, 50, lambda weights, include_top: theirs)
    keras.load(our_resnet, keras.read("imagenet", R50), R50)
    assert_same_features(our_resnet, theirs, read_image(shared_data))


def test_a_detector_takes_the_file_of_a_whole_model_too(keras_resnet, weights_file, tmp_path):
    """`Model.save` puts the weights into a group of their own."""
    path = str(tmp_path / "model.h5")
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink(weights_file, "/")
    config = schema.Model()
    config.backbone.resnet.weights = path
    model = detector.build_detector(config, 3)
    backbones.initialize(model, config.backbone)
    kernel = model.get_layer("backbone").get_layer("conv1_conv").kernel
    np.testing.assert_array_equal(kernel, keras_resnet.get_layer("conv1_conv").kernel)


def test_a_failed_download_says_what_to_do(monkeypatch):
    def fails(weights, include_top):
        raise Exception("URL fetch failure on https://...\n: None -- Name or service not known")

    monkeypatch.setitem(keras.APPLICATIONS, 50, fails)
    with pytest.raises(UserError, match="were not downloaded; give the path .*Name or service not known") as error:
        keras.read("imagenet", R50)
    assert "\n" not in str(error.value)


def test_files_of_other_networks_are_refused(our_resnet, weights_file, tmp_path):
    config = backbone_keys.ResNet(depth=14)
    smaller = resnet.build_resnet(config)
    with pytest.raises(UserError, match=r"notop.h5 does not fit Keras Applications' ResNet-14: \d+ too many: conv2_bl"):
        keras.load(smaller, keras.read(weights_file, R50), config)
    empty = str(tmp_path / "empty.h5")
    with h5py.File(empty, "w") as file:
        file.create_group("layers/conv2d/vars")  # Keras 3
    with pytest.raises(UserError, match="empty.h5 holds no tensors by name"):
        keras.read(empty, R50)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"form": "pytorch"}, "'imagenet' are Keras Applications' and need form caffe, not pytorch"),
        ({"depth": 14}, "have weights of ResNet-50, 101, 152, not of depth 14 in 1 group$"),
        ({"depth": 101, "groups": 64}, "have weights of ResNet-50, 101, 152, not of depth 101 in 64 groups$"),
    ],
)
def test_weights_that_do_not_exist(overrides, message):
    config = backbone_keys.Backbone()
    config.override({"resnet": {"depth": 14, **overrides}})
    with pytest.raises(UserError, match=message):
        imagenet.load(None, config.resnet)


@pytest.mark.parametrize(
    "backbone", [{"type": "mobilenet"}, {"resnet": {"weights": ""}}, {"resnet": {"weights": "checkpoint"}}]
)
def test_random_values_stay(backbone):
    config = schema.Model()
    config.override({"backbone": {"resnet": {"depth": 14}}})
    config.override({"backbone": backbone, "fpn": {"channels": 8}, "heads": {"channels": 8}})
    model = detector.build_detector(config, 3)
    before = model.get_weights()
    backbones.initialize(model, config.backbone)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights()))
