"""Tiles: which there are, and that objects on their edges and corners are found once, whole, where they are."""

import dataclasses
import itertools
import pathlib

import naive
import numpy as np
import paper
import pytest
import tensorflow as tf

from fsaf_tf import branches, detection, losses, postprocess, pyramid
from fsaf_tf.config import schema
from fsaf_tf.detection import ALL
from fsaf_tf.modeling import tiles
from fsaf_tf.modeling.normalization import Normalization

TILES = tiles.Tiles(size=96, overlap=0.25, whole=False)
LEVEL, STRIDE = 3, 8


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
def test_windows_equal_the_definition_in_loops(whole, overlap):
    for size in [(300, 417), (96, 97), (96, 96), (40, 300), (30, 50), (1000, 95)]:
        wanted = tiles.Tiles(96, overlap, whole)
        parts, is_whole = tiles.windows(tf.constant(size), wanted)
        expected, expected_whole = naive.windows(*size, **dataclasses.asdict(wanted))
        assert [tuple(part) for part in parts.numpy()] == expected and is_whole.numpy().tolist() == expected_whole


@pytest.mark.parametrize("length", [97, 200, 333, 1000])
def test_every_pixel_is_in_a_tile_and_what_is_no_larger_than_the_overlap_is_whole_in_one(length):
    parts, _ = tiles.windows(tf.constant([length, 96]), TILES)
    spans = [(int(top), int(bottom)) for top, _, bottom, _ in parts]
    overlap = TILES.size - TILES.step
    assert spans[0][0] == 0 and spans[-1][1] == length and all(end - start == 96 for start, end in spans)
    for start in range(length - overlap + 1):
        assert any(first <= start and start + overlap <= last for first, last in spans)


def test_a_box_is_cut_by_inner_edges_alone():
    window, size, edge = tf.constant([10, 0, 90, 100]), tf.constant([200, 100]), tf.constant([4.0, 4.0])
    boxes = [(14, 20, 40, 60), (14.5, 20, 40, 60), (30, 0, 40, 60), (30, 20, 86, 100), (30, 20, 85.5, 100)]
    cut = tiles.is_cut(tf.constant(boxes, tf.float32), window, size, edge)
    assert cut.numpy().tolist() == [True, False, False, True, False]
    assert cut.numpy().tolist() == [naive.is_cut(box, window.numpy(), (200, 100)) for box in boxes]


def test_a_cut_box_is_covered_by_one_of_its_class_that_has_more_than_half_of_it():
    uncut = {"boxes": tf.constant([[0.0, 0, 40, 40], [50, 50, 90, 90]]), "classes": tf.constant([0, 1])}
    boxes = [(0, 0, 40, 79), (0, 0, 40, 81), (60, 60, 70, 70), (0, 0, 0, 0)]
    cut = {"boxes": tf.constant(boxes, tf.float32), "classes": tf.constant([0, 0, 0, 0])}
    assert tiles.is_covered(cut, uncut).numpy().tolist() == [True, False, False, False]


def program(wanted: tiles.Tiles, fusion: str = "best") -> detection.Program:
    """For tiles of 96 px that are looked at as they are, one level and one class."""
    geometry = pyramid.Geometry((LEVEL,), location_offset=0.5, offset_scale=1.0, effective=0.2, ignoring=0.5)
    elementwise = losses.Elementwise(paper.FOCAL, paper.IOU)
    free = branches.AnchorFree(geometry, paper.ONLINE, elementwise, loss_weight=0.5)
    return detection.Program(
        num_classes=1,
        sides=(96, 128),
        keep_aspect=True,
        views=None,
        tiles=wanted,
        normalization=Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "rgb"),
        geometry=geometry,
        decoding=postprocess.Decoding((free,), max_per_level=1000, multi_label=False),
        suppression=postprocess.Suppression(0.05, 0.5, max_detections=200, fusion=fusion),
    )


