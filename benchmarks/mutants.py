"""Whether the tests see it when a value of the configuration does not arrive: mutants of every place that hands one on.

    python benchmarks/mutants.py            # some hours on two cores; goes on where it was stopped
    python benchmarks/mutants.py --list     # which there are
    python benchmarks/mutants.py --only=run/task.py,objective.py

A mutant is the package with one change in one of `TESTS`' files. There are two kinds:

    wired    a value that is read from the configuration, or from a value made of it, is the default instead
    dropped  a keyword is not handed on to a function of the package that has a default for it

Each is met in a copy of the checkout by the test that killed it before, by the rows of the wiring test for its field,
then by the tests that belong to its file, until the first fails: then it is dead.
What survives is printed and must be in `UNSEEN`, with the reason why nothing can see it. Results go to
benchmarks/mutants.jsonl. A verdict holds as long as the changed function is the same, and one of a survivor as long as
its tests are; `--anew` asks for all of them again.
"""

import ast
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import pytest
from absl import flags

from fsaf_tf import cli

_FLAGS = flags.FlagValues()
_LIST = flags.DEFINE_bool("list", False, "Print the mutants and stop.", flag_values=_FLAGS)
_ONLY = flags.DEFINE_list("only", [], "Files of the package; all if not given.", flag_values=_FLAGS)
_WORKERS = flags.DEFINE_integer("workers", 2, "Mutants at a time.", lower_bound=1, flag_values=_FLAGS)
_ANEW = flags.DEFINE_bool("anew", False, "Judge those with a verdict, too.", flag_values=_FLAGS)
_LIMIT = flags.DEFINE_integer("limit", 900, "Seconds for one mutant, which then counts as hung.", flag_values=_FLAGS)

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "mutants.jsonl"
WIRING = "tests/config/test_wiring.py"
_LOSSES = (WIRING, "tests/test_paper_constants.py", "tests/test_criterion.py", "tests/run/test_task.py")
_DETECTION = (
    WIRING,
    "tests/test_postprocess.py",
    "tests/test_detection.py",
    "tests/modeling/test_views.py",
    "tests/detect/test_trained.py",
)
_FIGURES = ("tests/figures/test_figures.py", WIRING)
_PHONE = ("tests/serving/test_tflite.py", "tests/serving/test_exported_models.py")
# The files whose values are followed, and the tests that belong to each, the quick ones first.
TESTS = {
    "config/schema.py": (*_LOSSES, *_DETECTION[1:]),
    "run/task.py": ("tests/run/test_task.py", "tests/modeling/test_views.py", "tests/run/test_training.py", WIRING),
    "run/training.py": ("tests/run/test_training.py", WIRING),
    "objective.py": _LOSSES,
    "branches.py": (*_LOSSES, *_FIGURES),
    "criterion.py": _LOSSES,
    "data/pipeline.py": (WIRING, "tests/data/test_records.py", "tests/data/test_pipeline.py"),
    "data/draw.py": (WIRING, "tests/data/test_pipeline.py"),
    "modeling/detector.py": (
        WIRING,
        "tests/modeling/test_detector.py",
        "tests/modeling/test_backbones.py",
        "tests/modeling/test_hosts.py",
    ),
    "modeling/views.py": _DETECTION,
    "postprocess.py": _DETECTION,
    "detection.py": _DETECTION,
    "detect/trained.py": (*_DETECTION, "tests/serving/test_exported_models.py"),
    "serving/saved_model.py": ("tests/serving/test_exported_models.py", "tests/serving/test_saved_model.py"),
    "serving/mobile.py": _PHONE,
    "serving/canvas.py": ("tests/serving/test_canvas.py", *_PHONE),
    "serving/tflite.py": _PHONE,
    "serving/exported_models.py": _PHONE,
    "figures/pictures.py": _FIGURES,
    "figures/targets.py": _FIGURES,
    "figures/selection.py": _FIGURES,
    "figures/levels.py": _FIGURES,
    "figures/write_figures.py": _FIGURES,
}
SCHEMA = "__import__('fsaf_tf.config.schema', fromlist=['schema'])"
# Functions that make a value of the configuration: what makes the default one, and a field that is in it.
MAKERS = {
    "geometry": ("Model()", "location_offset"),
    "shapes": ("AnchorBased()", "scales"),
    "suppression": ("Postprocess()", "nms_iou"),
    "anchor_free": ("Task()", "offset_scale"),
    "anchor_based": ("Task()", "positive_iou"),
    "decoding": ("Task()", "max_per_level"),
    "_focal": ("Task()", "focal_alpha"),
}
# How pytest ends where a test fails, or cannot even be imported.
FAILED = (int(pytest.ExitCode.TESTS_FAILED), int(pytest.ExitCode.INTERRUPTED))
KILLER = "mutant.killer"  # a file in the copy
NOT_FIELDS = ("name", "type")  # many things have these, and few of them are the configuration's
UNSEEN: dict[str, str] = {}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        file: of the package.
        function: where in it.
        line: of the expression.
        kind: `wired` or `dropped`.
        was: the expression; with a number where it stands there more than once.
        becomes: what stands there in its place.
        field: of the configuration, or parameter, that does not arrive.
        source: the whole file with the change.
    """

    file: str
    function: str
    line: int
    kind: str
    was: str
    becomes: str
    field: str
    source: str

    @property
    def name(self) -> str:
        """What it is called in the results and in `UNSEEN`; no line, which moves with every edit."""
        return f"{self.file}:{self.function}: {self.was} -> {self.becomes.removeprefix(SCHEMA).lstrip('.')}"


def defaults() -> dict[str, dict]:
    """For the name of each leaf field of the schema its defaults by their paths from `task`.

    Asked of another process: this one must not import what its children import changed.
    """
    program = (
        "import json; from fsaf_tf.config import plain_values, schema;"
        "print(json.dumps(plain_values.flatten(schema.Task().as_dict(), 'task.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, encoding="utf-8")
    found = {}
    for path, value in json.loads(done.stdout.splitlines()[-1]).items():
        found.setdefault(path.rsplit(".", 1)[1], {})[path] = value
    return {name: paths for name, paths in found.items() if name not in NOT_FIELDS}


class _Changes(ast.NodeVisitor):
    """Finds what can be changed in a file: (node, replacement, kind, function, field)."""

    def __init__(self, tree: ast.Module, fields: dict, optional: dict[str, set[str]]):
        self._fields, self._optional = fields, optional
        imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        self._modules = {alias.asname or alias.name for node in imports for alias in node.names}
        self._functions = []
        self.changes = []

    def visit_FunctionDef(self, node):
        self._functions.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._functions.pop()

    def visit_ClassDef(self, node):
        self._functions.append(node.name)
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                self.visit(statement)
        self._functions.pop()

    def visit_Attribute(self, node):
        chain = ast.unparse(node).split(".")
        if self._functions and node.attr in self._fields and chain[0] not in self._modules:
            for value in self._values(chain):
                self._add(node, repr(value), "wired", node.attr)
        self.generic_visit(node)

    def visit_Call(self, node):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if isinstance(node.func, ast.Attribute) and called in MAKERS and not node.args and self._functions:
            maker, field = MAKERS[called]
            self._add(node, f"{SCHEMA}.{maker}.{called}()", "wired", field)
        for keyword in node.keywords:
            if keyword.arg in self._optional.get(called, ()) and not isinstance(keyword.value, ast.Constant):
                self._add(keyword, "", "dropped", keyword.arg)
        is_method = isinstance(node.func, ast.Attribute)  # which may have the name of a field
        for part in (node.func.value if is_method else node.func, *node.args, *node.keywords):
            self.visit(part)

    def _values(self, chain: list[str]) -> list:
        """The defaults of the fields that a chain of attributes may mean: those whose path ends most alike."""
        paths = self._fields[chain[-1]]
        for length in range(len(chain), 0, -1):
            fitting = {
                repr(value): value for path, value in paths.items() if path.split(".")[-length:] == chain[-length:]
            }
            if fitting:
                return list(fitting.values())
        return []

    def _add(self, node, becomes: str, kind: str, field: str):
        self.changes.append((node, becomes, kind, ".".join(self._functions), field))


def optional_parameters() -> dict[str, set[str]]:
    """The parameters with defaults of the functions and classes of the package, by name."""
    found = {}
    for path in (ROOT / "fsaf_tf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                given = [arg.arg for arg in [*node.args.posonlyargs, *node.args.args]]
                names = set(given[len(given) - len(node.args.defaults) :])
                names |= {
                    arg.arg for arg, value in zip(node.args.kwonlyargs, node.args.kw_defaults) if value is not None
                }
                found.setdefault(node.name, set()).update(names)
    return found


def mutants(file: str, fields: dict, optional: dict[str, set[str]]) -> list[Mutant]:
    """All changes of one file, in its order."""
    source = (ROOT / "fsaf_tf" / file).read_text(encoding="utf-8")
    tree = ast.parse(source)
    changes = _Changes(tree, fields, optional)
    changes.visit(tree)
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    made = []
    for node, becomes, kind, function, field in changes.changes:
        text = source.encode()
        first, last = (starts[row - 1] + column for row, column in _place(node))
        was = text[first:last].decode()
        if kind == "dropped":
            last += text[last:].find(b",") + 1 if text[last:].lstrip().startswith(b",") else 0
        changed = (text[:first] + becomes.encode() + text[last:]).decode()
        was = " ".join(was.split())
        again = sum((function, was) == (other.function, other.was.split(" #")[0]) for other in made)
        was += f" #{again + 1}" if again else ""
        made.append(Mutant(file, function, node.lineno, kind, was, becomes or "nothing", field, changed))
    return made


def _place(node) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def judge(mutant: Mutant, tree: pathlib.Path, limit: int, killer: str) -> tuple[str, str]:
    """`killed`, `survived` or `hung`, and the test that killed it; it is met by `killer` first, if that is one.

    The tests run in a copy of the checkout and in a child of this process, which has TensorFlow already: to import it
    takes longer than most mutants live.
    """
    target = tree / "fsaf_tf" / mutant.file
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.source, encoding="utf-8")
    of_field = [WIRING, "-k", f"test_key and {mutant.field}"]
    for words in ([killer] if killer else [], of_field, TESTS[mutant.file]):
        if not words:
            continue
        child = os.fork()
        if child == 0:
            _run_tests(tree, list(words))
        status = _wait(child, limit)
        if status is None or status in FAILED:
            break
    target.write_text(original, encoding="utf-8")
    if status in FAILED:
        return "killed", (tree / KILLER).read_text(encoding="utf-8") if (tree / KILLER).exists() else ""
    return {None: "hung", 0: "survived"}.get(status, f"tests ended with {status}"), ""


def _run_tests(tree: pathlib.Path, tests: list[str]) -> None:
    """Ends the process, with 0 only if all tests passed."""
    os.setsid()
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPATH"] = str(tree)
    log = os.open("mutant.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    for name in [name for name in sys.modules if name.split(".")[0] == "fsaf_tf"]:
        del sys.modules[name]
    pathlib.Path(KILLER).unlink(missing_ok=True)
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests], plugins=[_Killer()])))


class _Killer:
    """Writes down the first test that fails."""

    def pytest_runtest_logreport(self, report):
        if report.failed and not pathlib.Path(KILLER).exists():
            pathlib.Path(KILLER).write_text(report.nodeid, encoding="utf-8")


def _wait(child: int, limit: int) -> int | None:
    """The exit status of a child; None if it had to be ended."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.2)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def digest(mutant: Mutant, tests: Sequence[str] = ()) -> str:
    """Of the changed function, and of tests: a verdict is another only if one of them is."""
    content = mutant.name + _function(mutant)
    for test in tests:
        content += (ROOT / test).read_text(encoding="utf-8")
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _function(mutant: Mutant) -> str:
    """The source of the outermost function, or of the method, that a mutant changes."""
    tree, source = ast.parse(mutant.source), ""
    for name in mutant.function.split("."):
        kinds = (ast.FunctionDef, ast.ClassDef)
        tree = next(node for node in tree.body if isinstance(node, kinds) and node.name == name)
        source = ast.unparse(tree)
        if isinstance(tree, ast.FunctionDef):
            break
    return source


