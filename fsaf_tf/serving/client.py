"""Asks a TensorFlow Serving, by gRPC or REST, as a careful client does: deadlines, retries, several requests at a time.

Sent is one picture a request: a request with a bad picture fails as a whole. The server puts requests together itself.
"""

import base64
import collections
import concurrent.futures
import dataclasses
import http.client
import io
import json
import pathlib
import random
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from PIL import Image

from fsaf_tf import visualize
from fsaf_tf.data import images
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.serving import named_outputs
from fsaf_tf.terminal import commands, faults

SIGNATURE, INPUT = "serving_default", "inputs"
FORMATS = ("JPEG", "PNG", "WEBP")  # that the exported graph decodes; other files are sent as PNG
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds before a second try, and at most before any

LATE = "no answer in time; raise --deadline where the server is slow"
_FINAL_STATUS = (401, 403, 404, 405)
_PASSING_STATUS = (429, 502, 503, 504)


class Refused(UserError):
    """The server does not take this picture; another try would be answered alike."""


class Late(UserError):
    """No answer within the deadline, perhaps to this picture alone."""


class Lost(UserError):
    """No answer in all tries: the server is away."""


class Passing(Exception):
    """A failure that may be over at the next try."""


class Grpc:
    """A server's gRPC port, 8500 as it comes."""

    def __init__(self, server: str, model: str, version: int | None = None):
        """Takes `host:port`; connects when it is first used."""
        self._grpc, self._request, service = _grpc_libraries()
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        options += [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
        channel = self._grpc.insecure_channel(server, options)
        self._stub = service.PredictionServiceStub(channel)
        self._server, self._model, self._version = server, model, version
        codes = self._grpc.StatusCode
        self._passing = (codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED, codes.ABORTED)
        self._final = (codes.NOT_FOUND, codes.UNIMPLEMENTED, codes.UNAUTHENTICATED, codes.PERMISSION_DENIED)

    def predict(self, data: bytes, timeout: float) -> dict[str, np.ndarray]:
        """The outputs for one encoded picture, without the dimension of the batch; see `Client.predict`."""
        request = self._request.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self._model, SIGNATURE
        if self._version is not None:
            request.model_spec.version.value = self._version
        request.inputs[INPUT].CopyFrom(tf.make_tensor_proto([data], tf.string))
        try:
            response = self._stub.Predict(request, timeout)
        except self._grpc.RpcError as error:
            raise self._failure(error.code(), error.details() or error.code().name) from error
        return _of_one({key: tf.make_ndarray(value) for key, value in response.outputs.items()})

    def _failure(self, code, details: str) -> Exception:
        if code == self._grpc.StatusCode.DEADLINE_EXCEEDED:
            return Late(f"{self._server}: {LATE}")
        if code in self._passing:
            return Passing(f"{self._server}: {details}")
        return UserError(f"{self._server}: {details}") if code in self._final else Refused(_said(details))


class Rest:
    """A server's REST port, 8501 as it comes."""

    def __init__(self, server: str, model: str, version: int | None = None):
        """Takes `http://host:port`, or with a path before TensorFlow Serving's own."""
        try:
            has_host = bool(urllib.parse.urlsplit(server).hostname)
        except ValueError:  # brackets of IPv6
            has_host = False
        if not has_host:
            raise UserError(f"--server={server} has no host; write http://HOST:8501")
        of_version = "" if version is None else f"/versions/{version}"
        self._url = f"{server.rstrip('/')}/v1/models/{model}{of_version}:predict"

    def predict(self, data: bytes, timeout: float) -> dict[str, np.ndarray]:
        """The outputs for one encoded picture, without the dimension of the batch; see `Client.predict`."""
        content = {"signature_name": SIGNATURE, "inputs": {INPUT: [{"b64": base64.b64encode(data).decode()}]}}
        request = urllib.request.Request(self._url, json.dumps(content).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                outputs = json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            raise self._failure(error, _body(error)) from error
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            late = isinstance(reason, TimeoutError)
            raise Late(f"{self._url}: {LATE}") if late else Passing(f"{self._url}: {reason}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{self._url} does not answer as TensorFlow Serving does") from error
        return _of_one(outputs if isinstance(outputs, dict) else {"its only output": outputs})

    def _failure(self, error: urllib.error.HTTPError, body: str) -> Exception:
        try:
            details = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError, RecursionError):
            details = f"{error.code} {error.reason}"
        if error.code in _PASSING_STATUS:
            return Passing(f"{self._url}: {details}")
        return UserError(f"{self._url}: {details}") if error.code in _FINAL_STATUS else Refused(_said(details))


@dataclasses.dataclass
class Client:
    """Detects what is in pictures by a server.

    Attributes:
        port: a `Grpc` or a `Rest`.
        deadline: seconds for the answer to a picture, all tries together.
        retries: tries after the first; each waits about twice as long as the one before.
        clock: seconds, as `time.monotonic` counts them.
        sleep: lets so many of them go by.
    """

    port: Grpc | Rest
    deadline: float = 60.0
    retries: int = 5
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def predict(self, data: bytes) -> dict[str, np.ndarray]:
        """The outputs for one encoded picture, without the dimension of the batch.

        Raises:
            Refused: the server does not take the picture.
            Late: there was no answer within the deadline.
            Lost: there was none in all tries.
            UserError: the server does not know the model, or the like: no picture will be answered.
        """
        end, wait = self.clock() + self.deadline, FIRST_WAIT
        for tries_left in range(self.retries, -1, -1):
            try:
                return self.port.predict(data, max(end - self.clock(), 0.001))
            except Passing as error:
                pause = wait * random.uniform(0.5, 1.0)  # not all clients at the same moment
                if not tries_left or self.clock() + pause >= end:
                    raise Lost(f"no answer after {self.retries - tries_left + 1} tries: {error}") from error
            self.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT)


