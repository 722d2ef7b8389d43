"""Which boxes are trained on: for all boxes at once the same as in the batches of the pipeline."""

import itertools
import json

import box_tables
import numpy as np
import pytest
from PIL import Image

from fsaf_tf.config import schema
from fsaf_tf.data import coco, kept_boxes, pipeline
from fsaf_tf.data.kept_boxes import Sizing

SIZES = [(90, 60), (30, 40), (37, 200), (64, 64)]
BOXES = 40


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Pictures of four shapes with boxes of all sizes, many near a pixel after resizing; every fifth is a crowd."""
    folder, rng = tmp_path_factory.mktemp("boxes"), np.random.default_rng(3)
    images, annotations = [], []
    for number, (height, width) in enumerate(SIZES):
        Image.new("RGB", (width, height)).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        for place in range(BOXES):
            corner, sides = rng.uniform(-1, [width - 1, height - 1]), np.round(rng.exponential(1.5, 2), 2)
            annotations.append(
                {"image_id": number, "category_id": 1, "bbox": [*corner, *sides], "iscrowd": int(place % 5 == 0)}
            )
    annotations.append(annotations[1])  # stands there twice
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (folder / "x.json").write_text(json.dumps(content))
    return coco.open_coco(str(folder / "x.json"), str(folder), frame="auto")


@pytest.mark.parametrize(
    "sizing",
    [Sizing(50, 60), Sizing(33, 65, keep_aspect=False), Sizing(64, 96, drawn_sides=(40, 41))],
    ids=str,
)
def test_the_same_as_in_batches(source, sizing):
    table = source.boxes()
    found = np.bincount(table.image_index, kept_boxes.trained(table, sizing), minlength=len(SIZES))
    size, config = schema.InputSize(), schema.Data()
    size.override({key: value for key, value in sizing._asdict().items() if key not in ("drawn_sides", "tile")})
    if sizing.drawn_sides:  # the smallest of them is counted
        config = schema.TrainData()
        config.override({"shorter_sides": [min(sizing.drawn_sides)], "random_flip": False})
    config.override({"max_instances": BOXES})
    dataset = pipeline.build_dataset(source, config, size, batch_size=1)
    batches = itertools.islice(dataset.as_numpy_iterator(), 3 * len(SIZES))  # training fills both canvases in turn
    valid = {int(batch["image_id"][0]): int(batch["valid"].sum()) for batch in batches}
    assert [valid[number] for number in range(len(SIZES))] == found.tolist()
    assert 0 < found.sum() < 0.8 * len(table) and table.duplicate.sum() == 1


def test_boxes_after_resizing():
    table = box_tables.of_boxes([(10, 20, 30, 40), (90, 0, 30, 10)], sizes=[(50, 100)])
    np.testing.assert_allclose(kept_boxes.resized_sides(table, Sizing(100, 150)), [[45, 45], [15, 15]])
    np.testing.assert_allclose(kept_boxes.resized_sides(table, Sizing(32, 96, False)), [[19.2, 28.8], [6.4, 9.6]], 1e-6)


def test_boxes_in_tiles_have_their_scale():
    """A picture that is smaller than a tile is a tile by itself."""
    table = box_tables.of_boxes([(300, 0, 20, 40), (0, 0, 10, 6)], sizes=[(200, 400), (30, 60)], images=[0, 1])
    sizing = Sizing(50, 80, tile=100)
    np.testing.assert_allclose(kept_boxes.resized_sides(table, sizing), [[20, 10], [8, 13.33]], rtol=0.01)
    assert str(sizing) == "50 x 80 for tiles of 100 px"
    tiny = box_tables.of_boxes([(0, 0, 3, 3)], sizes=[(200, 400)])
    wanted = [kept_boxes.trained(tiny, sizing._replace(tile=tile)).tolist() for tile in (0, 100)]
    assert wanted == [[False], [True]]


def test_the_size_that_keeps_nearly_all():
    boxes = [(number, 10, 5, 5) for number in range(100)] + [(0, 0, 0.2, 5), (5, 5, 0, 5)]
    table = box_tables.of_boxes(boxes, sizes=[(1000, 2000)])
    assert kept_boxes.keeping_size(table, Sizing(96, 160)) == Sizing(256, 427)
    assert kept_boxes.trained(table, Sizing(224, 374)).sum() == 0  # one step less keeps none
    few = box_tables.of_boxes(boxes[90:], sizes=[(1000, 2000)])  # of these one is more than a hundredth
    assert kept_boxes.keeping_size(few, Sizing(96, 160)) == Sizing(6016, 10027)
    tiny = box_tables.of_boxes([(5, 5, 0.05, 0.05)], sizes=[(1000, 2000)])
    assert kept_boxes.keeping_size(tiny, Sizing(96, 160)) is None
