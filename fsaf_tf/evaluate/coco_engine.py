"""The program that matches detections with objects as COCO does: hotcoco where it is installed, else pycocotools.

hotcoco has pycocotools' interface and its values to the last bit, in a small part of its time and memory; pycocotools
is the reference that the tests hold it to. It is taken for negative ids, too, which hotcoco does not read.
"""

import contextlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any, NamedTuple

from pycocotools import coco, cocoeval


class Engine(NamedTuple):
    """A program: its `name`, what makes its data set of COCO's own dict, and its `COCOeval`."""

    name: str
    index: Callable[[dict], Any]
    evaluation: Callable[..., Any]


def _index(dataset: dict) -> coco.COCO:
    """A `COCO` of our own making: `loadRes` fails on an empty list."""
    indexed = coco.COCO()
    indexed.dataset = dataset
    indexed.createIndex()
    return indexed


PYCOCOTOOLS = Engine("pycocotools", _index, cocoeval.COCOeval)


def fastest(ground_truth: dict) -> Engine:
    """hotcoco, where it is installed and takes the ids of `ground_truth`; else pycocotools."""
    ids = (row["id"] for table in ("images", "categories") for row in ground_truth[table])
    if not importlib.util.find_spec("hotcoco") or any(number < 0 for number in ids):
        return PYCOCOTOOLS
    import hotcoco

    return Engine("hotcoco", hotcoco.COCO, hotcoco.COCOeval)


def evaluate(engine: Engine, ground_truth: dict, truth: list[dict], results: list[dict], params: dict[str, Any]) -> Any:
    """A `COCOeval` that has evaluated and accumulated, silently.

    Args:
        engine: the program.
        ground_truth: `images` and `categories` of COCO's annotations.
        truth: its annotations, with `area` and `iscrowd`, numbered from 1.
        results: COCO's results, likewise.
        params: of `COCOeval`, by name.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        data_sets = [engine.index({**ground_truth, "annotations": rows}) for rows in (truth, results)]
        evaluation = engine.evaluation(*data_sets, "bbox")
        for name, value in params.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation
