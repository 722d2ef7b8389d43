"""The tool as a user runs it: a folder that everything else takes, or one line."""

import json
import os
import pathlib
import platform
import resource
import runpy
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch_reference as reference
from official.core import exp_factory

import fsaf_tf
from fsaf_tf.config import experiment
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_classes import COCO
from fsaf_tf.errors import UserError
from fsaf_tf.files import parts
from fsaf_tf.run import import_published

torch = reference.torch
TOOL = pathlib.Path(__file__).parent.parent.parent / "tools" / "import_weights.py"
SMALL = """
task:
  model:
    backbone: {resnet: {depth: 14}}
    fpn: {channels: 16}
    heads: {channels: 16, convs: 1}
    anchor_free: {enabled: %s}
    anchor_based: {enabled: %s}
  input_size: {shorter_side: 64, longer_side: 96}
"""


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """Runs the tool in this process, which has TensorFlow: its exit status, its lines, and its one line of an error."""
    monkeypatch.chdir(tmp_path)

    def _tool(*arguments):
        monkeypatch.delitem(sys.modules, "fsaf_tf.cli.import_weights", raising=False)  # its flags keep their values
        monkeypatch.setattr(sys, "argv", [str(TOOL), *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(TOOL), run_name="__main__")
        message = stopped.value.code
        if isinstance(message, str):  # Python prints it and exits with 1
            assert message.startswith("error: ") and "\n" not in message and len(message) < 600
        return message, capsys.readouterr().out.splitlines()

    return _tool


@pytest.fixture
def small(tmp_path):
    """The paths of experiments of small detectors."""

    def _small(*, free, based):
        path = tmp_path / f"small_{free}_{based}.yaml"
        path.write_text(SMALL % (str(free).lower(), str(based).lower()))
        return f"--experiment={path}"

    return _small


def save(module, path, **meta):
    torch.save({"meta": meta, "state_dict": module.state_dict()}, path)
    return f"--weights={path}"


def fsaf(seed=1, **kwargs):
    return reference.randomize(reference.Detector(14, 1, **kwargs), seed)


def retinanet(seed=2, **kwargs):
    return reference.randomize(reference.Detector(14, 9, **kwargs), seed)


def labels(folder) -> dict:
    return json.loads((pathlib.Path(folder) / "labels.json").read_text())


def test_mmdet_fsaf_becomes_a_detector(tool, small, tmp_path):
    theirs = fsaf()
    weights = save(theirs, "a.pth", CLASSES=("cat", "dog", "bird"))
    status, lines = tool("--source=mmdet", weights, small(free=True, based=False), "--output=out")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "checkpoint",
        "ckpt-0.data-00000-of-00001",
        "ckpt-0.index",
        "labels.json",
        "params.yaml",
    ]
    assert labels("out") == {"names": ["cat", "dog", "bird"], "category_ids": [1, 2, 3]}
    model = experiment.read_params("out").task.model
    resnet = model.backbone.resnet
    assert (resnet.form, resnet.weights, model.fpn.relu_before_p7) == ("pytorch", "checkpoint", False)
    assert (model.location_offset, model.postprocess.multi_label) == (0.0, True)
    size = experiment.read_params("out").task.input_size
    assert (size.shorter_side, size.longer_side) == (800, 1333)
    assert "  task.model.location_offset: 0.5 -> 0.0" in lines
    assert "Loaded from a.pth: the whole detector of mmdetection's FSAF" in lines

    detector = fsaf_tf.load_detector("out")
    image = np.random.default_rng(0).integers(0, 256, [64, 96, 3], np.uint8)
    seen = (image - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    expected = reference.run(theirs, seen[None])[0][0]
    found = detector.model(detector.preprocess(image, resize=False))["anchor_free_logits"]["3"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert set(detector(image, resize=False)["names"]) <= {"cat", "dog", "bird"}


def test_two_files_start_the_joint_model(tool, small):
    files = [save(retinanet(classes=80), "r.pth"), save(fsaf(classes=80), "f.pth")]
    status, lines = tool("--source=mmdet", *files, small(free=True, based=True), "--output=out")
    assert status == 0
    loaded = [line for line in lines if line.startswith("Loaded")]
    assert loaded == [
        "Loaded from f.pth: the whole detector of mmdetection's FSAF",
        "Loaded from r.pth: bbox_head.retina_cls and bbox_head.retina_reg alone, for the anchor-based branch; they were"
        " trained with other subnets and need fine-tuning before they are of use",
    ]
    assert labels("out") == {"names": list(COCO.names), "category_ids": list(COCO.ids)}
    assert set(fsaf_tf.load_detector("out").model.output) == {
        "anchor_free_logits",
        "anchor_free_offsets",
        "anchor_based_logits",
        "anchor_based_deltas",
    }


def test_the_names_of_coco_are_those_of_its_annotations(shared_data):
    content = json.loads((shared_data / "coco_mini" / "annotations" / "instances_val2017.json").read_text())
    assert COCO.categories() == [{"id": each["id"], "name": each["name"]} for each in content["categories"]]


def test_labels_give_ids_and_the_order(tool, small, tmp_path):
    categories = [{"id": 7, "name": "dog"}, {"id": 3, "name": "bird"}, {"id": 5, "name": "cat"}]
    (tmp_path / "train.json").write_text(json.dumps({"categories": categories}))
    theirs = fsaf()
    weights = save(theirs, "a.pth", dataset_meta={"classes": ("cat", "dog", "bird")})
    flags = ["--source=mmdet", small(free=True, based=False), "--output=out", "--labels=train.json"]
    assert tool(weights, *flags)[0] == 0
    assert labels("out") == {"names": ["bird", "cat", "dog"], "category_ids": [3, 5, 7]}
    bias = fsaf_tf.load_detector("out").model.get_layer("heads").class_outputs["anchor_free_logits"].bias
    np.testing.assert_array_equal(bias, theirs.bbox_head.retina_cls.bias.detach()[[2, 0, 1]])


def test_keras_backbone_gives_the_same_features(tool, shared_data):
    """ResNet-50 of Keras Applications, on a real picture with Caffe preprocessing."""
    file = shared_data / "weights" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    status, lines = tool("--source=keras", f"--weights={file}", "--experiment=fsaf_r50", "--output=out")
    assert status == 0 and f"Loaded from {file}: backbone, ResNet-50" in lines
    assert "New, with random values: fpn, heads" in lines

    picture = sorted((shared_data / "coco_mini" / "val2017").iterdir())[0]
    image = tf.io.decode_jpeg(tf.io.read_file(str(picture)), channels=3)[:320, :416]
    theirs = tf_keras.applications.ResNet50(weights=str(file), include_top=False)
    reference_model = tf_keras.Model(theirs.input, theirs.get_layer("conv5_block3_out").output)
    expected = reference_model(tf_keras.applications.resnet.preprocess_input(tf.cast(image, tf.float32)[None]))
    detector = fsaf_tf.load_detector("out")
    features = detector.model.get_layer("backbone")(detector.preprocess(image.numpy(), resize=False))
    np.testing.assert_allclose(features["5"], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_torchvision_backbone(tool, small):
    torch.save(reference.randomize(reference.ResNet(14), 1).state_dict(), "r.pth")
    os.mkdir("out")  # an empty folder may be there
    status, lines = tool("--source=torchvision", "--weights=r.pth", small(free=True, based=False), "--output=out")
    assert status == 0 and "  task.model.backbone.resnet.form: caffe -> pytorch" in lines
    params = experiment.read_params("out")
    assert params.task.model.location_offset == 0.5 and params.task.input_size.shorter_side == 64  # the experiment's
    assert len(labels("out")["names"]) == 80


def test_an_import_sweeps_what_a_killed_one_left(tool, small, tmp_path):
    process = subprocess.Popen(["true"])
    process.wait()
    ours = f"{parts.PART}{platform.node()}-{process.pid}"
    dead, kept = f"out{ours}", [f"out2{ours}", "out.part", f"out{parts.PART}another-{process.pid}"]
    for name in (dead, *kept):
        (tmp_path / name).mkdir()
    torch.save(reference.randomize(reference.ResNet(14), 1).state_dict(), "r.pth")
    status, lines = tool("--source=torchvision", "--weights=r.pth", small(free=True, based=False), "--output=out")
    assert status == 0 and lines[0] == f"Left by a kill and taken away: 1 ({dead}), in {tmp_path}."
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == sorted(["out", *kept])


def test_an_import_that_comes_second_leaves_the_first_as_it_is(tmp_path):
    """Both found the folder free when they began."""
    params, model = (
        exp_factory.get_exp_config("fsaf"),
        tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(1,))]),
    )
    import_published._write(f"{tmp_path}/out", params, model, Classes(("first",), (1,)))
    with pytest.raises(UserError, match="out cannot be written: .*the folder is not empty"):
        import_published._write(f"{tmp_path}/out", params, model, Classes(("second",), (1,)))
    assert labels(tmp_path / "out")["names"] == ["first"] and os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_nothing(tool, small, tmp_path):
    """The checkpoint is larger than a file may become."""
    weights, flags = save(fsaf(classes=80), "f.pth"), [small(free=True, based=False), "--output=out"]
    before = sorted(tmp_path.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        message, _ = tool("--source=mmdet", weights, *flags)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message.startswith("error: out cannot be written: ")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--experiment=fsaf_r50"], "--source is missing"),
        (["--experiment=fsaf_r50", "--source=detectron"], "there are: keras, torchvision, mmdet"),
        (["--experiment=fsaf_r50", "--source=mmdet", "--weights=b.pth"], "--output is missing"),
        (["--experiment=fsaf_r5", "--source=mmdet", "--weights=b.pth", "--output=o"], "did you mean 'fsaf_r50'?"),
        (["--experiment=fsaf_r50", "--source=mmdet", "--weights=b.pth", "--output=o"], "b.pth: there is no such file"),
        (
            ["--experiment=fsaf_demo", "--source=mmdet", "--weights=b.pth", "--output=o"],
            "fsaf_demo: task.model.backbone.type is mobilenet, but these weights are for resnet",
        ),
        (["--experiment=fsaf_r50", "--source=mmdet", "--weights=b.pth", "--output=."], "--output=. is there already"),
    ],
)
def test_wrong_flags(tool, arguments, message, tmp_path):
    (tmp_path / "something").write_text("")
    assert message in tool(*arguments)[0]


