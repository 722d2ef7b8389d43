"""What is written when all shards are there: their table, their label map, their manifest."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence

import numpy as np

from fsaf_tf.bulk import pictures, shards
from fsaf_tf.data import digest, label_map, manifest, picture_files
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.data.findings import counted, listed
from fsaf_tf.files import storage

_REASONS = {pictures.MISSING: "missing", pictures.OTHER_SIZE: "other size", "": "cannot be read"}


def write(
    work: shards.Writing, table: Annotations, results: Sequence[shards.Result], identity: dict, say: Callable
) -> None:
    """Writes the table of the boxes, the label map and, when all else is there, the manifest; takes the job away.

    Args:
        work: all of whose shards are there.
        table: the annotations.
        results: of the shards.
        identity: of the job.
        say: prints a line.
    """
    place_of = {name: place for place, name in enumerate(table.file_names)}
    names = [name for result in results for name in result.headers]
    kept = table.at(np.array([place_of[name] for name in names], np.int64))
    manifest.write_table(f"{work.output}/{manifest.TABLE}", kept)
    names_of_ids = {str(number): name for number, name in zip(table.classes.ids, table.classes.names)}
    storage.write_json(f"{work.output}/{label_map.DEFAULT}", names_of_ids)
    content = _content(work, kept, results, identity)
    storage.write_json(f"{work.output}/{manifest.FILE}", content)
    work.job.end()
    rejected = content["rejected"]["pictures"]
    if rejected:
        shown = listed([f"{picture['name']} {picture['problem']}" for picture in rejected])
        say(f"{len(rejected):,} of {len(table.file_names):,} pictures are left out: {shown}")
    for finding in content["findings"]:
        say(f"  {finding['message']}")
    in_shards = counted(len(results), "shard", "shards")
    say(f"{content['pictures']:,} pictures, {content['boxes']:,} boxes in {in_shards}: {work.output}")


def _content(work: shards.Writing, kept: Annotations, results: Sequence[shards.Result], identity: dict) -> dict:
    """What the manifest says."""
    files = [work.path(shard).rsplit("/", 1)[-1] for shard in range(len(results))]
    rows = [
        {"file": file, "pictures": len(result.headers), "bytes": result.bytes, "digest": result.digest}
        for file, result in zip(files, results)
    ]
    headers = {name: header for result in results for name, header in result.headers.items()}
    turns = [turn for result in results for turn in result.turns]
    of_pictures = picture_files.findings(kept.file, work.image_dir, headers, turns)
    problems = [
        {"name": name, "reason": _reason(problem), "problem": problem}
        for result in results
        for name, problem in result.problems.items()
    ]
    reasons = [problem["reason"] for problem in problems]
    boxes = np.bincount(kept.class_indices, minlength=len(kept.classes)).tolist()
    where = os.path.basename(kept.file)  # no path: the same data have the same manifest on every machine
    table_digest = digest.of_file(f"{work.output}/{manifest.TABLE}")
    whole = hashlib.blake2b(json.dumps([rows, table_digest]).encode(), digest_size=digest.SIZE).hexdigest()
    return {
        "tool": manifest.TOOL,
        "version": manifest.VERSION,
        "digest": whole,
        "pictures": len(headers),
        "boxes": len(kept.area),
        "most_boxes": int(np.diff(kept.splits).max(initial=0)),
        "classes": [{**row, "boxes": count} for row, count in zip(kept.classes.categories(), boxes)],
        "rejected": {"reasons": {reason: reasons.count(reason) for reason in sorted({*reasons})}, "pictures": problems},
        "identity": identity,
        "shards": rows,
        "table": {"file": manifest.TABLE, "digest": table_digest},
        "findings": [{**dataclasses.asdict(finding), "where": where} for finding in (*kept.findings, *of_pictures)],
    }


def _reason(problem: str) -> str:
    return next(reason for start, reason in _REASONS.items() if problem.startswith(start))
