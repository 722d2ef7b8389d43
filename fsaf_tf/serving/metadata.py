"""What a `.tflite` file says of itself: metadata and labels that the standard tools read, and settings for our own.

The metadata is a flatbuffer of its own inside the file (`metadata_schema.fbs` of tflite-support); the package that
writes it cannot be installed beside TensorFlow 2.20. The numbers below are the places of the fields in that schema.
"""

import io
import json
import zipfile
from collections.abc import Sequence

import flatbuffers

from fsaf_tf.serving import flatbuffer

METADATA = "TFLITE_METADATA"
SETTINGS = "FSAF_TF"  # a buffer of JSON that only `settings` reads
LABELS, CANVAS = "labels.txt", "canvas.json"  # in the archive
IDENTIFIER = b"M001"

_FEATURE, _IMAGE, _BOXES = 1, 2, 3  # kinds of content
_NORMALIZATION = 1  # a kind of process unit
_RGB, _BOUNDARIES, _RATIO = 1, 1, 0
_VALUE_LABELS, _AXIS_LABELS = 3, 2


class _Writer:
    """Writes flatbuffer tables by the numbers of their fields; what is nested must be written before."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1024)

    def table(self, fields: dict[int, tuple[str, int]]) -> int:
        """A table; a field's value comes with its type: `offset`, `byte` (which is an enumeration) or `int`."""
        self.builder.StartObject(max(fields, default=-1) + 1)
        for slot, (kind, value) in fields.items():
            if kind == "offset":
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            elif kind == "byte":
                self.builder.PrependInt8Slot(slot, value, 0)
            else:
                self.builder.PrependInt32Slot(slot, value, 0)
        return self.builder.EndObject()

    def text(self, value: str) -> tuple[str, int]:
        return "offset", self.builder.CreateString(value)

    def tables(self, offsets: Sequence[int]) -> tuple[str, int]:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return "offset", self.builder.EndVector()

    def numbers(self, values: Sequence[float], kind: str) -> tuple[str, int]:
        self.builder.StartVector(4, len(values), 4)
        prepend = self.builder.PrependFloat32 if kind == "float" else self.builder.PrependUint32
        for value in reversed(values):
            prepend(value)
        return "offset", self.builder.EndVector()


def pack(data: bytes, *, name: str, description: str, settings: dict) -> bytes:
    """Adds metadata, settings and labels to a model.

    Args:
        data: a `.tflite` file of `tflite.export`'s two variants.
        name: of the model.
        description: of the model.
        settings: JSON values; `class_names` become the labels, `canvas` says how pictures lie on the input, and
            `variant`, `detections` or `raw`, what the outputs are.

    Returns:
        The file with a zip archive at its end that holds `labels.txt`, a name a line, and `canvas.json`.
    """
    model = flatbuffer.read(data)
    flatbuffer.add_metadata(model, SETTINGS, json.dumps(settings).encode())
    flatbuffer.add_metadata(model, METADATA, _model(name, description, settings))
    file = io.BytesIO(flatbuffer.write(model))
    with zipfile.ZipFile(file, "a") as archive:
        lines = "".join(" ".join(label.split()) + "\n" for label in settings["class_names"])
        for member, text in ((LABELS, lines), (CANVAS, json.dumps(settings["canvas"]))):
            archive.writestr(zipfile.ZipInfo(member), text)  # a fixed date: the same model is the same file
    return file.getvalue()


def settings(data: bytes) -> dict | None:
    """What `pack` was given as settings; None for a file of another making."""
    found = flatbuffer.get_metadata(flatbuffer.read(data), SETTINGS)
    return None if found is None else json.loads(found)


def _model(name: str, description: str, settings: dict) -> bytes:
    writer = _Writer()
    outputs = _detection_outputs(writer) if settings["variant"] == "detections" else _raw_outputs(writer)
    image = _image(writer, settings["canvas"])
    subgraph = writer.table({2: writer.tables([image]), 3: writer.tables(outputs)})
    root = writer.table(
        {
            0: writer.text(name),
            1: writer.text(description),
            3: writer.tables([subgraph]),
            7: writer.text("1.0.0"),  # the least version of a reader
        }
    )
    writer.builder.Finish(root, file_identifier=IDENTIFIER)
    return bytes(writer.builder.Output())


def _image(writer: _Writer, canvas: dict) -> int:
    """The picture: uint8, and the network normalises it, so mean 0 and deviation 1."""
    options = writer.table({0: writer.numbers([0.0], "float"), 1: writer.numbers([1.0], "float")})
    unit = writer.table({0: ("byte", _NORMALIZATION), 1: ("offset", options)})
    content = _content(writer, _IMAGE, writer.table({0: ("byte", _RGB)}))
    stats = writer.table({0: writer.numbers([255.0], "float"), 1: writer.numbers([0.0], "float")})
    how = "stretched to the size of this input"
    if canvas["keep_aspect"]:
        padding = ", ".join(map(str, canvas["padding"]))
        how = f"in the upper left corner at the scale of {CANVAS}, the rest in RGB {padding}"
    description = f"The picture, uint8 RGB, {how}."
    return writer.table(
        {
            0: writer.text("image"),
            1: writer.text(description),
            3: content,
            4: writer.tables([unit]),
            5: ("offset", stats),
        }
    )


def _detection_outputs(writer: _Writer) -> list[int]:
    """In the order and with the names that the task libraries look for."""
    return [
        _output(writer, "location", "Boxes by falling score: top, left, bottom, right in shares of the sides.", _BOXES),
        _output(writer, "category", "The class of each box, a line of labels.txt from 0.", _FEATURE, _VALUE_LABELS),
        _output(writer, "score", "The score of each box, 0 to 1.", _FEATURE),
        _output(writer, "number of detections", "How many of the rows are detections.", None),
    ]


def _raw_outputs(writer: _Writer) -> list[int]:
    return [
        _output(writer, "boxes", "The box of each location: top, left, bottom, right in shares of the sides.", _BOXES),
        _output(writer, "scores", "The score of each class at each location, 0 to 1.", _FEATURE, _AXIS_LABELS),
    ]


def _output(writer: _Writer, name: str, description: str, kind: int | None, labels: int | None = None) -> int:
    """Metadata of an output whose objects lie along dimension 1; one with labels names the file of them."""
    fields = {0: writer.text(name), 1: writer.text(description)}
    if kind == _BOXES:
        index = writer.numbers([1, 0, 3, 2], "int")  # where left, top, right and bottom are
        properties = writer.table({0: index, 1: ("byte", _BOUNDARIES), 2: ("byte", _RATIO)})
    else:
        properties = writer.table({})
    fields[3] = _content(writer, kind or _FEATURE, properties, dimension=2 if kind else None)
    if labels is not None:
        file = {0: writer.text(LABELS), 1: writer.text("Names of the classes."), 2: ("byte", labels)}
        fields[6] = writer.tables([writer.table(file)])
    return writer.table(fields)


def _content(writer: _Writer, kind: int, properties: int, dimension: int | None = None) -> tuple[str, int]:
    fields = {0: ("byte", kind), 1: ("offset", properties)}
    if dimension is not None:
        fields[2] = ("offset", writer.table({0: ("int", dimension), 1: ("int", dimension)}))
    return "offset", writer.table(fields)
