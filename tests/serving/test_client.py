"""The client of TensorFlow Serving, over real sockets: what it sends, and what it makes of every kind of answer."""

import io
import json
import re
import socket
import threading

import numpy as np
import pytest
from in_process import call
from PIL import Image

from fsaf_tf.cli import serve_client
from fsaf_tf.detect import image_files, predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.serving import client

serving_server = pytest.importorskip("serving_server")
Fault = serving_server.Fault

IDS, NAMES = [17, 18], ["cat", "dog"]
EXIF_ORIENTATION, ROTATED = 0x0112, 6
REFUSED_WIDTH = 13
GRAPH_ERROR = """assertion failed: [Bad input: inputs[0] is damaged: decoding fails]
\t [[{{node while/Assert}}]]
\t [[StatefulPartitionedCall]] [Op:__inference_signature_wrapper]"""


def outputs_of(image):
    """Two detections that depend on the picture's size, and a row that is none."""
    height, width = image.shape[:2]
    return {
        "detection_boxes": np.float32([[0, 0, height, width], [1, 2, height / 3, width / 7], [0, 0, 0, 0]]),
        "detection_scores": np.float32([0.9, image.mean() / 256, 0]),
        "detection_classes": np.int32([18, 17, 0]),
        "detection_levels": np.int32([3, 4, 0]),
        "detection_branch": np.int32([0, 1, 0]),
        "num_detections": np.int32(2),
    }


def predict(signature, data):
    """What an exported graph does, in few words."""
    assert signature == "serving_default"
    images = []
    for each in data:
        assert each[:2] in (b"\xff\xd8", b"\x89P", b"RI"), "a format that the server does not decode"
        images.append(predict_files.read_image(io.BytesIO(each)))
        if images[-1].shape[1] == REFUSED_WIDTH:
            raise Fault("INVALID_ARGUMENT", GRAPH_ERROR)
    rows = [outputs_of(image) for image in images]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


class Local:
    """The same without a server."""

    category_ids, most = IDS, 100

    def __call__(self, image):
        found = {key.removeprefix("detection_"): value for key, value in outputs_of(image).items()}
        found = {key: found[key][:2] for key in ("boxes", "scores", "levels", "branch")}
        return {**found, "classes": np.int32([1, 0]), "names": ["dog", "cat"]}


@pytest.fixture
def server():
    with serving_server.Server(predict) as running:
        yield running


@pytest.fixture(params=["grpc", "rest"])
def port(request, server):
    return make_port(request.param, server)


def make_port(kind, server, **kwargs):
    make = {"grpc": client.Grpc, "rest": client.Rest}[kind]
    return make(getattr(server, kind), kwargs.pop("model", serving_server.NAME), **kwargs)


@pytest.fixture
def files(tmp_path):
    """Every kind of file; the last two are no picture, and one that is refused."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = ROTATED
    for number, (name, options) in enumerate(
        {"a.jpg": {"exif": exif}, "b.png": {}, "c.webp": {}, "d.gif": {}, "e.bmp": {}, "f.tiff": {}}.items()
    ):
        Image.fromarray(pixels[: 20 + number]).save(tmp_path / "in" / name, **options)
    (tmp_path / "in" / "g.jpg").write_text("no picture")
    Image.fromarray(pixels[:, :REFUSED_WIDTH]).save(tmp_path / "in" / "h.png")
    return image_files.find(str(tmp_path / "in"))


class Time:
    """A clock that only its own sleep moves, and the pauses that were slept."""

    def __init__(self):
        self.now, self.pauses = 100.0, []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


def read(folder):
    return json.loads((folder / "detections.json").read_text())


def test_writes_what_prediction_writes(server, port, files, tmp_path, capsys):
    (tmp_path / "labels.json").write_text(json.dumps({"names": NAMES, "category_ids": IDS}))
    client.run(client.Client(port), files, str(tmp_path / "served"), labels=str(tmp_path / "labels.json"))
    said = capsys.readouterr().out
    assert "2 of 8 files cannot be read" in said and "g.jpg: not an image" in said
    assert "h.png: is damaged: decoding fails\n" in said
    predict_files.run(Local(), files[:-1], str(tmp_path / "local"))
    assert read(tmp_path / "served") == read(tmp_path / "local") and len(read(tmp_path / "local")) == 12
    for path in (tmp_path / "local").rglob("*.jpg"):
        assert path.read_bytes() == (tmp_path / "served" / path.relative_to(tmp_path / "local")).read_bytes()
    assert server.requests == [("serving_default", None, 1)] * 7


def test_without_labels_the_ids_are_the_same(port, files, tmp_path):
    client.run(client.Client(port), files[:2], str(tmp_path / "out"))
    assert [result["category_id"] for result in read(tmp_path / "out")] == [18, 17, 18, 17]


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_a_version_is_asked_for(kind, server, files):
    client.Client(make_port(kind, server, version=3)).predict(open(files[0], "rb").read())
    assert server.requests == [("serving_default", 3, 1)]


def test_a_busy_server_is_asked_again_and_later_each_time(server, port, files):
    time = Time()
    asking = client.Client(port, retries=2, clock=time.clock, sleep=time.sleep)
    server.faults = [Fault("UNAVAILABLE", "loading"), Fault("RESOURCE_EXHAUSTED", "queue is full")]
    outputs = asking.predict(open(files[1], "rb").read())
    assert outputs["num_detections"] == 2 and len(server.requests) == 3
    assert len(time.pauses) == 2 and 0.05 <= time.pauses[0] <= 0.1 <= time.pauses[1] <= 0.2
    server.faults = [Fault("UNAVAILABLE", "loading")] * 9
    with pytest.raises(client.Lost, match=r"no answer after 3 tries: \S+: loading"):
        asking.predict(b"\xff\xd8")


def test_a_server_that_does_not_answer_is_late(server, port, files):
    never = threading.Event()
    server.faults = [never]
    with pytest.raises(client.Late, match="no answer in time"):
        client.Client(port, deadline=0.5).predict(open(files[1], "rb").read())
    never.set()


def test_a_deadline_holds_for_all_tries_together(server, port, files):
    """Three pauses last 0.35 to 0.7 s, and the fourth 0.4 to 0.8 s: it would end too late, always."""
    time = Time()
    server.faults = [Fault("UNAVAILABLE", "loading")] * 99
    with pytest.raises(client.Lost, match=r"no answer after 4 tries: \S+: loading"):
        asking = client.Client(port, deadline=0.72, retries=99, clock=time.clock, sleep=time.sleep)
        asking.predict(open(files[1], "rb").read())
    assert len(server.requests) == 4 and len(time.pauses) == 3 and time.now < 100.72


@pytest.fixture
def closed_port():
    """A port that nothing listens on, and that nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(("kind", "address"), [("Grpc", "127.0.0.1:{}"), ("Rest", "http://127.0.0.1:{}")])
