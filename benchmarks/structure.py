"""Figures of the code: files, functions, parameters, and whether imports go in a circle.

    python benchmarks/structure.py [FOLDER]

FOLDER is a package, `fsaf_tf` of this checkout if not given. A function's lines are those of its body without its
docstring; `self` and `cls` are no parameters.
"""

import ast
import pathlib
import statistics
import sys

MOST_PARAMETERS, MOST_LINES = 7, 45


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """All functions, methods and inner functions of a file."""
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def lines(function: ast.FunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def parameters(function: ast.FunctionDef) -> int:
    """Parameters of a function."""
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len(named) - (bool(named) and named[0].arg in ("self", "cls"))


def imports(tree: ast.Module, package: str, modules: set[str]) -> set[str]:
    """The package's modules that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names |= {name if name in modules else node.module for name in inner}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in modules and name != package}


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """The nodes of a graph that can be reached from themselves."""
    found = []
    for start in arrows:
        reached, waiting = set(), list(arrows[start])
        while waiting:
            node = waiting.pop()
            if node not in reached:
                reached.add(node)
                waiting += arrows.get(node, ())
        found += [start] * (start in reached)
    return found


def main(folder: pathlib.Path) -> None:
    """Prints the figures of a package."""
    files = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))}
    every = [(path, function) for path, tree in files.items() for function in functions(tree)]
    sizes = sorted(lines(function) for _, function in every)
    modules = {_module(path, folder): tree for path, tree in files.items()}
    arrows = {name: imports(tree, folder.name, set(modules)) - {name} for name, tree in modules.items()}
    rooms = {}
    for name, targets in arrows.items():
        if _room(name):  # the files at the root are no room: some are below the rooms, some above
            inner = {_room(target) for target in targets} - {"", _room(name)}
            rooms.setdefault(_room(name), set()).update(inner)
    flat = [path for path in files if path.parent == folder]
    print(f"{len(files)} files, {len(flat)} of them at the root; {len(every)} functions")
    print(
        f"lines of a function: median {statistics.median(sizes):g}, 90% {sizes[len(sizes) * 9 // 10]}, most {sizes[-1]}"
    )
    print(f"circles of imports: {len(circles(arrows))} files, {len(circles(rooms))} rooms")
    for title, kept in (
        (f"more than {MOST_PARAMETERS} parameters", lambda function: parameters(function) > MOST_PARAMETERS),
        (f"more than {MOST_LINES} lines", lambda function: lines(function) > MOST_LINES),
    ):
        over = [(path, function) for path, function in every if kept(function)]
        print(f"{title}: {len(over)}")
        for path, function in over:
            place = f"{path.relative_to(folder)}:{function.lineno}"
            print(f"  {place} {function.name}, {parameters(function)} parameters, {lines(function)} lines")


def _module(path: pathlib.Path, folder: pathlib.Path) -> str:
    place = path.relative_to(folder.parent).with_suffix("")
    return ".".join(place.parts).removesuffix(".__init__")


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else ""


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "fsaf_tf"))
