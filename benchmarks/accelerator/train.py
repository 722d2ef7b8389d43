"""Trains the programs of `export.py` under JAX: many seeds and recipes on one GPU, where there is no TensorFlow.

    python benchmarks/accelerator/train.py runs/xla jobs.json OUTPUT

A job is {"arch": KEY, "name": ..., "data": FOLDER, ...}; the rest are fields of `Recipe`. Network, targets, selection,
losses and gradients are the project's own. Optimizer, schedule and augmentation are written here again.
OUTPUT/results.jsonl gets a line for each run: AP on each split, seconds, the means of the last steps' scalars, and the
first steps'. What is there is not trained again. `selection.jsonl` beside this file holds such lines, and their jobs.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import gzip
import io
import json
import multiprocessing
import os
import pathlib
import sys
import time

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

FIRST, LAST = 150, 50  # steps whose scalars are kept, one by one and as their mean
CHUNK = int(os.environ.get("CHUNK", 100))  # steps a call
BETA2, EPSILON = 0.999, 1e-7  # of Adam
SCORE, IOU, DETECTIONS = 0.05, 0.5, 100  # of the suppression (section 3.4)
LIMIT, START = float(os.environ.get("LIMIT_S", "1e9")), time.time()


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One run.

    Attributes:
        rate: for 16 pictures a step, scaled to the batch.
        warmup: steps in which the rate rises.
        heads_warmup: the same for the heads alone.
        schedule: cosine, or steps at 3/4 and 23/25 of the run.
        decoupled_decay: AdamW's.
        sides: what the height of a picture becomes, as shares of the canvas; two values are the ends of a range.
        colour: the most that brightness, contrast and each channel change, as a share.
        mosaic: share of the pictures that are made of four.
    """

    seed: int = 0
    steps: int = 1000
    rate: float = 0.002
    warmup: int = 50
    heads_warmup: int = 0
    schedule: str = "cosine"
    optimizer: str = "adam"
    momentum: float = 0.9
    clip: float = 10.0
    decoupled_decay: float = 0.0
    sides: tuple[float, ...] = (0.75, 0.8125, 0.875, 0.9375, 1.0)
    range_of_sides: bool = False
    flip: bool = True
    flip_vertical: bool = False
    colour: float = 0.0
    mosaic: float = 0.0
    mosaic_until: float = 0.8
    warmup_share: float = 0.0
    warmup_is_random: bool = True
    is_heuristic: bool = False
    soft_levels: int = 1
    soft_temperature: float = 1.0
    class_weight: float = 1.0
    box_weight: float = 1.0
    weight_decay: float = 0.0
    effective: float = 0.2
    ignoring: float = 0.5


