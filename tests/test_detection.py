"""Evaluation, prediction, exported models and figures do the same with a picture, to the last bit."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_network import CLASSES, config_of, network

from fsaf_tf import detection, postprocess
from fsaf_tf.data.drawing import draw
from fsaf_tf.data.source import open_sources
from fsaf_tf.detect import image_files, trained
from fsaf_tf.figures import pictures as figure_pictures
from fsaf_tf.run.task import FSAFTask
from fsaf_tf.serving import frozen, saved_model

WAYS = {"plain": {}, "views": {"test_augmentation": {"ratios": [0.5, 1.25]}}, "tiles": {"tiles": {"size": 128}}}
KEYS = ("boxes", "scores", "classes", "levels", "branch")
# None of them is a default: one that did not arrive would be seen.
OTHERS = {
    "location_offset": 0.0,
    "anchor_free": {"offset_scale": 2.0},
    "anchor_based": {"scales": [0.8, 1.1, 1.6], "aspect_ratios": [0.4, 1.2, 2.5]},
    "postprocess": {
        "score_threshold": 0.02,
        "max_per_level": 40,
        "nms_iou": 0.3,
        "max_detections": 30,
        "multi_label": True,
        "fusion": "mean",
    },
}


def other_config(test_augmentation=None, tiles=None):
    """That of the network with other values for everything that comes after it."""
    config = config_of("ab_fsaf", **(test_augmentation or {}))
    config.model.override(OTHERS)
    config.tiles.override(tiles or {})
    return config


@pytest.fixture(scope="module")
def model():
    """A network with both branches."""
    return network("ab_fsaf")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """A landscape and a portrait, of 192 x 256 px."""
    return [draw(0, 1)[0], np.ascontiguousarray(np.swapaxes(draw(0, 2)[0], 0, 1))]


@pytest.fixture(scope="module")
def data(tmp_path_factory, pictures) -> dict[str, str]:
    """The pictures as COCO JSON, by the keys of the experiment."""
    folder = tmp_path_factory.mktemp("pictures")
    content = {"images": [], "annotations": [], "categories": CLASSES.categories()}
    for number, picture in enumerate(pictures, start=1):
        height, width = picture.shape[:2]
        Image.fromarray(picture).save(folder / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        content["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": [9, 9, 40, 40]})
    (folder / "x.json").write_text(json.dumps(content))
    return {"annotation_file": f"{folder}/x.json", "image_dir": str(folder)}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_evaluation_finds_what_prediction_finds(model, pictures, data, way):
    """Images one by one: in a batch of several the convolutions sum in another order."""
    config = other_config(**way)
    config.validation_data.override({**data, "global_batch_size": 1})
    detect = trained.Detector(model, config, CLASSES)
    task = FSAFTask(config, data=open_sources(config, train=False, validation=True))
    inputs = task.build_inputs(config.validation_data)
    step = tf.function(lambda batch: task.validation_step(batch, model), input_signature=[inputs.element_spec])
    met = []
    for batch in inputs:
        evaluated = step(batch)
        met.append(int(evaluated["image_id"][0]))
        predicted = detect(pictures[met[-1] - 1])
        count = int(evaluated["num_detections"][0])
        assert count > 5
        for key in KEYS:
            np.testing.assert_array_equal(evaluated[key][0, :count], predicted[key], err_msg=key)
    assert sorted(met) == [1, 2]


@pytest.mark.parametrize("way", ["plain", "tiles"])
def test_an_exported_model_runs_the_program_of_its_folded_network(model, pictures, way):
    """To the last digits, which follow from how TensorFlow has shared out the work of each graph."""
    detector = trained.Detector(model, other_config(**WAYS[way]), CLASSES)
    exported = saved_model.signatures(detector, frozen.freeze_to_constants(model))["image_tensor"]
    folded = frozen.freeze_to_constants(model)

    @tf.function
    def detect(image):
        if way == "tiles":
            return detector.program.detect_in_tiles(folded, image)[detection.ALL]
        canvas, size = detector.program.fit(image)
        return detector.program.detect(folded, canvas[None], size[None], tf.shape(image)[None, :2])

    for picture in pictures:
        found, expected = exported(tf.constant(picture[None])), detect(tf.constant(picture))
        assert expected["num_detections"][0] > 5
        for key in ("boxes", "scores"):
            np.testing.assert_allclose(found[f"detection_{key}"], expected[key], rtol=1e-5, atol=1e-4, err_msg=key)
        for key in ("levels", "branch"):
            np.testing.assert_array_equal(found[f"detection_{key}"], expected[key], err_msg=key)


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_figures_see_what_prediction_sees(model, pictures, data, keep_aspect):
    config = config_of("ab_fsaf")
    config.input_size.override({"shorter_side": 80, "keep_aspect": keep_aspect})
    detector = trained.Detector(model, config, CLASSES)
    files, file = image_files.find(f"{data['image_dir']}/*.png"), data["annotation_file"]
    seen = list(figure_pictures.as_trained(figure_pictures.of_annotated_files(files, file), detector))
    assert len(seen) == len(pictures)
    for host, batch, _ in seen:
        np.testing.assert_array_equal(batch["images"], detector.preprocess(pictures[int(host["image_id"][0]) - 1]))


def test_each_branch_alone_is_not_fused():
    """What it scores is what it scores in a detector without the other one."""
    config, outputs = other_config(), network("ab_fsaf")(np.random.default_rng(0).normal(0, 1, [1, 96, 128, 3]))
    program, sizes = detection.program(config, len(CLASSES)), [tf.constant([[96, 128]])] * 2
    found = program.by_branch(postprocess.candidates(outputs, program.decoding), *sizes)
    for name in ("anchor_free", "anchor_based"):
        config = other_config()
        config.model.override({other: {"enabled": other == name} for other in ("anchor_free", "anchor_based")})
        alone = detection.program(config, len(CLASSES)).of_outputs(outputs, *sizes)
        assert alone["num_detections"][0] > 5
        for key, value in alone.items():
            np.testing.assert_array_equal(found[name][key], value, err_msg=f"{name} {key}")
    assert found[detection.ALL]["scores"][0, 0] != found["anchor_free"]["scores"][0, 0]


def test_the_configuration_gives_the_values():
    task = config_of("ab_fsaf", ratios=[0.5, 2.0], flip=False)
    task.input_size.keep_aspect = False
    program = detection.program(task, 5)
    assert (program.num_classes, program.sides, program.keep_aspect) == (5, (96, 128), False)
    assert (program.views.sizes, program.views.flip) == (((48, 64), (192, 256)), False)
    assert program.normalization.channel_order == "rgb"
    assert program.decoding == task.decoding()
    assert program.suppression == task.model.postprocess.suppression()