def test_no_server_is_one_error_and_nothing_is_written(kind, address, closed_port, files, tmp_path):
    port = getattr(client, kind)(address.format(closed_port), "any")
    with pytest.raises(UserError, match=f"no answer after 2 tries: .*127.0.0.1:{closed_port}"):
        client.run(client.Client(port, retries=1), files, str(tmp_path / "out"))
    assert not (tmp_path / "out" / "detections.json").exists()


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_an_unknown_model_is_one_error(kind, server, files, tmp_path):
    port = make_port(kind, server, model="other")
    with pytest.raises(UserError, match="Servable not found for request: Latest.other"):
        client.run(client.Client(port), files, str(tmp_path / "out"))
    assert len(server.requests) <= 4  # those that were under way


def test_a_server_that_goes_away_ends_nothing(server, port, files, tmp_path, capsys):
    server.faults = [None, None, *[Fault("UNAVAILABLE", "gone")] * 99]
    client.run(client.Client(port, retries=1), files[:6], str(tmp_path / "out"), concurrency=1)
    said = capsys.readouterr().out
    assert len(read(tmp_path / "out")) == 4 and "4 of 6 files" in said
    assert re.search(r"c\.webp: no answer after 2 tries: \S+: gone", said)
    assert said.count("not sent: the server was lost before") == 3 and len(server.requests) == 4


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": np.zeros([1, 3]), "more": np.zeros([1])}, "no detector of tools/export.py: it answers with .'logi"),
        ({"logits": np.zeros([1, 3])}, "no detector of tools/export.py: it answers with"),
        ({"a": np.zeros([1]), "loss": np.zeros([])}, "does not answer picture by picture: .'a', 'loss'"),
        (
            {key: value[None] for key, value in outputs_of(np.zeros([9, 9])).items() if key != "detection_levels"},
            "no detector of tools/export.py: it answers with .'detection_boxes', 'detection_branch'",
        ),
    ],
)
def test_another_kind_of_model_is_one_error(server, port, files, tmp_path, outputs, message):
    server._predict = lambda *_: outputs
    with pytest.raises(UserError, match=message):
        client.run(client.Client(port), files, str(tmp_path / "out"))


def test_labels_of_another_model_are_one_error(port, files, tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps({"names": NAMES, "category_ids": [17, 19]}))
    with pytest.raises(UserError, match="--labels is of another model .*: no class has the category id 18$"):
        client.run(client.Client(port), files, str(tmp_path / "out"), labels=str(tmp_path / "labels.json"))


def test_as_many_requests_at_a_time_as_asked_for(port, server, tmp_path):
    """Each request waits until three are there; without them the client's deadline ends it."""
    together = threading.Barrier(3)

    def wait(signature, data):
        together.wait(timeout=300)
        return predict(signature, data)

    server._predict = wait
    for number in range(9):
        Image.fromarray(np.full((24, 24, 3), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
    asking = client.Client(port, deadline=300)
    client.run(asking, image_files.find(str(tmp_path)), str(tmp_path / "out"), concurrency=3)
    assert server.most == 3
    results = read(tmp_path / "out")  # in the order of the files, whichever answer came first
    assert [result["file_name"] for result in results[::2]] == [f"{number}.png" for number in range(9)]
    assert np.all(np.diff([result["score"] for result in results[1::2]]) > 0)


def test_the_tool_speaks_both(server, files, tmp_path, monkeypatch, capsys):
    images = f"--images={tmp_path}/in/[ab].*"
    for kind, address in (("grpc", server.grpc), ("rest", server.rest)):
        flags = (f"--server={address}", "--model=detector", "--version=2", images, f"--output={tmp_path}/{kind}")
        assert call(serve_client, monkeypatch, *flags) == 0
    assert read(tmp_path / "grpc") == read(tmp_path / "rest") and len(read(tmp_path / "grpc")) == 4
    assert server.requests == [("serving_default", 2, 1)] * 4
    assert "--model is missing" in call(serve_client, monkeypatch, images)
    assert "--server is missing" in call(serve_client, monkeypatch, images, "--server=")
