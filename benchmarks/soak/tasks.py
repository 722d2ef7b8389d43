"""The tools other than training, each as one command on the same run: what it writes, and which files it reads."""

import pathlib
import shutil
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.soak import forks, scene

Words = list[str]
TRAINING = "training"  # a name beside those of `TASKS`


class Task(NamedTuple):
    """A command.

    Attributes:
        tool: its name in `fsaf_tf.cli`.
        words: its arguments; `{run}` is the run's folder, `{data}` that of pictures and annotations, `{out}` where it
            writes to.
    """

    tool: str
    words: tuple[str, ...]


TASKS = {
    "data": Task(
        "data", ("check", "--experiment={data}/tiny.yaml", "--json={out}/data.json", "--output={out}/data.html")
    ),
    "predict": Task("predict", ("--model={run}", "--images={data}/pictures", "--output={out}/found")),
    "predict_video": Task("predict", ("--model={run}", "--video={data}/video.mp4", "--output={out}/found")),
    "analyze": Task("analyze", ("--model_dir={run}", "--checkpoint=newest", "--output={out}/report.html")),
    "saved_model": Task("export", ("--format=saved_model", "--model_dir={run}", "--output={out}/exported")),
    "tflite": Task("export", ("--format=tflite", "--model_dir={run}", "--output={out}/exported")),
    "import": Task(
        "import_weights",
        (
            *("--source=torchvision", "--weights={data}/weights.npz", "--experiment={data}/published.yaml"),
            *("--labels={data}/train.json", "--output={out}/imported"),
        ),
    ),
    "eval": Task("train", ("--mode=eval", "--model_dir={out}/run")),
    "visualize": Task("visualize", ("--figure=targets", "--model={run}", "--count=3", "--output={out}/figures")),
}


def prepare(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Makes what the tasks of these names read: pictures, a run, a video, weights. Other names read nothing."""
    reading = {*names} & {*TASKS, TRAINING}
    if reading:
        scene.write_data(folder)
    if reading <= {"data"}:
        return
    scene.trained(folder)
    if not (folder / "video.mp4").exists():
        scene.write_video(folder / "video.mp4")
    if not (folder / "published.yaml").exists():
        forks.call(scene.write_weights, folder)


def words(name: str, data: pathlib.Path, out: pathlib.Path) -> Words:
    """A command, of the tool and its arguments."""
    task = TASKS[name]
    places = {"data": data, "run": data / "undisturbed", "out": out}
    return [task.tool, *(word.format(**places) for word in task.words)]


def new_output(name: str, data: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    """An empty folder for what a task writes; of an evaluation with a copy of the run in it."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if name == "eval":
        shutil.copytree(data / "undisturbed", out / "run")
        for path in (out / "run").rglob("metrics.json"):
            path.unlink()
    return out


def run(
    name: str, data: pathlib.Path, out: pathlib.Path, before=lambda: None, kill_after: float | None = None
) -> forks.Ended:
    """One command in a child; see `forks`."""
    log = out.with_suffix(".log")
    return forks.end_tool(forks.start_tool(words(name, data, out), log, before), log, kill_after)


def inputs(data: pathlib.Path) -> dict[str, bytes]:
    """All that the tasks read, to see that it stays as it is."""
    return {str(path): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