def picture_of(boxes, size) -> np.ndarray:
    """Each pixel of an object tells its side and where in the object it is; all else is 0."""
    picture = np.zeros([*size, 3], np.uint8)
    for top, left, bottom, right in boxes:
        assert bottom - top == right - left
        inside = np.arange(bottom - top)
        picture[top:bottom, left:right, 0] = bottom - top
        picture[top:bottom, left:right, 1] = inside[:, None]
        picture[top:bottom, left:right, 2] = inside
    return picture


def reads_pixels(images: tf.Tensor) -> postprocess.Outputs:
    """A network that knows the object of the pixel under each location: it is surer the nearer that is to its centre.

    Of an object that reaches out of the tile it tells the whole box.
    """
    seen = images[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]  # [B, h, w, 3]
    side, y, x = tf.unstack(seen, axis=-1)
    distance = tf.maximum(abs(y - side / 2), abs(x - side / 2)) / tf.maximum(side, 1.0)
    logits = tf.where(side > 0, 4.0 - 4 * distance, -30.0)[..., None]
    offsets = tf.stack([y, x, side - y, side - x], axis=-1) / STRIDE
    return {"anchor_free_logits": {"3": logits}, "anchor_free_offsets": {"3": offsets}}


def test_objects_on_edges_and_corners_of_tiles_are_found_once_and_whole():
    """Tiles begin at 0, 68 and 136, and end at 96, 164 and 232: squares of 24 px about all of these lines."""
    lines, side = (0, 68, 96, 136, 164, 232), 24
    assert sorted({int(edge) for part in tiles.windows(tf.constant([232, 232]), TILES)[0] for edge in part}) == [*lines]
    corners = [min(max(line - 12, 0), 232 - side) for line in (0, 68, 96, 136, 164, 232)]
    for pair in ((0, 2, 4), (1, 3, 5), (0, 3, 5), (2, 4)):  # each without overlaps
        starts = [corners[place] for place in pair]
        boxes = [(y, x, y + side, x + side) for y, x in itertools.product(starts, starts)]
        picture = tf.constant(picture_of(boxes, (232, 232)))
        found = program(TILES).detect_in_tiles(reads_pixels, picture)[ALL]
        assert int(found["num_detections"][0]) == len(boxes)
        np.testing.assert_array_equal(sorted(map(tuple, found["boxes"][0, : len(boxes)].numpy())), sorted(boxes))


@pytest.mark.parametrize("size", [(232, 232), (1, 300), (300, 97), (20, 10)], ids=str)
def test_nothing_found_and_pictures_of_any_shape(size):
    nothing = program(dataclasses.replace(TILES, whole=True)).detect_in_tiles(
        reads_pixels, tf.zeros([*size, 3], tf.uint8)
    )
    assert int(nothing[ALL]["num_detections"][0]) == 0 and not nothing[ALL]["boxes"].numpy().any()


def test_a_batch_of_no_picture():
    found = program(TILES).detect_in_tiles_of_one(reads_pixels, tf.zeros([0, 0, 0, 3], tf.uint8))[ALL]
    assert found["boxes"].shape == (0, 200, 4) and found["num_detections"].shape == (0,)


def test_what_a_window_has_kept_meets_no_threshold_again():
    """A score of one branch alone is halved by the fusion of its window, maybe to less than the threshold."""
    found = program(TILES, fusion="mean")._of_windows(
        rows((0.5, [0.0, 0.0, 20.0, 20.0], False), (0.04, [50.0, 0.0, 70.0, 20.0], False)), tf.constant([232, 232])
    )
    np.testing.assert_allclose(found["scores"][0, :3], [0.5, 0.04, 0])


