"""Timings.

    python tools/benchmark.py --what=criterion

of the criterion, as ratios of things measured in turn in one run.

    python tools/benchmark.py --what=detectors

of the nine detectors of Table 2 at 800 x 1344 with random weights, beside the paper's milliseconds.

    python tools/benchmark.py --what=inference --model_dir=runs/fsaf_r50 --sizes=320x320,512x512 --threads=1,2

of a detector as checkpoint, SavedModel, frozen graph, ONNX and TFLite: size, warm-up (loading and the first picture,
without the import of the runtime), latency of a decoded picture, and peak memory, each in a process of its own. "CPU
ms" is the time of all cores together and says more than the latency does where other work runs; "of SavedModel" is its
ratio. --rounds=5 starts five processes of each form, all forms in turn, and takes the medians.
"""

import dataclasses
import functools
import statistics
import time

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import outputs

cli.quiet()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from fsaf_tf import boxes as box_ops  # noqa: E402
from fsaf_tf import criterion, pyramid, regions  # noqa: E402
from fsaf_tf.config import schema  # noqa: E402
from fsaf_tf.errors import UserError  # noqa: E402
from fsaf_tf.files import storage  # noqa: E402
from fsaf_tf.selection import Step  # noqa: E402

_FLAGS = flags.FlagValues()
_WHAT = flags.DEFINE_enum(
    "what", "criterion", ["criterion", "detectors", "inference"], "What to time.", flag_values=_FLAGS
)
_REPEATS = flags.DEFINE_integer(
    "repeats", 7, "Timed runs of each; the median counts.", lower_bound=1, flag_values=_FLAGS
)
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "inference: the folder of a run or an import.", flag_values=_FLAGS)
_SIZES = flags.DEFINE_list("sizes", ["320x320"], "inference: HEIGHTxWIDTH of the input, several.", flag_values=_FLAGS)
_THREADS = flags.DEFINE_list("threads", ["2"], "inference: numbers of threads, several.", flag_values=_FLAGS)
_FORMS = flags.DEFINE_list(
    "forms", [], "inference: these alone and the SavedModel, such as ONNX,TFLite int8; all if none.", flag_values=_FLAGS
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 1, "inference: processes of each form, all forms in turn.", lower_bound=1, flag_values=_FLAGS
)
_IMAGES = flags.DEFINE_string(
    "images",
    None,
    "inference: a folder or a glob of pictures, which TFLite int8 is calibrated with.",
    flag_values=_FLAGS,
)
_OUTPUT = flags.DEFINE_string("output", "", "A JSON file for the figures.", flag_values=_FLAGS)
_OVERWRITE = outputs.define_overwrite(_FLAGS)

BATCH, CLASSES, HEIGHT, WIDTH = 2, 80, 800, 1344
BRANCH = schema.Task().anchor_free()
LEVELS = BRANCH.geometry.levels


