"""Which test sizes help a trained detector: each alone, and together (Table 3's test-time augmentation).

    python benchmarks/views.py --model_dir=runs/bccd/fsaf_r50_as_mmdet_0 --ratios=0.5,0.75,1,1.25,1.5

Evaluates a run's newest checkpoint on its validation data. Each picture is seen once in every view; what is found is
merged in many ways afterwards, as `task.test_augmentation` does. Prints a table, and writes it with --output. `size` is
how large the best detection of an object is, as a multiple of the object, in the median.
"""

import itertools

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import outputs
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of a run.", flag_values=_FLAGS)
_RATIOS = flags.DEFINE_list("ratios", ["0.5", "0.75", "1", "1.25", "1.5"], "Sizes, 1 among them.", flag_values=_FLAGS)
_OUTPUT = flags.DEFINE_string("output", None, "A JSON file.", flag_values=_FLAGS)
FIGURES = ("AP", "AP50", "AP75", "APm", "APl", "AR100")


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_study, _FLAGS, __doc__)


def _study() -> None:
    try:
        ratios = sorted(float(ratio) for ratio in _RATIOS.value)
    except ValueError as error:
        raise UserError(f"--ratios are numbers with commas between them: {error}") from error
    if not _MODEL_DIR.value or 1.0 not in ratios:
        raise UserError("--model_dir is missing, or 1 is not among --ratios")
    from fsaf_tf.config import experiment
    from fsaf_tf.data.source import open_source
    from fsaf_tf.evaluate import average_precision
    from fsaf_tf.files import storage
    from fsaf_tf.serving import load

    folder = _MODEL_DIR.value
    if _OUTPUT.value:
        is_ours = outputs.has_keys("model_dir", "rows")
        outputs.check([_OUTPUT.value], reads=outputs.files_below(folder), is_ours=is_ours, overwrite=False)
        storage.try_writing(_OUTPUT.value)
    detector = load.load_trained(folder, "newest")
    source = open_source(experiment.read_params(folder).task.validation_data)
    seen = _see(detector, source, ratios)
    rows = {}
    print(" " * 28 + "".join(f"{figure:>8}" for figure in (*FIGURES, "size")))
    for name, views in _combinations(ratios).items():
        results = [found for each in seen for found in _merge(detector, *each, views)]
        metrics = average_precision.coco_metrics(source.ground_truth(), results)
        rows[name] = {figure: round(metrics[figure], 4) for figure in FIGURES}
        rows[name]["size"] = round(_relative_size(source.ground_truth()["annotations"], results), 3)
        print(f"{name:<28}" + "".join(f"{value:>8.3f}" for value in rows[name].values()), flush=True)
    if _OUTPUT.value:
        storage.write_json(_OUTPUT.value, {"model_dir": folder, "rows": rows})


def _combinations(ratios: list[float]) -> dict[str, list[tuple[float, bool]]]:
    """Names and views (ratio, mirrored): each size alone, mirrored too, all neighbourhoods of 1, and everything."""
    both = {ratio: [(ratio, False), (ratio, True)] for ratio in ratios}
    named = {f"{ratio:g}": [(ratio, False)] for ratio in ratios} | {"1, mirrored too": both[1.0]}
    for low, high in itertools.product([r for r in ratios if r <= 1], [r for r in ratios if r >= 1]):
        if low != high:
            between = [ratio for ratio in ratios if low <= ratio <= high]
            named[f"{low:g} to {high:g}, mirrored too"] = sum((both[ratio] for ratio in between), [])
    return named


def _relative_size(annotations: list[dict], results: list[dict]) -> float:
    """Root of the area of the best-scored detection that overlaps an object by 0.3 or more, over that of the object."""
    import numpy as np
    from pycocotools import mask

    ratios = []
    by_place = {}
    for result in results:
        by_place.setdefault((result["image_id"], result["category_id"]), []).append(result)
    for truth in annotations:
        if truth["iscrowd"] or not truth["bbox"][2] * truth["bbox"][3]:
            continue
        found = by_place.get((truth["image_id"], truth["category_id"]), [])
        boxes = np.array([result["bbox"] for result in found], np.float64).reshape(-1, 4)
        overlap = mask.iou(boxes, np.array([truth["bbox"]], np.float64), [0]) if found else []
        near = [result for result, iou in zip(found, overlap) if iou >= 0.3]
        if near:
            _, _, width, height = max(near, key=lambda result: result["score"])["bbox"]
            ratios.append((width * height / (truth["bbox"][2] * truth["bbox"][3])) ** 0.5)
    return float(np.median(ratios))


def _see(detector, source, ratios: list[float]) -> list[tuple]:
    """For each picture its id, its size, its frame (that of ratio 1) and by view the candidates over the threshold."""

    import tensorflow as tf

    from fsaf_tf import postprocess
    from fsaf_tf.data import augment
    from fsaf_tf.modeling import views
    from fsaf_tf.terminal.progress import Progress, evaluation_line, track

    program, network = detector.program, tf.function(detector.model, reduce_retracing=True)
    seen, examples = [], source.decode(source.examples())
    for example in track(examples, Progress(), lambda done, rate: evaluation_line(done, source.num_images, rate)):
        resized = {}
        for ratio in ratios:
            sides = [round(ratio * side) for side in program.sides]
            canvas, image_size = augment.resize_and_pad(example["image"], *sides, program.keep_aspect)
            resized[ratio] = canvas[None], image_size[None]
        frame, by_view = resized[1.0][1], {}
        for ratio, is_mirrored in itertools.product(ratios, (False, True)):
            canvas, image_size = resized[ratio]
            view = views.mirror(canvas, image_size) if is_mirrored else canvas
            found = postprocess.candidates(network(program.normalize(view, image_size)), program.decoding)
            found = [views.to_frame(each, image_size, frame, is_mirrored) for each in found]
            joined = {key: tf.concat([each[key][0] for each in found], axis=0) for key in found[0]}
            kept = tf.where(joined["scores"] > program.suppression.score_threshold)[:, 0]
            by_view[ratio, is_mirrored] = {key: tf.gather(value, kept) for key, value in joined.items()}
        seen.append((int(example["image_id"]), tf.shape(example["image"])[:2], frame, by_view))
    return seen


def _merge(detector, image_id: int, original_size, frame, by_view: dict, wanted: list) -> list[dict]:
    """The detections of one picture, of the wanted views, in COCO's form."""

    from fsaf_tf import postprocess
    from fsaf_tf.evaluate import average_precision

    found = [{key: value[None] for key, value in by_view[view].items()} for view in wanted]
    program = detector.program
    detections = postprocess.suppress(found, frame, program.num_classes, program.suppression)
    detections = postprocess.to_original(detections, frame, original_size[None])
    found = {key: value.numpy() for key, value in detections.items()}
    return average_precision.detections_to_coco(found, [image_id], detector.classes.ids)


if __name__ == "__main__":
    main()