def test_a_picture_of_one_tile_is_looked_at_as_a_picture():
    picture = tf.constant(picture_of([(8, 8, 40, 40)], (96, 96)))
    own = program(TILES)
    canvas, size = own.fit(picture)
    expected = own.detect(reads_pixels, canvas[None], size[None], size[None])
    found = own.detect_in_tiles(reads_pixels, picture)[ALL]
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def rows(*found):
    """Detections of windows: (score, box, whether it is cut) of each."""
    scores, boxes, is_cut = (tf.constant(column) for column in zip(*found))
    zeros = tf.zeros_like(scores, tf.int32)
    values = {
        "scores": scores,
        "boxes": boxes,
        "is_cut": is_cut,
        **dict.fromkeys(("classes", "levels", "branch"), zeros),
    }
    return {key: value[None] for key, value in values.items()}


def test_parts_of_an_object_give_way_to_what_is_seen_of_it_whole_and_stay_where_nothing_is():
    whole, left, right = [0.0, 0.0, 50.0, 200.0], [0.0, 0.0, 50.0, 96.0], [0.0, 68.0, 50.0, 164.0]
    alone = [100.0, 0.0, 150.0, 96.0]
    found = program(TILES)._of_windows(
        rows((0.9, left, True), (0.8, right, True), (0.3, whole, False), (0.7, alone, True)), tf.constant([232, 232])
    )
    assert int(found["num_detections"][0]) == 2
    np.testing.assert_array_equal(found["boxes"][0, :2], [alone, whole])
    np.testing.assert_allclose(found["scores"][0, :3], [0.7, 0.3, 0.0])
    assert not found["boxes"][0, 2:].numpy().any()


def test_graph_equals_eager_and_follows_the_size_of_the_picture():
    draw = np.random.default_rng(3)
    own, shapes = program(dataclasses.replace(TILES, whole=True)), [(232, 300), (97, 60), (50, 60)]

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def graph(picture):
        return own.detect_in_tiles(reads_pixels, picture)[ALL]

    for shape in shapes:
        picture = tf.constant(draw.integers(0, 60, [*shape, 3]), tf.uint8)
        eager = own.detect_in_tiles(reads_pixels, picture)[ALL]
        assert int(eager["num_detections"][0]) > 3
        for key, value in graph(picture).items():
            np.testing.assert_allclose(value, eager[key], rtol=1e-5, atol=1e-3, err_msg=key)


def test_the_code_of_the_page_for_other_callers_finds_the_same():
    code = {}
    page = (pathlib.Path(__file__).parent.parent.parent / "docs" / "tiles.md").read_text()
    exec(page.split("```python\n")[1].split("```")[0], code)
    code.update({"SIZE": 96, "OVERLAP": 0.25, "EDGE": 4})
    own = program(TILES)

    def detect(tile):
        canvas, size = own.fit_tile(tf.constant(tile))
        found = own.detect(reads_pixels, canvas[None], size[None], size[None])
        count = int(found["num_detections"][0])
        return (found[key][0, :count].numpy() for key in ("boxes", "scores", "classes"))

    picture = np.random.default_rng(5).integers(0, 60, [150, 232, 3], np.uint8)
    found, expected = code["detect_in_tiles"](picture, detect), own.detect_in_tiles(reads_pixels, picture)[ALL]
    count = int(expected["num_detections"][0])
    assert 10 < len(found) == count < 200
    np.testing.assert_allclose([each[0] for each in found], expected["scores"][0, :count], rtol=1e-5)
    boxes = sorted(tuple(each[2].round(3)) for each in found)
    np.testing.assert_allclose(boxes, sorted(map(tuple, expected["boxes"][0, :count].numpy())), atol=0.01)


def test_the_configuration_gives_the_values():
    task = schema.Task()
    assert detection.tiles_of(task) is None
    task.tiles.override({"size": 640, "overlap": 0.3, "whole": False})
    assert detection.tiles_of(task) == tiles.Tiles(640, 0.3, False)
    said = detection.tiles_of(task).describe()
    assert said == "tiles of 640 px that overlap by 30%; objects of up to some 192 px are whole in one"
