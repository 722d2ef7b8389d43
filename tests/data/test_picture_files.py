"""The pictures that annotations name: where they lie, and how large they are where the annotations do not say."""

import json

import pytest
from encoded import encode, turned
from PIL import Image

from fsaf_tf.data import coco
from fsaf_tf.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """a.png and sub/b.jpg, the latter 20 x 50 and lying."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (40, 30)), "png"))
    (tmp_path / "sub" / "b.jpg").write_bytes(turned(Image.new("RGB", (20, 50)), 6, "jpeg"))
    return tmp_path


def opened(folder, *images: dict, frame: str = "auto"):
    """COCO JSON of some images, with a box in each."""
    numbered = [{"id": number, "width": 40, "height": 30, **image} for number, image in enumerate(images)]
    boxes = [{"id": image["id"], "image_id": image["id"], "category_id": 1, "bbox": [5, 6, 9, 9]} for image in numbered]
    content = {"images": numbered, "annotations": boxes, "categories": [{"id": 1, "name": "nut"}]}
    (folder / "x.json").write_text(json.dumps(content))
    return coco.open_coco(str(folder / "x.json"), str(folder), frame=frame)


def lines(source, kind: str) -> list[str]:
    return [finding.line for finding in source.findings if finding.kind == kind]


@pytest.mark.parametrize(
    "name", ["photos/a.png", "/home/me/a.png", "D:\\photos\\a.png", "s3://photos/1/a.png?v=2", "./a.png", "../x/a.png"]
)
def test_a_picture_is_found_by_the_end_of_its_name(folder, name):
    source = opened(folder, {"file_name": name})
    [example] = source.examples().as_numpy_iterator()
    assert example["image_bytes"] == (folder / "a.png").read_bytes()
    assert source.ground_truth()["images"][0]["file_name"] == example["file_name"].decode()
    told = lines(source, "first_folders")
    assert len(told) == (name != "./a.png") and all(line.endswith("a.png is a.png)") for line in told)


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "{}/secret.png", "file://{}/secret.png"])
@pytest.mark.parametrize("declared", [{}, {"width": None, "height": None}])
def test_a_picture_outside_of_the_folder_is_refused(folder, tmp_path, name, declared):
    """Else a report on a stranger's annotations would show any picture of the machine."""
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes((folder / "a.png").read_bytes())
    name = name.format(tmp_path)
    with pytest.raises(UserError) as error:
        opened(inside, {"file_name": name, **declared})
    assert (
        name.startswith("file:")
        or declared
        or f"image outside of {inside}, which only `images_outside`" in str(error.value)
    )
    (inside / "secret.png").write_bytes(encode(Image.new("RGB", (40, 30), (9, 9, 9)), "png"))
    [example] = opened(inside, {"file_name": name, **declared}).examples().as_numpy_iterator()
    assert example["image_bytes"] == (inside / "secret.png").read_bytes()
    if not name.startswith("file:"):
        source = coco.open_coco(f"{inside}/x.json", str(inside), frame="auto", outside=True)
        [example] = source.examples().as_numpy_iterator()
        assert example["image_bytes"] == (folder / "a.png").read_bytes()


def test_a_name_keeps_the_folders_that_are_there(folder):
    source = opened(folder, {"file_name": "photos/sub/b.jpg", "width": 50, "height": 20})
    assert source.boxes().file_names == ["sub/b.jpg"]
    assert lines(source, "first_folders")[0].startswith("1 of 1 pictures lie in the image folder without the first")


def test_two_names_are_not_one_picture(folder):
    with pytest.raises(UserError) as error:
        opened(folder, {"file_name": "x/a.png"}, {"file_name": "y/a.png"})
    words = "files of several folders, where the image folder has one (1 of 2 images, first: x/a.png and y/a.png)"
    assert words in str(error.value)


def test_a_picture_that_is_nowhere_is_missing_by_its_name(folder):
    with pytest.raises(UserError, match=r"image missing in .* \(1 of 1 images, first: photos/d.png\)"):
        opened(folder, {"file_name": "photos/d.png"})


@pytest.mark.parametrize("given", [{"width": None, "height": None}, {"width": "", "height": 0}, {"height": -1}])
@pytest.mark.parametrize(("frame", "size"), [("auto", [20, 50]), ("upright", [20, 50]), ("stored", [50, 20])])
def test_a_size_that_is_not_declared_is_that_of_the_picture(folder, frame, size, given):
    if len(given) == 1:
        given = {**given, "width": size[1]}
    source = opened(folder, {"file_name": "photos/sub/b.jpg", **given}, {"file_name": "a.png"}, frame=frame)
    assert [example["size"].tolist() for example in source.examples().as_numpy_iterator()] == [size, [30, 40]]
    assert lines(source, "no_size")[0].startswith("1 of 2 image entries has no height or width")


def test_a_size_that_is_declared_in_part_is_held_to(folder):
    with pytest.raises(UserError, match="another size than declared .*first: a.png, 40 x 30 and not 41 x 30"):
        opened(folder, {"file_name": "a.png", "width": 41, "height": None})
