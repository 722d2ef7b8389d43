"""What a family of backbones brings: one file with this value, its keys in the schema, a row of `backbones`."""

from collections.abc import Callable
from typing import NamedTuple

import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.modeling.normalization import Normalization


class Family(NamedTuple):
    """A family of backbones. Each function takes the configuration, which has chosen this family.

    What is not given is as for a network from random values, all of which is trained. What of the configuration fixes
    the meaning of its weights, the configuration says itself; see `backbone_keys.Backbone.architecture`.

    Attributes:
        build: makes the network, with random values: a model from normalised images `[B, H, W, 3]` of any size to its
            maps by level, `{"3": C3, "4": C4, "5": C5}`, which may be more; level l has `ceil(H / 2^l)` rows and
            likewise columns.
        normalization: of the images that it wants.
        load_weights: sets the published weights that the configuration names in a network from `build`.
        awaits_checkpoint: whether its weights come with a checkpoint and from nowhere else.
        has_frozen_statistics: whether its batch normalisation uses stored statistics in training, too.
        slow_by_xla_on_cpus: which part of it, in words; empty if none is.
    """

    build: Callable[[backbone_keys.Backbone], tf_keras.Model]
    normalization: Callable[[backbone_keys.Backbone], Normalization]
    load_weights: Callable[[tf_keras.Model, backbone_keys.Backbone], None] = lambda network, backbone: None
    awaits_checkpoint: Callable[[backbone_keys.Backbone], bool] = lambda backbone: False
    has_frozen_statistics: Callable[[backbone_keys.Backbone], bool] = lambda backbone: False
    slow_by_xla_on_cpus: Callable[[backbone_keys.Backbone], str] = lambda backbone: ""
