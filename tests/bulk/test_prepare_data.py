"""Annotations and pictures to TFRecord shards by Beam, and what a training reads of them."""

import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from in_process import call
from official.vision.dataloaders import tf_example_decoder
from PIL import Image

from fsaf_tf.bulk import job, shards
from fsaf_tf.cli import prepare_data
from fsaf_tf.config import schema
from fsaf_tf.data import coco_json, digest, manifest, pipeline, records
from fsaf_tf.data.source import open_source
from fsaf_tf.errors import UserError

ROOT = pathlib.Path(__file__).parent.parent.parent
EXIF_ORIENTATION = 0x0112
SIZE = schema.InputSize(shorter_side=64, longer_side=96)
NAMES = {3: "dog", 7: "cat", 90: "owl"}
# x, y, width, height; class; more of the annotation.
BOXES = (
    ([5, 6, 20.3, 11.7], 3, {}),
    ([13, 9, 1, 7], 7, {}),  # its side must stay 1 px
    ([30.5, 20, 40, 40], 7, {}),  # over the border
    ([2, 2, 9, 9], 90, {"iscrowd": 1}),
    ([8, 3, 9, 5], 3, {"ignore": 1, "area": 17.5}),
    ([5, 6, 20.3, 11.7], 3, {}),  # again
)


def noise(number: int, size=(48, 36)) -> Image.Image:
    """A picture of width, height."""
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), np.uint8))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return exif


def write_data(folder: pathlib.Path, count: int = 12) -> None:
    """Pictures of several formats, three of them with an EXIF orientation, and annotations of many kinds."""
    (folder / "photos" / "deep").mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        name = f"{'deep/' * (number % 3 == 0)}{number}.{('jpg', 'png', 'webp', 'bmp')[number % 4]}"
        options = {"exif": turned({1: 6, 5: 8, 9: 3}[number])} if number in (1, 5, 9) else {}
        size = (48, 36) if number != 1 else (36, 48)  # declared upright; the one of 5 as it is stored
        noise(number, (48, 36)).save(folder / "photos" / name, **options)
        images.append({"id": 100 + number, "file_name": name, "width": size[0], "height": size[1]})
        for place, (box, kind, more) in enumerate(BOXES[: number % (len(BOXES) + 1)]):
            row = {"id": 10 * number + place + 1, "image_id": 100 + number, "category_id": kind, "bbox": box}
            annotations.append(row | more)
    categories = [{"id": number, "name": name} for number, name in NAMES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))


def flags_of(folder, output, *more: str) -> list[str]:
    return [f"--annotations={folder}/train.json", f"--images={folder}/photos", f"--output={output}", *more]


def prepare(monkeypatch, folder, output, *more: str):
    """The exit status of the tool."""
    return call(prepare_data, monkeypatch, *flags_of(folder, output, *more))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        assert prepare(patch, folder, folder / "shards", "--shards=3", "--seed=5") == 0
        assert prepare(patch, folder, folder / "in_order", "--shards=5", "--noshuffle") == 0
    return folder


def opened(**keys):
    config = schema.Data()
    config.override(keys)
    return config, open_source(config)


def batches(size: int, **keys) -> list[dict]:
    config, source = opened(**keys)
    dataset = pipeline.build_dataset(source, config, SIZE, batch_size=size)
    return list(dataset.as_numpy_iterator())


def of_files(folder) -> dict:
    return {"annotation_file": f"{folder}/train.json", "image_dir": f"{folder}/photos"}


