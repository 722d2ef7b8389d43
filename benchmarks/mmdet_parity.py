"""The same random weights in mmdetection and here, imported by the tool: the same outputs, the same detections?

    python benchmarks/mmdet_parity.py --mmdet_python=mmdet_env/bin/python --data=../shared/data --output=runs/mmdet

`benchmarks/mmdet_side.py` says how to make mmdetection's environment, and what it writes. Writes
`benchmarks/mmdet_parity.json`: for each detector and picture the differences, which grow from entry to entry.

- `network`: both networks on mmdetection's input. For each level the largest difference over the largest value.
- `decoder`: our decoder on mmdetection's outputs, beside its detections.
- `same_input`: our network and decoder on mmdetection's input.
- `own_resize`: also our resizing of the picture that mmdetection decoded; `resize` says how the pixels differ.
- `noise`: for comparison, mmdetection's input with as many pixels changed at random by one level of 255.
- `own_canvas`: also our padding, to the canvas of training.
- `own_file`: also our decoding of the file, so all is ours; `jpeg` says how the pixels differ.
"""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
from absl import flags

from fsaf_tf import cli
from fsaf_tf.errors import UserError

FLAGS = flags.FlagValues()
MMDET_PYTHON = flags.DEFINE_string("mmdet_python", None, "The interpreter of mmdetection's environment.", FLAGS)
DATA = flags.DEFINE_string("data", "../shared/data", "The folder with coco_mini.", FLAGS)
OUTPUT = flags.DEFINE_string("output", "runs/mmdet", "Where checkpoints and arrays go, 0.5 GB a detector.", FLAGS)
DETECTORS = flags.DEFINE_list("detectors", None, "Experiments among those below; all if not given.", FLAGS)
HERE = pathlib.Path(__file__).parent
# Landscape, portrait, and a small one, on which these weights give more candidates than a level may have.
PICTURES = ("000000000139", "000000000802", "000000037777")
# Our experiments, and mmdetection's configurations of the same detectors.
CONFIGS = {
    "fsaf_r50": "fsaf/fsaf_r50_fpn_1x_coco",
    "fsaf_r101": "fsaf/fsaf_r101_fpn_1x_coco",
    "fsaf_x101": "fsaf/fsaf_x101-64x4d_fpn_1x_coco",
    "retinanet_r50": "retinanet/retinanet_r50_fpn_1x_coco",
}
TOP, BOTTOM, LEFT, RIGHT = range(4)  # mmdetection's order of the distances
PAIR_IOU = 0.5  # of two detections that are taken for the same one


def run(*command: str) -> None:
    """Runs a command in the project's root; its error is ours."""
    print("$", *command, flush=True)
    ended = subprocess.run(
        command, cwd=HERE.parent, stderr=subprocess.PIPE, encoding="utf-8", errors="backslashreplace"
    )
    if ended.returncode:
        raise UserError(f"{command[1]}: {ended.stderr.strip().splitlines()[-1]}")


def make(name: str, output: pathlib.Path) -> None:
    """Lets mmdetection build the detector and look at the pictures, and imports its checkpoint; once."""
    coco = pathlib.Path(DATA.value, "coco_mini").resolve()
    if not (output / f"{PICTURES[-1]}.npz").exists():
        annotations = f"--annotations={coco}/annotations/instances_val2017.json"
        pictures = [f"{coco}/val2017/{picture}.jpg" for picture in PICTURES]
        side = [MMDET_PYTHON.value, "benchmarks/mmdet_side.py", f"--config={CONFIGS[name]}", annotations]
        run(*side, f"--output={output}", *pictures)
    if not (output / "imported").exists():
        (weights,) = output.glob("published-*.pth")
        tool = [sys.executable, "tools/import_weights.py", "--source=mmdet", f"--weights={weights}"]
        run(*tool, f"--experiment={name}", f"--output={output}/imported")


def as_ours(theirs: dict) -> dict:
    """mmdetection's outputs in the form of `heads.Heads`."""
    anchor_free = len(theirs["boxes_3"]) == 4
    branch, boxes_key = ("anchor_free", "offsets") if anchor_free else ("anchor_based", "deltas")
    outputs = {f"{branch}_logits": {}, f"{branch}_{boxes_key}": {}}
    for level in range(3, 8):
        outputs[f"{branch}_logits"][str(level)] = theirs[f"scores_{level}"].transpose(1, 2, 0)[None]
        boxes = theirs[f"boxes_{level}"].transpose(1, 2, 0)  # [H, W, 4 * A]
        by_anchor = boxes.reshape(*boxes.shape[:2], -1, 4)
        order = [TOP, LEFT, BOTTOM, RIGHT] if anchor_free else [1, 0, 3, 2]  # of x, y, w, h
        outputs[f"{branch}_{boxes_key}"][str(level)] = by_anchor[..., order].reshape(1, *boxes.shape)
    return outputs


