"""Pictures of what each location learns, level by level (Fig. 5)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from fsaf_tf import pyramid
from fsaf_tf.visualize import canvas, detections, legend

NEGATIVE, IGNORED, POSITIVE = range(3)  # states of a cell
PANEL_SIDE = 640  # pixels of the longer side of one level's panel
MAP_SIDE, MAP_WIDTH = 300, 240  # the same where each level has six, and the least width, for their titles
OVERVIEW_HEIGHT = 440  # pixels
OFFSETS = ("top", "left", "bottom", "right")
# From small to large, each lighter than the one before.
_SCALE = np.array([(60, 40, 130), (50, 100, 170), (40, 160, 150), (130, 205, 90), (250, 235, 60)])


class Learnt(NamedTuple):
    """What the P locations of an image learn.

    Attributes:
        before: targets with every instance on every level, as from `targets.anchor_free_targets`.
        after: targets with each instance on its own.
        offsets: `[P, 4]` (top, left, bottom, right) of the positive locations of `after`; others are not looked at.
    """

    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    offsets: np.ndarray


class _Cells(NamedTuple):
    """The cells of one level: which of the three states `[h, w]`, the colour `[h, w, 3]`, and where they stand."""

    level: int
    state: np.ndarray
    colour: np.ndarray
    location_offset: float


def draw_targets(
    image: np.ndarray,
    instances: dict[str, np.ndarray],
    targets: dict[str, np.ndarray],
    geometry: pyramid.Geometry,
    class_names: Sequence[str],
) -> np.ndarray:
    """Draws what each location learns, level by level, as in Fig. 5: positive cells filled, ignored ones hatched.

    Cells have their class's colour. Where nothing is drawn the image is dark: negative for every class. The first panel
    has the instances and the levels that they select.

    Args:
        image: `[H, W, 3]` uint8 RGB with its padding, as the network sees it.
        instances: of this image: `boxes` `[N, 4]` yxyx in pixels, `classes` `[N]`, `valid` `[N]` bool, and `levels`
            `[N]`, the selected ones.
        targets: of this image, as from `targets.anchor_free_targets`: `positive` `[P]`, `instance` `[P]` and
            `negative` `[P, K]`.
        geometry: the levels of the P locations, and where these stand.
        class_names: the names of the K classes.

    Returns:
        `[H', W', 3]` uint8: the panels, tiled.
    """
    factor = PANEL_SIDE / max(image.shape[:2])
    overview = _overview(image, factor, instances, class_names)
    panels = [canvas.panel(overview, f"{np.sum(instances['valid'])} instances and their levels")]
    for cells in _cells(image, *_states(instances["classes"], targets), geometry):
        picture = _area(image, factor, cells, instances, instances["levels"] == cells.level)
        counts = f"{np.sum(cells.state == POSITIVE)} positive, {np.sum(cells.state == IGNORED)} ignored"
        panels.append(canvas.panel(picture, f"P{cells.level}, stride {2**cells.level}: {counts}"))
    return np.asarray(canvas.tile(panels))


def draw_maps(
    image: np.ndarray,
    instances: dict[str, np.ndarray],
    learnt: Learnt,
    geometry: pyramid.Geometry,
    class_names: Sequence[str],
    *,
    title: str,
    lines: Sequence[str],
) -> np.ndarray:
    """Draws each level's areas before and after selection, and the offsets to learn, with a key: Fig. 5 as a whole.

    Args:
        image: see `draw_targets`, also for `instances`, `geometry` and `class_names`.
        instances: see there.
        learnt: what is drawn.
        geometry: see there.
        class_names: see there.
        title: the heading.
        lines: what stands under it.

    Returns:
        `[H', W', 3]` uint8.
    """
    height, width = image.shape[:2]
    factor = max(MAP_SIDE / max(height, width), MAP_WIDTH / width)
    valid, positive = instances["valid"], learnt.after["positive"]
    most = float(np.max(learnt.offsets[positive], initial=0.0)) or 1.0
    shares = np.where(positive[:, None], learnt.offsets, 0.0) / most  # [P, 4]
    learns = np.where(positive, POSITIVE, NEGATIVE)
    before, after = (_cells(image, *_states(instances["classes"], t), geometry) for t in (learnt.before, learnt.after))
    distances = [_cells(image, learns, scale(shares[:, side]), geometry) for side in range(len(OFFSETS))]
    panels = []
    for all_areas, own_areas, *by_side in zip(before, after, *distances):
        level = own_areas.level
        here = valid & (instances["levels"] == level)
        for text, cells, shown in (
            (f"P{level}, {2**level} px cells: before", all_areas, valid),
            (f"P{level}, after: {_counted(here.sum())}", own_areas, here),
        ):
            panels.append(canvas.panel(_area(image, factor, cells, instances, shown), text))
        for side, cells in zip(OFFSETS, by_side):
            picture = _paint(canvas.resized(image, factor), cells, factor)
            panels.append(canvas.panel(picture, f"P{level}: distance to the {side}"))
    maps = canvas.tile(panels, columns=2 + len(OFFSETS))
    overview = _overview(image, min(2 * factor, OVERVIEW_HEIGHT / height), instances, class_names)
    beside = maps.width - overview.width - canvas.GAP
    shown = sorted({int(index) for index in np.asarray(instances["classes"])[valid]})
    text = canvas.under([legend.heading(title, lines, beside), legend.key(_key(class_names, shown, most), beside)])
    left = overview.width + canvas.GAP
    top = Image.new("RGB", (left + text.width, max(overview.height, text.height)), canvas.BLACK)
    top.paste(overview, (0, 0))
    top.paste(text, (left, 0))
    return np.asarray(canvas.under([top, maps]))


def _counted(number: int) -> str:
    return f"{number} object" if number == 1 else f"{number} objects"


def _key(class_names: Sequence[str], shown: Sequence[int], most: float) -> list[tuple[Image.Image, str]]:
    """What colours and patterns of `draw_maps` stand for."""
    ground = Image.new("RGB", (legend.SIDE, legend.SIDE), (110, 110, 110))
    white = np.full((1, 1, 3), canvas.WHITE)
    swatch = [_paint(ground, _Cells(0, np.full((1, 1), state), white, 0.5), legend.SIDE) for state in range(3)]
    return [
        (swatch[POSITIVE], "effective area: learns class and box"),
        (swatch[IGNORED], "ignored: no loss for this class"),
        (swatch[NEGATIVE], "dark: negative for every class"),
        *((legend.filled(canvas.colour(index)), class_names[index]) for index in shown),
        (legend.graded(scale(np.linspace(0, 1, 64))), f"distance, 0 to {most:.2f}"),
    ]


def scale(values: np.ndarray) -> np.ndarray:
    """Colours `[..., 3]` of values from 0 to 1."""
    places = np.linspace(0, 1, len(_SCALE))
    return np.stack([np.interp(values, places, channel) for channel in _SCALE.T], axis=-1)


def by_level(image: np.ndarray, levels: Sequence[int], *values: np.ndarray):
    """For each level the level and its maps `[h, w, ...]` of values `[P, ...]`."""
    start = 0
    for level in levels:
        height, width = (pyramid.map_size(side, level) for side in image.shape[:2])
        part = slice(start, start + height * width)
        yield (level, *(each[part].reshape(height, width, *each.shape[1:]) for each in values))
        start += height * width


def _overview(image, factor: float, instances: dict, class_names: Sequence[str]) -> Image.Image:
    """The image with its instances and the levels they select."""
    valid = np.asarray(instances["valid"], bool)
    boxes, classes, selected = (np.asarray(instances[key])[valid] for key in ("boxes", "classes", "levels"))
    captions = [f"P{level} {class_names[index]}" for level, index in zip(selected, classes)]
    return canvas.mark(image, factor, detections.marks(boxes, captions, classes))


def _cells(image: np.ndarray, states, colours, geometry: pyramid.Geometry) -> list[_Cells]:
    """Level by level the cells of states `[P]` and colours `[P, 3]`."""
    return [
        _Cells(*of_level, geometry.location_offset) for of_level in by_level(image, geometry.levels, states, colours)
    ]


def _states(classes, targets: dict) -> tuple[np.ndarray, np.ndarray]:
    """`[P]` whether a cell is negative, ignored or positive, and `[P, 3]` the colour of the class it is so for."""
    positive, negative = targets["positive"], targets["negative"]
    states = np.where(positive, POSITIVE, np.where(np.all(negative, axis=-1), NEGATIVE, IGNORED))
    owners = np.where(positive, np.asarray(classes)[targets["instance"]], np.argmin(negative, axis=-1))
    return states, canvas.PALETTE[owners % len(canvas.PALETTE)]


def _area(image, factor: float, cells: _Cells, instances: dict, shown) -> Image.Image:
    """One level's cells over the image, with the boxes of the instances `shown` `[N]` that are valid."""
    picture = _paint(canvas.resized(image, factor), cells, factor)
    draw = ImageDraw.Draw(picture, "RGBA")
    shown = np.asarray(shown) & np.asarray(instances["valid"], bool)
    boxes, classes = (np.asarray(instances[key])[shown] for key in ("boxes", "classes"))
    for box, index in zip(canvas.xyxy(boxes) * factor, classes):
        canvas.frame(draw, box, canvas.colour(index), 1, picture.size)
    return picture