def work(number: int, count: int, waiting: list[Mutant], limit: int, killers: dict[str, str]) -> None:
    """One worker: every `count`-th mutant, in a copy of the checkout of its own. Ends the process."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "runs", "build", "images"))
        for mutant in waiting[number::count]:
            start = time.monotonic()
            verdict, killer = judge(mutant, tree, limit, killers.get(mutant.name, ""))
            row = {"name": mutant.name, "kind": mutant.kind, "verdict": verdict, "by": killer}
            tests = () if verdict == "killed" else TESTS[mutant.file]
            row |= {"seconds": round(time.monotonic() - start, 1), "digest": digest(mutant, tests)}
            with open(RESULTS, "a", encoding="utf-8") as file:  # a line at once, so that workers can share it
                file.write(json.dumps(row) + "\n")
            print(f"{verdict:9} {row['seconds']:6.1f} s  {mutant.name}", flush=True)
    os._exit(0)


def read_results() -> dict[str, dict]:
    """The last row of each mutant, by its digest."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return {row["digest"]: row for row in map(json.loads, lines)}


def _row(known: dict[str, dict], mutant: Mutant) -> dict | None:
    """The row of a mutant that is dead, or that all of its tests let live."""
    return known.get(digest(mutant)) or known.get(digest(mutant, TESTS[mutant.file]))


