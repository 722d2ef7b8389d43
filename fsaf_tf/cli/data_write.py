"""The verbs of fsaf-data that write annotations: convert, split, merge. Their flags, and what is wrong with them."""

import dataclasses

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
    from fsaf_tf.data.writers import convert, forms, write

    def given(name: str):
        return own_flags[name].value

    how = {"copy_images": write.COPY, "link_images": write.LINK}
    pictures = next((value for name, value in how.items() if given(name)), write.LEAVE)
    target = write.Target(given("output"), forms.FORMS[given("form") or "coco"], pictures)
    write.check_output(target)
    files, folders = given("annotations"), given("images") or [""]
    folders = folders * len(files) if len(folders) == 1 else folders
    read = convert.read(list(zip(files, folders)), given("rename"), given("classes"), _say)
    if verb == "split" and not given("form"):
        target = dataclasses.replace(target, form=forms.of_title(read.table.form))
        write.check_output(target)
    parts = {"": read.table}
    if verb == "split":
        ways = convert.Grouping(given("group_by"), given("group_key"))
        parts = convert.split(read, dict(zip(PARTS, fractions(own_flags))), given("seed"), ways, _say)
    _say(*write.write(target, parts, read, _say))


def _say(*lines: str) -> None:
    print("".join(f"{line}\n" for line in lines), end="", flush=True)
