"""Opening data by its config, and the look at it."""

import json

import pytest
from PIL import Image

from fsaf_tf import configs
from fsaf_tf.data import source
from fsaf_tf.errors import UserError


@pytest.mark.parametrize("values", [{}, {"tfds_name": "shapes", "annotation_file": "x.json"}])
def test_exactly_one_kind_of_data(values):
    config = configs.Data(**values)
    with pytest.raises(UserError, match="exactly one of tfds_name, annotation_file, input_path; it has "):
        source.open_source(config)


def test_describe(tmp_path):
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    boxes = [(1, [0, 0, 100, 100], 0), (1, [0, 0, 80, 9], 0), (1, [0, 0, 9, 81], 1), (2, [0, 0, 31, 33], 0)]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 200, "width": 300}],
        "annotations": [{"image_id": 1, "category_id": c, "bbox": box, "iscrowd": crowd} for c, box, crowd in boxes],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "owl"}],
    }
    (tmp_path / "x.json").write_text(json.dumps(content))
    opened = source.open_source(configs.Data(annotation_file=str(tmp_path / "x.json"), image_dir=str(tmp_path)))
    assert source.describe(opened).splitlines() == [
        f"{tmp_path}/x.json: 1 images, 4 boxes",
        "crowd boxes, not trained on: 1",
        "class                  boxes   small    thin   crowd",
        "cat                        3       2       2       1",
        "dog                        1       1       0       0",
        "owl                        0       0       0       0",
    ]
