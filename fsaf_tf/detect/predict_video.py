"""Prediction on a video file or a camera: an annotated video, and detections by frame."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from fsaf_tf import visualize
from fsaf_tf.detect import predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.files import parts, storage
from fsaf_tf.run import lock
from fsaf_tf.terminal import commands
from fsaf_tf.terminal.interrupts import Interrupts
from fsaf_tf.terminal.progress import Progress, prediction_line, track

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what it finds wrong is told by us
try:
    import cv2
except ImportError as error:
    raise UserError(f"videos need OpenCV: {commands.to_install('video')}") from error
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

FILE = "video.mp4"
CODEC = "mp4v"  # MPEG-4 part 2: what every build of OpenCV can write into it
USUAL_RATE = 25.0  # frames a second, where the source does not say it
SILENCE = 10.0  # seconds without a frame, after which a camera is gone

Frame = tuple[int, float, np.ndarray]  # its number, when it was shown in seconds, `[H, W, 3]` uint8 RGB


def run(
    detector: Callable,
    source: str,
    output: str,
    *,
    is_live: bool = False,
    max_frames: int = 0,
    score_threshold: float = visualize.SHOWN_SCORE,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Writes `detections.json` and `video.mp4`, and says what was done. Ctrl-C ends it, and what there is is kept.

    `detections.json` is in the form of COCO's results, with `frame`, the number of the frame in the written video, from
    0, which is the `image_id` too, and `seconds`, when it was shown. The video has the source's rate and no sound. Of a
    camera always the newest frame is taken, and stands in the video until the next that was: its speed is right.

    Args:
        detector: from `load_detector`, of whatever kind, or `kept.Kept` of one.
        source: a video file; if live, the number of a camera or an address such as `rtsp://...`.
        output: folder to write to.
        is_live: new frames come while one is looked at.
        max_frames: end after so many frames were looked at; 0 for all.
        score_threshold: draw detections of at least this; the file has all of them.
        clock: seconds, as `time.monotonic` counts them.

    Raises:
        UserError: the source cannot be opened or gives no frame, another prediction writes to `output`, or it cannot be
            written to.
    """
    path = f"{output}/{FILE}"
    if not is_live and os.path.realpath(source) == os.path.realpath(path):
        raise UserError(f"{source} would be written over; give another --output")
    line, found, seen = Progress(clock=clock), 0, 0
    with Interrupts() as interrupt, interrupt.deferred(), contextlib.ExitStack() as stack:
        stack.enter_context(lock.held(output, [lock.PREDICTION], line.say))
        frames = stack.enter_context(_Camera(source, clock) if is_live else _File(source))
        video = stack.enter_context(_Writer(path, frames.rate, line.say))
        add = stack.enter_context(storage.results_file(f"{output}/detections.json", line.say))
        total = min(frames.total, max_frames) if frames.total and max_frames else frames.total or max_frames
        wanted = _wanted(frames, max_frames, interrupt)
        turns = track(wanted, line, lambda done, rate: prediction_line(done, total, rate, "frames"))
        for number, seconds, image in turns:
            detections = detector(image)
            video.write(number, visualize.draw_detections(image, detections, score_threshold))
            for result in predict_files.to_coco(detections, number, detector.category_ids):
                add({**result, "frame": number, "seconds": round(seconds, 3)})
                found += 1
            seen += 1
        if not seen:
            raise UserError(f"{source} gives no frame that can be read")
    if seen < total and not interrupt.requested:
        line.say(f"{source} ended before frame {total}.")
    line.say(f"{found} detections in {seen} frames: {output}/detections.json; {path}")


def _wanted(frames: Iterable[Frame], max_frames: int, interrupt: Interrupts) -> Iterator[Frame]:
    """The frames to look at: at most so many, or all for 0; none after Ctrl-C."""
    for seen, frame in enumerate(frames, start=1):
        yield frame
        if seen == max_frames or interrupt.requested:
            return