def dense_losses(logits, offsets, boxes, classes, valid):
    """The anchor-free losses with `[B, N, P]` tensors: what is compared against, kept here alone."""
    layout = pyramid.Layout.of_maps(logits)
    num_classes = logits["3"].shape[-1]
    geometry, (focal, box_loss) = BRANCH.geometry, BRANCH.elementwise
    flat_logits, locations = layout.join(logits, num_classes), layout.locations(geometry.location_offset)
    location_levels = layout.location_levels()[:, None]  # [P, 1]
    predicted = regions.decode_offsets(layout.join(offsets, 4), locations, location_levels, geometry.offset_scale)
    ranges = regions.cell_ranges(boxes, valid, layout.image_size, geometry)
    inside = [_inside(ranges[..., region, :], layout) & valid[..., None] for region in (0, 1)]  # [B, N, P] each

    as_negative, as_positive = (focal(flat_logits, target) for target in (False, True))
    own = tf.one_hot(classes, num_classes)  # [B, N, K]
    change = tf.einsum("bpk,bnk->bnp", as_positive - as_negative, own)
    box_losses = box_loss(predicted[:, None], boxes[:, :, None])  # [B, N, P]
    cell_losses = tf.stop_gradient(tf.reduce_sum(as_negative, axis=-1)[:, None] + change + box_losses)
    on_level = location_levels == tf.constant(layout.levels)  # [P, L]
    effective = tf.cast(inside[0], tf.float32)
    sums = tf.einsum("bnp,pl->bnl", effective * cell_losses, tf.cast(on_level, tf.float32))
    counts = tf.einsum("bnp,pl->bnl", effective, tf.cast(on_level, tf.float32))
    chosen = tf.gather(tf.constant(layout.levels), tf.argmin(sums / tf.maximum(counts, 1), axis=-1))

    distance = tf.abs(chosen[..., None] - layout.location_levels())  # [B, N, P]
    area = tf.where(inside[0] & (distance == 0), box_ops.area(boxes)[..., None], np.inf)
    positive, owner = tf.reduce_min(area, axis=1) < np.inf, tf.argmin(area, axis=1)  # [B, P]
    ignoring = tf.cast(inside[1] & (distance <= 1), tf.float32)
    negative = tf.einsum("bnp,bnk->bpk", ignoring, own) < 0.5
    is_own = tf.gather(own, owner, batch_dims=1) * tf.cast(positive[..., None], tf.float32)
    class_losses = tf.where(negative, as_negative, 0) + is_own * as_positive
    count = tf.maximum(tf.reduce_sum(tf.cast(positive, tf.float32), axis=1), 1)
    own_losses = box_loss(predicted, tf.gather(boxes, owner, batch_dims=1))
    return {
        "class_loss": tf.reduce_mean(tf.reduce_sum(class_losses, axis=[1, 2]) / count),
        "box_loss": tf.reduce_mean(tf.reduce_sum(tf.where(positive, own_losses, 0), axis=1) / count),
    }


def warmup_losses(logits, offsets, boxes, classes, valid):
    """The anchor-free losses of a step after a warm-up of the selection, which computes both selections."""
    layout, geometry = pyramid.Layout.of_maps(logits), BRANCH.geometry
    ranges = regions.cell_ranges(boxes, valid, layout.image_size, geometry)
    instances = regions.Instances.of(boxes, classes, valid, ranges)
    rule = dataclasses.replace(BRANCH.selection, warmup_share=0.1)
    step = Step(tf.constant(500, tf.int64), 1000)
    return criterion.anchor_free(logits, offsets, instances, geometry, rule, BRANCH.elementwise, step)


def _inside(ranges, layout):
    """Which locations a cell range `[B, N, L, 4]` holds: `[B, N, P]` bool."""
    by_level = []
    for index, (height, width) in enumerate(layout.sizes):
        top, left, bottom, right = (side[..., None] for side in tf.unstack(ranges[:, :, index], axis=-1))
        rows = (tf.range(height) >= top) & (tf.range(height) < bottom)  # [B, N, H]
        columns = (tf.range(width) >= left) & (tf.range(width) < right)  # [B, N, W]
        grid = rows[..., None] & columns[:, :, None]
        by_level.append(tf.reshape(grid, [*grid.shape[:2], height * width]))
    return tf.concat(by_level, axis=-1)


def criterion_inputs(instances: int):
    """Outputs of an untrained branch, and boxes of all sizes, at 800 x 1344."""
    rng = np.random.default_rng(0)
    sizes = {str(level): (pyramid.map_size(HEIGHT, level), pyramid.map_size(WIDTH, level)) for level in LEVELS}
    logits = {k: tf.constant(rng.normal(-4.6, 0.1, (BATCH, *s, CLASSES)), tf.float32) for k, s in sizes.items()}
    offsets = {k: tf.constant(rng.uniform(0, 0.2, (BATCH, *s, 4)), tf.float32) for k, s in sizes.items()}
    sides = np.exp(rng.uniform(np.log(8), np.log([HEIGHT, WIDTH]), (BATCH, instances, 2)))
    corner = rng.uniform(0, 1, sides.shape) * ([HEIGHT, WIDTH] - sides)
    boxes = tf.constant(np.concatenate([corner, corner + sides], axis=-1), tf.float32)
    classes = tf.constant(rng.integers(0, CLASSES, (BATCH, instances)), tf.int32)
    return logits, offsets, boxes, classes, tf.ones([BATCH, instances], tf.bool)


