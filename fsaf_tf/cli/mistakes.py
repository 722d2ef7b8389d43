"""What is wrong with a command line, in one line that says what to type instead. Imports no TensorFlow."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from absl import flags

from fsaf_tf.config import catalog, other_names
from fsaf_tf.config.plain_values import hint
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

LIST = "(--help lists the flags)"
OVERRIDE = "params_override"
# What other programs call a flag: the first of ours that the tool has is meant.
_FLAGS = {
    "images": "source input inputs image img image_dir img_dir folder dir path file files data pictures photos",
    "score_threshold": "conf confidence conf_thres conf_threshold threshold thresh score score_thr min_score",
    "output": "out out_dir output_dir save_dir save project outdir dest destination output_file",
    "model_dir": "run run_dir model model_path weights ckpt checkpoint_dir output out output_dir save_dir logdir",
    "model": "model_dir run run_dir weights model_path model_file saved_model tflite ckpt name",
    "experiment": "config cfg exp config_name recipe yaml",
    "annotations": "annotation annotation_file ann ann_file gt ground_truth json labels_json",
    "quantize": "int8 fp16 half dtype precision quantization float16 quant",
    "height": "imgsz img_size image_size size input_size resolution imgw imgh",
    "server": "host port url address endpoint",
    "deadline": "timeout",
    "labels": "names class_names classes label_file",
    "format": "type export_format to",
    "form": "format type to target output_format",
    "fractions": "fraction split splits ratio ratios val_split val_ratio train_ratio proportions",
    "group_by": "group groups group_regex",
    "classes": "class labels subset only",
    "copy_images": "copy copy_pictures",
    "link_images": "link links symlink symlinks",
    "detections": "results predictions preds result",
    "figure": "plot kind type fig",
    "source": "framework origin kind",
    "video": "movie stream clip",
    "camera": "webcam cam",
    "shards": "num_shards shard_count",
}
_DEVICES = (
    "TensorFlow takes the GPUs that it sees: CUDA_VISIBLE_DEVICES=0 before the command chooses, CUDA_VISIBLE_DEVICES=-1"
    " leaves the CPU"
)
_THREADS = "the number of threads is found by itself"
_NOTES = {
    **dict.fromkeys(("device", "devices", "gpu", "gpu_id", "gpu_ids", "cuda", "cpu", "local_rank"), _DEVICES),
    **dict.fromkeys(("workers", "num_workers", "threads", "num_threads", "nproc"), _THREADS),
    "resume": "the same command goes on from the newest checkpoint in --model_dir",
    "verbose": "TF_CPP_MIN_LOG_LEVEL=0 before the command shows what TensorFlow says",
}
_SPECIAL = ("flagfile", "undefok")  # of absl, in every tool


def read(own_flags: flags.FlagValues, arguments: Sequence[str], verbs: Sequence[str] = ()) -> str:
    """Reads the flags of a command line.

    Args:
        own_flags: of the tool.
        arguments: with the name of the program first.
        verbs: what the tool can do, where the first word says which.

    Returns:
        The verb, empty where there are none.

    Raises:
        UserError: it is wrong; the message says what to type instead.
    """
    _check_words(own_flags, arguments[1:])
    own_flags.set_gnu_getopt(bool(verbs))  # flags may stand after the verb
    try:
        _, *rest = own_flags(arguments)
    except flags.UnrecognizedFlagError as error:
        raise UserError(_unknown(error.flagname, own_flags, arguments)) from error
    except flags.Error as error:
        raise UserError(_wrong_value(str(error), own_flags)) from error
    verb = ""
    if verbs:
        _check_verb(rest, verbs)
        verb, *rest = rest
    if rest:
        raise UserError(_no_flag(rest, own_flags))
    return verb


def want_own(own_flags: flags.FlagValues, verb: str, flags_of: Mapping[str, Sequence[str]]) -> None:
    """Raises a UserError for the first flag that is given and that a verb does not take.

    Args:
        own_flags: of the tool.
        verb: the first word.
        flags_of: by verb, the names of those that it takes.
    """
    for name in own_flags:
        if own_flags[name].present and name not in flags_of[verb]:
            others = [other for other, names in flags_of.items() if name in names]
            raise UserError(f"--{name} is for {', '.join(others)}, not for {verb} {LIST}")


def _check_verb(words: Sequence[str], verbs: Sequence[str]) -> None:
    known = f"it is one of: {', '.join(verbs)}" if len(verbs) != 1 else f"it is {verbs[0]}"
    if not words:
        raise UserError(f"the first word says what to do; {known} (--help says more)")
    if words[0] not in verbs:
        raise UserError(f"{words[0]!r} is nothing that this tool does; {known} (--help says more)")


def before_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of a command line before a `--` that stands alone, and those after it, for another program."""
    words = list(arguments)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def require(own_flags: flags.FlagValues, *names: str) -> None:
    """Raises a UserError for the first of some flags that is not given, with what it may be."""
    for name in names:
        flag = own_flags[name]
        if not flag.value:
            values = f": {', '.join(flag.parser.enum_values)}" if isinstance(flag.parser, flags.EnumParser) else ""
            raise UserError(f"--{name} is missing{values} {LIST}")


