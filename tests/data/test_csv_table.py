"""CSV of boxes: the kinds of columns, OpenImages' classes and flags, and mistakes with file and line."""

import form_files
import numpy as np
import pytest
from annotation_files import scene

from fsaf_tf.detect import forms
from fsaf_tf.errors import UserError


@pytest.fixture
def opened(tmp_path):
    """Opens a text as a CSV."""
    form_files.pictures(tmp_path / "images")

    def open_it(text: str, split: str = "train", name: str = "parts.csv"):
        (tmp_path / name).write_text(text)
        return form_files.opened(tmp_path / name, tmp_path / "images", split=split)

    return open_it


def rows(pattern: str, *, shares: bool = False) -> str:
    lines = []
    for picture, label, box in scene.BOXES:
        width, height = scene.PICTURES[picture]
        x1, y1, x2, y2 = (side / (size if shares else 1) for side, size in zip(scene.corners(box), (width, height) * 2))
        sides = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "w": x2 - x1, "h": y2 - y1}
        lines.append(pattern.format(picture=picture, label=label, width=width, height=height, **sides))
    return "\n".join(lines)


TENSORFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
OF_TENSORFLOW = "{picture},{width},{height},{label},{x1:g},{y1:g},{x2:g},{y2:g}"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("CSV, 3 rows", TENSORFLOW + rows(OF_TENSORFLOW)),
        ("CSV, 3 rows", "\ufeff" + TENSORFLOW.replace(",", ";") + rows(OF_TENSORFLOW.replace(",", ";"))),
        ("CSV, 3 rows", "image\tlabel\tx\ty\twidth\theight\n" + rows("{picture}\t{label}\t{x1}\t{y1}\t{w}\t{h}")),
        ("CSV, 3 rows", "path,x1,y1,x2,y2,class_name\n" + rows("{picture},{x1},{y1},{x2},{y2},{label}")),
        ("CSV of keras-retinanet, 3 rows", rows("{picture},{x1},{y1},{x2},{y2},{label}")),
        ("CSV of makesense, 3 rows", rows("{label},{x1},{y1},{w},{h},{picture},{width},{height}")),
        ("CSV of AutoML, `train`, 3 rows", rows("TRAIN,{picture},{label},{x1},{y1},,,{x2},{y2},,", shares=True)),
        (
            "CSV of AutoML, `train`, 3 rows",
            rows("TRAIN,gs://b/{picture},{label},{x1},{y1},{x2},{y1},{x2},{y2},{x1},{y2}", shares=True),
        ),
        ("CSV of AutoML, 3 rows", rows("{picture},{label},{x1},{y1},,,{x2},{y2},,", shares=True)),
    ],
)
def test_the_usual_columns(opened, kind, text):
    source = opened(text)
    assert source.form == kind and source.classes.names == ("bolt", "nut")
    found = [(name, label, tuple(np.round(box, 4))) for name, label, box in form_files.boxes_of(source)]
    assert found == form_files.EXPECTED
    assert not {"no_size", "scores"} & set(form_files.kinds(source))


def test_what_predict_writes_is_read_and_its_scores_are_counted(opened):
    source = opened(",".join(forms.CSV_COLUMNS) + "\n" + rows(OF_TENSORFLOW + ",0.9"))
    assert form_files.boxes_of(source) == form_files.EXPECTED and form_files.kinds(source) == ["scores"]
    assert (
        source.findings[0].line == "3 of 3 boxes have a score, as detections do; taken as boxes of annotations (first: "
        "parts.csv:2: 0.9)"
    )


def test_pictures_without_boxes_are_background(opened):
    text = rows("{picture},{x1},{y1},{x2},{y2},{label}")
    source = opened(f"c.png,,,,,\n{text}")
    assert source.num_images == 3 and form_files.kinds(source) == ["empty_pictures"]


