"""The files to start a cluster from give each worker its place, and a page's arithmetic is what it says."""

import contextlib
import io
import pathlib
import re
import subprocess

import pytest
import yaml

from fsaf_tf.config import experiment
from fsaf_tf.run import tf_config

ROOT = pathlib.Path(__file__).parent.parent.parent
FILES = ROOT / "examples" / "cluster"
# In the place of the training tool, and of SLURM's commands.
TOOL = '#!/bin/bash\nprintf "%s\\n" "$TF_CONFIG" > config.txt\nprintf "%s\\n" "$@" > flags.txt\nexit 7\n'
SLURM = {
    "scontrol": "#!/bin/bash\nif [ $1 = show ]; then printf 'host%d\\n' {0..7}; else echo $@ >> requeued.txt; fi\n",
    "srun": '#!/bin/bash\nshift\nSLURM_PROCID=3 exec "$@"\n',
}


def run(command, folder, **environment):
    for name, text in {"fsaf-train": TOOL, **SLURM}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    path = {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run(command, cwd=folder, env=path | environment, capture_output=True, text=True)


def check(folder, host):
    place = tf_config.read({"TF_CONFIG": (folder / "config.txt").read_text()})
    assert place.addresses == tuple(f"{host.format(number)}:2222" for number in range(8)) and place.index == 3
    flags = dict(line[2:].split("=", 1) for line in (folder / "flags.txt").read_text().splitlines())
    params = experiment.load(flags["experiment"], overrides=flags["params_override"])
    assert params.runtime.distribution_strategy == "multi_worker_mirrored"
    assert (params.task.train_data.global_batch_size, params.trainer.train_steps) == (128, 11250)
    assert params.trainer.optimizer_config.learning_rate.stepwise.boundaries == [7500, 10000]


def test_kubernetes(tmp_path):
    _, job = yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())
    container = job["spec"]["template"]["spec"]["containers"][0]
    run([*container["command"], *container["args"]], tmp_path, JOB_COMPLETION_INDEX="3")
    check(tmp_path, "fsaf-{}.fsaf")


@pytest.mark.parametrize(("restarts", "requeued"), [("0", True), ("20", False)])
def test_slurm(tmp_path, restarts, requeued):
    done = run(["bash", str(FILES / "slurm.sh")], tmp_path, SLURM_JOB_ID="5", SLURM_RESTART_COUNT=restarts)
    check(tmp_path, "host{}")
    assert done.returncode == 7 and (tmp_path / "requeued.txt").exists() == requeued


def test_the_arithmetic_of_the_page():
    page = (ROOT / "docs" / "scaling.md").read_text()
    code = re.search(r"```python\n(# Arithmetic.*?)```", page, re.DOTALL)[1]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    assert printed.getvalue().strip() in page
