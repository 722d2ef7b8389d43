r"""Looks at data before a training does, and writes annotations: into other forms, in parts, several as one.

    python tools/data.py check --annotations=train.json --images=photos --shorter_side=512 --longer_side=853
    python tools/data.py check --annotations=VOC2007/ImageSets/Main/train.txt
    python tools/data.py check --experiment=my.yaml --json=report.json --output=page.html

prints what a run says of its data at its start, and all that it found. The first two are of data as --experiment=custom
would train on them; --validation_annotations and --validation_images add the data to evaluate on. Annotations are COCO
JSON, Pascal VOC, YOLO, labelme, CVAT, CSV, VIA, Label Studio or OpenImages; what they are is found by what is in them.
The third takes the data of an experiment, of any kind; --config_file and --params_override are those of tools/train.py.
The exit status is 1 where a run would be refused, with the reason as the last line.

--output writes a page with pictures and their boxes that opens without a network; it needs the extra [report].
docs/data.md says what is read, joined, left out and refused.

    python tools/data.py convert --annotations=a.json --images=photos --form=voc --output=as_voc
    python tools/data.py split --annotations=a.json --images=photos --fractions=0.8,0.2 --output=parts
    python tools/data.py merge --annotations=a.json --images=a --annotations=b.json --images=b --output=both

write a new folder and say what to give as annotation_file and image_dir; pictures stay where they are but for
--copy_images or --link_images. A split gives each class its share of boxes in each part; pictures of the same content
are in the same part, and with --group_by='(.*)_\d+' frames of the same video. --classes and --rename change the
classes of convert and merge.
"""

import os

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import data_write, mistakes, outputs
from fsaf_tf.config import catalog
from fsaf_tf.errors import UserError

CHECK = "check"
VERBS = (CHECK, *data_write.VERBS)
DATA_ONLY = "custom"  # what data by flags are checked for

_FLAGS = flags.FlagValues()
_OWN = {"flag_values": _FLAGS, "allow_overwrite": False}
_ANNOTATIONS = flags.DEFINE_multi_string(
    "annotations",
    None,
    "A file or a folder of annotations, of any form in docs/data.md; of merge once for each.",
    flag_values=_FLAGS,
)
_IMAGES = flags.DEFINE_multi_string(
    "images", None, "The folder of its images, where it is not beside it.", flag_values=_FLAGS
)
_VALIDATION_ANNOTATIONS = flags.DEFINE_string("validation_annotations", None, "Likewise to evaluate on.", **_OWN)
_VALIDATION_IMAGES = flags.DEFINE_string("validation_images", None, "Likewise.", **_OWN)
_SHORTER_SIDE = flags.DEFINE_integer(
    "shorter_side", None, "task.input_size.shorter_side, in pixels; the experiment's if not given.", 1, **_OWN
)
_LONGER_SIDE = flags.DEFINE_integer("longer_side", None, "task.input_size.longer_side, likewise.", 1, **_OWN)
_EXPERIMENT = flags.DEFINE_string("experiment", None, "Whose data to check, as of tools/train.py.", **_OWN)
_CONFIG_FILE = flags.DEFINE_multi_string(
    "config_file", [], "A YAML file with further differences; may be given several times.", flag_values=_FLAGS
)
_PARAMS_OVERRIDE = flags.DEFINE_string("params_override", "", "Single keys, as of tools/train.py.", **_OWN)
_JSON = flags.DEFINE_string("json", None, "Write the report there, too.", **_OWN)
_OUTPUT = flags.DEFINE_string(
    "output", None, "check: write a page with pictures there, NAME.html; else the folder to write.", **_OWN
)
_DOWNLOAD = flags.DEFINE_bool("download", False, "Let TFDS download data that is not there.", flag_values=_FLAGS)
_OVERWRITE = outputs.define_overwrite(_FLAGS)
_FLAGS_OF = {CHECK: tuple(_FLAGS)} | data_write.FLAGS
data_write.define(_FLAGS)
_JSON_KEYS = ("pictures", "boxes", "trained_boxes", "classes", "findings")
_FILES = ("annotation_file", "input_path")
_KEYS = {
    "task.train_data.annotation_file": _ANNOTATIONS,
    "task.train_data.image_dir": _IMAGES,
    "task.validation_data.annotation_file": _VALIDATION_ANNOTATIONS,
    "task.validation_data.image_dir": _VALIDATION_IMAGES,
    "task.input_size.shorter_side": _SHORTER_SIDE,
    "task.input_size.longer_side": _LONGER_SIDE,
}


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_run, _FLAGS, __doc__, verbs=VERBS)


