"""Pictures: what is written and where, colours, and what a target picture shows of each cell."""

import dataclasses
import itertools

import numpy as np
import paper
import pytest
from PIL import ImageFont

from fsaf_tf import visualize
from fsaf_tf.visualize import canvas, curves, legend

RED, BLUE = (tuple(visualize.PALETTE[index]) for index in (0, 1))


def detections(boxes, branch=0):
    count = len(boxes)
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "scores": np.linspace(0.9, 0.1, count, dtype=np.float32),
        "classes": np.arange(count),
        "names": [f"class {index}" for index in range(count)],
        "levels": np.full(count, 4),
        "branch": np.full(count, branch),
    }


def grey(height, width):
    return np.full((height, width, 3), 100, np.uint8)


def has(picture, colour):
    return np.all(picture == colour, axis=-1)


def test_the_level_is_written_on_anchor_free_detections_only():
    assert visualize.caption(detections([[0, 0, 9, 9]], branch=0), 0) == "P4 class 0 0.90"
    assert visualize.caption(detections([[0, 0, 9, 9]], branch=1), 0) == "class 0 0.90"


def test_frames_are_where_the_boxes_are():
    image = grey(1000, 1200)
    picture = visualize.draw_detections(image, detections([[300, 400, 700, 900], [100, 100, 200, 200]]))
    assert picture.shape == image.shape and picture.dtype == np.uint8
    rows, columns = np.nonzero(has(picture, RED))
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == (300, 400, 700, 900)
    assert np.all(has(picture, RED)[[300, 700], 450:850]) and np.all(has(picture, RED)[350:650, [400, 900]])
    assert np.all(image == 100) and np.all(picture[400:650, 450:850] == 100)


def test_small_pictures_are_enlarged_a_whole_number_of_times():
    picture = visualize.draw_detections(grey(100, 300), detections([[20, 50, 80, 250]]))
    assert picture.shape == (400, 1200, 3)
    rows, columns = np.nonzero(has(picture, RED))
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == (80, 200, 320, 1000)


def test_threshold_and_no_detection():
    both = detections([[300, 400, 700, 900], [100, 100, 200, 200]])
    picture = visualize.draw_detections(grey(1000, 1200), both, score_threshold=0.5)
    assert np.any(has(picture, RED)) and not np.any(has(picture, BLUE))
    assert np.all(visualize.draw_detections(grey(1000, 1200), detections([])) == 100)


@pytest.mark.parametrize("box", [[0, 0, 5, 5], [0, 1190, 30, 1200], [995, 0, 1000, 9], [990, 1190, 1000, 1200]])
def test_a_caption_at_the_border_is_inside_the_picture(box):
    picture = visualize.draw_detections(grey(1000, 1200), detections([box]))
    width, height = canvas._text_size(ImageFont.load_default(16), "P4 class 0 0.90")
    changed = np.any(picture != 100, axis=-1)
    assert changed.sum() >= width * height * 0.95  # the whole tag is there


def test_captions_avoid_each_other():
    placed = []
    for _ in range(4):  # of the same box
        placed.append(canvas._place((200, 200, 500, 400), (100, 20), placed, (1000, 1000)))
    assert all(canvas._overlap(a, b) == 0 for a, b in itertools.combinations(placed, 2))
    assert placed[0] == (200, 180, 300, 200)  # above its box


def test_captions_of_many_objects_leave_most_of_the_picture_to_be_seen():
    corners = [(y, x) for y in range(40, 1900, 100) for x in range(40, 2900, 100)]
    many = detections([[y, x, y + 40, x + 40] for y, x in corners], branch=1)
    few = detections([[40, 40, 80, 80]], branch=1)
    covered = [np.any(visualize.draw_detections(grey(2000, 3000), found) != 100, axis=-1) for found in (many, few)]
    assert covered[0].mean() < 0.4
    assert covered[1].mean() > 3 * covered[0].mean() / len(corners)  # of one the caption is as large as ever


def test_any_class_index_has_a_colour_that_black_text_is_read_on():
    colours = np.array([canvas.colour(index) for index in range(200)])
    assert np.all(colours @ [0.299, 0.587, 0.114] > 90)
    assert len({tuple(colour) for colour in colours[:36]}) == 36


def geometry(levels, location_offset=0.5):
    return dataclasses.replace(paper.GEOMETRY, levels=levels, location_offset=location_offset)


def targets_of(positive_cells, ignored_cells, height, width, owner=0, class_index=0):
    """Targets of a map of P3 (8 px cells) with 2 classes."""
    positive, instance = np.zeros((height, width), bool), np.zeros((height, width), np.int32)
    negative = np.ones((height, width, 2), bool)
    for row, column in positive_cells:
        positive[row, column], instance[row, column] = True, owner
    for row, column in (*positive_cells, *ignored_cells):
        negative[row, column, class_index] = False
    return {"positive": positive.ravel(), "instance": instance.ravel(), "negative": negative.reshape(-1, 2)}


def panel_of(picture, side):
    """The second panel, P3's, of a square image: beside the first, under a title."""
    return picture[-side:, -side:]


