"""The networks of published weights in plain torch, with the names of their checkpoints and random values.

torchvision's ResNet and ResNeXt; mmdetection's FPN, FSAF and RetinaNet with the boxes that their outputs mean.
"""

import pytest

torch = pytest.importorskip(
    "torch", reason='torch is not installed: pip install -c constraints.txt -e ".[dev]" runs these tests too'
)

import numpy as np  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from fsaf_tf.config import backbone_keys  # noqa: E402

BLOCKS = {14: (1, 1, 1, 1), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, width, stride, groups, project):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        if project:
            shortcut = nn.Conv2d(inputs, 4 * planes, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        return functional.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet(nn.Module):
    """Images `[B, 3, H, W]` to `[C2, C3, C4, C5]`; with a classifier that is not run, as in torchvision's files."""

    def __init__(self, depth, groups=1, width_per_group=64, classifier=True):
        super().__init__()
        inputs = first = backbone_keys.planes(depth)
        self.conv1 = nn.Conv2d(3, first, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        for stage, blocks in enumerate(BLOCKS[depth]):
            planes, width, layers = first * 2**stage, width_per_group * 2**stage * groups, []
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(Bottleneck(inputs, planes, width, stride, groups, project=not block))
                inputs = 4 * planes
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        if classifier:
            self.fc = nn.Linear(inputs, 1000)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps


class ConvModule(nn.Module):
    """A convolution one name deeper, as in mmcv."""

    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)

    def forward(self, x):
        return self.conv(x)


class Neck(nn.Module):
    """P3 to P7: P6 of C5 and no ReLU before P7."""

    def __init__(self, planes, channels):
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvModule(times * planes, channels, 1) for times in (8, 16, 32))
        extra = [ConvModule(32 * planes, channels, 3, 2), ConvModule(channels, channels, 3, 2)]
        self.fpn_convs = nn.ModuleList([ConvModule(channels, channels, 3) for _ in range(3)] + extra)

    def forward(self, maps):
        merged = [conv(x) for conv, x in zip(self.lateral_convs, maps[1:])]
        for low in (1, 0):
            above = functional.interpolate(merged[low + 1], size=merged[low].shape[2:], mode="nearest")
            merged[low] = merged[low] + above
        pyramid = [conv(x) for conv, x in zip(self.fpn_convs, merged)]
        pyramid.append(self.fpn_convs[3](maps[-1]))
        return [*pyramid, self.fpn_convs[4](pyramid[-1])]


class Head(nn.Module):
    """RetinaNet's; FSAF's has one anchor and a ReLU on its boxes."""

    def __init__(self, channels, convs, classes, anchors):
        super().__init__()
        self.cls_convs = nn.ModuleList(ConvModule(channels, channels, 3) for _ in range(convs))
        self.reg_convs = nn.ModuleList(ConvModule(channels, channels, 3) for _ in range(convs))
        self.retina_cls = nn.Conv2d(channels, anchors * classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(channels, anchors * 4, 3, padding=1)

    def forward(self, x):
        outputs = []
        for convs, last in ((self.cls_convs, self.retina_cls), (self.reg_convs, self.retina_reg)):
            y = x
            for conv in convs:
                y = functional.relu(conv(y))
            outputs.append(last(y))
        return outputs[0], functional.relu(outputs[1]) if outputs[1].shape[1] == 4 else outputs[1]


class Detector(nn.Module):
    """Images `[B, 3, H, W]` to (classes, boxes) of P3 to P7. One anchor is FSAF, nine are RetinaNet."""

    def __init__(self, depth, anchors, *, classes=3, channels=16, convs=1, **kwargs):
        super().__init__()
        self.backbone = ResNet(depth, classifier=False, **kwargs)
        self.neck = Neck(backbone_keys.planes(depth), channels)
        self.bbox_head = Head(channels, convs, classes, anchors)

    def forward(self, x):
        return [self.bbox_head(level) for level in self.neck(self.backbone(x))]


def randomize(module: nn.Module, seed: int) -> nn.Module:
    """Random values everywhere, statistics of batch normalisation and biases too, that keep the size of what flows."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.ndim > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
        elif name.endswith(("weight", "running_var")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.normal_(0, 0.3, generator=generator)
    return module.eval()


def run(module: nn.Module, images):
    """Images `[B, H, W, 3]`; the outputs as NumPy arrays `[B, h, w, C]`, nested as the module nests them."""

    def plain(value):
        return (
            [plain(each) for each in value] if isinstance(value, (list, tuple)) else value.permute(0, 2, 3, 1).numpy()
        )

    with torch.no_grad():
        return plain(module(torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2)))


def square_anchor_boxes(outputs, stride: int) -> np.ndarray:
    """FSAF's boxes `[H, W, 4]` x1 y1 x2 y2 of outputs `[H, W, 4]`: distances over 4 and over the anchor's sides."""
    boxes = np.empty_like(outputs)
    for row, column in np.ndindex(outputs.shape[:2]):
        top, bottom, left, right = outputs[row, column] * 4 * stride
        boxes[row, column] = column * stride - left, row * stride - top, column * stride + right, row * stride + bottom
    return boxes


def nine_anchor_boxes(outputs, stride: int) -> np.ndarray:
    """RetinaNet's boxes `[H, W, 9, 4]` x1 y1 x2 y2 of outputs `[H, W, 36]`."""
    boxes = np.empty([*outputs.shape[:2], 9, 4])
    for row, column, index in np.ndindex(*outputs.shape[:2], 9):
        ratio, scale = (0.5, 1.0, 2.0)[index // 3], 4 * 2 ** (index % 3 / 3)
        width, height = stride * scale / ratio**0.5, stride * scale * ratio**0.5
        dx, dy, dw, dh = outputs[row, column, 4 * index : 4 * index + 4]
        x, y = column * stride + dx * width, row * stride + dy * height
        half = np.array([width * np.exp(dw), height * np.exp(dh)]) / 2
        boxes[row, column, index] = *([x, y] - half), *([x, y] + half)
    return boxes
