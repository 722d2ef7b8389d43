"""Makes a release ready, here: checks, tests, files, tag. Nothing leaves this machine; what to push is said at the end.

    make release              # after the version and the heading in CHANGELOG.md are committed
    make release ARGS=--dry_run    # the same without the tests and the tag

The version stands in fsaf_tf/__init__.py; CHANGELOG.md has a heading `## [1.2.3] - 2026-01-31` with the notes below it,
and CITATION.cff names the same version.
"""

import datetime
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTES = "RELEASE_NOTES.md"


def main() -> None:
    """Does all of it, or ends with a line on what is missing."""
    dry = sys.argv[1:] == ["--dry_run"]
    if sys.argv[1:] and not dry:
        sys.exit(f"error: {' '.join(sys.argv[1:])} is not understood; there is --dry_run")
    version = read_version()
    notes = notes_of(version)
    check_git(version)
    print(f"fsaf_tf {version}: version, changelog, citation and git are as they should be")
    if dry:
        print("dry run: lint and tests are left out (.ci/run)")
    else:
        call(ROOT / ".ci" / "run")
    files = build(notes)
    if dry:
        print(f"dry run: no tag is made; it would be v{version} on {git('rev-parse', '--short', 'HEAD')}")
    else:
        git("tag", "--annotate", f"v{version}", "--message", f"fsaf_tf {version}")
    print("\n".join(["Nothing is uploaded. To publish:", f"  git push origin HEAD v{version}"]))
    print(f"  {sys.executable} -m twine upload {' '.join(files)}")
    print(f"  the notes for the page of the release are in dist/{NOTES}")


def read_version() -> str:
    """That of the package, which CITATION.cff must name too."""
    version = re.search(r'__version__ = "(.+)"', text("fsaf_tf/__init__.py"))[1]
    cited = re.search(r"^version: (\S+)$", text("CITATION.cff"), re.MULTILINE)[1]
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        sys.exit(f"error: fsaf_tf/__init__.py has version {version}; a release has three numbers, such as 1.2.3")
    if cited != version:
        sys.exit(f"error: CITATION.cff names version {cited}, fsaf_tf/__init__.py {version}")
    return version


def notes_of(version: str) -> str:
    """What CHANGELOG.md says of a version."""
    sections = re.split(r"^## ", text("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    heading = re.compile(rf"\[{re.escape(version)}\] - (\S+)")
    matches = [(heading.fullmatch(title), body.strip()) for title, _, body in (one.partition("\n") for one in sections)]
    ours = [(match[1], body) for match, body in matches if match]
    if not ours:
        sys.exit(f"error: CHANGELOG.md has no heading `## [{version}] - YYYY-MM-DD`; [Unreleased] becomes it")
    date, body = ours[0]
    try:
        datetime.date.fromisoformat(date)
    except ValueError:
        sys.exit(f"error: CHANGELOG.md has {date} as the date of {version}; write YYYY-MM-DD")
    if not body:
        sys.exit(f"error: CHANGELOG.md says nothing of {version}")
    unreleased = next((one.partition("\n")[2].strip() for one in sections if one.startswith("[Unreleased]")), "")
    if unreleased:
        sys.exit(f"error: CHANGELOG.md has lines under [Unreleased], which would be in {version}: move them there")
    return f"# fsaf_tf {version}\n\n{body}\n"


def check_git(version: str) -> None:
    """All is committed, and the version is new."""
    changed = git("status", "--porcelain")
    if changed:
        sys.exit(f"error: not committed: {', '.join(line[3:] for line in changed.splitlines())}")
    tags = [tag for tag in git("tag", "--list", "v*").splitlines() if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    newest = max(tags, key=numbers, default="v0.0.0")
    if numbers(f"v{version}") <= numbers(newest):
        sys.exit(f"error: version {version} is not after {newest}, which has a tag; raise __version__")


def numbers(tag: str) -> tuple[int, ...]:
    """To compare versions by."""
    return tuple(map(int, tag[1:].split(".")))


def build(notes: str) -> list[str]:
    """The source distribution and the wheel in dist/, which is emptied before, checked as the registry will."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # setuptools would take what lies there
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", ".")
    files = sorted(f"dist/{path.name}" for path in (ROOT / "dist").iterdir())
    call(sys.executable, "-m", "twine", "check", "--strict", *files)
    (ROOT / "dist" / NOTES).write_text(notes, encoding="utf-8")
    return files


def text(name: str) -> str:
    """Of a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def git(*words: str) -> str:
    """What git answers."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: git {words[0]}: {done.stderr.strip()}")
    return done.stdout.rstrip()


def call(*command) -> None:
    """Runs a program; its failure ends the release."""
    done = subprocess.run([str(word) for word in command], cwd=ROOT)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))} failed; no tag was made")


if __name__ == "__main__":
    main()
