"""Section 3.2 and Fig. 5: from instances and their levels to what each location learns."""

import tensorflow as tf

from fsaf_tf import boxes as box_ops
from fsaf_tf import pyramid, regions


def anchor_free_targets(
    instances: regions.Instances, learns: tf.Tensor, layout: pyramid.Layout, num_classes: int
) -> dict[str, tf.Tensor]:
    """The class, ignore and offset maps of the anchor-free branch, for instances whose levels are known.

    An effective cell on a level that learns the instance is positive; where several instances want it, it goes to the
    smallest, then to the first. In its own class's map an instance's ignoring box is nowhere negative, on its levels
    and on those next to them. Everything else is negative, in every class's map.

    Args:
        instances: of B images.
        learns: `[B, N, L]` bool, the levels that learn an instance.
        layout: the levels' maps.
        num_classes: K.

    Returns:
        positive: `[B, P]` bool, an instance's effective cell; its class has target 1, its offsets are trained.
        instance: `[B, P]` int32, the instance of a positive location, 0 elsewhere.
        negative: `[B, P, K]` bool, target 0. What is neither positive nor negative is ignored.
    """
    beyond = tf.pad(learns, [[0, 0], [0, 0], [1, 1]])  # [B, N, L + 2]
    is_near = beyond[..., :-2] | learns | beyond[..., 2:]  # [B, N, L]
    effective = _only(instances.cell_ranges[..., regions.EFFECTIVE, :], learns)
    ignoring = _only(instances.cell_ranges[..., regions.IGNORING, :], is_near)
    return {
        **_assign(box_ops.area(instances.boxes), effective, layout),
        "negative": tf.logical_not(_covered(ignoring, instances.classes, layout, num_classes)),
    }


def _only(ranges: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    """Cell ranges `[..., 4]`, those not in `keep` `[...]` emptied."""
    return tf.where(keep[..., None], ranges, 0)


def _assign(area: tf.Tensor, effective: tf.Tensor, layout: pyramid.Layout) -> dict[str, tf.Tensor]:
    """Gives each location to the smallest of the instances `effective` `[B, N, L, 4]` that want it."""
    batch, instances, num_levels = tf.unstack(tf.shape(effective)[:3])
    by_size = tf.argsort(area, axis=-1, stable=True)  # [B, N], the smallest instance first
    rank = tf.reshape(tf.argsort(by_size, axis=-1), [-1])

    def lower_rank(ranks, owner, cell, inside):
        instance, level = owner // num_levels, owner % num_levels
        place = tf.where(inside, layout.flat_index(instance // instances, level, cell), 0)
        wanted = tf.where(inside, tf.gather(rank, instance), instances)
        return tf.tensor_scatter_nd_min(ranks, place[:, None], wanted)

    nobody = tf.fill([batch * layout.num_locations], instances)
    ranks = regions.fold_cells(tf.reshape(effective, [-1, 4]), lower_rank, nobody)
    ranks = tf.reshape(ranks, [batch, layout.num_locations])
    positive = ranks < instances
    by_size = tf.pad(by_size, [[0, 0], [0, 1]])  # one more place, for the locations of nobody
    return {"positive": positive, "instance": tf.gather(by_size, ranks, batch_dims=1)}


def _covered(ranges: tf.Tensor, classes: tf.Tensor, layout: pyramid.Layout, num_classes: int) -> tf.Tensor:
    """Where any of the ranges `[B, N, L, 4]` lies, in the map of its class: `[B, P, K]` bool.

    Each rectangle adds +1, -1, -1, +1 at its corners; the running sum over rows and columns counts the rectangles.
    """
    batch = tf.shape(ranges)[0]
    image = tf.broadcast_to(tf.range(batch)[:, None], tf.shape(classes))
    maps = []
    for index, (height, width) in enumerate(layout.sizes):
        top, left, bottom, right = tf.unstack(ranges[:, :, index], axis=-1)  # [B, N] each
        corners = [(top, left, 1.0), (top, right, -1.0), (bottom, left, -1.0), (bottom, right, 1.0)]
        places = tf.stack([tf.stack([image, row, column, classes], axis=-1) for row, column, _ in corners])
        signs = tf.broadcast_to(tf.reshape([sign for *_, sign in corners], [4, 1, 1]), tf.shape(places)[:3])
        steps = tf.scatter_nd(places, signs, [batch, height + 1, width + 1, num_classes])
        count = tf.cumsum(tf.cumsum(steps, axis=1), axis=2)[:, :-1, :-1]
        maps.append(tf.reshape(count > 0.5, [batch, -1, num_classes]))
    return tf.concat(maps, axis=1)
