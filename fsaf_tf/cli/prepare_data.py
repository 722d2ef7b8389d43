"""Writes annotations and their pictures as TFRecord shards with a manifest, by Apache Beam.

    python tools/prepare_data.py --annotations=train.json --images=photos --output=shards
    python tools/prepare_data.py --annotations=train.json --images=photos --output=gs://bucket/shards \
        --runner=DataflowRunner -- --project=mine --region=europe-west4 --temp_location=gs://bucket/temp

Every picture is read, checked and decoded as training does, every box is checked, and what is found is said and kept in
shards/manifest.json. A training takes the folder: task.train_data.input_path=shards. It then knows its data without
reading them. Pictures are in the order of --seed; --noshuffle keeps that of the file, for data to look through.

The same command goes on where it was killed, and gives the same bytes whatever the number of workers. Run once more, it
compares all shards with the manifest. What belongs to other data is never written over.

It needs the extra [beam]. DirectRunner works in this process; `-- --direct_num_workers=8
--direct_running_mode=multi_processing` makes eight. docs/bulk.md has figures, and the other runners.
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes

_FLAGS = flags.FlagValues()
_OWN = {"flag_values": _FLAGS, "allow_overwrite": False}
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "COCO JSON, or another form; docs/data.md.", **_OWN)
_IMAGES = flags.DEFINE_string(
    "images", "", "The folder of its images; not needed beside Pascal VOC, YOLO or labelme.", flag_values=_FLAGS
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write the shards to.", **_OWN)
_SHARDS = flags.DEFINE_integer("shards", None, "How many; one of every 500 pictures if not given.", 1, **_OWN)
_SEED = flags.DEFINE_integer("seed", 0, "Of the order of the pictures.", **_OWN)
_SHUFFLE = flags.DEFINE_bool("shuffle", True, "In the order of --seed, not in that of the file.", flag_values=_FLAGS)
_MAX_BAD = flags.DEFINE_float(
    "max_bad_pictures", 0.0, "The share of the pictures that may be left out, named and counted.", 0.0, 1.0, **_OWN
)
_EXIF_ORIENTATION = flags.DEFINE_enum(
    "exif_orientation",
    "auto",
    ["auto", "upright", "stored"],
    "Which way up boxes take a picture with an EXIF orientation; docs/data.md.",
    flag_values=_FLAGS,
)
_IMAGES_OUTSIDE = flags.DEFINE_bool(
    "images_outside", False, "File names may lead out of --images, as ../1.jpg does.", flag_values=_FLAGS
)
_runner = cli.define_runner(_FLAGS, "DirectRunner")


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_prepare, _FLAGS, __doc__)


def _prepare() -> None:
    mistakes.require(_FLAGS, "annotations", "output")
    mistakes.want_folders(_FLAGS, "images", "output")
    name, options = _runner()
    from fsaf_tf.bulk import runner

    runner.check_installed()
    from fsaf_tf.bulk import prepare

    wanted = prepare.Wanted(
        annotation_file=_ANNOTATIONS.value,
        image_dir=_IMAGES.value,
        output=_OUTPUT.value.rstrip("/"),
        num_shards=_SHARDS.value,
        seed=_SEED.value if _SHUFFLE.value else None,
        max_bad=_MAX_BAD.value,
        frame=_EXIF_ORIENTATION.value,
        outside=_IMAGES_OUTSIDE.value,
    )
    prepare.run(wanted, runner.Runner(name, tuple(options)))


if __name__ == "__main__":
    main()