def want_folders(own_flags: flags.FlagValues, *names: str) -> None:
    """Raises a UserError for the first of some flags for folders that names a file."""
    for name, path in _paths(own_flags, names):
        if paths.is_file(path):
            raise UserError(f"--{name}={path} is a file; give a folder")


def want_files(own_flags: flags.FlagValues, *names: str) -> None:
    """Raises a UserError for the first of some flags for files that names a folder, or several files."""
    for name, path in _paths(own_flags, names):
        if paths.is_folder(path):
            raise UserError(f"--{name}={path} is a folder; give a file")
        several = path.split(",")
        if len(several) > 1 and all(map(paths.is_file, several)):
            raise UserError(f"--{name}={path} are several files; give --{name} once for each")


def _paths(own_flags: flags.FlagValues, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        value = own_flags[name].value
        yield from ((name, path) for path in (value if isinstance(value, list) else [value]) if path)


def _check_words(own_flags: flags.FlagValues, words: Sequence[str]) -> None:
    """A flag that takes the next flag for its value, and bytes that no file of ours could hold."""
    for word, after in zip(words, [*words[1:], ""]):
        name = word.lstrip("-")
        if word.startswith("-") and name in own_flags and after.startswith("--") and not own_flags[name].boolean:
            raise UserError(f"{word} has no value; write {word}=VALUE ({after} comes after it)")
        if word.endswith("=") and name[:-1] in own_flags and isinstance(own_flags[name[:-1]], flags.MultiFlag):
            raise UserError(f"{word} has no value; leave it out, or write {word}VALUE")
    for before, word in zip(["", *words], words):
        of_pictures = before == "--images" or word.startswith("--images=")
        if _utf8(word) != word and not of_pictures:
            raise UserError(f"{_utf8(word)} is not UTF-8, which only the names of pictures may be; rename it")


def _utf8(word: str) -> str:
    """`storage.utf8`, which comes with TensorFlow."""
    return word.encode("utf-8", "backslashreplace").decode("utf-8")


def _unknown(name: str, own_flags: flags.FlagValues, arguments: Sequence[str]) -> str:
    """A flag that there is not."""
    word = name.lower().replace("-", "_")
    start = f"there is no flag --{name}"
    value = next((word.partition("=")[2] for word in arguments if word.lstrip("-").startswith(f"{name}=")), "")
    meant = [flag for flag, words in _FLAGS.items() if word in words.split() and flag in own_flags]
    if word in own_flags:
        return f"{start}, did you mean --{word}? {LIST}"
    if word in other_names.KEYS and OVERRIDE in own_flags:
        setting = other_names.KEYS[word].replace("{}", value or "VALUE")
        more = "(--print_config shows all of them)" if "print_config" in own_flags else LIST
        return f"{start}; it is a key: --{OVERRIDE}={setting} {more}"
    if word in _NOTES:
        return f"{start}; {_NOTES[word]} {LIST}"
    near = meant or difflib.get_close_matches(word, [flag for flag in own_flags if flag not in _SPECIAL], n=1)
    return f"{start}{f', did you mean --{near[0]}?' if near else ''} {LIST}"


def _wrong_value(text: str, own_flags: flags.FlagValues) -> str:
    """A value that a flag does not take, from what absl says of it."""
    missing = re.fullmatch(r"Missing value for flag (--\w+)", text)
    if missing:
        return f"{missing[1]} has no value; write {missing[1]}=VALUE {LIST}"
    parts = re.match(r"flag --(\w+)=(.*?): (.*)", text, re.DOTALL)
    if not parts or parts[1] not in own_flags:
        return f"{' '.join(text.removeprefix('ERROR:: ').split())} {LIST}"
    name, value, reason = parts.groups()
    twice = re.fullmatch("already defined as (.*)", reason, re.DOTALL)
    parser = own_flags[name].parser
    if twice:
        return f"--{name} is given twice, {twice[1]} and {value}; leave one"
    if isinstance(parser, flags.EnumParser):
        return (
            f"--{name} cannot be {value!r}{hint(value, parser.enum_values)}; there are: {', '.join(parser.enum_values)}"
        )
    if isinstance(parser, flags.BooleanParser):
        return f"--{name} cannot be {value!r}; it is --{name} or --no{name}"
    return f"--{name} wants {parser.syntactic_help or 'another value'}, not {value!r}"


def _no_flag(rest: Sequence[str], own_flags: flags.FlagValues) -> str:
    """Words that belong to no flag."""
    word = rest[0]
    start = f"{word!r} is no flag; flags are written --name=value"
    if re.fullmatch(r"[a-z_]\w*(\.\w+)+=.*", word, re.DOTALL) and OVERRIDE in own_flags:
        return f"{word!r} is no flag; keys go into one, with commas between them: --{OVERRIDE}={','.join(rest)}"
    if "=" in word and word.lstrip("-").partition("=")[0] in own_flags:
        return f"{start}: did you mean --{word.lstrip('-')}?"
    if "images" in own_flags and os.path.exists(word):
        return f'{start}; several pictures are a folder or a glob in quotes: "--images=photos/*.jpg"'
    if "experiment" in own_flags and (word in catalog.names() or word.endswith((".yaml", ".yml"))):
        return f"{start}: did you mean --experiment={word}?"
    return f"{start} {LIST}"
