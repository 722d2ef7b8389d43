"""The notebook: what it holds, and cell by cell in a kernel of its own, with a network and pictures that are small."""

import ast
import os
import pathlib
import re

import nbformat
import pytest

NOTEBOOK = pathlib.Path(__file__).parent.parent.parent / "examples" / "from_pictures_to_a_server.ipynb"
SMALLEST = {
    "task.model.backbone": "type=resnet resnet.depth=14 resnet.width_per_group=8 resnet.form=pytorch resnet.weights=''",
    "task.model": "max_level=5 fpn.channels=16 heads.convs=1 heads.channels=16 postprocess.score_threshold=0.005",
    "task.input_size": "shorter_side=64 longer_side=64",
    "task.train_data": "global_batch_size=2",
    "trainer": "optimizer_config.warmup.linear.warmup_steps=1",
}
CHANGES = ",".join(f"{place}.{change}" for place, changes in SMALLEST.items() for change in changes.split())


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def output_of(notebook, text: str) -> str:
    """What the cell that has this text in its code has printed."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source]
    return "".join(output.get("text", "") for output in cell.outputs)


def test_it_is_kept_without_outputs():
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_its_code_is_python_and_what_it_names_is_there():
    """Which is all that is looked at by default: each of four tools imports TensorFlow when the cells are run."""
    text = "\n".join(cell.source for cell in read().cells)
    for cell in read().cells:
        ast.parse(cell.source if cell.cell_type == "code" else "")
    tools = re.findall(r'^run\("(\w+)"', text, re.MULTILINE)
    assert tools == ["data", "train", "export"]
    files = [f"../tools/{tool}.py" for tool in tools] + re.findall(r"\]\(([^)#]+)\)", text) + ["lean/serve.py"]
    assert [file for file in files if not (NOTEBOOK.parent / file).is_file()] == []


@pytest.mark.skipif(not os.environ.get("FSAF_LONG"), reason="takes a minute; FSAF_LONG=1 runs it")
def test_it_runs_from_pictures_to_a_server(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for name, value in {"STEPS": "2", "DRAWN": "10", "CHANGES": CHANGES, "FOLDER": str(tmp_path)}.items():
        monkeypatch.setenv(f"NOTEBOOK_{name}", value)
    notebook = read()
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()  # a cell that fails is an error here
    assert "(training): 8 images, 7 classes" in output_of(notebook, 'run("data", "check"')
    assert "AP50" in output_of(notebook, "detector = fsaf_tf.load_detector(RUN)")
    (shown,) = [cell for cell in notebook.cells if cell.cell_type == "code" and "display(drawn)" in cell.source]
    assert sum("image/png" in output.get("data", {}) for output in shown.outputs) == 2
    assert output_of(notebook, "lean/serve.py").endswith("serves mine\n\n")
    assert int(output_of(notebook, "detections, the same").split()[0]) > 5
