"""The files beside an exported model that TensorFlow Serving reads: requests to warm up with, and settings."""

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from fsaf_tf.errors import UserError
from fsaf_tf.files import paths, storage
from fsaf_tf.serving import decode
from fsaf_tf.terminal import commands

try:
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    from tensorflow_serving.config import model_server_config_pb2
except ImportError as error:
    raise UserError(
        f"SavedModels for TensorFlow Serving need {error.name}: {commands.to_install('serving')}"
    ) from error

FOLDER, FILE = "assets.extra", "tf_serving_warmup_requests"
WARMED = "serving_default"
MODEL_CONFIG, BATCHING_CONFIG = "model.config", "batching.config"

# `BatchingParameters` of the server's session_bundle_config.proto, which the Python package does not hold.
_BATCHING = """\
# tensorflow_model_server --enable_batching --batching_parameters_file=.../batching.config
# Requests that wait for the device are put together. All of them fail with the first bad picture among them, which is
# why this pays on an accelerator, where pictures are seen together, and not on a CPU.
max_batch_size { value: 4 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 2 }
"""


def requests(name: str) -> list["predict_pb2.PredictRequest"]:
    """Requests to each signature, with a wide and a high picture: one to make larger and one to make smaller.

    Args:
        name: the model's, on the server.
    """
    wide, high = _picture(48, 64), _picture(1600, 1200)
    encoded = [tf.io.encode_jpeg(wide).numpy(), tf.io.encode_png(high, compression=9).numpy()]
    inputs = [(WARMED, encoded), ("tf_example", [example(data) for data in encoded])]
    inputs += [("image_tensor", wide[None]), ("image_tensor", high[None])]
    return [_request(name, signature, value) for signature, value in inputs]


def write_requests(folder: str, requests: list["predict_pb2.PredictRequest"]) -> None:
    """Writes the warm-up file of a version: the requests to `WARMED`.

    The server replays it before it answers, and takes a version that fails in it as one that cannot be loaded. Each
    signature that has run holds the network's constants for itself, so the others are left to those who use them.

    Args:
        folder: of the version.
        requests: to any signatures.
    """
    paths.make_folder(f"{folder}/{FOLDER}")
    with tf.io.TFRecordWriter(f"{folder}/{FOLDER}/{FILE}") as writer:
        for request in requests:
            if request.model_spec.signature_name == WARMED:
                log = prediction_log_pb2.PredictLog(request=request)
                writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def read_requests(folder: str) -> list["predict_pb2.PredictRequest"]:
    """The requests of the warm-up file of a version."""
    records = tf.data.TFRecordDataset(f"{folder}/{FOLDER}/{FILE}").as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]


def replay(folder: str, requests: list["predict_pb2.PredictRequest"]) -> list[dict[str, np.ndarray]]:
    """Runs requests as the server does, by their signatures and in a session.

    Args:
        folder: of the version.
        requests: to any signatures.

    Returns:
        The outputs of each request.

    Raises:
        tf.errors.OpError: one fails.
    """
    results = []
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], folder)
        for request in requests:
            signature = meta.signature_def[request.model_spec.signature_name]
            fed = {signature.inputs[key].name: tf.make_ndarray(value) for key, value in request.inputs.items()}
            results.append(session.run({key: info.name for key, info in signature.outputs.items()}, fed))
    return results


def write_settings(folder: str, name: str) -> None:
    """Writes `model.config` and `batching.config` to start from, where there are none: a user's own are kept.

    Args:
        folder: of the model, which holds its versions.
        name: the model's, on the server.
    """
    config = model_server_config_pb2.ModelServerConfig()
    model = config.model_config_list.config.add(name=name, base_path=f"/models/{name}", model_platform="tensorflow")
    model.model_version_policy.latest.num_versions = 1
    for file, text in {MODEL_CONFIG: text_format.MessageToString(config), BATCHING_CONFIG: _BATCHING}.items():
        if not paths.exists(f"{folder}/{file}"):
            storage.write_text(f"{folder}/{file}", text)


def _picture(height: int, width: int) -> np.ndarray:
    """A ramp of colours, `[height, width, 3]` uint8."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y % 256, x % 256, (y + x) // 2 % 256], axis=-1).astype(np.uint8)


def example(data: bytes) -> bytes:
    """An encoded picture as a serialized `tf.train.Example`."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
    return tf.train.Example(features=tf.train.Features(feature={decode.EXAMPLE_KEY: feature})).SerializeToString()


def _request(name: str, signature: str, value) -> "predict_pb2.PredictRequest":
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(value))
    return request