class Arch:
    """The programs of one key."""

    def __init__(self, folder: pathlib.Path, key: str):
        self.layout = layout = json.loads((folder / f"{key}.json").read_text())
        self.stored = dict(np.load(folder / f"{key}_weights.npz"))
        self._shapes = [jax.ShapeDtypeStruct(tuple(row["shape"]), np.float32) for row in layout["variables"]]
        self.trainable, self._order = layout["trainable"], layout["captured"]
        self._in_heads = [layout["variables"][index]["name"].startswith("heads/") for index in self.trainable]
        # Batch normalisation that is trained assigns its statistics: they follow the results, in the parameters' order.
        results = json.loads((folder / f"{key}.step.results.json").read_text())
        moving = [index for index in self._order["step"] if "moving" in layout["variables"][index]["name"]]
        count = len(layout["names"]) + len(self.trainable)
        self._moving = moving if len(results) > count else []
        assert len(results) == count + len(self._moving), (len(results), count, len(moving))
        height, width = layout["canvas"]
        size, boxes, evaluated = layout["batch"], layout["max_instances"], layout["evaluated"]
        spec = jax.ShapeDtypeStruct
        step = [
            spec((len(layout["knobs"]),), np.float32),
            spec((size, height, width, 3), np.uint8),
            spec((size, 2), np.int32),
            spec((size, boxes, 4), np.float32),
            spec((size, boxes), np.int32),
            spec((size, boxes), np.bool_),
        ]
        detect = [spec((evaluated, height, width, 3), np.uint8), spec((evaluated, 2), np.int32)]
        self._step = self._program(folder / f"{key}.step", step, results)
        found = json.loads((folder / f"{key}.detect.results.json").read_text())
        program = self._program(folder / f"{key}.detect", detect, found)
        self.detect = jax.jit(lambda values, *images: program(*images, *(values[i] for i in self._order["detect"])))
        self.chunk = jax.jit(self._chunk, donate_argnums=0)

    def _program(self, path: pathlib.Path, inputs: list, results: list):
        """A StableHLO artifact as a JAX function, by way of an empty one of the same signature."""
        kinds = {"f32": np.float32, "i32": np.int32, "ui8": np.uint8, "i1": np.bool_}
        outputs = [jax.ShapeDtypeStruct(tuple(shape), kinds[kind]) for shape, kind in results]
        inputs = inputs + [self._shapes[index] for index in self._order[path.suffix[1:]]]
        platform = {"gpu": "cuda"}.get(jax.devices()[0].platform, jax.devices()[0].platform)
        empty = jax.jit(lambda *_: tuple(jnp.zeros(each.shape, each.dtype) for each in outputs), keep_unused=True)
        exported = jax.export.export(empty, platforms=(platform,))(*inputs)
        module = gzip.decompress(pathlib.Path(f"{path}.shlo.gz").read_bytes())
        return dataclasses.replace(exported, mlir_module_serialized=module).call

    def initial(self, seed: int) -> list[jax.Array]:
        """The published weights, and random ones for the rest."""
        random, values = np.random.default_rng(seed), []
        for index, row in enumerate(self.layout["variables"]):
            if "stored" in row:
                value = self.stored[str(index)].astype(np.float32)
            elif "std" in row:
                value = random.standard_normal(row["shape"], np.float32) * np.float32(row["std"])
            else:
                value = np.full(row["shape"], row["value"], np.float32)
            values.append(jnp.asarray(value))
        return values

    def _place(self, data, index, scale, shift, flips, colour):
        """One picture scaled, mirrored and shifted on the canvas, and what is left of its boxes."""
        images, sizes, boxes, classes, valid = data
        height, width = self.layout["canvas"]
        image, size = images[index].astype(jnp.float32), sizes[index].astype(jnp.float32)
        box = boxes[index]
        for axis in (0, 1):
            places = jnp.arange(image.shape[axis])
            mirrored = jnp.clip(size[axis].astype(jnp.int32) - 1 - places, 0, None)
            image = jnp.where(flips[axis], jnp.take(image, mirrored, axis=axis), image)
            other = box.at[:, axis].set(size[axis] - box[:, 2 + axis]).at[:, 2 + axis].set(size[axis] - box[:, axis])
            box = jnp.where(flips[axis], other, box)
        scaled = jnp.round(size * scale)
        ratio = scaled / size
        image = jax.image.scale_and_translate(image, (height, width, 3), (0, 1), ratio, shift, "linear", antialias=True)
        box = box * jnp.tile(ratio, 2) + jnp.tile(shift, 2)
        low, high = jnp.maximum(shift, 0), jnp.minimum(shift + scaled, jnp.array([height, width], jnp.float32))
        clipped = jnp.clip(box, jnp.tile(low, 2), jnp.tile(high, 2))
        area, kept = (jnp.prod(corner[:, 2:] - corner[:, :2], axis=1) for corner in (box, clipped))
        sides = clipped[:, 2:] - clipped[:, :2]
        good = valid[index] & (kept > 0.4 * area) & (sides.min(axis=1) >= 1)
        image = (image - 127) * colour[0] + 127 + colour[1:4]
        rows, columns = jnp.arange(height) + 0.5, jnp.arange(width) + 0.5
        inside = ((rows >= low[0]) & (rows <= high[0]))[:, None] & ((columns >= low[1]) & (columns <= high[1]))[None]
        return jnp.where(inside[..., None], image, 0), high, clipped, classes[index], good

    def _picture(self, data, index, scale, shift, flips, colour, is_mosaic):
        """A picture, or a mosaic of four, as the step takes it; each argument has four rows."""
        height, width = self.layout["canvas"]
        images, ends, boxes, classes, good = jax.vmap(functools.partial(self._place, data))(
            index, scale, shift, flips, colour
        )
        count = self.layout["max_instances"]
        used = jnp.where(is_mosaic, jnp.ones(4, bool), jnp.arange(4) == 0)
        good = (good & used[:, None]).reshape(-1)
        order = jnp.argsort(~good, stable=True)[:count]
        boxes, classes, good = boxes.reshape(-1, 4)[order], classes.reshape(-1)[order], good[order]
        image = jnp.sum(jnp.where(used[:, None, None, None], images, 0), axis=0)
        size = jnp.where(is_mosaic, jnp.array([height, width], jnp.float32), ends[0])
        image = jnp.clip(jnp.round(image), 0, 255).astype(jnp.uint8)
        return image, size.astype(jnp.int32), jnp.where(good[:, None], boxes, 0), classes * good, good

    def _chunk(self, state, data, drawn, rates, heads, knobs, hyper):
        """Some steps: what is drawn for each, their rates, and the multiple of the heads' rate."""
        decay, clip, beta, is_adam = hyper

        def one(state, step):
            values, first, second, count = state
            drawn, rate, of_heads, knobs = step
            batch = jax.vmap(functools.partial(self._picture, data))(*drawn)
            results = self._step(knobs, *batch, *(values[index] for index in self._order["step"]))
            names, trained = len(self.layout["names"]), len(self.trainable)
            scalars, gradients, moved = (
                results[:names],
                results[names : names + trained],
                results[names + trained :],
            )
            norm = jnp.sqrt(sum(jnp.sum(gradient**2) for gradient in gradients))
            factor = jnp.minimum(1.0, clip / norm)
            count = count + 1
            corrected = jnp.sqrt(1 - BETA2**count) / (1 - beta**count)
            values, firsts, seconds = list(values), [], []
            for place, (index, gradient) in enumerate(zip(self.trainable, gradients)):
                gradient = gradient * factor
                one_rate = rate * (of_heads if self._in_heads[place] else 1.0)
                m = beta * first[place] + jnp.where(is_adam, 1 - beta, 1.0) * gradient
                v = BETA2 * second[place] + (1 - BETA2) * gradient**2
                adam = corrected * m / (jnp.sqrt(v) + EPSILON)
                value = values[index] - one_rate * jnp.where(is_adam, adam, m)
                if value.ndim > 1:
                    value = value - one_rate * decay * values[index]
                values[index] = value
                firsts.append(m)
                seconds.append(v)
            for index, value in zip(self._moving, moved):
                values[index] = value
            return (values, firsts, seconds, count), jnp.stack(scalars)

        return jax.lax.scan(one, state, (drawn, rates, heads, knobs))


