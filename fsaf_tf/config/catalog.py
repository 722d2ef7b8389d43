"""Where the experiments are. Imports no TensorFlow, so that a wrong name is told at once."""

import pathlib

from fsaf_tf.config.plain_values import hint
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

_PACKAGE = pathlib.Path(__file__).parent.parent
_PACKAGED = _PACKAGE / "experiments"  # in an installed wheel
_FOLDER = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "experiments"  # in a checkout


def names() -> list[str]:
    """The experiments that come with the library."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def find(name_or_path: str) -> pathlib.Path:
    """The file of an experiment.

    Args:
        name_or_path: the name of a file in `experiments/` without its ending, or the path of a YAML file.

    Raises:
        UserError: there is none; the message lists the names.
    """
    packaged = _FOLDER / f"{name_or_path}.yaml"
    if name_or_path in names():
        return packaged
    paths.refuse_remote(name_or_path, "the file of an experiment")
    path = pathlib.Path(name_or_path)
    if path.is_file():
        return path
    if path.is_dir():
        recorded = path / "params.yaml"
        instead = f"give {recorded}, what was run there" if recorded.is_file() else "give the path of a YAML file"
        raise UserError(f"{name_or_path} is a folder, not an experiment; {instead}")
    what = "file" if path.suffix in (".yaml", ".yml") else "experiment"
    raise UserError(
        f"no {what} {name_or_path!r}{hint(name_or_path, names())}; give the path of a YAML file or one of: "
        f"{', '.join(names())}"
    )