def test_the_sets_of_automl(opened):
    text = rows("TRAIN,{picture},{label},{x1},{y1},,,{x2},{y2},,", shares=True)
    text = f"UNASSIGNED,c.png,,,,,,,,,\n{text.replace('TRAIN,b', 'VALIDATE,b')}\n"
    train, val = opened(text), opened(text, "val")
    assert form_files.boxes_of(train) == form_files.EXPECTED[:2] and form_files.boxes_of(val) == form_files.EXPECTED[2:]
    assert form_files.kinds(train) == ["other_set"] and val.form == "CSV of AutoML, `val`, 1 row"
    with pytest.raises(UserError, match=r"nothing says which: give .*parts.csv:train, :val or :test"):
        opened(text, "")


def test_flags(opened):
    header = TENSORFLOW.strip() + ",is_crowd,Difficult\n"
    table = opened(header + rows(OF_TENSORFLOW + ",0,0").replace("20,70,45,95,0,0", "20,70,45,95,1,1")).boxes()
    assert table.crowd.tolist() == [False, False, True] and table.ignored.tolist() == [False, False, True]


OPEN_IMAGES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)


def test_open_images(opened, tmp_path):
    codes = {"nut": "/m/01", "bolt": "/m/02"}
    text = rows("{picture},xclick,{label},1,{x1},{x2},{y1},{y2},1,1,-1,0,0", shares=True).replace(".png", "")
    for name, code in codes.items():
        text = text.replace(f",{name},", f",{code},")
    lines = text.splitlines()
    lines[2] = lines[2].replace("1,1,-1,0,0", "0,0,1,1,1")
    (tmp_path / "class-descriptions-boxable.csv").write_text('/m/01,nut\n/m/02,"bolt"\n/m/03,washer\n')
    source = opened(OPEN_IMAGES + "\n".join(lines))
    assert [(name, label) for name, label, _ in form_files.boxes_of(source)] == [row[:2] for row in form_files.EXPECTED]
    assert source.form == "OpenImages, 3 rows" and source.boxes().crowd.tolist() == [False, False, True]
    assert form_files.kinds(source) == ["depiction", "inside", "crowd"]
    (tmp_path / "class-descriptions-boxable.csv").unlink()
    assert opened(OPEN_IMAGES + text).classes.names == ("/m/01", "/m/02")


@pytest.mark.parametrize(
    ("text", "to", "words"),
    [
        ("40,30\n", "40\n", "a row with too few cells (1 of 5 entries, first: parts.csv:2: 7, and 8 are needed)"),
        ("10,10,40", "10,,40", "a side of a box is missing (1 of 5 entries, first: parts.csv:2: no ymin)"),
        (
            "10,10,40",
            "10,top,40",
            "a side of a box is no finite number (1 of 5 entries, first: parts.csv:2: ymin is 'top')",
        ),
        ("nut,10", ",10", "no name of a class (1 of 5 entries, first: parts.csv:2)"),
        ("a.png,120,90,nut", ",120,90,nut", "a row without the name of a picture (1 of 5 entries, first: parts.csv:2)"),
        (
            "a.png,120,90,nut",
            "a.png,120,tall,nut",
            "no width and height in whole pixels (1 of 5 entries, first: parts.csv:2",
        ),
        ("b.png", "z.png", "image missing in"),
    ],
)
def test_mistakes_are_named_with_file_and_line(opened, text, to, words):
    whole = TENSORFLOW + rows(OF_TENSORFLOW)
    assert text in whole
    with pytest.raises(UserError) as error:
        opened(whole.replace(text, to, 1))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_shares_above_1_are_named(opened):
    text = rows("TRAIN,{picture},{label},{x1},{y1},,,{x2},{y2},,")
    with pytest.raises(UserError, match=r"a share of the picture that is not from 0 to 1 \(3 of 5 .*parts.csv:1: 10\)"):
        opened(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filename,label\na.png,nut\n", "it looks like CSV whose columns are not known"),
        (
            "filename,file_size,file_attributes,region_count\na.png,1,2,3\n",
            "it looks like VIA's CSV; VIA's JSON is read",
        ),
        (TENSORFLOW + 'a.png,120,90,"nut,1,2,3,4\n', "parts.csv: "),
    ],
)
def test_tables_that_are_no_boxes(opened, text, words):
    with pytest.raises(UserError) as error:
        opened(text)
    assert words in str(error.value)