class Data:
    """The pictures of a folder that `pack.py` wrote, and the canvases of what is evaluated."""

    def __init__(self, folder: pathlib.Path, canvas: tuple[int, int]):
        stored = np.load(folder / "data.npz")
        decoded = [np.asarray(Image.open(io.BytesIO(each.tobytes())).convert("RGB")) for each in split(stored, "train")]
        self.sizes = np.array([image.shape[:2] for image in decoded], np.int32)
        highest, widest = self.sizes.max(axis=0)
        images = np.zeros((len(decoded), highest, widest, 3), np.uint8)
        for place, image in zip(images, decoded):
            place[: image.shape[0], : image.shape[1]] = image
        self.train = tuple(
            jnp.asarray(each)
            for each in (images, self.sizes, stored["train.boxes"], stored["train.classes"], stored["train.valid"])
        )
        self.evaluated = {}
        for name in ("val", "test"):
            if f"{name}.json" not in stored.files:
                continue
            truth = json.loads(stored[f"{name}.json"].tobytes())
            canvases, sizes, ratios = [], [], []
            for each in split(stored, name):
                image = Image.open(io.BytesIO(each.tobytes())).convert("RGB")
                scale = min(canvas[0] / image.height, canvas[1] / image.width)
                size = round(image.height * scale), round(image.width * scale)
                place = np.zeros((*canvas, 3), np.uint8)
                place[: size[0], : size[1]] = np.asarray(image.resize(size[::-1], Image.BILINEAR))
                canvases.append(place)
                sizes.append(size)
                ratios.append((image.height / size[0], image.width / size[1]))
            arrays = np.stack(canvases), np.array(sizes, np.int32), np.array(ratios)
            self.evaluated[name] = (truth, stored[f"{name}.ids"], *arrays)


def split(stored, name: str) -> list[np.ndarray]:
    """The encoded pictures of a split."""
    return [stored[f"{name}.{index}"] for index in range(int(stored[f"{name}.n"]))]


