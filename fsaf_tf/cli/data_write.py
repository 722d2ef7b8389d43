"""The verbs of fsaf-data that write annotations: convert, split, merge. Their flags, and what is wrong with them."""

import dataclasses
from collections.abc import Mapping, Sequence

from absl import flags

from fsaf_tf.cli import mistakes
from fsaf_tf.errors import UserError

VERBS = ("convert", "split", "merge")
PARTS = ("train", "val", "test")  # names of the parts of a split
FORMS = ("coco", "voc", "yolo", "labelme", "csv", "cvat", "via", "label_studio", "openimages")
_ALL = ("annotations", "images", "output", "form", "copy_images", "link_images")
FLAGS = {
    "convert": (*_ALL, "classes", "rename"),
    "split": (*_ALL, "fractions", "seed", "group_by", "group_key"),
    "merge": (*_ALL, "classes", "rename"),
}


def define(own_flags: flags.FlagValues) -> None:
    """Defines the flags of these verbs beside those that all have."""
    own = {"flag_values": own_flags, "allow_overwrite": False}
    flags.DEFINE_enum(
        "form",
        None,
        FORMS,
        "What is written; coco if not given, of split the form that is read.",
        **own,
    )
    flags.DEFINE_list("classes", None, "convert, merge: leave the other classes out, by their new names.", **own)
    flags.DEFINE_multi_string("rename", [], "convert, merge: OLD:NEW, as often as there are.", flag_values=own_flags)
    flags.DEFINE_list("fractions", None, "split: of train and val, or of train, val and test: 0.8,0.2.", **own)
    flags.DEFINE_integer("seed", 0, "split: another one gives another split.", **own)
    flags.DEFINE_string(
        "group_by", None, "split: a regular expression; pictures of whose name it finds the same stay together.", **own
    )
    flags.DEFINE_string("group_key", None, "split: a key of COCO's images, such as video_id; likewise.", **own)
    flags.DEFINE_bool("copy_images", False, "convert, split, merge: copy the pictures, too.", flag_values=own_flags)
    flags.DEFINE_bool("link_images", False, "convert, split, merge: link to them.", flag_values=own_flags)


def check(verb: str, own_flags: flags.FlagValues) -> None:
    """What is wrong with the flags of a verb, before TensorFlow is imported; raises a UserError."""
    mistakes.require(own_flags, "annotations", "output")
    files, folders = own_flags["annotations"].value, own_flags["images"].value or [""]
    if verb != "merge" and len(files) > 1:
        raise UserError(f"--annotations is given twice, {files[0]} and {files[1]}; leave one, or merge them first")
    if verb == "merge" and len(files) < 2:
        raise UserError("merge joins several files: give --annotations once for each")
    if len(folders) not in (1, len(files)):
        raise UserError(
            f"--images is given {len(folders)} times for {len(files)} --annotations; once for each, or once for all"
        )
    if own_flags["copy_images"].value and own_flags["link_images"].value:
        raise UserError("--copy_images and --link_images are both given; leave one")
    if verb == "split":
        fractions(own_flags)
    for rename in own_flags["rename"].value:
        if not all(rename.partition(":")[::2]):
            raise UserError(f"--rename wants OLD:NEW, not {rename!r}")


def fractions(own_flags: flags.FlagValues) -> list[float]:
    """The numbers of --fractions; a UserError if they are not 2 or 3 that make 1."""
    given = own_flags["fractions"].value
    if not given:
        raise UserError("--fractions is missing: 0.8,0.2 of train and val, or 0.7,0.2,0.1 of train, val and test")
    try:
        numbers = [float(text) for text in given]
    except ValueError:
        raise UserError(f"--fractions wants numbers as in 0.8,0.2, not {','.join(given)!r}") from None
    if len(numbers) not in (2, 3) or not all(0 < value < 1 for value in numbers) or abs(sum(numbers) - 1) > 1e-6:
        raise UserError(f"--fractions wants 2 or 3 numbers above 0 that make 1, as 0.8,0.2, not {','.join(given)}")
    return numbers


