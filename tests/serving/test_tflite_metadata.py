"""What a TFLite file says of itself, read as the schema of tflite-support has it, by other code than writes it."""

import json
import zipfile

import flatbuffers
import pytest
from flatbuffers import table

from fsaf_tf.serving import flatbuffer, metadata

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

CANVAS = {"height": 64, "width": 96, "keep_aspect": True, "padding": [124, 116, 104]}
SETTINGS = {"variant": "detections", "class_names": ["cat", "polar\nbear"], "canvas": CANVAS}


class Reader:
    """A table of a flatbuffer, its fields by their numbers."""

    def __init__(self, data: bytes, position: int):
        self.table = table.Table(data, position)

    def _offset(self, slot: int) -> int:
        return self.table.Offset(4 + 2 * slot)

    def text(self, slot: int) -> str:
        return self.table.String(self.table.Pos + self._offset(slot)).decode()

    def byte(self, slot: int) -> int:
        offset = self._offset(slot)
        return self.table.Get(flatbuffers.number_types.Int8Flags, self.table.Pos + offset) if offset else 0

    def int(self, slot: int) -> int:
        return self.table.Get(flatbuffers.number_types.Int32Flags, self.table.Pos + self._offset(slot))

    def child(self, slot: int) -> "Reader":
        return Reader(self.table.Bytes, self.table.Indirect(self.table.Pos + self._offset(slot)))

    def children(self, slot: int) -> list["Reader"]:
        offset = self._offset(slot)
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [Reader(self.table.Bytes, self.table.Indirect(start + 4 * index)) for index in range(count)]

    def numbers(self, slot: int, flags) -> list:
        offset = self._offset(slot)
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [self.table.Get(flags, start + 4 * index) for index in range(count)]


def packed(**settings) -> bytes:
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    model.subgraphs = [schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[])]
    return metadata.pack(flatbuffer.write(model), name="fsaf_tf", description="FSAF", settings={**SETTINGS, **settings})


def root(data: bytes) -> Reader:
    found = flatbuffer.get_metadata(flatbuffer.read(data), "TFLITE_METADATA")
    assert found[4:8] == b"M001"
    return Reader(found, int.from_bytes(found[:4], "little"))


def test_input_needs_no_normalising():
    (subgraph,) = root(packed()).children(3)
    (image,) = subgraph.children(2)
    floats = flatbuffers.number_types.Float32Flags
    assert image.text(0) == "image" and "upper left corner" in image.text(1) and "RGB 124, 116, 104" in image.text(1)
    content = image.child(3)
    assert content.byte(0) == 2 and content.child(1).byte(0) == 1  # ImageProperties, RGB
    (unit,) = image.children(4)
    assert unit.byte(0) == 1  # NormalizationOptions
    assert unit.child(1).numbers(0, floats) == [0.0] and unit.child(1).numbers(1, floats) == [1.0]
    assert image.child(5).numbers(0, floats) == [255.0] and image.child(5).numbers(1, floats) == [0.0]


def test_outputs_have_the_names_of_the_task_libraries():
    model = root(packed())
    assert (model.text(0), model.text(1), model.text(7)) == ("fsaf_tf", "FSAF", "1.0.0")
    outputs = model.children(3)[0].children(3)
    assert [output.text(0) for output in outputs] == ["location", "category", "score", "number of detections"]
    boxes = outputs[0].child(3)
    assert boxes.byte(0) == 3  # BoundingBoxProperties
    assert boxes.child(1).numbers(0, flatbuffers.number_types.Uint32Flags) == [1, 0, 3, 2]  # left, top, right, bottom
    assert boxes.child(1).byte(1) == 1 and boxes.child(1).byte(2) == 0  # BOUNDARIES, RATIO
    assert (boxes.child(2).int(0), boxes.child(2).int(1)) == (2, 2)
    (labels,) = outputs[1].children(6)
    assert labels.text(0) == "labels.txt" and labels.byte(2) == 3  # TENSOR_VALUE_LABELS


def test_raw_outputs_label_the_axis_of_the_scores():
    outputs = root(packed(variant="raw")).children(3)[0].children(3)
    assert [output.text(0) for output in outputs] == ["boxes", "scores"]
    assert outputs[1].children(6)[0].byte(2) == 2  # TENSOR_AXIS_LABELS


def test_a_file_says_that_its_pictures_are_stretched():
    (image,) = root(packed(canvas={**CANVAS, "keep_aspect": False})).children(3)[0].children(2)
    assert "stretched" in image.text(1) and "corner" not in image.text(1)


def test_labels_and_canvas_are_a_zip_archive_at_the_end(tmp_path):
    data = packed()
    (tmp_path / "model.tflite").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        assert archive.namelist() == ["labels.txt", "canvas.json"]
        assert json.loads(archive.read("canvas.json")) == CANVAS
        assert archive.read("labels.txt").decode() == "cat\npolar bear\n"
    assert data == packed()  # no date in it


def test_settings_come_back():
    assert metadata.settings(packed()) == SETTINGS
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    model.subgraphs = [schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[])]
    assert metadata.settings(flatbuffer.write(model)) is None