def _run(verb: str) -> None:
    """Does what the first word says."""
    mistakes.want_own(_FLAGS, verb, _FLAGS_OF)
    if verb == CHECK:
        _check()
    else:
        data_write.check(verb, _FLAGS)
        data_write.run(verb, _FLAGS)


def _check() -> None:
    _check_flags()
    from fsaf_tf.analysis import data_page, templates
    from fsaf_tf.config import checks, experiment
    from fsaf_tf.files import storage
    from fsaf_tf.run import data_report

    if _OUTPUT.value:
        templates.check_installed()
    params = experiment.load(_EXPERIMENT.value or DATA_ONLY, _CONFIG_FILE.value, _PARAMS_OVERRIDE.value)
    given = {key: _one(flag) for key, flag in _KEYS.items() if flag.value is not None}
    for key, value in given.items():
        _, section, name = key.split(".")
        getattr(params.task, section).override({name: value})
    keys = {"train_data": params.task.train_data.source_keys(), "validation_data": params.task.validation_keys()}
    sections = [name for name, own in keys.items() if own]
    checks.check(params, sections or ["train_data"])
    _check_outputs(params.task)
    report = data_report.check(params.task, download=_DOWNLOAD.value)
    print("".join(f"{line}\n" for line in report.lines()), end="", flush=True)
    if _JSON.value:
        storage.make_folder(os.path.dirname(_JSON.value) or ".")
        storage.write_json(_JSON.value, report.values())
    if _OUTPUT.value:
        data_page.write(report, _OUTPUT.value)
        print(f"The page is {_OUTPUT.value}", flush=True)
    if report.error:
        raise UserError(report.error)


def _one(flag: flags.FlagHolder) -> str | int:
    """The value of a flag that other verbs take several times."""
    return flag.value[0] if isinstance(flag.value, list) else flag.value


def _check_outputs(task) -> None:
    """What the report and the page would replace."""
    files = [getattr(data, name) for data in (task.train_data, task.validation_data) for name in _FILES]
    files += [each.annotation_file for each in task.train_data.sources]
    reads = [*files, _EXPERIMENT.value, *_CONFIG_FILE.value]
    own = {"overwrite": _OVERWRITE.value}
    if _JSON.value:
        is_ours = outputs.has_keys(*_JSON_KEYS)
        outputs.check([_JSON.value], reads=[*reads, _OUTPUT.value], is_ours=is_ours, **own)
    if _OUTPUT.value:
        outputs.check([_OUTPUT.value], reads=reads, is_ours=outputs.has_mark('content="fsaf-data"'), **own)


def _check_flags() -> None:
    """What is wrong with the flags, before TensorFlow is imported."""
    by_flags = [
        flag.name for flag in (_ANNOTATIONS, _IMAGES, _VALIDATION_ANNOTATIONS, _VALIDATION_IMAGES) if flag.value
    ]
    if _OUTPUT.value and not _OUTPUT.value.endswith(".html"):
        raise UserError("--output does not end in .html")
    for flag in (_ANNOTATIONS, _IMAGES):
        if flag.value and len(flag.value) > 1:
            raise UserError(f"--{flag.name} is given twice, {flag.value[0]} and {flag.value[1]}; leave one")
    if _EXPERIMENT.value:
        catalog.find(_EXPERIMENT.value)
        if by_flags:
            raise UserError(
                f"--experiment names its data; leave --{by_flags[0]} out, or set the keys by --params_override"
            )
        return
    if not (_ANNOTATIONS.value or _VALIDATION_ANNOTATIONS.value):
        raise UserError("--annotations is missing; or give --experiment (--help lists the flags)")
    for annotations, images in ((_ANNOTATIONS, _IMAGES), (_VALIDATION_ANNOTATIONS, _VALIDATION_IMAGES)):
        if images.value and not annotations.value:
            raise UserError(f"--{annotations.name} is missing; --{annotations.name} and --{images.name} go together")


if __name__ == "__main__":
    main()
