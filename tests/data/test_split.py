"""Pictures dealt out to parts: each class near its share, groups and equal pictures whole."""

import itertools
import json

import numpy as np
import pytest

from fsaf_tf.data import annotated, coco_json, frames, groups, same_pictures, split
from fsaf_tf.errors import UserError


def errors(counts: np.ndarray, parts: np.ndarray, fractions) -> np.ndarray:
    """`[P, C]`, by how much of all there is each part is off."""
    totals = np.maximum(counts.sum(axis=0), 1)
    return np.stack(
        [np.abs(counts[parts == place].sum(axis=0) / totals - share) for place, share in enumerate(fractions)]
    )


def draw(seed: int, pictures: int, classes: int) -> np.ndarray:
    """Pictures with boxes of few frequent and many rare classes."""
    rng = np.random.default_rng(seed)
    means = 3.0 / np.arange(1, classes + 1) ** 1.5
    boxes = rng.poisson(means, [pictures, classes]) * rng.integers(1, 6, [pictures, classes])
    return np.concatenate([np.ones([pictures, 1], int), boxes], axis=1)


def names(count: int) -> list[str]:
    return [f"{number}.jpg" for number in range(count)]


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.7, 0.2, 0.1)])
@pytest.mark.parametrize("seed", range(4))
def test_no_class_is_further_off_than_in_the_best_of_200_random_splits(seed, fractions):
    counts = draw(seed, 150, 12)
    counts = counts[:, counts.astype(bool).sum(axis=0) >= 5]  # of fewer groups no part can have its share
    parts = split.deal(counts, fractions, names(150), seed)
    rng = np.random.default_rng(seed)
    random = [errors(counts, rng.choice(len(fractions), 150, p=fractions), fractions) for _ in range(200)]
    own = errors(counts, parts, fractions)
    assert own.max() <= min(each.max() for each in random)
    assert own.mean() < 0.5 * min(each.mean() for each in random)


