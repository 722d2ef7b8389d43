"""The wheel in a fresh environment of each Python, with the pinned versions and with the newest.

    make demo
    pip install build uv
    python benchmarks/wheels.py --pythons=python3.10,python3.11,python3.12,python3.13

builds the wheel, and for each Python and each set of versions makes an environment and does there, outside of the
checkout, what a user does: `fsaf-predict` with the detector of the demo, two steps of `fsaf-train`, and `fsaf-export`.
Detections must be those that the demo left. An environment takes 3 GB and is deleted before the next one
is made; uv installs it, and downloads a file once. Rows are kept in benchmarks/wheels.jsonl; --table prints them.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl import flags

from fsaf_tf import cli
from fsaf_tf.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = ROOT / "benchmarks" / "wheels.jsonl"
EXTRAS = "[edge]"
UV = [sys.executable, "-m", "uv"]
SHOWN = ("tensorflow", "tf_keras", "keras", "numpy", "protobuf", "pillow")
PIXELS, SCORE = 0.01, 1e-4  # what detections may differ by

_FLAGS = flags.FlagValues()
_DEMO = flags.DEFINE_string("demo", "runs/fsaf_demo", "What `make demo` leaves.", _FLAGS)
_PYTHONS = flags.DEFINE_list("pythons", [sys.executable], "Interpreters.", _FLAGS)
_VERSIONS = flags.DEFINE_list("versions", ["pinned", "newest"], "With constraints.txt, and without.", _FLAGS)
_FOLDER = flags.DEFINE_string("folder", None, "For the environments; a temporary one if not given.", _FLAGS)
_TABLE = flags.DEFINE_bool("table", False, "Try nothing; print the table of what is there.", _FLAGS)


def main() -> None:
    """Tries all of them, and prints the table."""
    if not _TABLE.value:
        with tempfile.TemporaryDirectory(dir=_FOLDER.value) as folder:
            try_all(pathlib.Path(folder))
    print(table(list(read_rows().values())))


def try_all(folder: pathlib.Path) -> None:
    """Every Python with every set of versions, one after the other."""
    wheel, expected = build(folder), json.loads(pathlib.Path(_DEMO.value, "predictions", "detections.json").read_text())
    for versions in _VERSIONS.value:
        for python in _PYTHONS.value:
            row, found = try_one(wheel, python, versions, folder)
            row["detections"] = differences(expected, found)
            print(json.dumps(row), flush=True)
            rows = read_rows() | {(row["python"], versions): row}
            ROWS.write_text("".join(f"{json.dumps(rows[key])}\n" for key in sorted(rows)))


def read_rows() -> dict[tuple[str, str], dict]:
    """What was found so far, by Python and set of versions."""
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []
    return {(row["python"], row["versions"]): row for row in rows}


def build(folder: pathlib.Path) -> pathlib.Path:
    """The wheel of what is committed or changed here."""
    _call(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    return next(folder.glob("*.whl"))


def try_one(wheel: pathlib.Path, python: str, versions: str, folder: pathlib.Path) -> tuple[dict, list[dict]]:
    """An environment made, used and deleted.

    Returns:
        A row: `python`, `versions`, `packages`, and by what was tried `ok` or the last line of what went wrong; and
        what `fsaf-predict` found, nothing where it failed.
    """
    environment, away = folder / "environment", folder / "away"
    away.mkdir()
    row = {"python": _call(python, "-c", "import platform; print(platform.python_version())"), "versions": versions}
    try:
        _call(*UV, "venv", "--python", python, environment)
        pinned = ["-c", ROOT / "constraints.txt"] if versions == "pinned" else []
        install = [*UV, "pip", "install", "--python", environment, "--link-mode=copy", *pinned, f"{wheel}{EXTRAS}"]
        row["install"] = attempt(*install)
        row["packages"] = packages(environment)
        for name, words in commands().items():
            command = environment / "bin" / f"fsaf-{words[0]}"
            row[name] = attempt(command, *words[1:], cwd=away) if row["install"] == "ok" else "not tried"
        results = away / "out" / "detections.json"
        return row, json.loads(results.read_text()) if results.exists() else []
    finally:
        shutil.rmtree(environment, ignore_errors=True)
        shutil.rmtree(away)


def commands() -> dict[str, list[str]]:
    """What is tried, by its name in the table."""
    run = pathlib.Path(_DEMO.value).resolve()
    steps = "trainer.train_steps=2,trainer.steps_per_loop=1"
    return {
        "predict": ["predict", f"--model={run}", f"--images={run}/images", "--output=out"],
        "train": ["train", "--mode=train", "--experiment=fsaf_demo", "--model_dir=run", f"--params_override={steps}"],
        "export": ["export", f"--model_dir={run}", "--format=tflite", "--output=lite"],
    }


def packages(environment: pathlib.Path) -> dict[str, str]:
    """The versions that were installed of what matters most."""
    listed = json.loads(_call(*UV, "pip", "list", "--python", environment, "--format=json"))
    versions = {package["name"].replace("-", "_").lower(): package["version"] for package in listed}
    return {name: versions[name] for name in SHOWN if name in versions}


def differences(expected: list[dict], found: list[dict]) -> dict:
    """How many there are, whether they are the same ones, and the greatest differences of boxes and scores."""
    key = ("file_name", "category_id", "score")
    pairs = list(zip(*(sorted(results, key=lambda one: [one[name] for name in key]) for results in (expected, found))))
    same = len(expected) == len(found) and all(one[name] == two[name] for one, two in pairs for name in key[:2])
    pixels = max((abs(a - b) for one, two in pairs for a, b in zip(one["bbox"], two["bbox"])), default=0.0)
    scores = max((abs(one["score"] - two["score"]) for one, two in pairs), default=0.0)
    equal = bool(found) and same and pixels <= PIXELS and scores <= SCORE
    return {"count": len(found), "equal": equal, **({"pixels": pixels, "score": scores} if same else {})}


def attempt(*command, **kwargs) -> str:
    """`ok`, or the last line of what a command said when it failed."""
    done = _run(*command, **kwargs)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return "ok" if done.returncode == 0 else lines[-1] if lines else f"status {done.returncode}"


def _call(*command) -> str:
    done = _run(*command)
    if done.returncode:
        raise UserError(f"{' '.join(map(str, command))}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def _run(*command, **kwargs) -> subprocess.CompletedProcess:
    """A process that sees neither this checkout nor this environment."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "FSAF_DATA")
    world = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, env=world, **kwargs)


def table(rows: list[dict]) -> str:
    """For docs/platforms.md."""
    titles = ["Python", "versions", "TensorFlow", "Keras 2, 3", "NumPy", "protobuf", "installed", "predict"]
    titles += ["two steps", "TFLite"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        of, found = row["packages"], row["detections"]
        keras = ", ".join(of.get(name, "none") for name in ("tf_keras", "keras"))
        predict = f"{found['count']}, {'equal' if found['equal'] else 'NOT EQUAL'}"
        cells = [row["python"], row["versions"], of.get("tensorflow"), keras, of.get("numpy"), of.get("protobuf")]
        cells += [row["install"], predict if row["predict"] == "ok" else row["predict"]]
        cells += [row[name] for name in ("train", "export")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main, _FLAGS, __doc__)
