"""Annotation files as tools write them (`annotation_files/`, made by its make.py): what is read of each, or said of it.

All are of the pictures, classes and boxes in `annotation_files/scene.py`.
"""

import pathlib
import re
from typing import NamedTuple

import numpy as np
import pytest
from annotation_files import scene

from fsaf_tf.data import coco
from fsaf_tf.errors import UserError

FOLDER = pathlib.Path(__file__).parent / "annotation_files"
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "data.md"
NAMES = ("{}", "0c2f-{}", "{}.rf." + 4 * "0c1d2e3f" + ".png")  # what tools make of a picture's name
BOXES = sorted(box for _, _, box in scene.BOXES)
OF_A = BOXES[:1] + BOXES[2:]
# Label Studio's own converter turns a box in hundredths of the picture, whose pixels are then no longer square.
TURNED = {(20, 70, 25, 25): (7.5, 70, 34.15, 34.15)}
UPRIGHT, ROUNDED = {(20, 70, 25, 25): (10.6, 70, 31, 38.3)}, {(60.5, 30, 40, 45.5): (60, 30, 40, 45)}


class Read(NamedTuple):
    """What is read of a file; `kinds` are those of the findings beside `empty_pictures`."""

    kinds: str = ""
    classes: str = "nut bolt"
    pictures: int = 3
    boxes: list = BOXES


def changed(to: dict) -> list:
    return sorted(to.get(box, box) for box in BOXES)


