"""CVAT's XML: images with shapes of all kinds, tracks of a video, and mistakes with file and line."""

import form_files
import numpy as np
import pytest
from annotation_files import scene

from fsaf_tf.errors import UserError

META = """<meta><task><labels>
<label><name>nut</name></label><label><name>bolt</name></label><label><name>washer</name></label>
<label><name>corner</name><parent>hand</parent></label></labels>
<original_size><width>120</width><height>90</height></original_size></task></meta>"""
OF_B = '<box label="nut" occluded="1" xtl="20" ytl="70" xbr="45" ybr="95"></box>'


def xml(*, of_b: str = OF_B) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "<version>1.1</version>", META]
    for place, (name, (width, height)) in enumerate(scene.PICTURES.items()):
        lines.append(f'<image id="{place}" name="{name}" width="{width}" height="{height}">')
        if name == "b.png":
            lines.append(of_b)
        else:
            corners = [(label, *scene.corners(box)) for label, box in scene.boxes_of(name)]
            lines += [
                f'<box label="{label}" xtl="{a}" ytl="{b}" xbr="{c}" ybr="{d}" z_order="0"></box>'
                for label, a, b, c, d in corners
            ]
        lines.append("</image>")
    return "\n".join([*lines, "</annotations>"])


@pytest.fixture
def opened(tmp_path):
    """Opens the file with another shape in b.png."""
    form_files.pictures(tmp_path / "images")

    def open_it(of_b: str = OF_B):
        (tmp_path / "parts.xml").write_text(xml(of_b=of_b))
        return form_files.opened(tmp_path / "parts.xml", tmp_path / "images")

    return open_it


def test_images(opened):
    source = opened()
    assert form_files.boxes_of(source) == form_files.EXPECTED and source.num_images == 3
    assert source.form == "CVAT, 3 images" and source.classes.names == ("bolt", "nut", "washer")
    assert form_files.kinds(source) == ["empty_pictures"]


@pytest.mark.parametrize(
    ("shape", "box", "kind"),
    [
        ('<polygon label="nut" points="20.00,70.00;45.00,70.00;45.00,95.00"/>', (20, 70, 25, 25), "from_polygon"),
        (
            '<ellipse label="nut" cx="32.5" cy="82.5" rx="12.5" ry="5" rotation="90"/>',
            (27.5, 70, 10, 25),
            "from_polygon",
        ),
        ('<mask label="nut" rle="3" left="20" top="70" width="25" height="25"/>', (20, 70, 25, 25), "from_polygon"),
        ('<box label="nut" xtl="20" ytl="75" xbr="45" ybr="90" rotation="90.0"/>', (25, 70, 15, 25), "rotated"),
    ],
)
def test_shapes_that_give_a_box(opened, shape, box, kind):
    source = opened(shape)
    np.testing.assert_allclose(form_files.boxes_of(source)[-1][2], box, atol=1e-6)
    assert form_files.kinds(source) == [kind, "empty_pictures"]


@pytest.mark.parametrize("tag", ["points", "polyline", "tag", "skeleton", "cuboid"])
def test_shapes_without_a_box_are_left_out(opened, tag):
    source = opened(f'<{tag} label="nut" points="20,70;45,70"/>')
    assert form_files.kinds(source) == ["other_shapes", "empty_pictures"] and len(source.boxes()) == 2


