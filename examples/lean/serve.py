"""Serves a SavedModel as TensorFlow Serving's REST does, with TensorFlow alone: to try clients on one's own machine.

    python serve.py exported/mine --port=8501

Answers `POST /v1/models/NAME:predict`, where NAME is the name of the folder, one request at a time, and lets pages of
any address read it. It is no TensorFlow Serving: no batches, no versions, no gRPC; see docs/serving.md for that.
"""

import argparse
import base64
import http.server
import json
import pathlib
import sys

import tensorflow as tf


class Handler(http.server.BaseHTTPRequestHandler):
    """One request; `server.detect` is the model's signature, `server.model` its name."""

    def do_POST(self):
        """Answers with the outputs, or with the line of an error."""
        if self.path != f"/v1/models/{self.server.model}:predict":
            return self._send(404, {"error": f"{self.path} is not here; /v1/models/{self.server.model}:predict is"})
        try:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pictures = [base64.b64decode(picture["b64"]) for picture in request["inputs"]["inputs"]]
        except (KeyError, TypeError, ValueError) as error:
            return self._send(400, {"error": f'not of the form {{"inputs": {{"inputs": [{{"b64": ...}}]}}}}: {error}'})
        try:
            outputs = self.server.detect(inputs=tf.constant(pictures, tf.string))
        except tf.errors.InvalidArgumentError as error:
            return self._send(400, {"error": error.message})
        return self._send(200, {"outputs": {name: value.numpy().tolist() for name, value in outputs.items()}})

    def _send(self, status, answer):
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(data)


def main():
    """Loads, says where it listens, and serves until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="the folder of the versions; the newest is served")
    parser.add_argument("--port", type=int, default=8501, help="0 takes a free one")
    flags = parser.parse_args()
    versions = [version for version in flags.model.glob("*") if version.name.isdecimal()]
    if not versions:
        sys.exit(f"{flags.model} holds no version of a SavedModel")
    model = tf.saved_model.load(str(max(versions, key=lambda version: int(version.name))))
    with http.server.HTTPServer(("127.0.0.1", flags.port), Handler) as server:
        server.model, server.detect = flags.model.resolve().name, model.signatures["serving_default"]
        print(f"http://127.0.0.1:{server.server_port} serves {server.model}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