def compare_outputs(ours: dict, theirs: dict) -> dict:
    """By output and level: the largest difference over the largest value."""
    return {
        key: {
            level: float(np.abs(ours[key][level] - value).max() / np.abs(value).max())
            for level, value in of_key.items()
        }
        for key, of_key in theirs.items()
    }


def compare_detections(ours: dict, theirs: dict) -> dict:
    """Pairs the detections of a class that overlap, the best first, and says how the pairs differ.

    Args:
        ours: `boxes` `[D, 4]` yxyx in pixels of the picture, `scores` and `classes` `[D]`, by falling score.
        theirs: likewise, `boxes` x1, y1, x2, y2.
    """
    from fsaf_tf import boxes as box_ops

    boxes = theirs["boxes"][:, [1, 0, 3, 2]]
    iou = box_ops.pairwise_iou(ours["boxes"], boxes).numpy() * (ours["classes"][:, None] == theirs["classes"])
    pairs = []
    for row in range(len(iou)):
        column = iou[row].argmax()
        if iou[row, column] > PAIR_IOU:
            pairs.append((row, column))
            iou[:, column] = 0
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    return {
        "theirs": len(boxes),
        "ours": len(ours["boxes"]),
        "pairs": len(pairs),
        "same_rank": int((rows == columns).sum()),
        "box_difference_px": float(np.abs(ours["boxes"][rows] - boxes[columns]).max(initial=0)),
        "score_difference": float(np.abs(ours["scores"][rows] - theirs["scores"][columns]).max(initial=0)),
    }


def compare_pixels(ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Largest and mean difference of two pictures, in levels of 0 to 255."""
    difference = np.abs(ours.astype(float) - theirs)
    return {"largest": difference.max(), "mean": round(difference.mean(), 4)}


def compare(imported: str, theirs: dict, picture: bytes) -> dict:
    """All entries of one detector and picture."""
    import tensorflow as tf

    import fsaf_tf
    from fsaf_tf.data import images

    loaded = fsaf_tf.load_detector(imported)
    size, original_size = theirs["image_size"].astype(np.int32), np.int32(theirs["image"].shape[:2])

    def detections(outputs: dict) -> dict:
        found = loaded.program.of_outputs(outputs, size[None], original_size[None])
        count = int(found["num_detections"][0])
        ours = {key: found[key][0, :count].numpy() for key in ("boxes", "scores", "classes")}
        return compare_detections(ours, theirs)

    inputs = theirs["input"].transpose(1, 2, 0)
    outputs = loaded.model(inputs[None], training=False)
    decoded = images.decode(picture).numpy()
    canvas, our_size = loaded.program.fit(tf.constant(theirs["image"]))
    resized = canvas[: our_size[0], : our_size[1]].numpy()
    normalization = loaded.program.normalization
    pixels = (inputs[: size[0], : size[1]] * normalization.std + normalization.mean).round()
    resize = compare_pixels(resized, pixels)
    changes = [resize["mean"] / 2, 1 - resize["mean"], resize["mean"] / 2]
    noisy = np.clip(pixels + np.random.default_rng(0).choice([-1, 0, 1], pixels.shape, p=changes), 0, 255)
    other_pixels = {
        key: detections(loaded.model(loaded.preprocess(image.astype(np.uint8), resize=False), training=False))
        for key, image in {"own_resize": resized, "noise": noisy}.items()
    }
    return {
        "network": compare_outputs(outputs, as_ours(theirs)),
        "decoder": detections(tf.nest.map_structure(tf.constant, as_ours(theirs))),
        "same_input": detections(outputs),
        "resize": resize,
        **other_pixels,
        "own_canvas": compare_detections(loaded(theirs["image"]), theirs),
        "jpeg": compare_pixels(decoded, theirs["image"]),
        "own_file": compare_detections(loaded(decoded), theirs),
    }


def main():
    """Compares the detectors one after another and writes the results after each."""
    if not MMDET_PYTHON.value:
        raise UserError("--mmdet_python is missing: the interpreter of an environment with mmdetection 3.3.0")
    results_file = HERE / "mmdet_parity.json"
    results = json.loads(results_file.read_text()) if results_file.exists() else {}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE.parent, capture_output=True, text=True)
    for name in DETECTORS.value or CONFIGS:
        output = pathlib.Path(OUTPUT.value, name).resolve()
        make(name, output)
        pictures = {}
        for picture in PICTURES:
            file = pathlib.Path(DATA.value, "coco_mini/val2017", f"{picture}.jpg")
            pictures[picture] = compare(
                f"{output}/imported", dict(np.load(output / f"{picture}.npz")), file.read_bytes()
            )
        versions = json.loads((output / "versions.json").read_text())
        results[name] = {"commit": commit.stdout.strip(), "versions": versions, "pictures": pictures}
        results[name]["date"] = time.strftime("%Y-%m-%d")
        results_file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
