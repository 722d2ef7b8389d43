"""`make release` in a clone: what it refuses, and all that it leaves in a dry run."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

import pytest
import yaml

import fsaf_tf

ROOT = pathlib.Path(__file__).parent.parent
VERSION = fsaf_tf.__version__
WHO = {f"GIT_{one}_{what}": f"{one}@example.invalid" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def run(*command, cwd, check=True) -> subprocess.CompletedProcess:
    environment = {**os.environ, **WHO}
    done = subprocess.run([str(one) for one in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert not (check and done.returncode), done.stderr
    return done


@pytest.fixture
def clone(tmp_path) -> pathlib.Path:
    """This checkout's files in a repository of their own, with a release's heading in the changelog."""
    if run("git", "rev-parse", cwd=ROOT, check=False).returncode:
        pytest.skip("this is no checkout of git")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout.split("\0")
    folder = tmp_path / "clone"
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    change(folder, "CHANGELOG.md", "## [Unreleased]\n", f"## [Unreleased]\n\n## [{VERSION}] - 2026-11-28\n")
    run("git", "init", "--quiet", cwd=folder)
    commit(folder)
    return folder


def change(folder: pathlib.Path, name: str, before: str, after: str) -> None:
    text = (folder / name).read_text()
    assert before in text
    (folder / name).write_text(text.replace(before, after))


def commit(folder: pathlib.Path) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message=x", cwd=folder)


def release(folder: pathlib.Path, *words: str) -> subprocess.CompletedProcess:
    return run(sys.executable, ".ci/release.py", *words, cwd=folder, check=False)


def test_what_a_release_is_refused_for(clone):
    def said(*words: str) -> str:
        done = release(clone, *words)
        assert done.returncode == 1 and not (clone / "dist").exists()
        return done.stderr

    assert said("--dryrun") == "error: --dryrun is not understood; there is --dry_run\n"
    (clone / "new.txt").write_text("x")
    assert said("--dry_run") == "error: not committed: new.txt\n"
    (clone / "new.txt").unlink()
    run("git", "tag", "v0.0.9", cwd=clone)
    run("git", "tag", f"v{VERSION}", cwd=clone)
    assert said() == f"error: version {VERSION} is not after v{VERSION}, which has a tag; raise __version__\n"
    change(clone, "CHANGELOG.md", "- 2026-11-28", "- 28.11.2026")
    assert said() == f"error: CHANGELOG.md has 28.11.2026 as the date of {VERSION}; write YYYY-MM-DD\n"
    change(clone, "CHANGELOG.md", f"## [{VERSION}] - 28.11.2026\n", "")
    assert f"CHANGELOG.md has no heading `## [{VERSION}] - YYYY-MM-DD`; [Unreleased] becomes it" in said()
    change(clone, "CITATION.cff", f"version: {VERSION}\n", "version: 7.7.7\n")
    assert said() == f"error: CITATION.cff names version 7.7.7, fsaf_tf/__init__.py {VERSION}\n"


def test_a_dry_run_builds_and_checks_and_tags_nothing(clone):
    for name in ("build", "twine"):
        pytest.importorskip(name, reason=f"needs {name}: the extra [release]")
    done = release(clone, "--dry_run")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (clone / "dist").iterdir()}
    assert names == {f"fsaf_tf-{VERSION}.tar.gz", f"fsaf_tf-{VERSION}-py3-none-any.whl", "RELEASE_NOTES.md"}
    notes = (clone / "dist" / "RELEASE_NOTES.md").read_text()
    assert notes.startswith(f"# fsaf_tf {VERSION}\n\n### Added\n") and "[Unreleased]" not in notes
    with tarfile.open(clone / "dist" / f"fsaf_tf-{VERSION}.tar.gz") as archive:
        assert f"fsaf_tf-{VERSION}/tests/conftest.py" in archive.getnames()
    assert "PASSED" in done.stdout and "PASSED with warnings" not in done.stdout
    assert f"git push origin HEAD v{VERSION}\n" in done.stdout and "Nothing is uploaded" in done.stdout
    assert run("git", "tag", cwd=clone).stdout == "" and run("git", "status", "--porcelain", cwd=clone).stdout == ""


def test_versions_that_are_named_twice_are_the_same():
    """The hook's ruff is that of `make lint`; the paper is cited by its own data."""
    pinned = re.search(r"^ruff==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["rev"] for hook in hooks if "ruff" in hook["repo"]] == [f"v{pinned}"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == VERSION and citation["preferred-citation"]["year"] == 2019


def test_workflows_and_forms_are_whole():
    """A job needs jobs that there are, every Python is tried, every step does one thing."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())
    classifiers = re.search(r"range\(10, (\d+)\)", (ROOT / "setup.py").read_text())
    pythons = [f"3.{minor}" for minor in range(10, int(classifiers[1]))]
    for name in ("tests", "installed"):
        assert workflow["jobs"][name]["strategy"]["matrix"]["python"] == pythons
    for job in workflow["jobs"].values():
        assert job.get("needs", "lint") in workflow["jobs"]
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])
    for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"):
        content = yaml.safe_load(form.read_text())
        assert content["name"] and content["description"] and all(part["type"] for part in content["body"])
