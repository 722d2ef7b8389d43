"""The wheel is whole: installed elsewhere, its commands know the experiments. So is the source distribution."""

import email
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from fsaf_tf.config import catalog, experiment, reference

ROOT = pathlib.Path(__file__).parent.parent
TOOLS = sorted(path.stem.replace("_", "-") for path in (ROOT / "tools").glob("*.py"))
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

    def _installed(name, *arguments, through=()):
        command = [sys.executable, *through, folder / "bin" / name, *arguments]
        return run(*command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)})

    return _installed


def test_wheel_holds_the_library_and_the_experiments(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    experiments = {f"fsaf_tf/experiments/{name}.yaml" for name in catalog.names()}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fsaf_tf").rglob("*.py")}
    rest = {name for name in names if ".dist-info/" not in name}
    assert rest == experiments | modules | {"fsaf_tf/py.typed"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_links_of_the_long_description_lead_somewhere(wheel):
    """Those of README.md are relative, which is right in a checkout and nowhere else."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = email.message_from_string(archive.read(name).decode())
    address = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL"))["Homepage"]
    links = re.findall(r"\]\(([^)\s]+)\)", metadata.get_payload())
    ours = [re.fullmatch(rf"{address}/(?:blob|raw)/v{metadata['Version']}/([^#]+)(#.*)?", link) for link in links]
    assert not [link for link, of_ours in zip(links, ours) if not of_ours and not re.match("https?:|#", link)]
    assert len([link for link in ours if link]) > 20
    assert all((ROOT / link[1]).is_file() for link in ours if link)
    assert "![Six drawn pictures" in metadata.get_payload() and f"]({address}/raw/" in metadata.get_payload()


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


def test_every_tool_is_a_command(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    commands = re.findall(r"^fsaf-(\S+) = ", archive.read(name).decode(), re.MULTILINE)
    assert sorted(commands) == TOOLS


HEAVY = ("tensorflow", "tf_keras", "keras", "official", "torch", "matplotlib", "pandas")
# Runs a program as its own process would, and says at the end which of these it has imported.
WATCHED = f"""
import atexit, runpy, sys
atexit.register(lambda: print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("name", TOOLS)
def test_help_of_an_installed_command_has_its_name_and_is_told_at_once(installed, name):
    done = installed(f"fsaf-{name}", "--help", through=("-c", WATCHED))
    assert (done.returncode, done.stderr) == (0, "\n")  # nothing heavy
    assert re.search(rf"^    fsaf-{name} (check )?--", done.stdout, re.MULTILINE)
    assert not re.search(r"tools/\w+\.py", done.stdout)


def test_the_library_is_imported_at_once():
    done = run(sys.executable, "-c", f"import sys, fsaf_tf; print(*(set({HEAVY}) & set(sys.modules)))", cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


# The source distribution.


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> pathlib.Path:
    """Unpacked; built from a copy of what git has, or is about to have."""
    done = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    if done.returncode:
        pytest.skip("this is no checkout of git")
    folder = tmp_path_factory.mktemp("sdist")
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():  # not one that is deleted and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    before = files_below(folder)
    build = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    done = run(sys.executable, "-c", build, cwd=folder)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next((folder / "dist").glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    made = {name for name in files_below(unpacked) if name.startswith("fsaf_tf.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert files_below(unpacked) - made == before
    return unpacked


def files_below(folder: pathlib.Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_source_distribution_is_the_checkout_and_its_tests_run(sdist):
    """All files are in it, by the fixture. Some tests, of the conftest, the helpers and the data beside them."""
    tests = ["tests/test_losses.py", "tests/data/test_coco_bbox.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = run(*command, cwd=sdist, env={**os.environ, "PYTHONPATH": str(sdist)})
    assert done.returncode == 0, done.stdout[-2000:]
