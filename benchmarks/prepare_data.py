"""What tools/prepare_data.py takes of memory and time, and whether a killed one ends with the same bytes.

    python benchmarks/prepare_data.py --output=runs/prepare --pictures=5000 --boxes=1000000 --kills=2

draws the pictures and their annotations, prepares them at once, then into a second folder with so many SIGKILLs, each
when a further part of the shards is done, and opens both kinds of data as a training does. What is printed is JSON, a
line each; memory is the largest sum over the command and its processes of what they do not share, looked at ten times a
second. `--options="--direct_num_workers=2 --direct_running_mode=multi_processing"` goes to Beam.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import psutil
from absl import flags
from PIL import Image

from fsaf_tf import cli
from fsaf_tf.errors import UserError

FLAGS = flags.FlagValues()
OUTPUT = flags.DEFINE_string("output", None, "A folder for all of it.", FLAGS)
PICTURES = flags.DEFINE_integer("pictures", 5000, "So many are drawn.", 1, flag_values=FLAGS)
BOXES = flags.DEFINE_integer("boxes", 1_000_000, "Annotations, in all.", 1, flag_values=FLAGS)
KILLS = flags.DEFINE_integer("kills", 2, "How often the second preparation is killed.", 0, flag_values=FLAGS)
SHARDS = flags.DEFINE_integer("shards", 20, "Of either.", 1, flag_values=FLAGS)
OPTIONS = flags.DEFINE_string("options", "", "Of Beam.", flag_values=FLAGS)
TOOL = pathlib.Path(__file__).parent.parent / "tools" / "prepare_data.py"
OPEN = """
import json, resource, sys, time
from fsaf_tf import cli
cli.quiet()
from fsaf_tf.config import schema
from fsaf_tf.data.source import open_source
config = schema.TrainData()
config.override(json.loads(sys.argv[1]))
start = time.monotonic()
source = open_source(config)
count = len(source.boxes())
print(json.dumps({"pictures": source.num_images, "boxes": count, "seconds": round(time.monotonic() - start, 1),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_measure, FLAGS, __doc__)


def _measure() -> None:
    if not OUTPUT.value:
        raise UserError("--output is missing")
    output = pathlib.Path(OUTPUT.value)
    if not (output / "train.json").exists():
        _draw(output)
    digests = {}
    for name, kills in (("at_once", 0), ("killed", KILLS.value)):
        folder = output / name
        shutil.rmtree(folder, ignore_errors=True)
        start, peak = time.monotonic(), 0
        for kill in range(kills):
            peak = max(peak, _prepare(folder, until=SHARDS.value * (kill + 1) // (kills + 1)))
        peak = max(peak, _prepare(folder))
        digests[name] = json.loads((folder / "manifest.json").read_text())["digest"]
        seconds = time.monotonic() - start
        _say(run=name, kills=kills, seconds=round(seconds, 1), peak_mb=peak // 2**20, digest=digests[name])
    _say(same_digest=len(set(digests.values())) == 1)
    for keys in (
        {"annotation_file": f"{output}/train.json", "image_dir": f"{output}/pictures"},
        {"input_path": f"{output}/killed"},
    ):
        opened = subprocess.run(
            [sys.executable, "-c", OPEN, json.dumps(keys)], capture_output=True, text=True, check=True
        )
        _say(opened=next(iter(keys)), **json.loads(opened.stdout))


def _say(**values) -> None:
    print(json.dumps(values), flush=True)


def _draw(output: pathlib.Path) -> None:
    """Pictures of 160 x 120 px, and COCO JSON, written box by box."""
    (output / "pictures").mkdir(parents=True)
    rng, per_picture = np.random.default_rng(0), BOXES.value // PICTURES.value
    number = 0
    with open(output / "train.json", "w", encoding="utf-8") as file:
        names = [f"{i:06d}.jpg" for i in range(PICTURES.value)]
        rows = [{"id": i + 1, "file_name": name, "height": 120, "width": 160} for i, name in enumerate(names)]
        categories = [{"id": k + 1, "name": f"kind {k + 1}"} for k in range(20)]
        file.write(f'{{"images": {json.dumps(rows)}, "categories": {json.dumps(categories)}, "annotations": [')
        for i, name in enumerate(names):
            small = rng.integers(0, 256, (15, 20, 3), np.uint8)
            Image.fromarray(small).resize((160, 120)).save(output / "pictures" / name, quality=85)
            corners = rng.uniform(0, [120, 90], (per_picture, 2)).round(2)
            sides = rng.uniform(4, 30, (per_picture, 2)).round(2)
            kinds = rng.integers(1, 21, per_picture)
            for (x, y), (width, height), kind in zip(corners.tolist(), sides.tolist(), kinds.tolist()):
                row = {"id": number + 1, "image_id": i + 1, "category_id": kind, "bbox": [x, y, width, height]}
                row |= {"area": round(width * height, 2), "iscrowd": 0}
                file.write(f"{',' * bool(number)}\n{json.dumps(row)}")
                number += 1
        file.write("]}\n")


def _prepare(folder: pathlib.Path, until: int | None = None) -> int:
    """Runs the tool, kills it when so many shards are done, and returns the most memory of its processes in bytes."""
    command = [sys.executable, str(TOOL), f"--annotations={OUTPUT.value}/train.json", f"--shards={SHARDS.value}"]
    command += [f"--images={OUTPUT.value}/pictures", f"--output={folder}", "--", *OPTIONS.value.split()]
    process, peak = subprocess.Popen(command, stdout=sys.stderr), 0
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        if until and len(list(folder.glob("unfinished/result-*.npz"))) >= until:
            process.kill()
        time.sleep(0.1)
    if process.returncode and not until:
        raise UserError(f"the tool ended with {process.returncode}")
    return peak


def _memory(pid: int) -> int:
    """Bytes of a process and those that it has started; pages that they share count in parts."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has just ended
        pass
    return total


if __name__ == "__main__":
    main()
