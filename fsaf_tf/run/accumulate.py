"""The gradient of a batch, taken part by part in the memory of one part."""

from collections.abc import Callable

import tensorflow as tf

from fsaf_tf.branches import Term

Gradients = list[tf.Tensor]


def in_parts(
    of_part: Callable[[dict], tuple[dict[str, Term], Gradients]], batch: dict[str, tf.Tensor], parts: int
) -> tuple[dict[str, Term], Gradients]:
    """What `of_part` gives for the batch as a whole, where its terms and gradients are means over images.

    Args:
        of_part: the terms and the gradients of a batch.
        batch: tensors of B rows each.
        parts: which divides B; they are taken one after the other.

    Returns:
        The terms, each the mean of the parts' by their weights, and the mean of the gradients.
    """
    split = tf.nest.map_structure(lambda values: _split(values, parts), batch)

    def add(number, sums):
        terms, gradients = of_part(tf.nest.map_structure(lambda values: values[number], split))
        weighed = {name: (term.value * term.weight, tf.convert_to_tensor(term.weight)) for name, term in terms.items()}
        return number + 1, tf.nest.map_structure(tf.add, sums, (weighed, gradients)) if sums else (weighed, gradients)

    number, sums = add(0, None)
    _, (weighed, gradients) = tf.while_loop(
        lambda number, sums: number < parts, add, (tf.constant(number), sums), parallel_iterations=1
    )
    terms = {name: Term(tf.math.divide_no_nan(total, weight), weight) for name, (total, weight) in weighed.items()}
    return terms, [gradient / parts for gradient in gradients]


def _split(values: tf.Tensor, parts: int) -> tf.Tensor:
    """`[B, ...]` as `[parts, B / parts, ...]`: XLA takes one of these, but no slice whose place it does not know."""
    shape = tf.shape(values)
    cut = tf.reshape(values, tf.concat([[parts, shape[0] // parts], shape[1:]], axis=0))
    return tf.ensure_shape(cut, [parts, None, *values.shape[1:]])