class _File:
    """The frames of a video file, turned as the file says.

    Attributes:
        rate: frames a second.
        total: frames that the file declares, 0 if it does not.
    """

    def __init__(self, path: str):
        if not os.path.isfile(path):
            raise UserError(f"--video={path}: there is no such file")
        self._capture = _open(path, f"{path} is no video that can be read")
        self.rate = _rate(self._capture)
        self.total = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        while (image := _read(self._capture)) is not None:
            yield number, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, image
            number += 1


class _Camera:
    """The newest frame of a camera, each time that one is asked for; like `_File`.

    A thread reads all of them: a camera's own queue would hand out old ones.
    """

    total = 0

    def __init__(self, source: str, clock: Callable[[], float]):
        address = int(source) if source.isdecimal() else source
        self._capture = _open(address, f"--camera={source}: there is no such camera, or it is in use")
        self.rate = _rate(self._capture)
        self._clock, self._changed = clock, threading.Condition()
        self._frame, self._is_open = None, True
        self._thread = threading.Thread(target=self._keep_newest, daemon=True)

    def __enter__(self) -> "_Camera":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        with self._changed:
            self._is_open = False
        self._thread.join(SILENCE)
        if not self._thread.is_alive():  # else it waits for the camera, whose end would crash it
            self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        start, last = None, -1
        while (taken := self._take()) is not None:
            now, image = taken
            start = now if start is None else start
            number = int((now - start) * self.rate)
            if number > last:
                last = number
                yield number, now - start, image

    def _keep_newest(self) -> None:
        while self._is_open:
            image = _read(self._capture)
            with self._changed:
                self._is_open &= image is not None
                self._frame = (self._clock(), image) if image is not None else self._frame
                self._changed.notify()

    def _take(self) -> tuple[float, np.ndarray] | None:
        """The newest frame that was not taken yet and its time; None if there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or not self._is_open, timeout=SILENCE)
            taken, self._frame = self._frame, None
        return taken


class _Writer:
    """An annotated video, whole under its name when it is closed; a picture stands until the number of the next."""

    def __init__(self, path: str, rate: float, say: Callable[[str], None]):
        self._path, self._rate, self._say = path, rate, say
        self._part = parts.of_file(path, ".mp4")  # OpenCV goes by the ending
        self._video, self._last, self._count = None, None, 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind, *_) -> None:
        if self._video is None:
            return
        self._video.release()
        whole = _frames_in(self._part, self._count)
        if kind is None and whole >= self._count:
            os.replace(self._part, self._path)
            with contextlib.suppress(FileNotFoundError):
                os.remove(storage.unfinished(self._path))
            return
        kept = storage.unfinished(self._path)
        if whole:
            os.replace(self._part, kept)
            self._say(f"{whole} frames up to there are kept in {kept}")
        else:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                os.remove(self._part)
        if kind is None:  # OpenCV says nothing of a disk that is full
            raise UserError(
                f"{self._path} cannot be written: {whole} of {self._count} frames arrived; is the disk full?"
            )

    def write(self, number: int, picture: np.ndarray) -> None:
        """Adds frame `number`, and before it the last picture again where numbers were left out."""
        if self._video is None:
            self._video = self._open(picture.shape)
        while self._last is not None and self._count < number:
            self._add(self._last)
        self._last = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        self._add(self._last)

    def _add(self, picture: np.ndarray) -> None:
        self._video.write(picture)
        self._count += 1

    def _open(self, shape: tuple[int, int, int]):
        video = cv2.VideoWriter(self._part, cv2.VideoWriter_fourcc(*CODEC), self._rate, (shape[1], shape[0]))
        if not video.isOpened():
            raise UserError(f"{self._path} cannot be written")
        return video


def _open(source: str | int, problem: str):
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise UserError(problem)
    return capture


def _frames_in(path: str, written: int) -> int:
    """The frames that a written file declares, or all where it declares none; 0 of one that is gone or cut off."""
    capture = cv2.VideoCapture(path)
    is_open, count = capture.isOpened(), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return (count if count > 0 else written) if is_open else 0


def _rate(capture) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 1 <= rate <= 1000 else USUAL_RATE


def _read(capture) -> np.ndarray | None:
    is_read, image = capture.read()
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if is_read else None
