"""A small server with TensorFlow Serving's two interfaces, on real sockets: what the clients are tested against.

It is built on the servicers of tensorflow-serving-api; the stock server itself is in no Python package.
"""

import base64
import concurrent.futures
import contextlib
import json
import threading
from http import server

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

NAME = "detector"
HTTP = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503, "INTERNAL": 500}


class Fault(Exception):
    """An answer that is none: a name in `grpc.StatusCode`, and a message."""

    def __init__(self, code: str, message: str = ""):
        super().__init__(message)
        self.code, self.message = code, message


class Server:
    """Serves `predict` under `NAME`, both ports at once, until it is closed.

    Attributes:
        grpc: the address of the gRPC port.
        rest: that of the REST port.
        faults: taken from the front, one a request, before `predict` is asked: a `Fault`, an event to wait for, or
            None.
        requests: (signature, version or None, pictures) of each request.
        most: requests at a time, at most.
        cors: whether pages of other addresses may read the answers of REST, as the stock server's
            `--rest_api_enable_cors_support` has it. As there, nothing answers a browser's question beforehand.
    """

    def __init__(self, predict):
        """Takes a function from a signature's name and its encoded pictures to outputs, which may raise a `Fault`."""
        self._predict = predict
        self.faults, self.requests, self.most, self._now = [], [], 0, 0
        self.cors = False
        self._lock = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(16)
        self._grpc = grpc.server(self._pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Servicer(self), self._grpc)
        self.grpc = f"127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._rest = server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._rest.daemon_threads, self._rest.owner = True, self
        self.rest = f"http://127.0.0.1:{self._rest.server_port}"

    def __enter__(self) -> "Server":
        self._grpc.start()
        threading.Thread(target=self._rest.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._grpc.stop(0)
        self._rest.shutdown()
        self._rest.server_close()

    def answer(self, name: str, version: int | None, signature: str, data: list[bytes]) -> dict[str, np.ndarray]:
        """The outputs of one request."""
        with self._lock:
            self.requests.append((signature, version, len(data)))
            fault = self.faults.pop(0) if self.faults else None
        if name != NAME:
            raise Fault("NOT_FOUND", f"Servable not found for request: Latest({name})")
        if isinstance(fault, Fault):
            raise fault
        if fault:
            fault.wait()
        with self._counted():
            return self._predict(signature, data)

    @contextlib.contextmanager
    def _counted(self):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


class _Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, owner: Server):
        self._owner = owner

    def Predict(self, request, context):
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") and spec.version.value else None
        data = tf.make_ndarray(request.inputs["inputs"]).tolist()
        try:
            outputs = self._owner.answer(spec.name, version, spec.signature_name or "serving_default", data)
        except Fault as fault:
            context.abort(grpc.StatusCode[fault.code], fault.message)
        response = predict_pb2.PredictResponse(model_spec=spec)
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


class _Handler(server.BaseHTTPRequestHandler):
    def do_POST(self):
        """`/v1/models/NAME[/versions/N]:predict` with inputs by name, one list each."""
        name, *rest = self.path.removeprefix("/v1/models/").removesuffix(":predict").split("/versions/")
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = [base64.b64decode(each["b64"]) for each in content["inputs"]["inputs"]]
        signature = content.get("signature_name") or "serving_default"
        try:
            outputs = self.server.owner.answer(name, int(rest[0]) if rest else None, signature, data)
        except Fault as fault:
            self._send(HTTP[fault.code], {"error": fault.message})
        else:
            lists = {key: np.asarray(value).tolist() for key, value in outputs.items()}
            self._send(200, {"outputs": lists if len(lists) > 1 else list(lists.values())[0]})  # as the stock server

    def _send(self, status: int, content: dict):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.server.owner.cors:
            self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have given up
            self.wfile.write(data)

    def log_message(self, *_):
        pass
