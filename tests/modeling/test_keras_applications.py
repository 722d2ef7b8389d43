"""Keras Applications' networks as backbones, beside Keras's own of the same weights."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones, batch_norm, keras_applications

# The last layer of each stride that is not only wider than the one before, read off Keras's code.
LEVELS = {
    "MobileNetV3Small": ("expanded_conv_2/Add", "expanded_conv_7/Add", "expanded_conv_10/Add"),
    "EfficientNetB0": ("block3b_add", "block5c_add", "block7a_project_bn"),
}
CHANNELS = {"MobileNetV3Small": (24, 48, 96), "EfficientNetB0": (40, 112, 320)}


def config(**values) -> backbone_keys.Backbone:
    backbone = backbone_keys.Backbone(type="keras_applications")
    backbone.keras_applications.override(values)
    return backbone


def write_published(model_id: str, path: str, *, include_top: bool = False) -> None:
    """A file as Keras publishes it, of values that no layer has by itself."""
    network, draw = getattr(tf_keras.applications, model_id)(weights=None, include_top=include_top), np.random
    for layer in network.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        if isinstance(layer, tf_keras.layers.Normalization):  # standard deviations where variances belong
            layer.set_weights([np.array(value) for value in (*keras_applications.STORED, 0)])
        elif isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.set_weights([draw.uniform(0.5, 1.5, shape) for shape in shapes])
        elif shapes:
            layer.set_weights([draw.normal(0, np.prod(shape[:-1]) ** -0.5, shape) for shape in shapes])
    network.save_weights(path)


@pytest.fixture(scope="module", params=LEVELS)
def model_id(request):
    return request.param


@pytest.fixture(scope="module")
def built(model_id):
    return backbones.family(config()).build(config(model_id=model_id))


@pytest.fixture(scope="module")
def published(model_id, tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("weights") / "notop.h5")
    write_published(model_id, path)
    return path


@pytest.fixture
def download(monkeypatch, published):
    """Stands in for the download alone; the network of `weights="imagenet"` has layers that one of a file has not."""
    monkeypatch.setattr(tf_keras.src.utils.data_utils, "get_file", lambda *args, **kwargs: published)


@pytest.mark.parametrize(
    ("model_id", "size", "is_downloaded"),
    [
        ("MobileNetV3Small", (96, 64), True),
        ("MobileNetV3Small", (75, 99), False),
        ("EfficientNetB0", (75, 99), True),
    ],
    indirect=["model_id"],
)
def test_features_are_those_of_keras(model_id, built, published, download, size, is_downloaded):
    """Odd sizes, too: as of Keras's network that is made for them."""
    backbone = config(model_id=model_id, weights="imagenet" if is_downloaded else published)
    backbones.family(backbone).load_weights(built, backbone)
    theirs = getattr(tf_keras.applications, model_id)(weights="imagenet", include_top=False, input_shape=(*size, 3))
    image = tf.constant(np.random.randint(0, 256, (1, *size, 3)), tf.uint8)
    outputs = [theirs.get_layer(name).output for name in LEVELS[model_id]]
    expected = tf_keras.Model(theirs.input, outputs)(tf.cast(image, tf.float32), training=False)
    found = built(backbones.family(backbone).normalization(backbone).normalize(image), training=False)
    for level, value in zip("345", expected):
        assert found[level].shape[1:3] == tuple(-(-side // 2 ** int(level)) for side in size)
        np.testing.assert_allclose(found[level], value, rtol=0, atol=1e-4 * np.abs(value).max())


def test_channels_of_the_maps(model_id, built):
    assert tuple(built.output[level].shape[-1] for level in "345") == CHANNELS[model_id]


def test_batch_normalisation_is_the_librarys(built):
    norms = [layer for layer in built.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    assert len(norms) > 30
    assert {(layer.momentum, layer.synchronized) for layer in norms} == {(batch_norm.MOMENTUM, False)}
    assert all(variable.trainable for layer in norms for variable in (layer.gamma, layer.beta))


def test_alpha_is_the_width_and_statistics_are_of_all_replicas():
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        network = backbones.family(config()).build(config(model_id="MobileNet", alpha=0.25))
    assert [network.output[level].shape[-1] for level in "345"] == [64, 128, 256]
    norms = [layer for layer in network.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    assert norms and all(layer.synchronized for layer in norms)


def test_a_file_with_the_classifier_is_taken(tmp_path):
    """And gives each layer its own values."""
    path, backbone = str(tmp_path / "top.h5"), config(model_id="MobileNetV3Small")
    write_published("MobileNetV3Small", path, include_top=True)
    theirs = tf_keras.applications.MobileNetV3Small(weights=path)
    network = backbones.family(backbone).build(backbone)
    backbones.family(backbone).load_weights(network, config(model_id="MobileNetV3Small", weights=path))
    for layer in (layer for layer in network.layers if layer.weights):
        for value, expected in zip(layer.get_weights(), theirs.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)


def refused(backbone: backbone_keys.Backbone, network=None) -> str:
    """The one line that an experiment ends with."""
    with pytest.raises(UserError) as error:
        family = backbones.family(backbone)
        family.load_weights(network or family.build(backbone), backbone)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix("task.model.backbone.keras_applications")


def test_an_unknown_model_is_named_with_those_there_are():
    line = refused(config(model_id="EfficientNetB9"))
    assert line.startswith(".model_id is 'EfficientNetB9'") and "but must be one of: MobileNet, MobileNetV2, " in line
    with pytest.raises(UserError, match="model_id is 'ResNet50'"):
        keras_applications.normalization(backbone_keys.KerasApplications(model_id="ResNet50"))


def test_only_mobilenets_have_another_width():
    line = refused(config(model_id="DenseNet121", alpha=0.5))
    assert line == ".alpha is 0.5, but only these have one: " + ", ".join(keras_applications._WITH_ALPHA)


@pytest.mark.parametrize("model_id", ["MobileNetV3Small"], indirect=True)
def test_weights_that_cannot_be_had(monkeypatch, model_id, built, tmp_path):
    """Each is told in one line, and changes nothing."""
    before = built.get_weights()

    def fails(*args, **kwargs):
        raise Exception("URL fetch failure on https://...\n: None -- Name or service not known")

    monkeypatch.setattr(tf_keras.src.utils.data_utils, "get_file", fails)
    damaged, nothing = tmp_path / "damaged.h5", tmp_path / "nothing.npz"
    for path in (damaged, nothing):
        path.write_bytes(b"no weights")
    write_published("MobileNet", str(tmp_path / "other.h5"))
    cases = {
        "imagenet": f": the ImageNet weights of {model_id} cannot be had; give the path of Keras's .h5 file as weights",
        str(tmp_path / "none.h5"): f".weights: {tmp_path}/none.h5: there is no such file",
        str(damaged): f".weights: {damaged} does not fit {model_id}: ",
        str(nothing): f".weights: {nothing}: Keras's weights are read from files ending in .h5",
        str(tmp_path / "other.h5"): f".weights: {tmp_path}/other.h5 does not fit {model_id}: Layer count mismatch",
    }
    for weights, line in cases.items():
        assert refused(config(model_id=model_id, weights=weights), built).startswith(line)
    for value, old in zip(built.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize("model_id", ["MobileNetV3Small"], indirect=True)
def test_values_that_are_no_numbers_are_refused(published, built, model_id, tmp_path):
    path = str(tmp_path / "nan.h5")
    network = getattr(tf_keras.applications, model_id)(weights=published, include_top=False)
    conv = next(layer for layer in network.layers if isinstance(layer, tf_keras.layers.DepthwiseConv2D))
    conv.set_weights([np.full_like(conv.get_weights()[0], np.nan)])
    network.save_weights(path)
    line = refused(config(model_id=model_id, weights=path), built)
    assert f"{path} does not fit {model_id}: 1 not finite: {conv.name}/depthwise_kernel:0" in line


@pytest.mark.parametrize("model_id", ["EfficientNetB0"], indirect=True)
def test_a_network_of_other_images_is_refused(tmp_path, model_id, built):
    path = str(tmp_path / "own.h5")
    tf_keras.applications.EfficientNetB0(weights=None, include_top=False).save_weights(path)
    line = refused(config(model_id=model_id, weights=path), built)
    assert line.startswith(f".weights: {path} normalises images by mean 0, 0, 0 and variance 1, 1, 1, not as Keras's")


def test_the_range_of_every_network_is_that_of_kerass_preprocessing():
    """Those whose network does it have it in the first layers, which another test sees."""
    image = tf.constant(np.random.randint(0, 256, (2, 3, 3)), tf.float32)
    for name, module in (("MobileNet", "mobilenet"), ("MobileNetV2", "mobilenet_v2"), ("DenseNet121", "densenet")):
        theirs = getattr(tf_keras.applications, module).preprocess_input(image)
        ours = keras_applications.NORMALIZATIONS[name].normalize(image)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