def suppress(boxes, scores, classes):
    """Class by class, what the project's own suppression keeps of the candidates of a picture."""
    kept = []
    for label in np.unique(classes):
        rows = np.flatnonzero((classes == label) & (scores > SCORE) & ((boxes[:, 2:] > boxes[:, :2]).all(axis=1)))
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        low, high = (
            np.maximum(boxes[rows, None, :2], boxes[rows, :2]),
            np.minimum(boxes[rows, None, 2:], boxes[rows, 2:]),
        )
        overlap = np.prod(np.maximum(high - low, 0), axis=-1)  # [n, n]
        area = np.prod(boxes[rows, 2:] - boxes[rows, :2], axis=-1)
        is_over = overlap > IOU * (area[:, None] + area - overlap)
        is_open = np.ones(len(rows), bool)
        for place, row in enumerate(rows):
            if is_open[place]:
                kept.append(row)
                is_open &= ~is_over[place]
    kept = np.array(kept, int)
    return kept[np.argsort(-scores[kept], kind="stable")][:DETECTIONS]


def average_precision(truth: dict, ids, ratios, candidates) -> dict:
    """COCO's figures and AP by class."""
    categories = [category["id"] for category in truth["categories"]]
    results = []
    for place, image_id in enumerate(ids):
        boxes, scores, classes = (each[place] for each in candidates)
        kept = suppress(boxes, scores, classes)
        for box, score, label in zip(boxes[kept], scores[kept], classes[kept]):
            y1, x1, y2, x2 = (box * np.tile(ratios[place], 2)).astype(float)
            results.append(
                {
                    "image_id": int(image_id),
                    "category_id": categories[int(label)],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                }
            )
    if not results:
        return {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    figures = dict(zip(names, evaluation.stats.round(4).tolist()))
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    for index, category in enumerate(truth["categories"]):
        of_class = precision[:, :, index]
        if (of_class > -1).any():
            figures[f"AP/{category['name']}"] = round(float(of_class[of_class > -1].mean()), 4)
    return figures


def draw(recipe: Recipe, layout: dict, sizes: np.ndarray):
    """All that is random in a run: pictures, scales, places, mirrors, colours, mosaics; `[steps, B, 4, ..]` each."""
    random, batch = np.random.default_rng(1000 + recipe.seed), layout["batch"]
    shape, canvas = (recipe.steps, batch, 4), np.array(layout["canvas"])
    rounds = [random.permutation(len(sizes)) for _ in range(recipe.steps * batch // len(sizes) + 1)]
    index = random.integers(len(sizes), size=shape)
    index[..., 0] = np.concatenate(rounds)[: recipe.steps * batch].reshape(recipe.steps, batch)
    if recipe.range_of_sides:
        share = np.exp(random.uniform(*np.log(recipe.sides), shape))
    else:
        share = random.choice(recipe.sides, shape)
    size = sizes[index]
    fits = (canvas / size).min(axis=-1)
    scale = share * fits
    is_mosaic = (random.random(shape[:2]) < recipe.mosaic) & (
        np.arange(recipe.steps)[:, None] < recipe.mosaic_until * recipe.steps
    )
    room = canvas - np.round(size * scale[..., None])
    shift = np.minimum(room, 0) * random.random((*shape, 2))  # larger than the canvas: a random part of it
    # The quarters of a mosaic meet in a point: each picture's corner is there.
    centre = canvas * random.uniform(0.35, 0.65, (*shape[:2], 2))
    smaller = scale * random.uniform(0.5, 0.8, shape)
    low = np.array([[-1, -1], [-1, 0], [0, -1], [0, 0]]) * np.round(size * smaller[..., None])
    mosaic = is_mosaic[..., None]
    scale = np.where(mosaic, smaller, scale)
    shift = np.where(mosaic[..., None], np.round(centre)[:, :, None] + low, shift)
    flips = random.random((*shape, 2)) < 0.5
    flips &= np.array([recipe.flip_vertical, recipe.flip])
    colour = np.zeros((*shape, 4))
    colour[..., 0] = 1 + random.uniform(-1, 1, shape) * recipe.colour
    colour[..., 1:] = random.uniform(-1, 1, (*shape, 3)) * 64 * recipe.colour
    colour[..., 1:] += random.uniform(-1, 1, (*shape, 1)) * 128 * recipe.colour
    kinds = (np.int32, np.float32, np.float32, bool, np.float32, bool)
    return tuple(
        each.astype(kind) for each, kind in zip((index, scale, shift, flips, colour, is_mosaic), kinds, strict=True)
    )


def rates(recipe: Recipe, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The rate of every step, and what the heads' is multiplied by."""
    step = np.arange(recipe.steps)
    if recipe.schedule == "cosine":
        rate = 0.5 * (1 + np.cos(np.pi * step / recipe.steps))
    else:
        share = step / recipe.steps
        rate = np.where(share < 0.75, 1, np.where(share < 0.92, 0.1, 0.01))
    rate = rate * recipe.rate * batch / 16 * np.minimum(1, step / max(recipe.warmup, 1))
    heads = np.minimum(1, (step + 1) / max(recipe.heads_warmup, 1))
    return rate.astype(np.float32), heads.astype(np.float32)


def knobs(recipe: Recipe, names: list[str]) -> np.ndarray:
    """What the step is told, `[steps, knobs]`."""
    values = dataclasses.asdict(recipe) | {"warmup_steps": round(recipe.warmup_share * recipe.steps)}
    row = [float(values.get(name, 0)) for name in names]
    table = np.tile(np.array(row, np.float32), (recipe.steps, 1))
    table[:, list(names).index("number")] = np.arange(recipe.steps)
    return table


def run(arch: Arch, data: Data, recipe: Recipe, pool) -> dict:
    """Trains and evaluates."""
    start, layout = time.time(), arch.layout
    drawn = draw(recipe, layout, data.sizes)
    rate, heads = rates(recipe, layout["batch"])
    told = knobs(recipe, layout["knobs"])
    values = arch.initial(recipe.seed)
    zeros = [jnp.zeros_like(values[index]) for index in arch.trainable]
    state = values, zeros, [zero + 0 for zero in zeros], jnp.zeros(())
    hyper = (recipe.decoupled_decay, recipe.clip, recipe.momentum, recipe.optimizer == "adam")
    hyper = tuple(jnp.asarray(value, jnp.float32) for value in hyper)
    scalars = []
    for first in range(0, recipe.steps, CHUNK):
        part = slice(first, first + CHUNK)
        state, rows = arch.chunk(
            state, data.train, tuple(each[part] for each in drawn), rate[part], heads[part], told[part], hyper
        )
        scalars.append(rows)
    scalars = np.concatenate([np.asarray(rows) for rows in scalars])
    seconds, futures = time.time() - start, {}
    for split_name, (truth, ids, canvases, sizes, ratios) in data.evaluated.items():
        count, parts = layout["evaluated"], []
        for first in range(0, len(canvases), count):
            images, image_sizes = canvases[first : first + count], sizes[first : first + count]
            missing = count - len(images)
            images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)])
            image_sizes = np.pad(image_sizes, [(0, missing), (0, 0)], mode="edge")
            parts.append(arch.detect(state[0], images, image_sizes))
        found = [np.concatenate([np.asarray(part[k]) for part in parts])[: len(canvases)] for k in range(3)]
        futures[split_name] = pool.submit(average_precision, truth, ids, ratios, found)
    names = layout["names"]
    return {
        "seconds": round(seconds, 1),
        "last": dict(zip(names, scalars[-LAST:].mean(axis=0).round(4).tolist())),
        "curves": dict(zip(names, scalars[:FIRST].T.round(3).tolist())),
        "figures": futures,
    }


def main(folder: str, jobs: str, output: str) -> None:
    """Does the jobs in their order."""
    folder, output = pathlib.Path(folder), pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    archs, sets, waiting = {}, {}, []
    results = output / "results.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    done = {json.loads(line)["job"]["name"] for line in lines}

    def write(row):
        row["figures"] = {name: future.result() for name, future in row["figures"].items()}
        shown = " ".join(f"{name} AP {figures['AP']:.3f}" for name, figures in row["figures"].items())
        print(f"{row['job']['name']:34s} {row['seconds']:6.1f} s {shown}", flush=True)
        with open(results, "a") as file:
            file.write(json.dumps(row) + "\n")

    with concurrent.futures.ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        for job in json.loads(pathlib.Path(jobs).read_text()):
            if job["name"] in done:
                continue
            if time.time() - START > LIMIT:
                print("out of time before", job["name"])
                break
            values = {name: value for name, value in job.items() if name not in ("arch", "name", "data")}
            if "sides" in values:
                values["sides"] = tuple(values["sides"])
            try:
                if job["arch"] not in archs:
                    archs[job["arch"]] = Arch(folder, job["arch"])
                arch = archs[job["arch"]]
                key = job.get("data", "bccd"), tuple(arch.layout["canvas"])
                if key not in sets:
                    sets[key] = Data(folder / key[0], key[1])
                row = run(arch, sets[key], Recipe(**values), pool)
            except Exception as error:  # the next job may do
                print(job["name"], "FAILED", type(error).__name__, str(error)[:800], flush=True)
                continue
            waiting.append({"job": job} | row)
            if len(waiting) > 1:
                write(waiting.pop(0))
        for row in waiting:
            write(row)
    print("done", round(time.time() - START), "s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