def _paint(picture: Image.Image, cells: _Cells, factor: float) -> Image.Image:
    """The picture, dark and grey, with cells over it; it has `factor` pixels for one of the image."""
    _, state, colour, location_offset = cells
    side = 2**cells.level * factor
    dark = 0.4 * np.asarray(picture.convert("L"), np.float32)[..., None]
    y, x = (np.arange(limit)[:, None] if axis == 0 else np.arange(limit) for axis, limit in enumerate(dark.shape[:2]))
    row, column = (np.floor((pixel + 0.5) / side + 0.5 - location_offset).astype(int) for pixel in (y, x))
    inside = (row >= 0) & (row < state.shape[0]) & (column >= 0) & (column < state.shape[1])
    row, column = np.clip(row, 0, state.shape[0] - 1), np.clip(column, 0, state.shape[1] - 1)
    state = np.where(inside, state[row, column], NEGATIVE)
    hatched = (y + x) // 3 % 2 == 0
    strength = np.select([state == POSITIVE, (state == IGNORED) & hatched, state == IGNORED], [0.8, 0.5, 0.15], 0.0)
    if side >= 4:  # room for a gap between cells
        border = (np.diff(row, axis=0, prepend=-1) != 0) | (np.diff(column, prepend=-1) != 0)
        strength = np.where(border, strength / 2, strength)
    strength = strength[..., None]
    return Image.fromarray((dark * (1 - strength) + colour[row, column] * strength).astype(np.uint8))


def target_pictures(images: np.ndarray, instances: dict, targets: dict, *args) -> np.ndarray:
    """`draw_targets` of a batch: its arguments with a dimension B in front, but for geometry and names."""
    return np.stack(
        [
            draw_targets(image, *({k: np.asarray(v[index]) for k, v in d.items()} for d in (instances, targets)), *args)
            for index, image in enumerate(images)
        ]
    )
