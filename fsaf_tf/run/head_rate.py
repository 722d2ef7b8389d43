"""A learning rate of the heads' own, as a multiple of everything else's (`task.head_rate_multiplier`)."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras
from official.modeling import optimization

Optimizer = tf_keras.optimizers.Optimizer | tf_keras.optimizers.legacy.Optimizer


def multiply(optimizer: Optimizer, factor: float, is_meant: Callable[[tf.Variable], bool]) -> Optimizer:
    """Makes an optimizer's steps `factor` times as long for some of the variables: a rate so many times as high.

    It is that for every optimizer whose step is its rate times something that the rate is not in, as all of the
    Garden's are. Multiplied gradients would not be: Adam divides by their size, and a clipped norm would count them.
    Two optimizers would each clip a norm of their own.

    Args:
        optimizer: changed in place. A moving average of the weights is taken after the longer step.
        factor: of the rate.
        is_meant: whether a variable is one of those.
    """
    inner = optimizer._optimizer if isinstance(optimizer, optimization.ExponentialMovingAverage) else optimizer
    apply = inner.apply_gradients

    def apply_gradients(grads_and_vars, *args, **kwargs):
        grads_and_vars = list(grads_and_vars)
        variables = [variable for _, variable in grads_and_vars if is_meant(variable)]
        before = [tf.identity(variable) for variable in variables]
        result = apply(grads_and_vars, *args, **kwargs)
        tf.distribute.get_replica_context().merge_call(_lengthen, args=(variables, before, factor))
        return result

    inner.apply_gradients = apply_gradients
    return optimizer


def _lengthen(strategy: tf.distribute.Strategy, variables, before, factor: float) -> None:
    for variable, start in zip(variables, before):
        strategy.extended.update(variable, _from_start, args=(start, factor), group=False)


def _from_start(variable: tf.Variable, start: tf.Tensor, factor: float) -> None:
    variable.assign(start + factor * (variable - start))