@pytest.mark.parametrize("location_offset", [0.5, 0.0])
def test_cells_are_drawn_where_they_stand(location_offset):
    """64 x 64 px in a panel of 640: a cell of P3 has 80 x 80; with locations at multiples of 8 px, 40 less."""
    instances = {
        "boxes": np.array([[np.nan] * 4, [16, 16, 40, 40]], np.float32),
        "classes": np.array([-1, 1]),
        "valid": np.array([False, True]),
        "levels": np.array([3, 3]),
    }
    targets = targets_of([(3, 3)], [(3, 4)], 8, 8, owner=1, class_index=1)
    picture = visualize.draw_targets(grey(64, 64), instances, targets, geometry((3,), location_offset), ["a", "b"])
    panel = panel_of(picture, 640).astype(int)
    start = 240 if location_offset == 0.5 else 200

    def cell(row, column):
        top, left = start + (row - 3) * 80, start + (column - 3) * 80
        return panel[top + 8 : top + 72, left + 8 : left + 72].reshape(-1, 3).mean(axis=0)

    background = cell(6, 1)
    np.testing.assert_allclose(background, 40, atol=1)  # grey 100, dimmed
    positive, ignored = cell(3, 3), cell(3, 4)
    np.testing.assert_allclose(positive, 0.8 * np.array(BLUE) + 0.2 * 40, atol=3)
    assert 100 < ignored[2] < positive[2] - 30  # tinted, less than a positive one
    np.testing.assert_allclose(cell(4, 4), background, atol=1)


def test_target_pictures_of_an_image_without_instances():
    instances = {"boxes": np.zeros((3, 4)), "classes": np.zeros(3, int), "valid": np.zeros(3, bool), "levels": [3] * 3}
    sizes = [(8, 12), (4, 6), (2, 3)]
    targets = targets_of([], [], 1, sum(height * width for height, width in sizes))
    picture = visualize.draw_targets(grey(64, 96), instances, targets, geometry((3, 4, 5)), ["a", "b"])
    assert picture.dtype == np.uint8 and picture.shape[1] == 2 * 640 + 8  # four panels in two rows
    assert not np.any(np.ptp(picture[:, 650:].astype(int), axis=-1))  # no colour


def test_words_around_a_narrow_picture_are_not_cut_off():
    """The same letters as around a wide one, only in more rows."""
    title, line = "Which level finds which object", "Before the class name is the pyramid level that found the object."
    narrow, wide = (np.asarray(legend.heading(title, [line], width)) for width in (240, 1000))
    assert narrow.shape[1] == legend.LEAST_WIDTH and narrow.shape[0] > wide.shape[0]
    entry = (legend.framed(canvas.BAD), "matches no object: wrong place or class, or a second box")
    narrow, wide = (np.asarray(legend.key([entry], width)) for width in (240, 1000))
    assert np.array_equal(narrow, wide[:, : legend.LEAST_WIDTH]) and not wide[:, legend.LEAST_WIDTH :].any()


def test_a_long_name_makes_room_for_itself():
    """There is nothing to wrap it at; it is drawn as where there is much room."""
    name = "runs/of_a_name_that_goes_on_and_on_and_on_and_on_and_on_for_much_longer_than_a_picture_is_wide"
    strips = [
        lambda width: legend.heading(name, [], width),
        lambda width: legend.heading("", [name], width),
        lambda width: legend.key([(legend.filled(canvas.BAD), "a"), (legend.filled(canvas.GOOD), name)], width),
    ]
    for strip in strips:
        narrow, wide = (np.asarray(strip(width)) for width in (240, 3000))
        inked = [np.count_nonzero(each.any(axis=(0, 2))) for each in (narrow, wide)]
        assert legend.LEAST_WIDTH < narrow.shape[1] < 2000 and not narrow[:, -4:].any()
        assert abs(inked[0] - inked[1]) < 2 * legend.SIDE  # of the key the first entry, now in a row above


@pytest.mark.parametrize("name", ["_run", "$^$"])
def test_runs_of_any_name_are_in_the_legend_of_their_chart(name):
    scalars = {"training_loss": {0: 2.0, 10: 1.0}}
    figure = curves.training([name, "other"], [scalars, scalars], [{}, {}])
    figure.draw_without_rendering()  # lays out every text
    legends = [axes.get_legend() for axes in figure.subfigs[0].axes]
    (drawn,) = [[text.get_text().strip() for text in each.get_texts()] for each in legends if each]
    assert drawn == [name, "other"]


def test_pictures_of_a_batch():
    images = np.stack([grey(500, 600)] * 2)
    of_batch = {name: np.stack([values, values]) for name, values in detections([[100, 100, 400, 500]] * 3).items()}
    del of_batch["names"]
    pictures = visualize.detection_pictures(images, {**of_batch, "num_detections": np.array([3, 0])}, ["a", "b", "c"])
    assert pictures.shape == (2, 1000, 1200, 3) and pictures.dtype == np.uint8
    assert np.any(has(pictures[0], RED)) and np.all(pictures[1] == 100)
    truth = {"boxes": np.full((2, 2, 4), [20.0, 30, 90, 80]), "classes": [[0, 1]] * 2}
    truth["valid"] = [[False, False], [True, False]]
    values = {**of_batch, "num_detections": np.array([3, 0])}, ["a", "b", "c"]
    left, right = np.split(visualize.detections_beside_truth(images, truth, *values), [1208], axis=2)
    assert np.array_equal(right, pictures) and np.all(left[:, :, -8:] == 255)
    assert np.all(left[0, :, :-8] == 100) and np.any(has(left[1, :, :-8], RED))
    instances = {"boxes": np.zeros((2, 1, 4)), "classes": [[0]] * 2, "valid": [[False]] * 2, "levels": [[3]] * 2}
    targets = {name: np.stack([values] * 2) for name, values in targets_of([], [], 8, 8).items()}
    values = instances, targets, geometry((3,)), ["a", "b"]
    assert len(visualize.target_pictures(np.stack([grey(64, 64)] * 2), *values)) == 2
