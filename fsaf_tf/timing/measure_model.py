"""One model in a process of its own, for `timing/inference.py`: how long it takes and how much memory.

Takes a JSON object (`kind`, `path`, `image`, `threads`, `repeats`) and prints one. Only what a kind needs is imported.
"""

import json
import pathlib
import resource
import statistics
import sys
import time

import numpy as np


def tensorflow(threads: int):
    """TensorFlow with so many threads."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


def checkpoint(path: str, threads: int):
    """The detector of a run as `fsaf_tf.load_detector` gives it, at the size of the pictures."""
    tensorflow(threads)
    from fsaf_tf.serving import load as loading

    def load(image):
        detector = at_size(loading.load_trained(path), image.shape[:2])
        return lambda: len(detector(image)["scores"])

    return load


def at_size(detector, size: tuple[int, int]):
    """The same detector, which brings pictures to this height and width."""
    sides = dict(zip(("shorter_side", "longer_side"), sorted(size)))
    config = detector.config.replace(input_size=sides)
    return type(detector)(detector.model, config, detector.classes, detector.checkpoint)


def saved_model(path: str, threads: int):
    """The signature for decoded pictures."""
    tf = tensorflow(threads)

    def load(image):
        loaded = tf.saved_model.load(path)
        detect, inputs = loaded.signatures["image_tensor"], tf.constant(image[None])
        return lambda loaded=loaded: int(detect(inputs=inputs)["num_detections"][0])

    return load


def frozen_graph(path: str, threads: int):
    """A file of one graph."""
    tf = tensorflow(threads)

    def load(image):
        graph = tf.compat.v1.GraphDef.FromString(pathlib.Path(path).read_bytes())
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        detect, inputs = wrapped.prune("image:0", "num_detections:0"), tf.constant(image[None])
        return lambda: int(detect(inputs)[0])

    return load


def tflite(path: str, threads: int):
    """A file with suppression inside, by the runtime that phones have: no TensorFlow."""
    from ai_edge_litert import interpreter as litert

    def load(image):
        interpreter = litert.Interpreter(path, num_threads=threads)
        interpreter.allocate_tensors()
        inputs = interpreter.get_input_details()[0]["index"]
        count = interpreter.get_output_details()[3]["index"]

        def detect():
            interpreter.set_tensor(inputs, image[None])
            interpreter.invoke()
            return int(interpreter.get_tensor(count)[0])

        return detect

    return load


def onnx(path: str, threads: int):
    """A file for pictures of any size or for a canvas of the picture's, by ONNX Runtime: no TensorFlow."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3

    def load(image):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        size, first = np.int32([image.shape[:2]]), session.get_inputs()[0].name
        inputs = {first: image[None]} | ({} if first == "inputs" else {"image_size": size, "original_size": size})
        return lambda: int(session.run(["num_detections"], inputs)[0][0])

    return load


KINDS = {
    "checkpoint": checkpoint,
    "saved_model": saved_model,
    "frozen_graph": frozen_graph,
    "tflite": tflite,
    "onnx": onnx,
}


def memory_mb(key: str) -> float:
    """`VmHWM` or `VmRSS` of this process. What `getrusage` says includes the process that started this one."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024
    except (OSError, StopIteration):  # not Linux: the peak alone, in bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 ** (2 if sys.platform == "darwin" else 1)


def measure(kind: str, path: str, image: str, threads: int, repeats: int) -> dict:
    """Loads a model, looks at a picture once, and then again and again."""
    picture = np.load(image)
    load = KINDS[kind](path, threads)
    runtime, start = memory_mb("VmRSS"), time.perf_counter()
    detect = load(picture)
    loaded = time.perf_counter()
    detections = detect()
    first = time.perf_counter()
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        before, cpu_before = time.perf_counter(), time.process_time()
        detect()
        seconds.append(time.perf_counter() - before)
        cpu_seconds.append(time.process_time() - cpu_before)
    return {
        "load_s": loaded - start,
        "first_s": first - loaded,
        "median_ms": 1000 * statistics.median(seconds),
        "p90_ms": 1000 * float(np.quantile(seconds, 0.9)),
        "cpu_ms": 1000 * statistics.median(cpu_seconds),
        "images_per_second": repeats / sum(seconds),
        "runtime_mb": runtime,
        "peak_mb": memory_mb("VmHWM"),
        "detections": detections,
    }


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
