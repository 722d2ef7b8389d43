"""The cases of `test_injection.py` for exported models and the client of a server."""

import functools
import http.client
import io
import json
import types
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from cases_of_files import DAMAGED, picture, text
from cases_of_weights import CUT_OFF
from injected import (
    CREATE,
    LOOK,
    MEMORY,
    OPEN,
    READ,
    TF_CREATE,
    TF_OPEN,
    TF_READ,
    TF_WRITE,
    Case,
    nameless,
    simply,
)

from fsaf_tf.data.classes import Classes
from fsaf_tf.run.checkpoints import Checkpoint
from fsaf_tf.serving import card_pieces, client, converter, exported_models, onnx_export, onnx_model, saved_model

grpc = pytest.importorskip("grpc")
litert = pytest.importorskip("ai_edge_litert.interpreter")
onnx = pytest.importorskip("onnx.parser") and pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from fsaf_tf.serving import flatbuffer, metadata, warmup  # noqa: E402 (extras)

CLASSES = Classes(("cat",), (1,))


# Exports.


def export_nothing(folder) -> None:
    """An export that comes to its folder alone."""
    saved_model.export(None, f"{folder}/out")


def write_model(folder) -> None:
    """A SavedModel of no signature."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "signatures", lambda detector, network: {})
        patch.setattr(saved_model.frozen, "freeze_to_constants", lambda model: model)
        saved_model._write(types.SimpleNamespace(classes=CLASSES, model=None), str(folder), constants=True)


def module() -> tf.Module:
    return converter.module(lambda x: {"y": x + 1.0}, {"x": tf.TensorSpec([1], tf.float32)})


def publish(folder) -> None:
    """Gives a version its number."""
    for name in ("written", "out"):
        (folder / name).mkdir()
    saved_model.publish(f"{folder}/written", f"{folder}/out")


def requests() -> list:
    return [warmup._request("model", warmup.WARMED, np.zeros([1], np.float32))]


REQUESTS = Case(lambda folder: warmup.write_requests(str(folder), requests()), TF_CREATE)
CONVERT = Case(lambda folder: converter.convert(module()), (*TF_CREATE, *CREATE))
DIGEST = Case(lambda folder: card_pieces.sha256(text(folder, "model")), OPEN)
EXPORTS = {
    "serving/card_pieces.py:sha256:paths.open_to_read": DIGEST,
    "serving/card_pieces.py:sha256:file.read": DIGEST._replace(errors=READ, via="paths.open_to_read"),
    "serving/card_pieces.py:files_of:paths.names": Case(
        lambda folder: card_pieces.files_of(text(folder, "ckpt-1.index").removesuffix(".index")), LOOK
    ),
    "serving/saved_model.py:export:paths.make_folder": Case(export_nothing, CREATE),
    "serving/saved_model.py:export:tempfile.mkdtemp": Case(export_nothing, CREATE, names="/out"),
    "serving/saved_model.py:_write:tempfile.TemporaryDirectory": Case(write_model, CREATE),
    "serving/saved_model.py:_write:tf.saved_model.save": Case(write_model, (*TF_CREATE, *CREATE), names="error"),
    "serving/saved_model.py:publish:os.chmod": Case(publish, CREATE),
    "serving/saved_model.py:publish:paths.names": Case(publish, LOOK),
    "serving/saved_model.py:publish:os.rename": Case(publish, CREATE),
    "serving/converter.py:convert:tempfile.TemporaryDirectory": CONVERT._replace(errors=CREATE),
    "serving/converter.py:convert:tf.saved_model.save": CONVERT._replace(names="error"),
    "serving/converter.py:convert:tf.lite.TFLiteConverter.from_saved_model": CONVERT._replace(errors=TF_OPEN),
    "serving/warmup.py:write_requests:paths.make_folder": REQUESTS._replace(errors=CREATE),
    "serving/warmup.py:write_requests:tf.io.TFRecordWriter": REQUESTS,
    "serving/warmup.py:write_requests:writer.write": REQUESTS._replace(errors=TF_WRITE, via="tf.io.TFRecordWriter"),
    "serving/warmup.py:replay:tf.compat.v1.saved_model.load": Case(
        lambda folder: warmup.replay(str(folder), requests()), (*TF_OPEN, *TF_READ)
    ),
}


# Exported models.


@functools.cache
def tflite() -> bytes:
    """A file of one addition, with the settings of a detector."""
    model = flatbuffer.read(converter.convert(module()))
    canvas = {"height": 32, "width": 32, "shorter_side": 32, "longer_side": 32, "keep_aspect": True}
    canvas |= {"padding": [0, 0, 0], "orientation": ""}
    settings = {"class_names": ["cat"], "category_ids": [1], "canvas": canvas, "quantize": "none"}
    settings["postprocess"] = {"max_detections": 100}
    flatbuffer.add_metadata(model, metadata.SETTINGS, json.dumps(settings).encode())
    return flatbuffer.write(model)


def file(folder) -> str:
    path = f"{folder}/model.tflite"
    with open(path, "wb") as stream:
        stream.write(tflite())
    return path


def onnx_file(folder) -> str:
    """A file of one sum, with what our tools read of it."""
    header = '<ir_version: 8, opset_import: ["": 18]>'
    graph = f"{header} one (uint8[1, h, w, 3] inputs) => (uint8[1, h, w, 3] y) {{y = Add (inputs, inputs)}}"
    model = onnx.parser.parse_model(graph)
    facts = {"class_names": ["cat"], "category_ids": [1], "canvas": None, "postprocess": {"max_detections": 100}}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in facts.items()})
    with open(f"{folder}/model.onnx", "wb") as stream:
        stream.write(model.SerializeToString())
    return f"{folder}/model.onnx"


def versions(folder) -> str:
    """The folder of a SavedModel's versions."""
    text(folder, "1/saved_model.pb")
    text(folder, "1/assets/labels.json", '{"names": ["cat"], "category_ids": [1]}')
    return str(folder)