def main() -> None:
    """Judges what was not judged yet, and prints what survived."""
    files = _ONLY.value or list(TESTS)
    fields, optional = defaults(), optional_parameters()
    every = [mutant for file in files for mutant in mutants(file, fields, optional)]
    if _LIST.value:
        print(*(f"{mutant.kind:8} {mutant.name}" for mutant in every), f"{len(every)} mutants", sep="\n")
        return
    known = read_results()
    waiting = [mutant for mutant in every if _ANEW.value or not _row(known, mutant)]
    killers = {row["name"]: row["by"] for row in known.values() if row["verdict"] == "killed"}
    print(f"{len(every)} mutants, {len(waiting)} of them not judged yet", flush=True)
    import official.vision.modeling.backbones.factory  # noqa: F401 (with TensorFlow, for all children)

    workers = []
    for number in range(_WORKERS.value if waiting else 0):
        workers.append(os.fork())
        if workers[-1] == 0:
            work(number, _WORKERS.value, waiting, _LIMIT.value, killers)
    for worker in workers:
        os.waitpid(worker, 0)
    known = read_results()
    rows = {mutant.name: row for mutant in every if (row := _row(known, mutant))}
    counts = {
        verdict: sum(row["verdict"] == verdict for row in rows.values()) for verdict in ("killed", "survived", "hung")
    }
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    survivors = [name for name, row in rows.items() if row["verdict"] != "killed"]
    print(*(f"{name}: {UNSEEN.get(name, 'UNEXPLAINED')}" for name in survivors), sep="\n")
    sys.exit(any(name not in UNSEEN for name in survivors))


if __name__ == "__main__":
    cli.run(main, _FLAGS, __doc__)
