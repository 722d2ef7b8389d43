"""How many mistakes that are put into labels a report finds among its first suspects.

    python benchmarks/suspects.py --detections=val/detections.json --annotations=instances_val.json

Of all labels 30 are removed, 30 are moved by half of their sides or more, and 30 get another class, by a seed. Prints
how many of each kind are among the first 150 of `analysis.suspects`: a label that is named as drawn, or a place where
something was found and none is drawn that overlaps the removed or moved label by IoU 0.5.
"""

import collections
import random

from absl import flags

from fsaf_tf import cli

FLAGS = flags.FlagValues()
DETECTIONS = flags.DEFINE_string("detections", None, "COCO's results of a detector.", FLAGS)
ANNOTATIONS = flags.DEFINE_string("annotations", None, "COCO JSON with the labels.", FLAGS)
SEEDS = flags.DEFINE_integer("seeds", 5, "How often.", flag_values=FLAGS)
EACH, FIRST = 30, 150
REMOVED, MOVED, RENAMED = "removed", "moved", "renamed"


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_study, FLAGS, __doc__)


def _study() -> None:
    from fsaf_tf.analysis import inputs
    from fsaf_tf.files import storage

    ground_truth = storage.read_dict(ANNOTATIONS.value)
    results = inputs.read_results(DETECTIONS.value, ground_truth)
    print(f"seed  {REMOVED}  {MOVED}  {RENAMED}  of {3 * EACH} among the first {FIRST}")
    for seed in range(SEEDS.value):
        found = _found(ground_truth, results, random.Random(seed))
        counts = [len(found[kind]) for kind in (REMOVED, MOVED, RENAMED)]
        print(f"{seed:>4}  {counts[0]:>7}  {counts[1]:>5}  {counts[2]:>7}  {sum(counts)}")


def _found(ground_truth: dict, results: list[dict], draw: random.Random) -> dict[str, set[int]]:
    """The places of the labels whose mistake is found, by its kind."""
    from fsaf_tf.analysis import suspects

    labels = [row for row in ground_truth["annotations"] if not row.get("iscrowd")]
    places = draw.sample(range(len(labels)), 3 * EACH)
    kind_of = {place: kind for k, kind in enumerate((REMOVED, MOVED, RENAMED)) for place in places[k * EACH :][:EACH]}
    sizes = {row["id"]: (row["width"], row["height"]) for row in ground_truth["images"]}
    ids = [row["id"] for row in ground_truth["categories"]]
    wrong, drawn = [], {}
    for place, label in enumerate(labels):
        changed = _changed(label, kind_of.get(place), sizes[label["image_id"]], ids, draw)
        if changed:
            wrong.append(changed)
            drawn[label["image_id"], tuple(changed["bbox"])] = place
    found = collections.defaultdict(set)
    for suspect in suspects.find({**ground_truth, "annotations": wrong}, results)[:FIRST]:
        place = drawn.get((suspect["image_id"], tuple(suspect["box"])))
        if suspect["kind"] == suspects.NOT_DRAWN:
            place = next((one for one in kind_of if _is_missing(labels[one], kind_of[one], suspect)), None)
        if place in kind_of:
            found[kind_of[place]].add(place)
    return found


def _changed(label: dict, kind: str | None, size: tuple[int, int], ids: list[int], draw: random.Random) -> dict | None:
    """A label with a mistake of a kind; None if it is removed."""
    x, y, width, height = label["bbox"]
    if kind == REMOVED:
        return None
    if kind == RENAMED:
        return {**label, "category_id": draw.choice([one for one in ids if one != label["category_id"]])}
    if kind == MOVED:
        x += draw.choice([-1, 1]) * width * draw.uniform(0.5, 1)
        y += draw.choice([-1, 1]) * height * draw.uniform(0.5, 1)
        corner = [min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height)]
        return {**label, "bbox": [*corner, width, height]}
    return label


def _is_missing(label: dict, kind: str, suspect: dict) -> bool:
    """Whether a detection that nothing is drawn for is of a label that was removed or moved."""
    if kind == RENAMED or label["image_id"] != suspect["image_id"]:
        return False
    (x, y, w, h), (x2, y2, w2, h2) = label["bbox"], suspect["box"]
    shared = max(min(x + w, x2 + w2) - max(x, x2), 0) * max(min(y + h, y2 + h2) - max(y, y2), 0)
    return shared >= 0.5 * (w * h + w2 * h2 - shared)


if __name__ == "__main__":
    main()
