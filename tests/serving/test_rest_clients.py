"""The clients in JavaScript, in Node.js and in a browser, against a server on a real socket."""

import base64
import functools
import http.server
import io
import json
import pathlib
import shutil
import subprocess
import threading
import urllib.parse

import chromium
import numpy as np
import pytest
from encoded import turned
from PIL import Image

from fsaf_tf.detect import predict_files

serving_server = pytest.importorskip("serving_server")

ROOT = pathlib.Path(__file__).parent.parent.parent
NODE = shutil.which("node")
HEIGHT, WIDTH, ROTATED = 300, 200, 6
LABELS = {"names": ["cat", "dög"], "category_ids": [17, 3]}
TEXT = "document.getElementById('message').textContent"
ROWS = "[...document.querySelectorAll('#found tr')].map(row => [...row.cells].map(cell => cell.textContent))"
RED = (230, 20, 20)


def predict(signature, data):
    """Two detections in pixels of the upright picture: the red part of it, and one of a low score."""
    if data[0][:2] not in (b"\xff\xd8", b"\x89P"):
        message = "assertion failed: [Bad input: inputs[0] is no JPEG, PNG or WebP]\n\t [[{{node Assert}}]]"
        raise serving_server.Fault("INVALID_ARGUMENT", message)
    image = predict_files.read_image(io.BytesIO(data[0]))
    rows, columns = np.nonzero((image[..., 0] > 150) & (image[..., 1] < 100))
    box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    return {
        "detection_boxes": [[box, [0, 0, *image.shape[:2]], [0, 0, 0, 0]]],
        "detection_scores": [[0.9, 0.2, 0.0]],
        "detection_classes": [[17, 3, 0]],
        "detection_levels": [[3, 4, 0]],
        "detection_branch": [[0, 0, 0]],
        "num_detections": [2],
    }


@pytest.fixture
def server():
    with serving_server.Server(predict) as running:
        running.cors = True
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page, names, a picture that EXIF turns, and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    shutil.copy(ROOT / "examples" / "browser" / "index.html", folder)
    (folder / "labels.json").write_text(json.dumps(LABELS), encoding="utf-8")
    (folder / "none.jpg").write_text("no picture")
    pixels = np.full((WIDTH, HEIGHT, 3), 90, np.uint8)  # as it is stored: its sides are changed by the turn
    pixels[20:60, 100:200] = RED
    (folder / "turned.jpg").write_bytes(turned(Image.fromarray(pixels), ROTATED, "JPEG", quality=95))
    return folder