READ = {
    "bboxconverter/coco.json": Read(pictures=2),
    "coco/keypoints.json": Read(),
    "coco_annotator/coco.json": Read("from_polygon"),
    "cvat/instances.json": Read("rotated", boxes=changed({(20, 70, 25, 25): (15.4, 65.4, 34.2, 34.2)})),
    "cvat/video.json": Read("first_folders crowd"),
    # V7 writes a polygon of two parts as a crowd with an area of 0, and rounds it outwards.
    "darwin/coco.json": Read("area crowd", "bolt nut", boxes=changed({(60.5, 30, 40, 45.5): (60, 30, 41, 47)})),
    "datumaro/instances.json": Read("unused_category"),
    "datumaro/keypoints.json": Read("unused_category"),
    "datumaro/masks.json": Read("unused_category crowd", boxes=changed(ROUNDED)),
    "datumaro/polygons.json": Read("unused_category"),
    "datumaro/renumbered.json": Read("unused_category"),
    "datumaro/stuff.json": Read("unused_category crowd", boxes=changed(ROUNDED)),
    "detectron2/corners.json": Read("other_bbox"),
    "encodings/gzip.json.gz": Read(),
    "encodings/utf16.json": Read(),
    "encodings/utf8_with_mark.json": Read(classes="größer bolt"),
    "fiftyone/names.json": Read(classes="bolt nut"),
    "fiftyone/paths.json": Read("first_folders", "nut bolt washer"),
    "globox/coco.json": Read(classes="bolt nut"),
    "globox/cvat.xml": Read(classes="bolt nut"),
    "globox/labelme.json": Read(classes="bolt nut", pictures=1, boxes=OF_A),
    "globox/openimage.csv": Read(classes="bolt nut", pictures=2),
    "globox/pascal_voc.xml": Read(classes="bolt nut", pictures=1, boxes=OF_A),
    "globox/via.json": Read(classes="bolt nut"),
    "isat/coco.json": Read(classes="__background__ nut bolt"),
    "kwcoco/coco.json": Read(),
    "label_studio/annotators.json": Read(
        "no_size duplicate_pictures duplicate_boxes first_folders",
        "bolt nut",
        boxes=sorted(2 * changed(UPRIGHT)),
    ),
    "label_studio/brushes.json": Read(pictures=2, boxes=changed(ROUNDED)),
    "label_studio/own.json": Read("rotated first_folders", "bolt nut", boxes=changed(TURNED)),
    "label_studio/own_min.json": Read("rotated first_folders", "bolt nut", boxes=changed(TURNED)),
    "label_studio/polygons.json": Read("no_size first_folders", "bolt nut"),
    "label_studio/rectangles.json": Read("no_size first_folders", "bolt nut", boxes=changed(UPRIGHT)),
    "labelbox/signed_addresses.json": Read("file_names first_folders"),
    "labelformat/coco.json": Read(),
    "labelme/own.json": Read("from_polygon", "bolt nut", pictures=1, boxes=OF_A),
    "labelme2coco/coco.json": Read("first_folders"),
    "lvis/v1.json": Read("file_names first_folders", "nut bolt washer"),
    "makesense/polygons.json": Read(),
    "mmdetection/from_voc.json": Read("first_folders crowd", boxes=changed(ROUNDED)),
    "objects365/v2.json": Read("first_folders"),
    "openimages/converted.json": Read("text_ids crowd"),
    "pylabel/from_voc.json": Read(pictures=2),
    "pylabel/from_yolo.json": Read("repeated"),
    "roboflow/coco.json": Read("unused_category"),
    "roboflow/numbers_as_text.json": Read("unused_category text_numbers"),
    "sahi/coco.json": Read(),
    "scripts/bbox_as_text.json": Read("other_bbox"),
    "scripts/bbox_of_corners.json": Read("other_bbox"),
    "scripts/bbox_of_sides.json": Read("other_bbox"),
    "scripts/drawn_backwards.json": Read("negative_side clipped", boxes=[(20, 70, 25, 25), (60.5, 30, 70, 45.5)]),
    "scripts/ids_start_anew.json": Read("repeated_ids"),
    "scripts/masks_alone.json": Read("from_polygon"),
    "scripts/names_as_ids.json": Read("text_ids", "bolt nut"),
    "scripts/nan_areas.json": Read("area"),
    "scripts/no_sizes.json": Read("no_size"),
    "scripts/relative_windows_paths.json": Read("file_names first_folders"),
    "scripts/truths_as_words.json": Read("crowd"),
    "scripts/uuids.json": Read("text_ids", "bolt nut"),
    "scripts/voc2coco.json": Read("ignored first_folders"),
    "scripts/windows_paths.json": Read("file_names first_folders"),
    "scripts/yolo2coco.json": Read("number_names text_numbers", "nut 1"),
    "supervisely/coco.json": Read(classes="nut bolt washer", boxes=changed(ROUNDED)),
    "supervision/boxes.json": Read(),
    "supervision/masks.json": Read("crowd"),
    "via/coco.json": Read("repeated_category text_numbers"),
    "via/project.json": Read(classes="bolt nut", pictures=1, boxes=OF_A),
    "via/project_of_3.json": Read(classes="nut", pictures=1, boxes=[(10, 10, 30, 20)]),
}
REFUSED = {
    "azure/automl.jsonl": "it looks like Azure's JSON Lines;",
    "azure/custom_vision.json": "it looks like Azure Custom Vision's JSON;",
    "bdd100k/labels.json": "it looks like BDD100K's or Scale's JSON;",
    "coco/annotations_alone.json": "it looks like the `annotations` of COCO JSON alone: put them beside its `images`",
    "coco/captions.json": "it looks like COCO's captions, which have no boxes;",
    "coco/coco_text.json": "it looks like COCO-Text's JSON;",
    "coco/image_info.json": "it needs `annotations`, a list that is not empty",
    "coco/no_boxes.json": "no box is in it, `annotations` is empty: a training and an evaluation need one or more",
    "coco/panoptic.json": "it looks like COCO's panoptic segmentation,",
    "createml/own.json": "it looks like CreateML's JSON;",
    "darwin/own.json": "it looks like V7 Darwin's JSON, one file a picture;",
    "datumaro/captions.json": "it looks like COCO's captions, which have no boxes;",
    "datumaro/image_info.json": "no box is in it, `annotations` is empty: a training and an evaluation need one or",
    "datumaro/labels.json": "no bbox, and no polygon or mask (3 of 3 annotations, first: annotation 1, image 1)",
    "datumaro/own.json": "it looks like Datumaro's JSON;",
    "datumaro/panoptic.json": "it looks like COCO's panoptic segmentation,",
    "detectron2/dicts.json": "it looks like detectron2's list of pictures;",
    "detectron2/turned.json": "bbox_mode is neither XYXY_ABS (0) nor XYWH_ABS (1) (3 of 3 annotations,",
    "dota/labels.txt": "it looks like text of one line a box, such as KITTI's or DOTA's;",
    "encodings/cut_off.json": "not JSON: it ends in the middle, as if it was cut off: Unterminated string",
    "encodings/latin1.json": "not JSON: byte 608 is not of utf-8; save it as UTF-8",
    "encodings/printed_by_python.json": "it looks like a dict as Python prints it: write it with json.dump;",
    "encodings/zip.zip": "it looks like a ZIP archive: unpack it and take the JSON inside;",
    "encord/own.json": "it looks like Encord's JSON;",
    "globox/yolo.txt": "it looks like YOLO's text, one file a picture:",
    "hasty/own.json": "it looks like Hasty's JSON;",
    "isat/own.json": "it looks like ISAT's JSON, one file a picture;",
    "kitti/labels.txt": "it looks like text of one line a box, such as KITTI's or DOTA's;",
    "labelbox/export.ndjson": "it looks like Labelbox's JSON;",
    "labelbox/export_of_v1.json": "it looks like Labelbox's JSON;",
    "labelformat/lightly.json": "it looks like Lightly's JSON, one file a picture;",
    "mmdetection/own.json": "it looks like MMDetection's JSON;",
    "results/mmyolo.json": "it looks like detection results: give the annotations of their pictures;",
    "results/ultralytics.json": "it looks like detection results: give the annotations of their pictures;",
    "sagemaker/output.manifest": "it looks like a manifest of SageMaker Ground Truth;",
    "sahi/predictions.json": "it looks like detection results: give the annotations of their pictures;",
    "scale/tasks.json": "it looks like Scale's JSON;",
    "superannotate/own.json": "it looks like SuperAnnotate's JSON, one file a picture;",
    "supervisely/own.json": "it looks like Supervisely's JSON, one file a picture;",
    "vott/own.json": "it looks like VoTT's JSON;",
    "yolo/data.yaml": "which part of it? There are: ",
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> pathlib.Path:
    """A folder with the pictures under the names that tools give them."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in NAMES[:2]:
        scene.draw(folder, name)
    for name in scene.PICTURES:
        (folder / NAMES[2].format(name.replace(".", "_"))).write_bytes((folder / name).read_bytes())
    return folder


def opened(path: str, pictures: pathlib.Path):
    return coco.open_coco(str(FOLDER / path), str(pictures), frame="auto")


def test_each_file_has_its_row():
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*") if path.parent.name != "__pycache__"}
    assert files == {*READ, *REFUSED} and not set(READ) & set(REFUSED)


@pytest.mark.parametrize("path", READ)
def test_what_is_read_of_a_tool_s_file(pictures, path):
    source, expected = opened(path, pictures), READ[path]
    table = source.boxes()
    kinds = [finding.kind for finding in source.findings]
    assert source.num_images == expected.pictures and ("empty_pictures" in kinds) == (expected.pictures == 3)
    assert " ".join(source.classes.names) == expected.classes
    assert " ".join(kind for kind in kinds if kind != "empty_pictures") == expected.kinds
    np.testing.assert_allclose(sorted(table.given_xywh.tolist()), expected.boxes, atol=0.06)
    assert all((pictures / name).is_file() for name in table.file_names)
    for index, (left, *_) in zip(table.class_indices, table.given_xywh):  # the bolt is the one on the right
        assert source.classes.names[index] in (("bolt", "1") if left > 50 else ("nut", "größer"))


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_refused_is_named(pictures, path):
    with pytest.raises(UserError) as error:
        opened(path, pictures)
    message = str(error.value)
    assert message.startswith(f"{FOLDER / path}: ") and "\n" not in message and REFUSED[path] in message
    assert ("what is read is COCO JSON" in message) == ("looks like" in message)


def test_the_page_counts_these_files():
    rows = re.findall(
        r"^\| (.+?) \|.*\| (\d+) \| (\d+) \|$",
        DOCS.read_text(encoding="utf-8").split("## Files that were tried")[1],
        re.M,
    )
    of_folder = {}
    for path in (*READ, *REFUSED):
        counts = of_folder.setdefault(path.split("/")[0], [0, 0])
        counts[path in REFUSED] += 1
    expected = {(folder, str(read), str(refused)) for folder, (read, refused) in of_folder.items()}
    assert {(name.split()[0].strip("`"), read, refused) for name, read, refused in rows} == expected