@pytest.mark.parametrize("seed", range(6))
def test_few_groups_are_dealt_out_nearly_as_well_as_by_trying_all_ways(seed):
    """The measure is that of the code: squares of what lacks, pictures as heavy as all classes."""
    counts, fractions = draw(seed, 9, 3), (0.7, 0.3)

    def cost(parts) -> float:
        squares = errors(counts, np.array(parts), fractions) ** 2 * (counts.sum(axis=0) > 0)
        return squares[:, 0].sum() * counts.shape[1] + squares[:, 1:].sum()

    every = sorted(cost(parts) for parts in itertools.product(range(2), repeat=9))
    own = cost(split.deal(counts, fractions, names(9), seed))
    assert own <= every[len(every) // 50]  # among the best 2 in 100


def test_a_class_with_three_pictures_is_in_both_parts():
    """Two of three are nearer to 0.8 than all of them."""
    counts = np.ones([40, 3], int)
    counts[:, 2] = 0
    counts[[3, 12, 31], 2] = 5
    for seed in range(10):
        parts = split.deal(counts, (0.8, 0.2), names(40), seed)
        assert sorted(parts[[3, 12, 31]]) == [0, 0, 1]


def test_seed_and_names_give_the_split_and_no_order():
    counts, own = draw(1, 60, 5), names(60)
    first, again, other = (split.deal(counts, (0.8, 0.2), own, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    moved = np.random.default_rng(5).permutation(60)
    np.testing.assert_array_equal(split.deal(counts[moved], (0.8, 0.2), [own[i] for i in moved], 0), first[moved])


def test_every_picture_is_in_one_part_and_pictures_are_shared_out():
    parts = split.deal(draw(2, 100, 8), (0.7, 0.2, 0.1), names(100), 0)
    np.testing.assert_allclose(np.bincount(parts), [70, 20, 10], atol=2)


@pytest.fixture
def videos(tmp_path):
    """Six videos of five frames, a class each and one that all have, and two pictures of another name with equal
    bytes."""
    images, annotations = [], []
    for number in range(32):
        video, frame = divmod(number, 5)
        name = f"video {video}_{frame}.png"
        (tmp_path / name).write_bytes(b"the same bytes" if number in (7, 30) else b"%d" % number)
        images.append({"id": number, "file_name": name, "height": 10, "width": 10, "video_id": f"v{video}"})
        for label in (1, 2 + video % 3):
            row = {"id": len(annotations), "image_id": number, "category_id": label, "bbox": [1, 1, 5, 5]}
            annotations.append(row)
    categories = [{"id": label, "name": f"class {label}"} for label in range(1, 5)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return annotated.read(str(tmp_path / "a.json"), str(tmp_path), frame=frames.AUTO)


def of_video(videos: annotated.Annotated) -> list[str]:
    return [name.split("_")[0] for name in videos.table.file_names]


def by_pattern(videos) -> list[str | None]:
    return groups.by_pattern("a.json", videos.table.file_names, r"(.*)_\d+")


@pytest.mark.parametrize("key", [by_pattern, lambda videos: groups.by_entry(videos, "video_id")])
def test_frames_of_a_video_stay_together(videos, key):
    for seed in range(5):
        parts = groups.deal(videos, (0.6, 0.4), seed, [key(videos)])
        part_of = {}
        for name, part in zip(of_video(videos), parts.of_image.tolist()):
            assert part_of.setdefault(name, part) == part
        # Video 6 has the picture of video 1 under another name: both are one group.
        assert part_of["video 1"] == part_of["video 6"]
    assert parts.lines == (
        "32 pictures are 7 groups",
        "2 pictures have the content of another one, and are in the same part",
    )


def test_equal_pictures_are_in_one_part(videos):
    for seed in range(20):
        of_image = groups.deal(videos, (0.5, 0.5), seed).of_image
        assert of_image[7] == of_image[30]


def test_pictures_without_a_key_stand_alone(videos):
    keys = groups.by_pattern("a.json", videos.table.file_names, r"video ([01])_")
    assert groups.deal(videos, (0.5, 0.5), 0, [keys]).lines[0] == "32 pictures are 24 groups; 22 pictures have no key"


def test_equal_pictures_are_found_by_their_content(tmp_path):
    start = b"x" * 10_000  # longer than what is looked at first
    contents = {"a": start + b"1", "b": start + b"2", "c": start + b"1", "d": b"1", "e": b"2", "f": b"1", "g": b"11"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    keys = same_pictures.keys(str(tmp_path), [*contents, "gone"])
    naive = [sum(content == other for other in contents.values()) > 1 for content in contents.values()]
    assert [key is not None for key in keys] == [*naive, False]
    assert keys[0] == keys[2] != keys[3] == keys[5]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda v: groups.by_pattern("a.json", ["x.jpg"], "("), r"--group_by=\( is no regular expression: missing"),
        (lambda v: groups.by_pattern("a.json", ["x.jpg"], "y"), "--group_by=y matches none of the 1 names of a.json"),
        (lambda v: groups.by_entry(v, "video"), "--group_key=video: no image of .*a.json has it; they have id, file_"),
        (lambda v: groups.deal(v, (0.99, 0.01), 0), "a part of 0.01 of 31 groups of pictures has none"),
        (lambda v: groups.deal(v, (0.5, 0.5), 0, [["one"] * 32]), "1 group of pictures for 2 parts"),
    ],
)
def test_what_cannot_be_split(videos, call, words):
    with pytest.raises(UserError, match=words):
        call(videos)


@pytest.mark.parametrize("folder, name", [("bccd", "instances_train"), ("coco_mini", "instances_train2017")])
def test_real_data_by_class(shared_data, folder, name):
    """Classes in ten pictures or more are off by a tenth of their boxes at most, where random splits lose them."""
    table = coco_json.read(str(shared_data / folder / "annotations" / f"{name}.json"))
    counts = np.zeros([len(table.image_ids), 1 + len(table.classes)])
    counts[:, 0] = 1
    np.add.at(counts, (table.image_index, 1 + table.class_indices), 1)
    frequent = counts.astype(bool).sum(axis=0) >= 10
    for seed in range(3):
        parts = split.deal(counts, (0.8, 0.2), table.file_names, seed)
        assert errors(counts, parts, (0.8, 0.2))[:, frequent].max() < 0.1
