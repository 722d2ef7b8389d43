"""The listings for phones: as in the pages; those in Kotlin are compiled and give the boxes that Python gives."""

import json
import pathlib
import re
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from PIL import Image

from fsaf_tf.serving.canvas import Canvas

ROOT = pathlib.Path(__file__).parent.parent.parent
STUBS = pathlib.Path(__file__).parent / "android_stubs"
ANDROID = sorted((ROOT / "examples" / "android").glob("*.kt"))
IOS = sorted((ROOT / "examples" / "ios").glob("*.swift"))
SIZES = ((640, 480), (480, 640), (333, 250), (1001, 37), (50, 50))  # width, height
CANVASES = (
    Canvas(256, 256, True, 192, 256, (124, 116, 104), ""),
    Canvas(192, 256, True, 192, 256, (0, 10, 255), "landscape"),  # portrait pictures are smaller than in training
    Canvas(320, 224, False, 224, 320, (0, 0, 0), ""),
)
ROWS = [  # shares of the input, class, score
    (0.1, 0.2, 0.4, 0.5, 0, 0.9),
    (-0.1, 0.05, 1.2, 0.1, 1, 0.8),
    (0.0, 0.0, 1.0, 1.0, 1, 0.7),
    (0.97, 0.98, 1.0, 1.0, 0, 0.6),  # in the padding of most
    (0.2, 0.2, 0.3, 0.3, 0, 0.1),
]
NAMES = ["nut", "Mutter und Größe"]


@pytest.mark.parametrize("page, files", [("android", ANDROID), ("ios", IOS)], ids=["android", "ios"])
def test_listings_are_the_files(page, files):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    shown = re.findall(r"```(?:kotlin|swift)\n(// examples/\S+)\n(.*?)```", text, re.DOTALL)
    assert {name.removeprefix("// "): code for name, code in shown} == {
        str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files
    }


def test_swift_is_of_its_grammar():
    grammar = pytest.importorskip("tree_sitter_swift", reason="tree-sitter-swift is not installed")
    tree_sitter = pytest.importorskip("tree_sitter", reason="tree-sitter is not installed")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    for file in IOS:
        assert not parser.parse(file.read_bytes()).root_node.has_error


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The files for Android with stubs of what they call, compiled for the JVM."""
    if not (shutil.which("kotlinc") and shutil.which("java")):
        pytest.skip("kotlinc and java are not both installed")
    path = tmp_path_factory.mktemp("kotlin") / "all.jar"
    subprocess.run(["kotlinc", *ANDROID, *STUBS.glob("*.kt"), "-include-runtime", "-d", path], check=True, timeout=600)
    return path


@pytest.mark.parametrize("canvas", CANVASES, ids=["square", "landscape", "stretched"])
def test_kotlin_gives_the_boxes_of_python(program, canvas, tmp_path):
    model = tmp_path / "model.tflite"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("canvas.json", json.dumps(canvas.__dict__))
        archive.writestr("labels.txt", "\n".join(NAMES) + "\n")
    (tmp_path / "model.tflite.found").write_text("\n".join(" ".join(map(str, row)) for row in ROWS))
    sizes = [f"{width}x{height}" for width, height in SIZES]
    command = ["java", "-Dfile.encoding=UTF-8", "-jar", program, model, *sizes]
    said = subprocess.run(command, check=True, capture_output=True, timeout=600).stdout.decode().splitlines()
    found = [re.fullmatch(r"(\S+) (.*?)((?: [-.\dE]+){5})", line).groups() for line in said]
    for width, height in SIZES:
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, width // 2 :] = 255
        wanted = []
        for *shares, index, score in ROWS[:-1]:  # the last one scores too little
            box = canvas.to_picture(np.float32(shares), (height, width))
            if (box[2:] > box[:2]).all():
                wanted.append((NAMES[index], score, *box))
        of_size = [(name, *map(float, numbers.split())) for size, name, numbers in found if size == f"{width}x{height}"]
        assert [name for name, *_ in of_size] == [name for name, *_ in wanted]
        for one, other in zip(of_size, wanted):
            np.testing.assert_allclose(one[1:], other[1:], rtol=1e-5, atol=1e-3)
        seen = np.fromfile(f"{model}.{width}x{height}", np.uint8).reshape(canvas.fit(picture)[0].shape)
        rows, columns = canvas.size_of((height, width))
        nearest = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.NEAREST))
        assert (np.abs(seen[:rows, :columns].astype(int) - nearest).mean(axis=(0, 2)) > 0).sum() <= 1  # at the edge
        assert (seen[rows:] == canvas.padding).all() and (seen[:, columns:] == canvas.padding).all()