LOAD = Case(lambda folder: exported_models.TFLite(file(folder)), (*OPEN, *CUT_OFF), names="model.tflite")
ASK = Case(lambda folder: exported_models.TFLite(file(folder))._run(np.zeros([1], np.float32)), (MEMORY,))
FIND = Case(lambda folder: exported_models.find(file(folder)), OPEN)
MODELS = {
    "serving/exported_models.py:find:paths.open_to_read": FIND._replace(
        act=lambda folder: exported_models.find(text(folder, "model"))
    ),
    "serving/exported_models.py:find:file.read": FIND._replace(
        act=lambda folder: exported_models.find(text(folder, "model")), errors=READ, via="paths.open_to_read"
    ),
    "serving/exported_models.py:find:paths.names": Case(lambda folder: exported_models.find(versions(folder)), LOOK),
    "serving/exported_models.py:SavedModel.__init__:tf.saved_model.load": Case(
        lambda folder: exported_models.load(exported_models.find(versions(folder))),
        (*OPEN, *TF_OPEN, *TF_READ, *DAMAGED),
        names="/1",
    ),
    "serving/exported_models.py:TFLite.__init__:paths.read_bytes": LOAD,
    "serving/exported_models.py:TFLite.__init__:interpreter.Interpreter": LOAD._replace(
        owner=litert, attribute="Interpreter"
    ),
    "serving/exported_models.py:TFLite.__init__:self._interpreter.allocate_tensors": LOAD._replace(
        errors=(simply(RuntimeError("failed to allocate")), MEMORY),
        owner=litert.Interpreter,
        attribute="allocate_tensors",
    ),
    "serving/exported_models.py:TFLite._run:self._interpreter.invoke": ASK._replace(
        owner=litert.Interpreter, attribute="invoke"
    ),
    "serving/exported_models.py:TFLite._run:self._interpreter.get_tensor": ASK._replace(
        owner=litert.Interpreter, attribute="get_tensor"
    ),
}