def forward_and_backward(loss_function, jit_compile: bool):
    """A function from the criterion's inputs to the losses and the gradients of the outputs."""

    @tf.function(jit_compile=jit_compile)
    def run(logits, offsets, *instances):
        with tf.GradientTape() as tape:
            tape.watch((logits, offsets))
            result = loss_function(logits, offsets, *instances)
            total = result["class_loss"] + result["box_loss"]
        return result["class_loss"], result["box_loss"], tape.gradient(total, (logits, offsets))

    return run


def time_in_turn(calls: dict, repeats: int) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, so that a slow moment of the machine meets them all."""
    for call in calls.values():
        call()  # traces and compiles
    seconds = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            tf.nest.map_structure(lambda x: x.numpy(), call()[:2])
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def benchmark_criterion() -> dict[str, float]:
    """The criterion, forward and backward, with 100 and 500 instances, by each selection, beside the dense one."""
    soft = functools.partial(criterion.anchor_free_losses, selection="soft")
    kinds = {"ours": criterion.anchor_free_losses, "soft": soft, "warm-up": warmup_losses, "dense": dense_losses}
    calls = {}
    for instances in (100, 500):
        inputs = criterion_inputs(instances)
        for kind, function in kinds.items():
            for way, jit_compile in (("graph", False), ("compiled", True)):
                run = forward_and_backward(function, jit_compile)
                calls[f"{kind}, {way}, N {instances}"] = lambda run=run, inputs=inputs: run(*inputs)
        _assert_same([calls[f"{kind}, graph, N {instances}"]()[:2] for kind in ("ours", "dense")])
    return time_in_turn(calls, _REPEATS.value)


def _assert_same(results) -> None:
    for first, second in zip(*results):
        np.testing.assert_allclose(first, second, rtol=1e-3)


def benchmark_inference() -> list[dict]:
    """Every form of a detector; see tools/benchmark_inference.py."""
    import benchmark_inference as inference_benchmark  # beside this file; it needs what exports need

    if not _MODEL_DIR.value:
        raise UserError("--model_dir is missing (--help lists the flags)")
    sizes = [_numbers("sizes", size.split("x"), 2) for size in _SIZES.value]
    threads = [_numbers("threads", [count], 1)[0] for count in _THREADS.value]
    print(inference_benchmark.header())
    repeats = (_REPEATS.value, _ROUNDS.value)
    return inference_benchmark.run(_MODEL_DIR.value, sizes, threads, *repeats, _IMAGES.value, _FORMS.value)


def benchmark_detectors() -> list[dict]:
    """Table 2; see tools/benchmark_detectors.py."""
    import benchmark_detectors as detectors_benchmark  # beside this file

    print(detectors_benchmark.header())
    return detectors_benchmark.run(_REPEATS.value)


def _numbers(flag: str, texts: list[str], count: int) -> tuple[int, ...]:
    if len(texts) != count or not all(text.isdecimal() and int(text) for text in texts):
        raise UserError(f"--{flag}: {'x'.join(texts)} is not understood (--help lists the flags)")
    return tuple(map(int, texts))


def show_criterion() -> dict[str, float]:
    """Times the criterion and prints a table."""
    seconds = benchmark_criterion()
    base = seconds["ours, graph, N 100"]
    print(f"B {BATCH}, K {CLASSES}, {HEIGHT} x {WIDTH}, forward and backward, median of {_REPEATS.value}")
    for name, value in seconds.items():
        print(f"{name:28} {1000 * value:9.1f} ms   {value / base:6.2f}")
    return seconds


def main():
    """Times what is asked for, prints a table and writes the figures."""
    benchmarks = {"criterion": show_criterion, "detectors": benchmark_detectors, "inference": benchmark_inference}
    if _OUTPUT.value:
        reads = outputs.files_below(_MODEL_DIR.value, _IMAGES.value)
        outputs.check([_OUTPUT.value], reads=reads, is_ours=lambda path: False, overwrite=_OVERWRITE.value)
        storage.try_writing(_OUTPUT.value)
    figures = benchmarks[_WHAT.value]()
    if _OUTPUT.value:
        storage.write_json(_OUTPUT.value, figures)


if __name__ == "__main__":
    cli.run(main, _FLAGS, __doc__)
