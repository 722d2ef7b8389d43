import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import resnet

GIVEN, RANDOM = "checkpoint", ""  # where the weights come from


def build(form: str, *, weights: str = RANDOM, **values) -> tf_keras.Model:
    """A block a stage."""
    return resnet.build_resnet(backbone_keys.ResNet(depth=14, form=form, weights=weights, **values))


def stage_of(variable) -> int:
    """0 for the stem, 1 to 4 for the stages."""
    return int(variable.name[len("conv")]) - 1


def kinds(variables) -> set:
    """`{(stage, "kernel"), (stage, "gamma"), ...}`."""
    return {(stage_of(v), v.name.split("/")[1].split(":")[0]) for v in variables}


@pytest.fixture(scope="module")
def random_caffe():
    return build("caffe")


def test_sizes_are_rounded_up_at_any_image_size(random_caffe):
    pytorch = build("pytorch")
    for height, width in ((64, 96), (97, 131), (33, 1)):
        for model in (random_caffe, pytorch):
            features = model(tf.zeros([1, height, width, 3]))
            for level in range(2, 6):
                cells = (1, -(-height // 2**level), -(-width // 2**level), 16 * 2**level)
                assert features[str(level)].shape == cells


def test_forms_differ_only_in_where_the_stride_is(random_caffe):
    pytorch = build("pytorch")
    assert [(v.name, v.shape) for v in random_caffe.weights] == [(v.name, v.shape) for v in pytorch.weights]
    for model, strided in ((random_caffe, "_1_conv"), (pytorch, "_2_conv")):
        found = {layer.name for layer in model.layers if getattr(layer, "strides", None) == (2, 2)}
        blocks = [f"conv{stage}_block1" for stage in (3, 4, 5)]
        convs = {f"{block}{end}" for block in blocks for end in (strided, "_0_conv")}
        assert found == convs | {"conv1_conv", "pool1_pool"}


def test_padding_at_stride_2_is_symmetric_on_even_maps():
    model = build("pytorch")
    inner = [model.get_layer(name).output for name in ("conv1_conv", "conv3_block1_1_relu", "conv3_block1_2_conv")]
    images = tf.random.stateless_normal([1, 64, 64, 3], seed=(1, 2))
    stem, before, after = tf_keras.Model(model.input, inner)(images)

    def convolve(x, name, border):
        pads = [[0, 0], [border, border], [border, border], [0, 0]]
        return tf.nn.conv2d(x, model.get_layer(name).kernel, strides=2, padding=pads)

    np.testing.assert_allclose(stem, convolve(images, "conv1_conv", 3), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after, convolve(before, "conv3_block1_2_conv", 1), rtol=1e-4, atol=1e-4)


def test_groups_and_width_are_those_of_resnext_101_64x4d():
    model = build("pytorch", weights=GIVEN, groups=64, width_per_group=4)
    channels = [16, 64, 128, 256, 512]  # between blocks; of depth 14 a quarter of those of 101
    for stage, width in enumerate([256, 512, 1024, 2048], start=2):
        kernels = [model.get_layer(f"conv{stage}_block1_{i}_conv").kernel.shape for i in range(4)]
        before, after = channels[stage - 2 : stage]
        shortcut, first, last = (1, 1, before, after), (1, 1, before, width), (1, 1, width, after)
        assert kernels == [shortcut, first, (3, 3, width // 64, width), last]
    assert [model.output[level].shape[-1] for level in "2345"] == channels[1:]


# In float64 TensorFlow has no gradient of a convolution in groups on any CPU; in float32 it has it on some.
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_in_groups_is_a_block_diagonal_one(dtype, stride):
    x = tf.random.stateless_normal([2, 9, 12, 12], seed=(1, 2), dtype=dtype)
    layer = resnet.Convolution(6, 3, strides=stride, padding="same", groups=3, use_bias=False, dtype=dtype)
    layer(x)
    blocks = np.kron(np.eye(3), np.ones([4, 2]))  # channel 4 g + i to channel 2 g + o

    def dense(x, kernel):
        return tf.nn.conv2d(x, tf.tile(kernel, [1, 1, 3, 1]) * blocks.astype(dtype), stride, "SAME")

    def outputs_and_gradients(convolve):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = convolve(x)
            loss = tf.reduce_sum(y**2)
        return y, *tape.gradient(loss, [x, layer.kernel])

    signature = [tf.TensorSpec([None, None, None, 12], dtype)]
    expected = outputs_and_gradients(lambda x: dense(x, layer.kernel))
    for convolve in (layer, tf.function(layer, input_signature=signature)):
        for found, wanted in zip(outputs_and_gradients(convolve), expected):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_graph_of_tensorflow_1_does_not_say_what_the_device_can():
    """Nothing runs there: what is asked for the first time in one must not be answered for all that come later."""
    before = resnet.has_grouped_kernels("float32")
    resnet._has_grouped_gradient.cache_clear()
    with tf.Graph().as_default():
        assert not resnet.has_grouped_kernels("float32")
    assert resnet.has_grouped_kernels("float32") == before


@pytest.mark.parametrize("weights", [GIVEN, RANDOM])
def test_resnext_in_a_graph(weights):
    """Where TensorFlow may fuse a convolution with its normalisation, which in groups not every CPU can do."""
    model = build("pytorch", weights=weights, groups=8, width_per_group=8)
    images = tf.random.stateless_normal([2, 65, 96, 3], seed=(1, 2))
    graph = tf.function(
        lambda x: model(x, training=False), input_signature=[tf.TensorSpec([None, None, None, 3])]
    ).get_concrete_function()
    assert "XlaMustCompile" not in str(graph.graph.as_graph_def())  # Keras does it to convolutions in groups
    for found, expected in zip(*map(tf.nest.flatten, (graph(images), model(images, training=False)))):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    @tf.function
    def gradients(images):
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_mean(x**2) for x in model(images, training=True).values()])
        return tape.gradient(loss, model.trainable_variables)

    assert all(np.any(gradient != 0) and np.all(np.isfinite(gradient)) for gradient in gradients(images))


@pytest.mark.parametrize("frozen_stages", [0, 1, 4])
def test_pretrained_stages_are_frozen(frozen_stages):
    trained = set(range(frozen_stages + 1, 5))
    model = build("caffe", weights=GIVEN, frozen_stages=frozen_stages)
    assert kinds(model.trainable_variables) == {(stage, "kernel") for stage in trained}
    model = build("caffe", weights=GIVEN, frozen_stages=frozen_stages, train_bn_affine=True)
    names = ("kernel", "gamma", "beta")
    assert kinds(model.trainable_variables) == {(stage, name) for stage in trained for name in names}


def test_from_random_values_everything_is_trained(random_caffe):
    trained = kinds(random_caffe.trainable_variables)
    assert trained == {(stage, name) for stage in range(5) for name in ("kernel", "gamma", "beta")}
    assert kinds(random_caffe.weights) - trained == {
        (stage, name) for stage in range(5) for name in ("moving_mean", "moving_variance")
    }


def test_statistics_are_frozen_if_pretrained_and_follow_with_momentum_if_not(random_caffe):
    images = 3.0 + tf.random.stateless_normal([2, 64, 64, 3], seed=(1, 2))
    pretrained = build("caffe", weights=GIVEN, frozen_stages=0, train_bn_affine=True)
    pretrained(images, training=True)
    norm = pretrained.get_layer("conv1_bn")
    assert np.all(norm.moving_mean == 0) and np.all(norm.moving_variance == 1)

    stem = tf_keras.Model(random_caffe.input, random_caffe.get_layer("conv1_conv").output)(images)
    norm = random_caffe.get_layer("conv1_bn")
    before = norm.moving_mean.numpy()
    random_caffe(images, training=True)
    expected = 0.9 * before + 0.1 * np.mean(stem, axis=(0, 1, 2))
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-3, atol=1e-5)


def test_frozen_normalisation_equals_keras_at_inference():
    ours, keras = resnet.FrozenBatchNormalization(), tf_keras.layers.BatchNormalization(epsilon=resnet.EPSILON)
    x = tf.random.stateless_normal([2, 3, 4, 5], seed=(1, 2))
    ours(x), keras(x)
    assert [w.name.split("/")[1] for w in ours.weights] == [w.name.split("/")[1] for w in keras.weights]
    values = [*np.random.default_rng(0).normal(size=(3, 5)), np.array([0.0, 1e-6, 0.1, 1.0, 50.0])]
    ours.set_weights(values), keras.set_weights(values)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        outputs = ours(x), keras(x, training=False)
        losses = [tf.reduce_sum(y**2) for y in outputs]
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)
    ours_gradients = tape.gradient(losses[0], [x, ours.gamma, ours.beta])
    keras_gradients = tape.gradient(losses[1], [x, keras.gamma, keras.beta])
    for ours_gradient, keras_gradient in zip(ours_gradients, keras_gradients):
        np.testing.assert_allclose(ours_gradient, keras_gradient, rtol=1e-4, atol=1e-3)


