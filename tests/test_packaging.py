"""The wheel is whole: installed elsewhere, its commands know the experiments."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from fsaf_tf.config import catalog, experiment, reference

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = ("fsaf_tf", "experiments", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def run(*command, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **kwargs)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """Built from a copy, which leaves nothing behind in the checkout and takes nothing left there."""
    folder = tmp_path_factory.mktemp("wheel")
    without_bytecode = shutil.ignore_patterns("__pycache__")  # other processes of the tests are writing it
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=without_bytecode)
        else:
            shutil.copy(ROOT / name, folder / name)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder / "dist")
    done = run(sys.executable, "-m", "pip", "wheel", *options, folder)
    assert done.returncode == 0, done.stderr
    return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs an installed command outside the checkout, which it must not see; the other packages are those of here."""
    folder = tmp_path_factory.mktemp("installed")
    done = run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder, wheel)
    assert done.returncode == 0, done.stderr

    def _installed(name, *arguments):
        command = [sys.executable, folder / "bin" / name, *arguments]
        return run(*command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)})

    return _installed


def test_wheel_holds_the_library_and_the_experiments(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    experiments = {f"fsaf_tf/experiments/{name}.yaml" for name in catalog.names()}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fsaf_tf").rglob("*.py")}
    rest = {name for name in names if ".dist-info/" not in name}
    assert rest == experiments | modules
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_train_prints_an_experiment_and_nothing_else(installed):
    done = installed(
        "fsaf-train", "--experiment=fsaf_demo", "--print_config", "--params_override=trainer.train_steps=7"
    )
    assert done.returncode == 0, done.stderr
    params = experiment.load("fsaf_demo", overrides="trainer.train_steps=7")
    report = "\n".join(f"# {line}" for line in experiment.rates_report(params))
    assert done.stdout == f"{reference.commented(params, experiment.to_yaml(params))}\n\n{report}\n"
    assert done.stderr == ""  # what TensorFlow and the Garden say when they are imported


def test_an_experiment_of_ones_own(installed, tmp_path):
    (tmp_path / "mine.yaml").write_text("task: {model: {fpn: {chanels: 3}}}")
    done = installed("fsaf-train", f"--experiment={tmp_path}/mine.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {tmp_path}/mine.yaml: there is no key task.model.fpn.chanels, did you mean")
    assert done.stderr.count("\n") == 1


def test_an_unknown_name_lists_those_that_exist(installed):
    done = installed("fsaf-train", "--experiment=no_such")
    listed = ", ".join(catalog.names())
    assert done.stderr == f"error: no experiment 'no_such'; give the path of a YAML file or one of: {listed}\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    "name, flag",
    [
        ("fsaf-train", "--experiment"),
        ("fsaf-predict", "--experiment"),
        ("fsaf-import-weights", "--experiment"),
        ("fsaf-analyze", "--detections"),
        ("fsaf-prepare-data", "--annotations"),
        ("fsaf-data", "--validation_annotations"),
    ],
)
def test_help(installed, name, flag):
    done = installed(name, "--help")
    assert done.returncode == 0
    assert flag in done.stdout and done.stderr == ""