def test_what_does_not_fit_is_one_line_and_leaves_nothing(tool, small, tmp_path):
    free, based = small(free=True, based=False), small(free=False, based=True)
    f, r = save(fsaf(), "f.pth", CLASSES=("a", "b", "c")), save(retinanet(), "r.pth", CLASSES=("a", "b", "d"))
    unnamed = save(fsaf(), "unnamed.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "f.pth").read_bytes()[:10_000])
    (tmp_path / "two.json").write_text('{"names": ["a", "b"], "category_ids": [1, 2]}')
    (tmp_path / "xyz.json").write_text('{"names": ["x", "y", "c"], "category_ids": [1, 2, 3]}')
    before = sorted(tmp_path.iterdir())
    for arguments, message in {
        (f, based): "this experiment takes RetinaNet, a file each, but f.pth holds FSAF",
        (r, free): "this experiment takes FSAF, a file each, but r.pth holds RetinaNet",
        (f, f, free): "this experiment takes FSAF, a file each, but f.pth holds FSAF, f.pth holds FSAF",
        ("--weights=cut.pth", free): "cut.pth cannot be read: it is cut short",
        (f, "--experiment=fsaf_r50"): "f.pth holds a ResNet-14, but the experiment has a ResNet-50",
        (unnamed, free): "unnamed.pth does not name its 3 classes; give --labels=FILE",
        (f, free, "--labels=two.json"): "two.json has 2 classes, f.pth has 3",
        (f, free, "--labels=xyz.json"): "xyz.json has other classes than f.pth: x, y in place of a, b; give",
        (f, free, "--labels=none.json"): "none.json is missing",
    }.items():
        error, lines = tool("--source=mmdet", *arguments, "--output=out")
        assert message in error and lines == []
    both = small(free=True, based=True)
    error, _ = tool("--source=mmdet", f, r, both, "--output=out")
    assert "f.pth and r.pth are of other classes: c in place of d" in error
    error, _ = tool("--source=torchvision", f, free, "--output=out")
    assert "f.pth does not fit ResNet-14: 85 missing: conv1.weight" in error
    error, _ = tool("--source=mmdet", f, free, "--output=f.pth/out")
    assert "f.pth/out cannot be written" in error
    assert [path for path in sorted(tmp_path.iterdir()) if path.suffix != ".yaml"] == [
        path for path in before if path.suffix != ".yaml"
    ]
