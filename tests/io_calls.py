"""Every place of the library and the tools that reads or writes a file, the network or a device, by its syntax tree.

A place is `FILE:FUNCTION:CALL`, as `files/storage.py:whole:tf.io.gfile.rename`; several equal calls in a function are
one.
Taken for such a call is any mention of `MODULES`, any call of a method that is named in `METHODS` on what is not of
this library, and any call with `weights=`, for which Keras opens a file. `tests/terminal/test_injection.py` wants a
case for each of them.

`print` is not among them: all that is printed goes through `terminal/lasting.py`, whose own calls are.
"""

import ast
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
MODULES = re.compile(
    r"open|safetensors\.\w+|torch\.(load|save)|json\.(load|dump)|Image\.open|(interpreter|litert)\.Interpreter|runtime\.InferenceSession|self\._session\.run"
    r"|(os|shutil|tempfile|glob|subprocess|zipfile|tarfile|h5py|lzma|gzip|bz2|mmap|socket|urllib\.request)\.[\w.]+"
    r"|importlib\.metadata\.\w+|ImageFont\.\w+|ft2font\.\w+|font_manager\.\w+|cv2\.Video\w+"
    r"|np\.(load\w*|save\w*|fromfile|memmap|genfromtxt)"
    r"|tf\.io\.(gfile\.\w+|read_file|write_file|matching_files|TFRecordWriter|write_graph)"
    r"|tf\.data\.(TFRecordDataset|TextLineDataset|FixedLengthRecordDataset)|tf\.summary\.\w+"
    r"|tf\.saved_model\.\w+|tf\.compat\.v1\.saved_model\.\w+|tf\.lite\.TFLiteConverter\.\w+"
    r"|tf\.train\.(Checkpoint\w*|load_\w+|list_\w+|latest_checkpoint|checkpoints_iterator)"
    r"|paths\.(names|size|state|glob|open_to_read|read_bytes|make_folder|files_below|remove_folder)"
    r"|paths\.open_checkpoint|tfds\.(builder|load)|tf_keras\.(models\.load\w*|utils\.get_file)|sys\.(stdout|stderr)\.\w+"
)
# Of those what touches nothing: words about paths, constants, types, values that are kept in memory.
PURE = re.compile(
    r"os\.path\.(join|basename|dirname|split|splitext|abspath|commonpath|commonprefix|relpath|normpath|isabs|expanduser)"
    r"|os\.(fspath|fsdecode|fsencode|strerror|environ[\w.]*|getpid|cpu_count|pathsep[\w.]*|devnull|PathLike|O_\w+)"
    r"|os\.([A-Z]_OK|SEEK_\w+)|shutil\.get_terminal_size|subprocess\.\w+(Error|Process)|zipfile\.(ZipInfo|ZIP_\w+|BadZipFile)|h5py\.(Dataset|Group)|tf\.io\.gfile"
    r"|importlib\.metadata\.PackageNotFoundError|urllib\.request\.Request|cv2\.VideoWriter_fourcc|ImageFont\.Free\w+"
    r"|font_manager\.(FontProperties|fontManager)|tf\.train\.Checkpoint(Manager|View)?|tf\.saved_model\.Asset"
)
# What answers False, or the path as it is, whatever fault there is.
NEVER_RAISES = re.compile(r"os\.path\.(exists|lexists|isfile|isdir|islink|realpath)|os\.access|tf\.io\.gfile\.isdir")
METHODS = re.compile(
    r"read|readline|readlines|write|writelines|writestr|save|savefig|restore|restore_or_initialize|read_text|write_text"
    r"|read_bytes|write_bytes|mkdir|rmdir|unlink|rename|touch|iterdir|glob|rglob|is_file|is_dir|exists|stat|cleanup"
    r"|extract|extractall|flush|seek|truncate|urlopen|Predict|insecure_channel|release|isOpened|get_tensor|invoke|match"
    r"|allocate_tensors|as_numpy_iterator|write_summaries|summary_writer|download_and_prepare|is_prepared|as_dataset"
    r"|get_single_element|from_generator"
)
# In memory, or of what is ours: methods that are called as those of files are.
OTHERS = re.compile(r"re\.match|_\w+\.match|reader\.read|module\.read|array\.write|(\w+\.)*classes\.write|video\.write")


class Place(NamedTuple):
    """A call that reads or writes: its name, its file, the lines of its function, and what is called."""

    name: str
    file: pathlib.Path
    lines: range
    call: str


def places() -> dict[str, Place]:
    """All of them, by their names."""
    files = sorted([*(ROOT / "fsaf_tf").rglob("*.py"), *(ROOT / "tools").glob("*.py")])
    files.remove(ROOT / "fsaf_tf/files/paths.py")  # its callers have the places
    return {place.name: place for file in files for place in _of_file(file)}


def _of_file(file: pathlib.Path) -> Iterator[Place]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = {each.name for node in imports if (node.module or "").startswith("fsaf_tf") for each in node.names}
    own |= {each.asname for node in imports for each in node.names if each.asname}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    yield from _inside(tree, file, own, [])


def _inside(node: ast.AST, file: pathlib.Path, own: set[str], around: list) -> Iterator[Place]:
    """The places in a node, which stands in functions and classes."""
    call = _call(node, own)
    if call:
        names = ".".join(each.name for each in around)
        path = file.relative_to(ROOT).as_posix().removeprefix("fsaf_tf/")
        lines = range(around[-1].lineno, around[-1].end_lineno + 1) if around else range(0)
        yield Place(f"{path}:{names}:{call}", file, lines, call)
    if isinstance(node, ast.Attribute) and MODULES.fullmatch(ast.unparse(node)):
        return
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        around = [*around, node]
    for child in ast.iter_child_nodes(node):
        yield from _inside(child, file, own, around)


def _call(node: ast.AST, own: set[str]) -> str | None:
    """What a node calls, or mentions, that reads or writes."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = ast.unparse(node)
        is_taken = MODULES.fullmatch(name) and not (PURE.fullmatch(name) or NEVER_RAISES.fullmatch(name))
        return name if is_taken else None
    if not isinstance(node, ast.Call):
        return None
    weights = [each.value for each in node.keywords if each.arg == "weights"]
    if weights and not (isinstance(weights[0], ast.Constant) and weights[0].value is None):
        return f"{_root(node.func)}(weights=)"
    if not (isinstance(node.func, ast.Attribute) and METHODS.fullmatch(node.func.attr)):
        return None
    name = f"{_root(node.func.value)}.{node.func.attr}"
    is_own = name.split(".")[0] in own or name.count(".") == 1 and name.startswith("self.")
    return None if is_own or MODULES.fullmatch(name) or OTHERS.fullmatch(name) else name


def _root(node: ast.AST) -> str:
    """The words of an expression, without arguments and indices."""
    return re.sub(r"[(\[].*", "", ast.unparse(node), flags=re.DOTALL)