@pytest.fixture(scope="module")
def box(folder):
    """Where the red part is in the upright picture."""
    return predict("", [(folder / "turned.jpg").read_bytes()])["detection_boxes"][0][0]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if not chromium.PROGRAM:
        pytest.skip("needs Chromium, which is not there")
    with chromium.page(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def site(folder):
    """The address of the folder on a server of files."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as files:
        threading.Thread(target=files.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def node(*arguments) -> subprocess.CompletedProcess:
    if not NODE:
        pytest.skip("needs Node.js, which is not there")
    command = [NODE, ROOT / "examples" / "javascript" / "detect.mjs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=600)


def test_node_prints_what_is_found(server, folder, box):
    known = (f"--server={server.rest}/", f"--model={serving_server.NAME}", f"--labels={folder}/labels.json")
    done = node(*known, "--threshold=0.1", folder / "turned.jpg")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert found == [
        {"picture": f"{folder}/turned.jpg", "label": "cat", "score": 0.9, "box": box},
        {"picture": f"{folder}/turned.jpg", "label": "dög", "score": 0.2, "box": [0, 0, HEIGHT, WIDTH]},
    ]


def test_node_names_what_is_refused_and_goes_on(server, folder):
    files = (folder / "none.jpg", folder / "absent.jpg", folder / "turned.jpg")
    done = node(f"--server={server.rest}", f"--model={serving_server.NAME}", *files)
    (found,) = map(json.loads, done.stdout.splitlines())  # over the threshold as it is by default
    assert done.returncode == 1 and found["label"] == "17"  # an id, without names
    refused, absent = done.stderr.splitlines()
    assert refused == f"{files[0]}: is no JPEG, PNG or WebP" and absent.startswith(f"{files[1]}: ENOENT")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--model=other",), 1, "Servable not found for request: Latest(other)"),
        (("--model=other", "--server=http://127.0.0.1:1"), 1, "is http://127.0.0.1:1 right?"),
        (("--modl=other",), 2, "Unknown option '--modl'"),
        ((), 2, "usage: node detect.mjs --model=NAME"),
    ],
)
def test_a_mistake_of_the_command_line_is_told(server, folder, arguments, status, message):
    done = node(f"--server={server.rest}", *arguments, folder / "turned.jpg")
    assert (done.returncode, done.stdout) == (status, "") and message in done.stderr
    assert "    at " not in done.stderr  # no trace of calls


def test_node_says_what_answers_as_no_detector(site, folder):
    done = node(f"--server={site}", "--model=detector", folder / "turned.jpg")
    assert done.returncode == 1
    assert f"{site}/v1/models/detector:predict is no detector of tools/export.py (status 501)" in done.stderr


def test_the_page_draws_what_its_address_asks_for(server, folder, site, page, box):
    query = f"server={server.rest}&model={serving_server.NAME}&threshold=0.1&labels=labels.json&picture=turned.jpg"
    page.open(f"{site}/index.html?{query}")
    page.wait(f"{TEXT} == '2 of 2 detections are shown.'")
    sides = [f"{side:.1f}" for side in box]
    assert page.run(ROWS) == [["cat", "0.900", *sides], ["dög", "0.200", "0.0", "0.0", f"{HEIGHT}.0", f"{WIDTH}.0"]]
    assert page.run("[canvas.height, canvas.width]") == [HEIGHT, WIDTH]  # upright
    assert np.abs(pixel(page, box[2] - 6, box[1] + 6) - RED).max() < 30  # inside the box
    assert not page.said


def test_the_page_takes_files_and_a_threshold(server, folder, page, box):
    """As a file itself, whose answers are allowed to it as to any page."""
    page.open(f"{(folder / 'index.html').as_uri()}?server={server.rest}&model={serving_server.NAME}")
    page.choose("#file", folder / "turned.jpg")
    page.wait(f"{TEXT} == '1 of 2 detections are shown.'")
    edge = pixel(page, (box[0] + box[2]) // 2, box[1])
    assert np.abs(edge - RED).max() > 100 and np.abs(edge - 90).max() > 60  # neither the picture's red nor its grey
    assert page.run(ROWS)[0][0] == "category 17"
    page.choose("#labels", folder / "labels.json")
    page.wait(f"{ROWS}[0][0] == 'cat'")
    page.run("(threshold.value = 0.95, threshold.dispatchEvent(new Event('input')))")
    assert page.run(ROWS) == [] and page.run(TEXT) == "0 of 2 detections are shown."
    assert np.abs(pixel(page, (box[0] + box[2]) // 2, box[1]) - edge).max() > 60


def test_a_picture_is_dropped_on_the_page(server, folder, page, box):
    page.open(f"{(folder / 'index.html').as_uri()}?server={server.rest}&model={serving_server.NAME}")
    encoded = base64.b64encode((folder / "turned.jpg").read_bytes()).decode()
    page.run(
        f"""(() => {{
          const dropped = new DataTransfer(), bytes = Uint8Array.from(atob('{encoded}'), (each) => each.charCodeAt(0));
          dropped.items.add(new File([bytes], 'turned.jpg', {{ type: 'image/jpeg' }}));
          document.body.dispatchEvent(new DragEvent('drop', {{ dataTransfer: dropped, bubbles: true }}));
        }})()"""
    )
    page.wait(f"{TEXT} == '1 of 2 detections are shown.'")
    assert page.run(ROWS)[0][2:] == [f"{side:.1f}" for side in box]


@pytest.mark.parametrize(
    ("allows", "parts", "file", "message"),
    [
        (
            False,
            {},
            "turned.jpg",
            "does not let a page that is a file read its answers (CORS).\nStart TensorFlow Serving",
        ),
        (True, {"model": "other"}, "turned.jpg", "The server says: Servable not found for request: Latest(other)"),
        (True, {"server": "http://127.0.0.1:9"}, "turned.jpg", "No server answers at http://127.0.0.1:9."),
        (True, {}, "none.jpg", "The browser cannot read this file as a picture."),
    ],
)
def test_the_page_says_why_there_are_no_boxes(server, folder, page, allows, parts, file, message):
    server.cors = allows
    query = urllib.parse.urlencode({"server": server.rest, "model": serving_server.NAME} | parts)
    page.open(f"{(folder / 'index.html').as_uri()}?{query}")
    page.choose("#file", folder / file)
    page.wait("document.getElementById('message').className == 'error'")
    assert message in page.run(TEXT) and page.run(ROWS) == []


def pixel(page, y, x) -> np.ndarray:
    """Red, green and blue of the canvas."""
    return np.array(page.run(f"[...canvas.getContext('2d').getImageData({x}, {y}, 1, 1).data]"))[:3]
