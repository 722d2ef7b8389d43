"""The nine detectors of Table 2 with random weights: parameters, operations, latency."""

import gc
import statistics
import time

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import train_utils

from fsaf_tf import postprocess
from fsaf_tf.config import experiment
from fsaf_tf.modeling import detector

HEIGHT, WIDTH, CLASSES = 800, 1344, 80
# Table 2, milliseconds on a Titan X: RetinaNet, FSAF, AB+FSAF.
PAPER_MS = {"r50": (131, 107, 138), "r101": (172, 148, 180), "x101": (356, 288, 362)}
ROWS = ("retinanet", "fsaf", "ab_fsaf")
# Every score is above it, so that each level and branch gives as many candidates as it may: the most that decoding and
# suppression can have to do. Of random weights no score is above 0.05.
THRESHOLD = 0.0


def run(repeats: int) -> list[dict]:
    """Measures the detectors of a backbone in turn, so that a slow moment of the machine meets all three.

    Returns:
        A row a detector: `parameters`, `gflops`, and for `forward` and `whole` (with decoding and suppression)
        `<part>_ms`, the median, `<part>_cpu_ms`, the same of the time of all cores, and their ratios to RetinaNet with
        the same backbone, beside the paper's.
    """
    rows = []
    for backbone, paper in PAPER_MS.items():
        names = [f"{row}_{backbone}" for row in ROWS]
        of_backbone = [_build(name) for name in names]
        calls = {(name, part): call for name, (_, parts) in zip(names, of_backbone) for part, call in parts.items()}
        times = _in_turn(calls, repeats)
        for name, (facts, _), paper_ms in zip(names, of_backbone, paper):
            row = {"experiment": name, **facts, "paper_ms": paper_ms, "paper_ratio": paper_ms / paper[0]}
            for part in ("forward", "whole"):
                for unit in ("ms", "cpu_ms"):
                    row[f"{part}_{unit}"] = times[name, part][unit]
                    row[f"{part}_{unit}_ratio"] = times[name, part][unit] / times[names[0], part][unit]
            rows.append(row)
            print(_line(row), flush=True)
        del of_backbone, calls
        gc.collect()
    return rows


def header() -> str:
    """The first two lines of the table."""
    titles = ["experiment", "parameters", "GFLOP", "forward ms", "ratio", "CPU ratio", "with NMS ms", "ratio"]
    titles += ["CPU ratio", "paper ms", "ratio"]
    return f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|"


def _line(row: dict) -> str:
    cells = [f"`{row['experiment']}`", f"{row['parameters']:,}", f"{row['gflops']:.1f}"]
    for part in ("forward", "whole"):
        ratios = [f"{row[f'{part}_{unit}_ratio']:.2f}" for unit in ("ms", "cpu_ms")]
        cells += [f"{row[f'{part}_ms']:.0f}", *ratios]
    return f"| {' | '.join([*cells, str(row['paper_ms']), format(row['paper_ratio'], '.2f')])} |"


def _build(name: str) -> tuple[dict, dict]:
    """What a detector has, and what is timed of it."""
    config = experiment.load(name).task
    config.model.postprocess.score_threshold = THRESHOLD
    model = detector.build_detector(config.model, CLASSES)
    images = tf.random.stateless_normal([1, HEIGHT, WIDTH, 3], seed=(0, 0))
    sizes = tf.constant([[HEIGHT, WIDTH]])
    values = CLASSES, config.decoding(), config.model.postprocess.suppression()

    @tf.function
    def forward():
        return model(images, training=False)

    @tf.function
    def whole():
        return postprocess.detect(model(images, training=False), sizes, *values)

    fixed = tf_keras.Input(images.shape[1:])  # operations are counted where sizes are known
    flops = train_utils.try_count_flops(tf_keras.Model(fixed, model(fixed)))
    return {"parameters": model.count_params(), "gflops": flops / 1e9}, {"forward": forward, "whole": whole}


def _in_turn(calls: dict, repeats: int) -> dict:
    """Medians in milliseconds, of the clock and of the processor."""
    for call in calls.values():
        call()  # traces
    measured = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            tf.nest.map_structure(lambda x: x.numpy(), call())
            measured[name].append((time.perf_counter() - start, time.process_time() - cpu_start))
    return {
        name: {unit: 1000 * statistics.median(values) for unit, values in zip(("ms", "cpu_ms"), np.transpose(seconds))}
        for name, seconds in measured.items()
    }