def assert_equal(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert ours[key].dtype == theirs[key].dtype and ours[key].tobytes() == theirs[key].tobytes(), key


def files_in(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_batches_are_those_of_the_files_bit_by_bit(data):
    ours, theirs = batches(4, input_path=str(data / "in_order")), batches(4, **of_files(data))
    assert len(ours) == len(theirs) == 4
    for one, other in zip(ours, theirs):
        assert_equal(one, other)
    in_file = {int(number): (batch, place) for batch in theirs for place, number in enumerate(batch["image_id"])}
    shuffled = batches(1, input_path=f"{data}/shards/data-*")
    assert [int(batch["image_id"][0]) for batch in shuffled] != list(in_file) and len(shuffled) == len(in_file)
    for one in shuffled:
        batch, place = in_file[int(one["image_id"][0])]
        assert_equal(one, {key: column[place : place + 1] for key, column in batch.items()})


def test_what_is_known_without_reading_a_record_is_that_of_the_files(data, monkeypatch):
    _, files = opened(**of_files(data))
    folder = data / "no_records"
    shutil.copytree(data / "shards", folder)
    for path in folder.glob("*.tfrecord"):
        path.write_bytes(bytes(path.stat().st_size))
    monkeypatch.setattr(manifest, "MOST_HASHED", 0)
    _, ours = opened(input_path=str(folder))
    assert (ours.num_images, ours.classes, ours.most_boxes) == (12, files.classes, files.most_boxes)
    assert digest.of(ours.ground_truth()) == digest.of(files.ground_truth())
    counts = [{(finding.kind, finding.count, finding.of) for finding in source.findings} for source in (ours, files)]
    assert counts[0] == counts[1] and {"crowd", "clipped", "duplicate_boxes", "orientation"} <= {
        c[0] for c in counts[0]
    }
    tables = [source.boxes() for source in (ours, files)]
    place_of = {name: place for place, name in enumerate(tables[1].file_names)}
    order = np.array([place_of[name] for name in tables[0].file_names])
    assert np.array_equal(tables[0].sizes, tables[1].sizes[order])
    for place, other in enumerate(order):
        own, theirs = (table.image_index == at for table, at in zip(tables, (place, other)))
        for column in ("given_xywh", "boxes_yxyx", "class_indices", "crowd", "ignored", "duplicate"):
            assert np.array_equal(getattr(tables[0], column)[own], getattr(tables[1], column)[theirs])


def test_the_manifest_counts(data):
    content = json.loads((data / "shards" / "manifest.json").read_text())
    given = json.loads((data / "train.json").read_text())["annotations"]
    assert (content["pictures"], content["boxes"], content["most_boxes"]) == (12, len(given), 6)
    counts = {row["name"]: row["boxes"] for row in content["classes"]}
    assert counts == {name: sum(row["category_id"] == n for row in given) for n, name in NAMES.items()}
    assert content["rejected"] == {"reasons": {}, "pictures": []} and content["identity"]["seed"] == 5
    assert [row["pictures"] for row in content["shards"]] == [4, 4, 4]
    assert sum(records.count_records(f"{data}/shards/{row['file']}") for row in content["shards"]) == 12
    assert json.loads((data / "shards" / "label_map.json").read_text()) == {str(n): name for n, name in NAMES.items()}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_gardens_keys_are_of_the_picture_as_it_is_stored(orientation):
    """A box of the upright picture is where its object is in what the Garden's decoder sees."""
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[8:20, 30:54] = 255
    stored = (
        next(
            candidate
            for candidate in (Image.fromarray(upright).transpose(way) for way in [*Image.Transpose])
            if np.array_equal(_seen(candidate, orientation), upright)
        )
        if orientation > 1
        else Image.fromarray(upright)
    )
    shares = shards.stored_shares(np.array([[8 / 40, 30 / 60, 20 / 40, 54 / 60]]), orientation)
    pixels = np.rint(shares * np.tile(stored.size[::-1], 2)).astype(int)[0]
    lit = np.argwhere(np.asarray(stored)[..., 0])
    assert pixels.tolist() == [*lit.min(axis=0), *(lit.max(axis=0) + 1)]


def _seen(picture: Image.Image, orientation: int) -> np.ndarray:
    from fsaf_tf.data import pixels

    return pixels.turn(np.asarray(picture), orientation)


def test_the_garden_reads_the_shards(data):
    decoder, seen = tf_example_decoder.TfExampleDecoder(), 0
    _, source = opened(input_path=str(data / "shards"))
    for record in tf.data.TFRecordDataset(sorted(str(path) for path in (data / "shards").glob("*.tfrecord"))):
        name = tf.train.Example.FromString(record.numpy()).features.feature["image/filename"].bytes_list.value[0]
        number = int(pathlib.Path(name.decode()).stem)
        seen += 1
        if name.endswith(b".webp"):  # it does not read these
            continue
        theirs = decoder.decode(record)
        stored = np.asarray(Image.open(data / "photos" / name.decode()).convert("RGB"))
        assert theirs["image"].shape == stored.shape and int(theirs["source_id"]) == 100 + number
        boxes = [box for box, _, _ in BOXES[: min(number % 7, 5)]]
        assert len(theirs["groundtruth_boxes"]) == len(boxes)
        assert theirs["groundtruth_is_crowd"].numpy().tolist() == [False, False, False, True, True][: len(boxes)]
    assert seen == source.num_images == 12


def test_killed_and_with_other_workers_it_writes_the_same_bytes(tmp_path, monkeypatch, capfd):
    write_data(tmp_path, 20)
    assert prepare(monkeypatch, tmp_path, tmp_path / "at_once", "--shards=10") == 0
    command = [sys.executable, "tools/prepare_data.py", *flags_of(tmp_path, tmp_path / "killed", "--shards=10")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob("killed/unfinished/result-*.npz")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("killed/*.tfrecord")}
    assert done and not (tmp_path / "killed" / "manifest.json").exists()
    capfd.readouterr()
    # A shard that was damaged meanwhile is written anew.
    damaged = min(tmp_path.glob("killed/*.tfrecord"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    workers = ("--", "--direct_num_workers=2", "--direct_running_mode=multi_processing")
    assert prepare(monkeypatch, tmp_path, tmp_path / "killed", "--shards=10", *workers) == 0
    assert "of 10 shards are there and kept" in capfd.readouterr().out
    assert files_in(tmp_path / "killed") == files_in(tmp_path / "at_once")
    kept = [path for path in tmp_path.glob("killed/*.tfrecord") if done.get(path.name) == path.stat().st_mtime_ns]
    assert len(kept) >= len(done) - 1 and damaged not in kept
    assert prepare(monkeypatch, tmp_path, tmp_path / "killed", "--shards=10") == 0
    assert "all of it is there, 10 shards" in capfd.readouterr().out


def test_bad_pictures_are_named_and_once_mended_only_their_shards_are_written(data, tmp_path, monkeypatch, capsys):
    write_data(tmp_path)
    good = files_in(tmp_path / "photos")
    photos = tmp_path / "photos"
    (photos / "2.webp").write_bytes(good["2.webp"][:300])
    (photos / "7.bmp").unlink()
    noise(0, (9, 9)).save(photos / "10.webp")
    line = prepare(monkeypatch, tmp_path, tmp_path / "out", "--shards=5", "--noshuffle")
    assert line == (
        f"error: {tmp_path}/train.json: image missing in {photos} (1 of 12 images, first: 7.bmp); --max_bad_pictures"
        " leaves some out"
    )
    few = prepare(monkeypatch, tmp_path, tmp_path / "out", "--shards=5", "--noshuffle", "--max_bad_pictures=0.2")
    assert "3 pictures of 12 cannot be taken, more than --max_bad_pictures=0.2 allows: 2.webp cannot be read" in few
    assert "10.webp has height, width 9, 9 and not as declared" in few and few.endswith("the same command goes on")
    assert prepare(monkeypatch, tmp_path, tmp_path / "left_out", "--shards=1", "--max_bad_pictures=0.25") == 0
    said = capsys.readouterr().out
    assert "3 of 12 pictures are left out: " in said and "7.bmp is missing" in said
    content = json.loads((tmp_path / "left_out" / "manifest.json").read_text())
    assert content["rejected"]["reasons"] == {"cannot be read": 1, "missing": 1, "other size": 1}
    assert {row["name"] for row in content["rejected"]["pictures"]} == {"2.webp", "7.bmp", "10.webp"}
    _, source = opened(input_path=str(tmp_path / "left_out"))
    assert source.num_images == content["pictures"] == 9 == len(list(source.examples()))
    for name in ("2.webp", "7.bmp", "10.webp"):
        (photos / name).write_bytes(good[name])
    assert prepare(monkeypatch, tmp_path, tmp_path / "out", "--shards=5", "--noshuffle") == 0
    assert "goes on; 2 of 5 shards are there and kept" in capsys.readouterr().out
    assert files_in(tmp_path / "out") == files_in(data / "in_order")


def test_a_shard_is_kept_while_its_pictures_are_what_they_were(tmp_path):
    write_data(tmp_path, 4)
    a_job, _ = job.begin(str(tmp_path), 1, {})
    table = coco_json.read(f"{tmp_path}/train.json")
    manifest.write_table(a_job.plan(0), table)
    writing = shards.Writing(a_job, str(tmp_path), f"{tmp_path}/photos", "auto", table.classes)
    (tmp_path / "photos" / "2.webp").unlink()
    writing.do(0, writing.load())
    assert writing.is_kept(0) and list(shards.Result.read(a_job.result(0)).problems) == ["2.webp"]
    os.utime(tmp_path / "photos" / "1.png", ns=(1, 1))
    assert not writing.is_kept(0)


def test_what_belongs_to_other_data_is_not_written_over(data, tmp_path, monkeypatch):
    shutil.copytree(data / "shards", tmp_path / "shards")
    before = files_in(tmp_path / "shards")
    other = tmp_path / "other"
    write_data(other, 11)
    words = "has other data, or the same in another way: "
    assert f"{words}seed is 5 there and 6 here" in prepare(
        monkeypatch, data, tmp_path / "shards", "--shards=3", "--seed=6"
    )
    assert f"{words}input is" in prepare(monkeypatch, other, tmp_path / "shards", "--shards=3", "--seed=5")
    assert files_in(tmp_path / "shards") == before
    (tmp_path / "shards" / "manifest.json").unlink()
    assert "is there, and nothing says what it is of" in prepare(monkeypatch, data, tmp_path / "shards")
    (tmp_path / "new" / "unfinished").mkdir(parents=True)
    (tmp_path / "new" / "unfinished" / "mine.txt").touch()
    assert "unfinished is there and not of this tool" in prepare(monkeypatch, data, tmp_path / "new")
    (tmp_path / "new" / "unfinished" / "job.json").write_text('{"input": "another"}')
    assert "is of other work that was not finished: input is" in prepare(monkeypatch, data, tmp_path / "new")


def spoil(folder: pathlib.Path, how: str) -> None:
    """Makes shards and manifest disagree."""
    shard = folder / "data-00001-of-00003.tfrecord"
    data = shard.read_bytes()
    content = json.loads((folder / "manifest.json").read_text())
    if how == "missing":
        shard.unlink()
    elif how == "cut":
        shard.write_bytes(data[:-1])
    elif how == "changed":
        shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif how == "table":
        (folder / "boxes.npz").write_bytes(b"other")
    elif how == "no table":
        (folder / "boxes.npz").unlink()
    elif how == "more":
        shutil.copy(shard, folder / "data-00009-of-00003.tfrecord")
    elif how == "label map":
        (folder / "label_map.json").write_text('{"3": "dog", "7": "cat", "90": "eagle"}')
    else:
        content |= {"version": 2} if how == "version" else {"shards": [{"file": 3}]}
        (folder / "manifest.json").write_text(json.dumps(content))


MISFITS = {
    "missing": r"data-00001-of-00003.tfrecord is missing, shard 2 of 3 of .*manifest.json; copy the folder anew",
    "cut": r"data-00001-of-00003.tfrecord has [\d,]+ bytes and not [\d,]+, shard 2 of 3",
    "changed": r"data-00001-of-00003.tfrecord has another content \(digest\) than shard 2 of 3",
    "table": r"boxes.npz has another content",
    "no table": r"boxes.npz is missing",
    "more": r"data-00009-of-00003.tfrecord is no shard of .*manifest.json",
    "label map": r"the label map has other classes than .*manifest.json: 90 eagle in place of 90 owl; leave label_map",
    "version": r"manifest.json is of version 2; this program reads 1",
    "damaged": r"manifest.json is damaged, or no manifest of shards",
}


@pytest.mark.parametrize("how", MISFITS)
def test_a_manifest_that_does_not_fit_is_one_line(data, tmp_path, how):
    shutil.copytree(data / "shards", tmp_path / "shards")
    spoil(tmp_path / "shards", how)
    with pytest.raises(UserError, match=MISFITS[how]):
        opened(input_path=f"{tmp_path}/shards/data-*.tfrecord")


def test_a_record_that_is_damaged_is_named_of_a_folder_too(data, tmp_path):
    shutil.copytree(data / "shards", tmp_path / "shards")
    shard = tmp_path / "shards" / "data-00001-of-00003.tfrecord"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    line = records.damaged(str(tmp_path / "shards"))
    assert line.startswith(f"{shard}: record ") and "is damaged (its checksum is wrong)" in line


def test_some_of_the_shards(data):
    _, some = opened(input_path=f"{data}/shards/data-0000[02]-*")
    names = [example["file_name"].split()[-1] for example in _named(some)]
    assert some.num_images == len(names) == 8 and some.boxes().file_names == names
    with pytest.raises(UserError, match="photos: there is no manifest.json; give a glob of TFRecord files"):
        opened(input_path=f"{data}/photos")
    with pytest.raises(UserError, match="files of [23] folders, .*manifest.json is of one; give one"):
        opened(input_path=f"{data}/*/data-*.tfrecord", label_map=f"{data}/shards/label_map.json")
    _, all_of_it = opened(input_path=f"{data}/shards/manifest.json")
    assert all_of_it.num_images == 12


def _named(source) -> list[dict]:
    rows = source.examples().map(lambda example: {"file_name": example["file_name"]})
    return [{"file_name": row["file_name"].decode()} for row in rows.as_numpy_iterator()]


def test_without_its_manifest_a_shard_is_still_what_it_is(data, tmp_path):
    shutil.copytree(data / "shards", tmp_path / "shards")
    (tmp_path / "shards" / "manifest.json").unlink()
    sources = [opened(input_path=f"{folder}/shards/*.tfrecord")[1] for folder in (data, tmp_path)]
    assert sources[0].boxes and not sources[1].boxes and sources[0].num_images == sources[1].num_images
    for one, other in zip(*(source.examples().as_numpy_iterator() for source in sources)):
        del one["file_name"], other["file_name"]
        assert_equal(*({key: np.asarray(example[key]) for key in example} for example in (one, other)))


def test_a_manifest_of_another_program_says_nothing_of_the_shards(data, tmp_path):
    shutil.copytree(data / "shards", tmp_path / "shards")
    (tmp_path / "shards" / "manifest.json").write_text('{"name": "an app", "icons": []}')
    source = opened(input_path=f"{tmp_path}/shards/*.tfrecord")[1]
    assert not source.boxes and source.num_images == opened(input_path=f"{data}/shards/*.tfrecord")[1].num_images


def test_a_store_of_tensorflow(data, monkeypatch, capsys):
    assert prepare(monkeypatch, data, "ram://prepared/shards", "--shards=3", "--seed=5") == 0
    assert "cannot be locked" in capsys.readouterr().out
    for name, content in files_in(data / "shards").items():
        with tf.io.gfile.GFile(f"ram://prepared/shards/{name}", "rb") as file:
            assert file.read() == content
    assert opened(input_path="ram://prepared/shards")[1].num_images == 12


def test_mistakes_are_one_line(data, tmp_path, monkeypatch):
    output = tmp_path / "out"
    assert "--runner=Nobody: Unexpected pipeline runner" in prepare(monkeypatch, data, output, "--runner=Nobody")
    assert "after --: DirectRunner has no option 'nonsense'" in prepare(monkeypatch, data, output, "--", "--nonsense=3")
    assert "argument --direct_num_workers: invalid int value: 'x'" in prepare(
        monkeypatch, data, output, "--", "--direct_num_workers=x"
    )
    assert not output.exists()
    (output / "data-00000-of-00001.tfrecord").mkdir(parents=True)
    (output / "unfinished").mkdir()
    assert "data-00000-of-00001.tfrecord is there, and nothing" not in prepare(monkeypatch, data, output)
    line = prepare(monkeypatch, data, output)
    assert line.startswith(f"error: {output}/data-00000-of-00001.tfrecord") and "\n" not in line
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert 'pip install -c constraints.txt -e ".[beam]"' in prepare(monkeypatch, data, output)


def test_records_say_which_way_up_their_pictures_are(data):
    with pytest.raises(UserError, match="shards: its records say which way up each picture is; leave exif_orientation"):
        opened(input_path=f"{data}/shards", exif_orientation="stored")
