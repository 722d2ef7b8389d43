"""A multiple of the learning rate is exactly that, whatever the optimizer; with clipping, averages and replicas."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.modeling import optimization

from fsaf_tf.run import head_rate

STEPS, FACTOR = 6, 5.0
OPTIMIZERS = {  # the Garden's, but for "slide" and "adafactor", which its package names and does not hold
    "sgd": {"momentum": 0.9, "nesterov": True},
    "sgd_experimental": {"momentum": 0.9},
    "adam": {},
    "adam_experimental": {"amsgrad": True},
    "adamw": {"weight_decay_rate": 0.1},
    "adamw_experimental": {"weight_decay": 0.1},
    "rmsprop": {"momentum": 0.9},
    "adagrad": {},
    "lamb": {"weight_decay_rate": 0.1},
    "lars": {"eeta": 0.1},
    "adafactor_keras": {"relative_step": False},
}


def build(kind, rate=0.01, ema=None, **settings):
    """As an experiment has it: a rate that changes, and a warm-up."""
    config = optimization.OptimizationConfig(
        {
            "optimizer": {"type": kind, kind: settings},
            "learning_rate": {"type": "stepwise", "stepwise": {"boundaries": [4], "values": [rate, rate / 10]}},
            "warmup": {"type": "linear", "linear": {"warmup_steps": 2, "warmup_learning_rate": rate / 3}},
        }
    )
    if ema:
        config.override({"ema": ema})
    factory = optimization.OptimizerFactory(config)
    return factory.build_optimizer(factory.build_learning_rate())


def make_variables():
    values = np.random.default_rng(0).normal(0, 1, (2, 3, 4)).astype(np.float32)
    return [tf.Variable(value, name=f"{name}/kernel") for name, value in zip(("body", "heads"), values)]


def is_head(variable):
    return variable.name.startswith("heads/")


def run(optimizer, variables, scale=1.0):
    """Some steps along gradients that do not depend on the variables, so that runs can be compared."""
    draw = np.random.default_rng(1)
    gradients = draw.normal(0, 1, (STEPS, 2, 3, 4)).astype(np.float32) * scale

    @tf.function
    def step(both):
        optimizer.apply_gradients(zip(tf.unstack(both), variables))

    for both in gradients:
        step(tf.constant(both))
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_steps_of_the_heads_are_those_at_the_multiple_of_the_rate(kind):
    settings = OPTIMIZERS[kind]
    start = [variable.numpy() for variable in make_variables()]
    slow = run(build(kind, **settings), make_variables())
    fast = run(build(kind, 0.01 * FACTOR, **settings), make_variables())
    mixed = run(head_rate.multiply(build(kind, **settings), FACTOR, is_head), make_variables())
    np.testing.assert_allclose(mixed[0], slow[0], rtol=1e-6)
    np.testing.assert_allclose(mixed[1] - start[1], fast[1] - start[1], rtol=1e-3, atol=1e-5)
    assert np.abs(fast[1] - slow[1]).max() > 1e-3


def test_a_clipped_norm_is_of_all_gradients():
    """Gradients of 10 times the size are clipped to the same steps; multiplied ones would change the body's."""
    optimizers = [head_rate.multiply(build("sgd", global_clipnorm=0.1), FACTOR, is_head) for _ in range(2)]
    small, large = (run(each, make_variables(), scale) for each, scale in zip(optimizers, (1.0, 10.0)))
    plain = run(build("sgd", global_clipnorm=0.1), make_variables())
    start = make_variables()
    np.testing.assert_allclose(small[0], plain[0], rtol=1e-6)
    np.testing.assert_allclose(small[1] - start[1], FACTOR * (plain[1] - start[1]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(large, small, rtol=1e-5)


def test_averages_are_of_the_longer_steps():
    optimizer = head_rate.multiply(build("sgd", ema={"average_decay": 0.5, "dynamic_decay": False}), FACTOR, is_head)
    variables = make_variables()
    model = tf_keras.Sequential([tf_keras.Input([1])])
    model._trainable_weights = variables  # what the trainer's call of shadow_copy takes
    optimizer.shadow_copy(model)
    start, expected = variables[1].numpy(), 0.0
    draw = np.random.default_rng(1)
    for _ in range(3):
        gradients = tf.unstack(tf.constant(draw.normal(0, 1, (2, 3, 4)), tf.float32))
        optimizer.apply_gradients(zip(gradients, variables))
        expected = 0.5 * expected + 0.5 * variables[1].numpy()
    assert np.abs(variables[1] - start).max() > 0.01
    np.testing.assert_allclose(optimizer.get_slot(variables[1], "average"), expected, rtol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_on_two_replicas_as_on_one(scaled):
    """Each replica has half of the gradient, as in training; with a scaled loss the optimizer is called from within."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        variables = make_variables()
        optimizer = head_rate.multiply(build("adam"), FACTOR, is_head)
        if scaled:
            optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer)

    @tf.function
    def step(both):
        def in_replica():
            optimizer.apply_gradients(zip([half / 2 for half in tf.unstack(both)], variables))

        strategy.run(in_replica)

    for both in np.random.default_rng(1).normal(0, 1, (STEPS, 2, 3, 4)).astype(np.float32):
        step(tf.constant(both))
    one = run(head_rate.multiply(build("adam"), FACTOR, is_head), make_variables())
    for replica in range(2):
        np.testing.assert_allclose(variables[1].values[replica], one[1], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(variables[0].values[replica], one[0], rtol=1e-4, atol=1e-6)
