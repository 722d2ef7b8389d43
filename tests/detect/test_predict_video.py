"""Prediction on videos and cameras: real files and a real stream, and a detector that finds the brightness."""

import json
import os
import signal
import threading
from http import server

import numpy as np
import pytest

from fsaf_tf import visualize
from fsaf_tf.errors import UserError

cv2 = pytest.importorskip("cv2")
video = pytest.importorskip("fsaf_tf.detect.predict_video")

FRAMES, RATE, HEIGHT, WIDTH = 12, 10.0, 48, 64


class Brightness:
    """One box a frame, whose score is how bright the frame is."""

    category_ids = [5]

    def __init__(self, each=lambda: None):
        self.each = each

    def __call__(self, image):
        self.each()
        assert image.shape == (HEIGHT, WIDTH, 3) and image[..., 0].mean() > image[..., 2].mean()  # RGB
        return {
            "boxes": np.float32([[4, 8, 20, 40]]),
            "scores": np.float32([image[..., 0].mean() / 255]),
            "classes": np.int32([0]),
            "names": ["thing"],
        }


def frame(number):
    """A reddish BGR frame, the brighter the later."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 2] = 40 + 16 * number
    return image


@pytest.fixture
def clip(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        writer.write(frame(number))
    writer.release()
    return str(tmp_path / "clip.mp4")


def read(folder):
    """The results, and the number of frames, their rate and size in the video."""
    capture = cv2.VideoCapture(f"{folder}/video.mp4")
    places = (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    facts = [capture.get(place) for place in places]
    count = 0
    while capture.read()[0]:
        count += 1
    with open(f"{folder}/detections.json") as file:
        return json.load(file), count, facts


def test_a_file_frame_by_frame(clip, tmp_path, capsys):
    video.run(Brightness(), clip, str(tmp_path / "out"))
    results, count, (rate, width, height) = read(tmp_path / "out")
    factor = -(-visualize.LEAST_SIDE // WIDTH)  # pictures of detections are enlarged
    assert (count, rate, width, height) == (FRAMES, RATE, factor * WIDTH, factor * HEIGHT)
    assert [result["frame"] for result in results] == [result["image_id"] for result in results] == list(range(FRAMES))
    np.testing.assert_allclose([result["seconds"] for result in results], np.arange(FRAMES) / RATE, atol=0.01)
    assert np.all(np.diff([result["score"] for result in results]) > 0)
    assert results[0]["bbox"] == [8, 4, 32, 16] and results[0]["category_id"] == 5
    assert sorted(os.listdir(tmp_path / "out")) == ["detections.json", "video.mp4"]
    assert f"{FRAMES} detections in {FRAMES} frames" in capsys.readouterr().out


def test_an_interrupt_keeps_what_there_is(clip, tmp_path):
    calls = []

    def interrupt():
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    video.run(Brightness(interrupt), clip, str(tmp_path / "out"))
    results, count, _ = read(tmp_path / "out")
    assert (len(results), count) == (3, 3)


def test_what_fails_in_the_middle_leaves_nothing(clip, tmp_path):
    def fail():
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        video.run(Brightness(fail), clip, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "is_live", "message"),
    [
        ("none.mp4", False, "there is no such file"),
        ("text.mp4", False, "text.mp4 is no video that can be read"),
        ("99", True, "--camera=99: there is no such camera"),
        ("out/video.mp4", False, "would be written over"),
    ],
)
def test_wrong_sources_are_one_line(tmp_path, monkeypatch, source, is_live, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UserError, match=message):
        video.run(Brightness(), source, "out", is_live=is_live)


class Stream(server.BaseHTTPRequestHandler):
    """A camera in the network: JPEG after JPEG, as fast as they are taken, without end."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        number = 0
        try:
            while True:
                data = cv2.imencode(".jpg", frame(number % 8))[1].tobytes()
                self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
                self.wfile.write(data + b"\r\n")
                number += 1
        except OSError:
            pass  # the other side has seen enough

    def log_message(self, *_):
        pass


class Clock:
    """Stands still but while the detector is at work."""

    now = 100.0

    def __call__(self):
        return self.now


def test_a_camera_is_seen_at_its_own_speed(tmp_path, monkeypatch):
    """The detector is slower than the camera: frames are left out, and the video lasts as long as the view did."""
    monkeypatch.setattr(video, "SILENCE", 600.0)  # seconds: a busy machine is no camera that is gone
    camera = server.ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    camera.daemon_threads = True
    threading.Thread(target=camera.serve_forever, args=(0.01,), daemon=True).start()
    address, clock = f"http://127.0.0.1:{camera.server_port}/view", Clock()

    def look_for_a_quarter_second():
        clock.now += 0.25

    try:
        detector = Brightness(look_for_a_quarter_second)
        video.run(detector, address, str(tmp_path / "out"), is_live=True, max_frames=4, clock=clock)
    finally:
        camera.shutdown()
    results, count, (rate, *_) = read(tmp_path / "out")
    assert rate == 25
    assert [result["seconds"] for result in results] == [0, 0.25, 0.5, 0.75]
    assert [result["frame"] for result in results] == [0, 6, 12, 18] and count == 19
