"""COCO JSON with the known habits of tools that cannot be run here."""

import plain
import scene

_MAKERS: plain.Makers = {}


def _about(content: dict, empty) -> None:
    keys = ("contributor", "date_created", "description", "url", "version", "year")
    content["info"] = dict.fromkeys(keys, empty)
    content["licenses"] = [{"name": empty, "id": 0, "url": empty}]
    for image in content["images"]:
        image.update(license=0, flickr_url=empty, coco_url=empty, date_captured=0)


@plain.changing(_MAKERS, "cvat/instances.json")
def _cvat(content):
    """Empty text where nothing is known, attributes of its own, a turned box."""
    _about(content, "")
    for place, item in enumerate(content["annotations"]):
        item["attributes"] = {"occluded": place == 1, "rotation": 30.0 if place == 2 else 0.0, "track_id": place}


@plain.changing(_MAKERS, "cvat/video.json")
def _cvat_video(content):
    """Frames in a folder, masks as runs beside their boxes; a mask of a brush is a crowd."""
    _about(content, "")
    plain.put_names(content, "images/{}")
    for place, item in enumerate(content["annotations"]):
        item.update(iscrowd=int(place == 0), attributes={"occluded": False, "keyframe": True})
        item["segmentation"] = {"counts": [0, 10, 10790], "size": [90, 120]}


@plain.changing(_MAKERS, "roboflow/coco.json")
def _roboflow(content):
    """A root category that no box has, the first name under `extra`."""
    for item in content["categories"]:
        item["supercategory"] = "parts"
    content["categories"].insert(0, {"id": 0, "name": "parts", "supercategory": "none"})
    for image in content["images"]:
        name = image["file_name"]
        image.update(license=1, date_captured="2024-05-07T09:10:11+00:00", extra={"name": name})
        image["file_name"] = f"{name.replace('.', '_')}.rf.{'0c1d2e3f' * 4}.png"


@plain.changing(_MAKERS, "roboflow/numbers_as_text.json")
def _roboflow_text(content):
    """Older exports: numbers as text, a root with the name of a class."""
    _roboflow(content)
    content["categories"][0]["name"] = "nut"
    for item in content["categories"][1:]:
        item["supercategory"] = "nut"
    plain.put_boxes(content, lambda box: [str(box[0]), str(box[1]), *box[2:]])


@plain.changing(_MAKERS, "via/coco.json")
def _via(content):
    """A category for each region, ids as text, one polygon without a list around it."""
    names = [label for _, label, _ in scene.BOXES]
    content["categories"] = [{"id": 1 + scene.CLASSES.index(name), "name": name} for name in names]
    for item in content["images"] + content["annotations"]:
        item["id"] = str(item["id"])
    for item in content["annotations"]:
        item.update(image_id=str(item["image_id"]), segmentation=scene.polygon(item["bbox"]))


@plain.changing(_MAKERS, "coco_annotator/coco.json")
def _coco_annotator(content):
    """Documents of a database, with a path beside the name, and an annotation without a bbox."""
    for image in content["images"]:
        image.update(path=f"/datasets/parts/{image['file_name']}", dataset_id=1, deleted=False, annotating=[])
    for item in content["annotations"]:
        item.update(isbbox=True, color="#2a66ec", deleted=False, segmentation=[scene.polygon(item["bbox"])])
    content["annotations"][1]["bbox"] = []


@plain.changing(_MAKERS, "makesense/polygons.json", first_class=1)
def _makesense(content):
    """Polygons; annotations are numbered from 0."""
    content["info"] = {"description": "parts"}
    for item in content["annotations"]:
        item.update(id=item["id"] - 1, segmentation=[scene.polygon(item["bbox"])])


@plain.changing(_MAKERS, "lvis/v1.json")
def _lvis(content):
    """An address and no file_name, categories with synsets, no iscrowd, a class without a box."""
    for image in content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/train2017/{image.pop('file_name')}"
        image.update(neg_category_ids=[3], not_exhaustive_category_ids=[])
    content["categories"].append({"id": 3, "name": "washer"})
    for item in content["categories"]:
        item.update(frequency="c", synset=f"{item['name']}.n.01", image_count=2, synonyms=[item["name"]])
    for item in content["annotations"]:
        del item["iscrowd"]


@plain.changing(_MAKERS, "objects365/v2.json")
def _objects365(content):
    """Folders of the archive before the names, no segmentation."""
    plain.put_names(content, "images/v1/patch0/{}")
    for item in content["annotations"]:
        item.update(isfake=0, isreflected=0)
        del item["segmentation"]


@plain.changing(_MAKERS, "openimages/converted.json")
def _openimages(content):
    """Ids of 16 hexadecimal digits, of which one has no letter; groups as crowds."""
    ids = ["0a1b2c3d4e5f6071", "00000012345e6789", "1234567890123456"]
    for image in content["images"]:
        image["id"] = ids[image["id"] - 1]
    for item in content["annotations"]:
        item.update(image_id=ids[item["image_id"] - 1], IsOccluded=0, iscrowd=int(item["id"] == 3))


@plain.changing(_MAKERS, "coco/keypoints.json")
def _keypoints(content):
    for item in content["categories"]:
        item.update(keypoints=["left", "right"], skeleton=[[1, 2]])
    for item in content["annotations"]:
        item.update(num_keypoints=2, keypoints=[10, 10, 2, 30, 30, 1])


@plain.changing(_MAKERS, "labelbox/signed_addresses.json")
def _labelbox(content):
    plain.put_names(content, "https://storage.example.com/a%20b/{}?Expires=17&Signature=a/b")


def files() -> dict[str, bytes]:
    """Contents by path."""
    return plain.files(_MAKERS)
