"""Which files of a run follow from the values of an experiment; see `formulas`."""

import math

import formulas
import world_run


def check_line(values: dict, seen: dict) -> None:
    """A key that nothing reads cannot be set."""
    expected = "" if values["task.name"] == "fsaf" else "task.name has no effect: leave it at fsaf"
    assert seen["checks/line"].startswith(expected) and bool(seen["checks/line"]) == bool(expected)


def check_run(values: dict, seen: dict) -> None:
    """A loop ends before an evaluation; a checkpoint is saved past each multiple of its interval, and then."""
    keys = formulas.part(values, "trainer.")
    if keys["epochs"]:  # of four pictures
        keys["train_steps"] = math.ceil(keys["epochs"] * 4 / values["task.train_data.global_batch_size"])
    step, saved, evaluated, summaries = 0, [0], [], []
    sign = keys["best_checkpoint_eval_metric"]
    while step < keys["train_steps"] and not _is_over(keys, [world_run.figures(each)[sign] for each in evaluated]):
        end = min((step // keys["validation_interval"] + 1) * keys["validation_interval"], keys["train_steps"])
        waiting = 0
        while step < end:
            before, step = step, min(step + keys["steps_per_loop"], end)
            waiting += 1
            if step // keys["checkpoint_interval"] > saved[-1] // keys["checkpoint_interval"] or step == end:
                saved.append(step)
            if step // keys["summary_interval"] > before // keys["summary_interval"] or step == end and waiting:
                summaries.append(step)
                waiting = 0
        evaluated.append(step)
    found = formulas.seen_under(seen, "run/")
    assert found["checkpoints"] == saved[1:][-keys["max_to_keep"] :]
    assert (found["evaluations"], found["summaries"]) == (evaluated, summaries)
    assert found["rows"] == [summaries, evaluated]
    projects = {keys["wandb"], keys["mlflow"]} - {""}
    assert found["services"] == dict.fromkeys(projects, {"train": summaries, "validation": evaluated})
    best = max(evaluated, key=lambda step: world_run.figures(step)[sign])
    assert found["best"] == {keys["best_checkpoint_export_subdir"]: [best]}


def _is_over(keys: dict, figures: list[float]) -> bool:
    """No better figure in as many evaluations as there is patience."""
    patience = keys["early_stop_patience"]
    return bool(patience and figures) and len(figures) - 1 - figures.index(max(figures)) >= patience