def run(verb: str, own_flags: flags.FlagValues) -> None:
    """Does what a verb says. Raises a UserError for what is wrong."""
    from fsaf_tf.data.writers import forms, write

    how = {"copy_images": write.COPY, "link_images": write.LINK}
    pictures = next((value for name, value in how.items() if own_flags[name].value), write.LEAVE)
    target = write.Target(own_flags["output"].value, forms.FORMS[own_flags["form"].value or "coco"], pictures)
    write.check_output(target)
    annotated = _read(own_flags)
    if verb == "split" and not own_flags["form"].value:
        target = dataclasses.replace(target, form=forms.of_title(annotated.table.form))
        write.check_output(target)
    parts = {"": annotated.table}
    if verb == "split":
        parts = _split(annotated, own_flags)
    lines = write.write(target, parts, annotated, _say)
    _say(*lines)


def _say(*lines: str) -> None:
    print("".join(f"{line}\n" for line in lines), end="", flush=True)


def _read(own_flags: flags.FlagValues):
    """The annotations that are given, joined, of the classes that are wanted; says what was taken, and counts."""
    from fsaf_tf.data import annotated, coco, frames, join, select
    from fsaf_tf.data.box_table import findings

    files, folders = own_flags["annotations"].value, own_flags["images"].value or [""]
    folders = folders * len(files) if len(folders) == 1 else folders
    sets = [annotated.read(file, folder, frame=frames.AUTO) for file, folder in zip(files, folders)]
    joined = annotated.check(join.join(sets), frame=frames.AUTO)
    table, lines = joined.table, []
    if own_flags["rename"].value:
        table, lines = select.renamed(table, _names(own_flags["rename"].value, table.classes.names))
    if own_flags["classes"].value:
        table, of_classes = select.of_classes(table, own_flags["classes"].value)
        lines += of_classes
    found = (*joined.findings, *findings(coco.box_table(table), table.file), *joined.of_files)
    many = len(files) > 1
    _say(*(count_line(each.table) for each in sets if many), count_line(table), *(f"  {line}" for line in lines))
    of_all = (f"  {'' if each.where == table.file else f'{each.where}: '}{each.line}" for each in found)
    _say(*of_all)
    return dataclasses.replace(joined, table=table)


def count_line(table) -> str:
    """A line that says how much is in annotations."""
    from fsaf_tf.data.findings import counted

    pictures, boxes = counted(len(table.sizes), "picture", "pictures"), counted(len(table.crowd), "box", "boxes")
    return f"{table.file}: {pictures}, {boxes}, {counted(len(table.classes), 'class', 'classes')}"


def _names(given: Sequence[str], known: Sequence[str]) -> Mapping[str, str]:
    """New names by old ones, of OLD:NEW; a name that is known may have colons."""
    names: dict[str, str] = {}
    for text in given:
        old = max((name for name in known if text.startswith(f"{name}:")), key=len, default=text.partition(":")[0])
        if old in names:
            raise UserError(f"--rename gives {old!r} two names, {names[old]!r} and {text[len(old) + 1 :]!r}; leave one")
        names[old] = text[len(old) + 1 :]
    return names


def _split(annotated, own_flags: flags.FlagValues) -> Mapping:
    """The annotations by the name of their part; prints the table of classes."""
    from fsaf_tf.data import groups

    keys, table = [], annotated.table
    if own_flags["group_by"].value:
        keys.append(groups.by_pattern(table.file, table.file_names, own_flags["group_by"].value))
    if own_flags["group_key"].value:
        keys.append(groups.by_entry(annotated, own_flags["group_key"].value))
    shares = fractions(own_flags)
    parts = groups.deal(annotated, shares, own_flags["seed"].value, keys)
    names = PARTS[: len(shares)]
    tables = {name: table.of_images(parts.of_image == place) for place, name in enumerate(names)}
    _say(*(f"  {line}" for line in parts.lines), *_table(tables, table))
    return tables


def _table(tables: Mapping, whole) -> list[str]:
    """Pictures and boxes of each class by part, with the share of all."""
    import numpy as np

    def row(label: str, counts: Sequence[int]) -> str:
        total = max(sum(counts), 1)
        return f"  {label:<{width}}" + "".join(f"{count:>12,} {count / total:6.1%}" for count in counts)

    names = whole.classes.names
    width = max(len("pictures"), *map(len, names))
    boxes = [np.bincount(table.class_indices, minlength=len(names)).tolist() for table in tables.values()]
    head = f"  {'':<{width}}" + "".join(f"{name:>19}" for name in tables)
    pictures = row("pictures", [len(table.sizes) for table in tables.values()])
    return [head, pictures, *(row(name, counts) for name, counts in zip(names, zip(*boxes)))]