ONNX_LOAD = Case(lambda folder: onnx_model.ONNX(onnx_file(folder)), (*OPEN, *CUT_OFF), names="model.onnx")
ONNX_ASK = Case(
    lambda folder: onnx_model.ONNX(onnx_file(folder))(np.zeros([8, 8, 3], np.uint8)),
    (simply(RuntimeError("Failed to allocate memory")), MEMORY),
    names="model.onnx",
)
ONNX = {
    "serving/onnx_model.py:ONNX.__init__:paths.read_bytes": ONNX_LOAD,
    "serving/onnx_model.py:ONNX.__init__:runtime.InferenceSession": ONNX_LOAD._replace(
        owner=onnxruntime, attribute="InferenceSession"
    ),
    "serving/onnx_model.py:ONNX._detect_one:self._session.run": ONNX_ASK._replace(
        owner=onnxruntime.InferenceSession, attribute="run"
    ),
    "serving/onnx_export.py:_facts_of:paths.read_bytes": Case(
        lambda folder: onnx_export._facts_of(
            Checkpoint(text(folder, "ckpt-1.index").removesuffix(".index"), 1, None, "")
        ),
        OPEN,
        names="ckpt-1.index",
    ),
}


# The client of a server.

SERVER = "localhost:1"


def ask_rest(folder) -> None:
    client.Client(client.Rest(f"http://{SERVER}", "model"), retries=0).predict(b"picture")


STUB = types.SimpleNamespace(Predict=lambda request, timeout: None)


def ask_grpc(folder) -> None:
    port = client.Grpc(SERVER, "model")
    port._stub = STUB
    client.Client(port, retries=0).predict(b"picture")


class Answer(io.BytesIO):
    """The body of an answer."""


def answer(status: int, body: bytes = b"{}"):
    """What asks a server that answers so."""

    def act(folder) -> None:
        def urlopen(*args, **kwargs):
            if status == 200:
                return Answer(body)
            raise urllib.error.HTTPError(f"http://{SERVER}", status, "busy", {}, Answer(body))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(urllib.request, "urlopen", urlopen)
            ask_rest(folder)

    return act


class Broken(grpc.RpcError):
    """A call that gRPC ended."""

    def __init__(self, code):
        super().__init__(code)
        self._code = code

    def code(self):
        return self._code

    def details(self):
        return f"{SERVER} {self._code.name}"


NETWORK = (
    *nameless(104, 110, 111, 113, 101),
    simply(urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))),
    simply(urllib.error.URLError(TimeoutError("timed out"))),
    simply(TimeoutError("timed out")),
    simply(http.client.IncompleteRead(b"")),
    simply(http.client.RemoteDisconnected("Remote end closed connection without response")),
    simply(http.client.BadStatusLine("x")),
)
ENCODED = Case(lambda folder: client.encoded(picture(folder), np.zeros([8, 8, 3], np.uint8)), OPEN)
CLIENT = {
    "serving/client.py:Rest.predict:urllib.request.urlopen": Case(ask_rest, (*NETWORK, MEMORY), names=SERVER),
    "serving/client.py:Rest.predict:json.load": Case(
        answer(200),
        (*NETWORK, simply(ValueError("x")), simply(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"))),
        names=SERVER,
    ),
    "serving/client.py:_body:error.read": Case(answer(503), NETWORK, Answer, "read", names=SERVER),
    "serving/client.py:Grpc.predict:self._stub.Predict": Case(
        ask_grpc,
        (*(simply(Broken(code)) for code in grpc.StatusCode if code != grpc.StatusCode.OK), MEMORY),
        STUB,
        "Predict",
        names=SERVER,
    ),
    "serving/client.py:Grpc.__init__:self._grpc.insecure_channel": Case(
        ask_grpc, nameless(24, 12), grpc, "insecure_channel"
    ),
    "serving/client.py:encoded:Image.open": ENCODED._replace(errors=(*OPEN, *READ, *DAMAGED[-1:]), names="picture.png"),
    "serving/client.py:encoded:pathlib.Path.read_bytes": ENCODED,
}
CASES = EXPORTS | MODELS | ONNX | CLIENT
