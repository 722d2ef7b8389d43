"""Detects objects in pictures by a TensorFlow Serving.

    python tools/serve_client.py --server=localhost:8500 --model=fsaf_r50 --images=photos --output=out
    python tools/serve_client.py --server=http://localhost:8501 --model=fsaf_r50 --images=photos --output=out

The first speaks gRPC, the second REST. Written is what tools/predict.py writes: out/detections.json and the pictures
with their boxes in out/pictures. Files that cannot be read or that the server refuses are named and left out; the exit
status is 1 if none is left or the server is not there.
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs

_FLAGS = flags.FlagValues()
_SERVER = flags.DEFINE_string(
    "server", "localhost:8500", "host:port of gRPC, or http://host:port of REST.", flag_values=_FLAGS
)
_MODEL = flags.DEFINE_string("model", None, "The model's name on the server.", flag_values=_FLAGS)
_VERSION = flags.DEFINE_integer(
    "version", None, "Of the model; the server's choice if not given.", lower_bound=0, flag_values=_FLAGS
)
_IMAGES, _RECURSIVE, _OUTPUT, _SCORE_THRESHOLD, _OVERWRITE = cli.define_pictures(_FLAGS)
_LABELS = flags.DEFINE_string(
    "labels",
    None,
    "The model's assets/labels.json, for the names in the pictures; without it they show category ids.",
    flag_values=_FLAGS,
)
_CONCURRENCY = flags.DEFINE_integer("concurrency", 4, "Requests at a time.", lower_bound=1, flag_values=_FLAGS)
_DEADLINE = flags.DEFINE_float(
    "deadline", 60.0, "Seconds for the answer to a picture, all tries together.", lower_bound=0.001, flag_values=_FLAGS
)
_RETRIES = flags.DEFINE_integer(
    "retries",
    5,
    "Tries after a first one that met a server that is away or busy; each waits twice as long as the one before.",
    lower_bound=0,
    flag_values=_FLAGS,
)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_ask, _FLAGS, __doc__)


def _ask() -> None:
    mistakes.require(_FLAGS, "server", "model", "images", "output")
    mistakes.want_folders(_FLAGS, "output")
    mistakes.want_files(_FLAGS, "labels")
    from fsaf_tf.detect import image_files, predict_files
    from fsaf_tf.serving import client

    files = image_files.find(_IMAGES.value, recursive=_RECURSIVE.value, output=_OUTPUT.value)
    drawn = predict_files.picture_paths(files, _OUTPUT.value).values()
    reads = [*files, _LABELS.value]
    outputs.check_predictions(_OUTPUT.value, drawn, reads=reads, overwrite=_OVERWRITE.value)
    kind = client.Rest if _SERVER.value.startswith(("http://", "https://")) else client.Grpc
    port = kind(_SERVER.value, _MODEL.value, _VERSION.value)
    client.run(
        client.Client(port, deadline=_DEADLINE.value, retries=_RETRIES.value),
        files,
        _OUTPUT.value,
        labels=_LABELS.value,
        concurrency=_CONCURRENCY.value,
        score_threshold=_SCORE_THRESHOLD.value,
    )


if __name__ == "__main__":
    main()
