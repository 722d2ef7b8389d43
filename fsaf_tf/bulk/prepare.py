"""Annotations and their pictures to TFRecord shards with a manifest, by Apache Beam."""

import dataclasses
import random
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from fsaf_tf.bulk import job as jobs
from fsaf_tf.bulk import results, runner, shards, watch
from fsaf_tf.data import annotated, manifest, picture_files
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.data.findings import counted, listed
from fsaf_tf.errors import UserError
from fsaf_tf.run import lock
from fsaf_tf.terminal.progress import Progress, preparation_line

PICTURES_OF_SHARD = 500
_OURS = re.compile(r"data-\d+-of-\d+\.tfrecord|manifest\.json|boxes\.npz|label_map\.json")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be prepared.

    Attributes:
        annotation_file: of any form that is read; of several parts the one to train on.
        image_dir: the folder of its pictures; empty for the one that lies beside it, of some forms.
        output: the folder of the shards.
        num_shards: how many; None for one of every `PICTURES_OF_SHARD` pictures.
        seed: of the order of the pictures; None for that of the file.
        max_bad: the share of the pictures that may be left out.
        frame: which way up boxes take the pictures, `exif_orientation` of data.
        outside: names may lead out of `image_dir`, `images_outside` of data.
    """

    annotation_file: str
    image_dir: str
    output: str
    num_shards: int | None = None
    seed: int | None = 0
    max_bad: float = 0.0
    frame: str = "auto"
    outside: bool = False


def run(wanted: Wanted, by: runner.Runner) -> None:
    """Prepares data, or goes on with it, and says what was done.

    Raises:
        UserError: the annotations cannot be read, too many pictures are bad, the output belongs to other data or is not
            what its manifest says, or a shard cannot be written.
    """
    runner.check_installed()
    from fsaf_tf.bulk import beam_pipeline

    do = beam_pipeline.ready(by)
    line = Progress()
    ways = {"frame": wanted.frame, "outside": wanted.outside, "split": "train"}
    read = annotated.read(wanted.annotation_file, wanted.image_dir, **ways)
    wanted = dataclasses.replace(wanted, image_dir=read.image_dir)
    folder = picture_files.Folder(wanted.image_dir, wanted.frame, wanted.outside)
    table = dataclasses.replace(read.table, findings=read.findings)
    counts = len(table.file_names), len(table.area)
    line.say(f"{wanted.annotation_file}: {counts[0]:,} pictures, {counts[1]:,} boxes, {len(table.classes)} classes")
    with lock.held(wanted.output, [lock.PREPARATION], line.say):
        identity = _identity(wanted, table)
        if _is_done(wanted.output, identity, line.say):
            return
        _refuse_missing(wanted, table, folder)
        job, is_old = jobs.begin(wanted.output, identity["shards"], identity)
        work = shards.Writing(job, wanted.output, wanted.image_dir, wanted.frame, table.classes)
        layout = np.array_split(_order(len(table.file_names), wanted.seed), job.num_shards)
        todo = _todo(work, line.say) if is_old else list(range(job.num_shards))
        for shard in todo:
            manifest.write_table(job.plan(shard), table.at(layout[shard]))
        sizes, total = [len(places) for places in layout], len(table.file_names)
        with watch.told(job, sizes, line, lambda done, rate: preparation_line(done, total, rate)):
            do(work, todo)
        written = [shards.Result.read(job.result(shard)) for shard in range(job.num_shards)]
        _refuse_bad(wanted, written, total)
        results.write(work, table, written, identity, line.say)


def _identity(wanted: Wanted, table: Annotations) -> dict:
    """What makes it this work and no other."""
    pictures_of_shard = -(-len(table.file_names) // PICTURES_OF_SHARD)
    return {
        "input": manifest.digest_of(table),
        "seed": wanted.seed,
        "shards": min(wanted.num_shards or pictures_of_shard, len(table.file_names)),
        "exif_orientation": wanted.frame,
    }


def _order(count: int, seed: int | None) -> np.ndarray:
    """The order of the pictures, by Python's generator: NumPy's may give another one in another version."""
    places = list(range(count))
    if seed is not None:
        random.Random(seed).shuffle(places)
    return np.array(places, np.int64)


def _is_done(output: str, identity: dict, say: Callable[[str], None]) -> bool:
    """Whether there is all of it already, which is compared by its digests.

    Raises:
        UserError: there is something else, or it is not what its manifest says.
    """
    names = tf.io.gfile.listdir(output) if tf.io.gfile.isdir(output) else []
    there, has_job = manifest.read(output), jobs.FOLDER in (name.rstrip("/") for name in names)
    if there is None:
        ours = sorted(filter(_OURS.fullmatch, names))
        if ours and not has_job:
            raise UserError(f"{output}/{ours[0]} is there, and nothing says what it is of; give another --output")
        return False
    difference = jobs.differs(there.content.get("identity", {}), identity)
    if difference:
        raise UserError(f"{output} has other data, or the same in another way: {difference}; give another --output")
    there.check_shards(there.shards, all_digests=True)
    there.table(there.shards)
    if has_job:  # killed between the manifest and this
        jobs.Job(f"{output}/{jobs.FOLDER}", len(there.shards)).end()
    say(f"{there.path}: all of it is there, {counted(len(there.shards), 'shard', 'shards')}, and as it says")
    return True


def _refuse_missing(wanted: Wanted, table: Annotations, folder: picture_files.Folder) -> None:
    """Raises a UserError where more pictures are not there than may be bad: before hours, not after them."""
    missing = [name for name in table.file_names if not folder.has(name)]
    if len(missing) > wanted.max_bad * len(table.file_names):
        raise UserError(
            f"{wanted.annotation_file}: image missing in {wanted.image_dir} ({len(missing):,} of"
            f" {len(table.file_names):,} images, first: {missing[0]}); --max_bad_pictures leaves some out"
        )


def _todo(work: shards.Writing, say: Callable[[str], None]) -> list[int]:
    """The shards without a result, and those that are no longer what it says."""
    done = work.job.done()
    kept = [shard for shard in done if work.is_kept(shard)]
    for shard in set(done) - set(kept):
        work.job.forget(shard)
    say(f"{work.output}: goes on; {len(kept)} of {work.job.num_shards} shards are there and kept")
    return sorted(set(range(work.job.num_shards)) - set(kept))


def _refuse_bad(wanted: Wanted, written: Sequence[shards.Result], total: int) -> None:
    """Raises a UserError where more pictures are bad than may be. All shards are kept."""
    bad = BadPictures(wanted.max_bad, total)
    bad.problems.update({name: problem for result in written for name, problem in result.problems.items()})
    count = len(bad.problems)
    if count > wanted.max_bad * total or count == total:
        raise UserError(
            f"{wanted.annotation_file}: {counted(count, 'picture', 'pictures')} of {total:,} cannot be taken, more than"
            f" --max_bad_pictures={wanted.max_bad:g} allows: {listed(bad.cases)}; mend them or allow more, and the same"
            " command goes on"
        )