class _OwnIds:
    """Category ids by class index where the classes are not known: an index is then an id, of any size."""

    def __getitem__(self, index: int) -> int:
        return index


def run(
    client: Client,
    files: list[str],
    output: str,
    *,
    labels: str | None = None,
    concurrency: int = 4,
    score_threshold: float = visualize.SHOWN_SCORE,
) -> None:
    """Detects what is in files by a server and writes what `predict_files.run` writes.

    Once an answer has come, a server that goes away ends nothing: the rest of the files are named as not sent.

    Args:
        client: of the server.
        files: image files; those that cannot be read, or are refused, are named at the end.
        output: see `predict_files.write`.
        labels: the `labels.json` of the model, for the names in the pictures; else they show category ids.
        concurrency: requests at a time.
        score_threshold: see `predict_files.write`.

    Raises:
        UserError: the server does not answer from the start, or does not know the model; see `predict_files.write` too.
    """
    classes = Classes.read(labels) if labels else None
    category_ids = classes.ids if classes else _OwnIds()
    has_answered, is_lost = threading.Event(), threading.Event()

    def detect(file: str) -> tuple[np.ndarray, dict] | UserError:
        """The picture of a file and the server's answer, or why there is none; runs in several threads."""
        try:
            image = predict_files.read_image(file)
            data = encoded(file, image)
        except UserError as error:
            return error
        if is_lost.is_set():
            return Lost("not sent: the server was lost before")
        try:
            outputs = client.predict(data)
            found = _detections(outputs, classes)
        except Refused as error:
            return error
        except UserError as error:
            if not isinstance(error, Late):
                is_lost.set()
            if not (isinstance(error, (Late, Lost)) and has_answered.is_set()):
                raise
            return error
        has_answered.set()
        return image, found

    pool = concurrent.futures.ThreadPoolExecutor(concurrency)
    try:
        found = _in_order(pool, detect, files, ahead=2 * concurrency)
        predict_files.write(found, files, output, category_ids, score_threshold=score_threshold)
    finally:
        pool.shutdown(cancel_futures=True)


def encoded(file: str, image: np.ndarray) -> bytes:
    """What is sent for a file: the file as it is, if the server decodes its format, else `image` as PNG."""
    try:
        with faults.named(file), Image.open(file) as opened:
            as_it_is = opened.format in FORMATS and not getattr(opened, "is_animated", False)
        if as_it_is:
            return pathlib.Path(file).read_bytes()
    except OSError as error:  # since it was read
        raise UserError(faults.line(error)) from error
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return content.getvalue()


def _in_order(pool, function, items: list, ahead: int) -> Iterator:
    """Results in the order of `items`, at most `ahead` of them made before they are asked for."""
    pending = collections.deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _body(error: urllib.error.HTTPError) -> str:
    """What a server says of its refusal; nothing where the connection breaks in the middle of that."""
    try:
        return error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""


def _of_one(outputs: dict) -> dict[str, np.ndarray]:
    """The outputs for the one picture of a request."""
    if any(np.ndim(value) == 0 or not len(value) for value in outputs.values()):
        raise UserError(f"the server's model does not answer picture by picture: {sorted(outputs)}")
    return {key: np.asarray(value[0]) for key, value in outputs.items()}


def _detections(outputs: dict[str, np.ndarray], classes: Classes | None) -> dict:
    """Outputs in the form of `trained.Detector`."""
    if not {"num_detections", *(f"detection_{key}" for key in named_outputs.DETECTIONS)} <= set(outputs):
        raise UserError(f"the server's model is no detector of tools/export.py: it answers with {sorted(outputs)}")
    try:
        return named_outputs.to_detections(outputs, classes)
    except UserError as error:
        raise UserError(f"--labels is of another model than the server's: {error}") from None


def _said(details: str) -> str:
    """What the graph says is wrong with a picture, out of what TensorFlow makes of it; else that in one line."""
    known = images.user_error(tf.errors.InvalidArgumentError(None, None, details))
    return re.sub(rf"^{INPUT}\[0\] ", "", str(known)) if known else details.splitlines()[0]


def _grpc_libraries():
    try:
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise UserError(
            f"gRPC needs {error.name}: {commands.to_install('serving')}; or take REST, --server=http://HOST:8501"
        ) from error
    return grpc, predict_pb2, prediction_service_pb2_grpc