def test_layers_start_with_different_values(random_caffe):
    """One unseeded initializer for all of them would give equal kernels."""
    kernels = [random_caffe.get_layer(f"conv{stage}_block1_0_conv").kernel.numpy() for stage in (2, 3, 4, 5)]
    first, second = (random_caffe.get_layer(f"conv2_block1_{i}_conv").kernel.numpy() for i in (0, 1))
    assert first.shape == second.shape and not np.allclose(first, second)
    for kernel in kernels:  # He et al.: variance 2 / fan-in, 1x1 kernels
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / kernel.shape[2]), rtol=0.1)


def test_replicas_share_their_statistics():
    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        pytest.skip("needs two logical CPU devices")
    images = tf.random.stateless_normal([2, 32, 32, 3], seed=(1, 2)) + tf.reshape([0.0, 5.0], [2, 1, 1, 1])
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices[:2]])
    with strategy.scope():
        model = build("caffe")
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: images[context.replica_id_in_sync_group :][:1]
    )
    strategy.run(tf.function(lambda x: model(x, training=True)["2"]), args=(halves,))
    stem = tf_keras.Model(model.input, model.get_layer("conv1_conv").output)(images)
    expected = 0.1 * np.mean(stem, axis=(0, 1, 2))
    np.testing.assert_allclose(model.get_layer("conv1_bn").moving_mean.numpy(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": 18}, "depth cannot be 18; there are: 14, 50, 101, 152"),
        ({"form": "cafe"}, "form cannot be 'cafe', did you mean 'caffe'.; there are: caffe, pytorch"),
        ({"frozen_stages": 5}, "frozen_stages must be from 0 to 4, not 5"),
        ({"groups": 0}, "groups must be at least 1, not 0"),
        ({"width_per_group": -4}, "width_per_group must be at least 1, not -4"),
    ],
)
def test_unknown_values_are_named(values, message):
    with pytest.raises(UserError, match=f"^task.model.backbone.resnet.{message}"):
        resnet.build_resnet(backbone_keys.ResNet(**values))