@pytest.mark.parametrize(
    ("name", "word", "crowd", "ignored"),
    [("iscrowd", "true", True, False), ("difficult", "true", True, True), ("size", "big", False, False)],
)
def test_attributes(opened, name, word, crowd, ignored):
    table = opened(OF_B.replace("></box>", f'><attribute name="{name}">{word}</attribute></box>')).boxes()
    assert (table.crowd[-1], table.ignored[-1]) == (crowd, ignored)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (
            '<box label="nut" xtl="20" ytl="70" xbr="45"/>',
            "a side of a box is missing (1 of 6 entries, first: parts.xml:13: no",
        ),
        (
            '<box label="nut" xtl="20" ytl="?" xbr="45" ybr="9"/>',
            "no finite number (1 of 6 entries, first: parts.xml:13: ytl",
        ),
        ('<box xtl="20" ytl="70" xbr="45" ybr="95"/>', "no name of a class (1 of 6 entries, first: parts.xml:13)"),
        (
            '<polygon label="nut" points="20,70;45"/>',
            "no list of three or more x,y; (1 of 6 entries, first: parts.xml:13: '20",
        ),
        ('<star label="nut"/>', "a shape that is not known (1 of 6 entries, first: parts.xml:13: <star>)"),
        (OF_B.replace("/box>", "/bok>"), "XML that is damaged or cut off: parts.xml:13: mismatched tag"),
        (
            OF_B.replace(">", ' rotation="x">', 1),
            "attributes.rotation is not a number (1 of 3 annotations, first: parts.xml:13",
        ),
    ],
)
def test_mistakes_are_named_with_file_and_line(opened, shape, words):
    with pytest.raises(UserError) as error:
        opened(shape)
    assert words in str(error.value) and "\n" not in str(error.value)


def track(*shapes: str, label: str = "nut") -> str:
    return "\n".join([f'<track id="0" label="{label}">', *shapes, "</track>"])


def shape(frame: int, x: float, *, outside: int = 0, more: str = "") -> str:
    corners = f'xtl="{x}" ytl="10" xbr="{x + 30}" ybr="30"'
    return f'<box frame="{frame}" keyframe="1" outside="{outside}" {corners} {more}></box>'


@pytest.fixture
def video(tmp_path):
    """Opens a video of six frames, of which all are there, or some."""

    def open_it(*tracks: str, frames=range(6), step: str = ""):
        from PIL import Image

        (tmp_path / "frames").mkdir()
        for frame in frames:
            Image.new("RGB", (120, 90)).save(tmp_path / "frames" / f"frame_{frame:06d}.png")
        text = "\n".join(["<annotations>", META.replace("<task>", f"<task>{step}"), *tracks, "</annotations>"])
        (tmp_path / "video.xml").write_text(text)
        return form_files.opened(tmp_path / "video.xml", tmp_path / "frames")

    return open_it


def by_frame(source) -> dict[int, float]:
    """The left side of the box of each frame that has one."""
    return {int(name[6:12]): box[0] for name, _, box in form_files.boxes_of(source)}


def test_tracks_as_cvat_writes_them(video):
    shapes = [shape(frame, 10 + frame, outside=int(frame == 4)) for frame in range(1, 5)]
    source = video(track(*shapes), track(shape(5, 3), label="bolt"))
    assert source.num_images == 6 and source.form == "CVAT, 2 tracks of a video"
    assert by_frame(source) == {1: 11, 2: 12, 3: 13, 5: 3}


def test_frames_between_two_shapes_are_interpolated(video):
    source = video(track(shape(0, 10), shape(4, 30), shape(5, 30, outside=1)))
    assert by_frame(source) == {0: 10, 1: 15, 2: 20, 3: 25, 4: 30}


def test_nothing_is_interpolated_over_frames_that_are_no_part_of_the_task(video):
    source = video(track(shape(0, 10), shape(2, 20)), step="<frame_filter>step=2</frame_filter>", frames=(0, 2))
    assert by_frame(source) == {0: 10, 2: 20} and source.num_images == 2


def test_boxes_of_frames_that_are_not_there_are_counted(video):
    source = video(track(shape(0, 10), shape(1, 20)), frames=(1, 2))
    assert by_frame(source) == {1: 20} and "no_frame" in form_files.kinds(source)


def test_polygons_are_not_interpolated(video):
    polygon = '<polygon frame="0" outside="0" points="1,1;9,1;9,9"/>'
    with pytest.raises(UserError, match=r"without the frames between two shapes that are no boxes .*video.xml:7\)"):
        video(track(polygon, polygon.replace('frame="0"', 'frame="3"')))


def test_a_shape_without_its_frame(video):
    with pytest.raises(UserError, match=r"without the number of its frame \(1 of 7 entries, first: video.xml:7\)"):
        video(track(shape(0, 10).replace("frame", "time", 1)))
