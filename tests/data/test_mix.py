"""Pictures made of several of their batch: what is in a box is what was in it before."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from fsaf_tf.config import data_sources
from fsaf_tf.data import mix

SIZE, MOST, COUNT = (64, 96), 12, 4


def rectangles() -> dict:
    """Four canvases of 64 x 96 px, each a grey picture with three rectangles whose colours say which they are."""
    images, boxes = np.zeros((COUNT, *SIZE, 3), np.uint8), np.zeros((COUNT, MOST, 4), np.float32)
    sizes = np.array([[64, 96], [48, 72], [64, 80], [60, 96]], np.int32)
    for place, (height, width) in enumerate(sizes):
        images[place, :height, :width] = 10 + place
        for number, (top, left) in enumerate([(4, 6), (24, 30), (30, 2)]):
            boxes[place, number] = top, left, top + 14, left + 20
            images[place, top : top + 14, left : left + 20] = colour(place, number)
    valid = np.zeros((COUNT, MOST), bool)
    valid[:, :2] = True  # the third is a crowd
    classes = np.tile(np.arange(MOST), (COUNT, 1)) % 3
    values = {
        "image": images,
        "image_size": sizes,
        "image_id": np.arange(COUNT),
        "boxes": boxes,
        "classes": np.int32(classes),
        "valid": valid,
        "left_out": np.ones(COUNT, np.int32),
    }
    return {key: tf.constant(value) for key, value in values.items()}


def colour(place: int, number: int) -> tuple[int, int, int]:
    return 100 + 40 * place, 100 + 40 * number, 200


def mixed(seed: int = 0, batch: dict | None = None, **values) -> dict:
    made = graph(**values)(batch or rectangles(), tf.constant([0, seed], tf.int64))
    return {key: value.numpy() for key, value in made.items()}


@functools.cache
def graph(**values):
    wanted = data_sources.Augmentation()
    wanted.override(values)
    return tf.function(lambda batch, seed: mix.of_batch(batch, wanted, seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_mosaic_has_the_boxes_of_what_is_seen_in_it(seed):
    made = mixed(seed, mosaic=1.0, least_kept=0.5)
    assert (made["image_size"] == SIZE).all() and made["image_id"].tolist() == [0, 1, 2, 3]
    for image, boxes, classes, valid, left_out in zip(
        *(made[key] for key in ("image", "boxes", "classes", "valid", "left_out"))
    ):
        count = valid.sum() + left_out
        assert (
            not boxes[count:].any() and not valid[count:].any() and len({tuple(box) for box in boxes[:count]}) == count
        )
        in_boxes = 0
        for (top, left, bottom, right), label, learnt in zip(boxes.astype(int)[:count], classes, valid):
            part = image[top:bottom, left:right]
            assert part.size and len(np.unique(part.reshape(-1, 3), axis=0)) == 1
            assert part[0, 0, 1] == colour(0, label)[1]
            assert learnt == (label < 2 and part[..., 0].size >= 0.5 * 14 * 20)
            in_boxes += part[..., 0].size
        assert in_boxes == (image[..., 2] == 200).sum()


def test_a_mosaic_has_four_pictures_around_a_centre():
    centres = set()
    for place, image in enumerate(mixed(mosaic=1.0)["image"].astype(int)):
        source = np.where(image[..., 2] == 200, (image[..., 0] - 100) // 40, image[..., 0] - 10)  # -10: nothing there
        rows, columns = np.indices(SIZE)
        fitting = []
        for top, left in np.ndindex(SIZE):
            number = 2 * (rows >= top) + (columns >= left)
            if ((source == (place + number) % COUNT) | (source == -10)).all():
                fitting.append((top, left))
        assert any(0.29 < top / SIZE[0] < 0.71 and 0.29 < left / SIZE[1] < 0.71 for top, left in fitting)
        centres.add(fitting[0])
    assert len(centres) > 1


def test_the_share_of_mosaics_and_their_seed():
    plain = rectangles()["image"].numpy()
    changed = [
        [not np.array_equal(*pair) for pair in zip(mixed(seed, mosaic=0.3)["image"], plain)] for seed in range(40)
    ]
    assert 0.15 < np.mean(changed) < 0.45 and 0 < np.mean([any(row) and not all(row) for row in changed])
    again, other = mixed(3, mosaic=1.0), mixed(4, mosaic=1.0)
    assert np.array_equal(mixed(3, mosaic=1.0)["image"], again["image"])
    assert not np.array_equal(other["image"], again["image"])


def test_a_mean_of_two_has_the_boxes_of_both():
    batch = rectangles()
    made, plain = mixed(mixup=1.0), {key: value.numpy().astype(int) for key, value in batch.items()}
    for place in range(COUNT):
        means = [(plain["image"][place] + other) // 2 for other in plain["image"]]
        (partner,) = [number for number, mean in enumerate(means) if np.array_equal(made["image"][place], mean)]
        assert partner != place
        both = np.concatenate([plain["boxes"][place, :3], plain["boxes"][partner, :3]])
        assert np.array_equal(made["boxes"][place, :6], both) and not made["boxes"][place, 6:].any()
        assert made["classes"][place, :6].tolist() == [0, 1, 2, 0, 1, 2]
        assert made["valid"][place].tolist() == [True, True, False] * 2 + [False] * 6 and made["left_out"][place] == 2
        assert made["image_size"][place].tolist() == plain["image_size"][[place, partner]].max(axis=0).tolist()


@pytest.mark.parametrize("kind", ["mosaic", "mixup"])
def test_a_picture_with_more_boxes_than_fit_stays_as_it_was(kind):
    batch = rectangles()
    batch |= {key: batch[key][:, :3] for key in ("boxes", "classes", "valid")}
    made = mixed(batch=batch, **{kind: 1.0})
    stays = [np.array_equal(*pair) for pair in zip(made["image"], batch["image"])]
    assert any(stays) and (kind == "mosaic" or all(stays))
    assert made["not_mixed"].tolist() == [int(stay) for stay in stays]
    for key in ("boxes", "classes", "valid", "left_out"):
        assert np.array_equal(made[key][stays], batch[key].numpy()[stays])


def test_one_picture_is_mixed_with_itself():
    batch = {key: value[:1] for key, value in rectangles().items()}
    assert np.array_equal(mixed(batch=batch, mixup=1.0)["image"], batch["image"])
    assert mixed(batch=batch, mosaic=1.0)["image"].shape == (1, *SIZE, 3)
