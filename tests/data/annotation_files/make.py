"""Writes the files of this folder: `tests/data/test_annotation_files.py` reads them, and needs none of the tools.

    python make.py                    # all
    python make.py datumaro globox    # of these tools alone

docs/data.md has the tools with their versions. The files of a tool that is not installed, or not with all that it
imports, stay as they are, and a line says so. Written again they differ in dates, and in colours that are drawn.
"""

import pathlib
import sys
import tempfile

import by_datumaro
import by_label_studio
import by_libraries
import by_platforms
import habits_of_scripts
import habits_of_tools
import other_formats
import scene

HERE = pathlib.Path(__file__).parent
TOOLS = (
    by_datumaro.datumaro,
    by_label_studio.label_studio,
    by_libraries.supervision,
    by_libraries.globox,
    by_libraries.labelformat,
    by_libraries.pylabel,
    by_libraries.sahi,
    by_libraries.kwcoco,
    by_libraries.bboxconverter,
    by_platforms.labelme,
    by_platforms.labelme2coco,
    by_platforms.isat,
    by_platforms.darwin,
    by_platforms.supervisely,
    by_platforms.fiftyone,
    by_platforms.mmdetection,
)


def by_tool(tool) -> None:
    """Runs a tool in a folder of its own, and takes what it wrote without the path of that folder."""
    with tempfile.TemporaryDirectory() as folder:
        images, work, out = (pathlib.Path(folder) / name for name in ("images", "work", "out"))
        for path in (images, work, out):
            path.mkdir()
        try:
            scene.draw(images)
            tool(images, work, out)
        except ImportError as error:
            print(f"{tool.__name__} is left out: {error}")
            return
        for file in sorted(out.iterdir()):
            write(f"{tool.__name__}/{file.name}", file.read_bytes().replace(folder.encode(), b"/home/me/parts"))


def write(path: str, content: bytes) -> None:
    (HERE / path).parent.mkdir(exist_ok=True)
    (HERE / path).write_bytes(content)
    print(path, len(content))


def main(wanted: list[str]) -> None:
    for tool in TOOLS:
        if not wanted or tool.__name__ in wanted:
            by_tool(tool)
    for module in (habits_of_tools, habits_of_scripts, other_formats):
        for path, content in module.files().items():
            if not wanted or path.split("/")[0] in wanted:
                write(path, content)


if __name__ == "__main__":
    main(sys.argv[1:])
