"""What a run says at its start: its rates, and what it goes on from."""

from fsaf_tf import detection
from fsaf_tf.config import experiment
from fsaf_tf.run.run import Run


def say(run: Run, changed: list[str]) -> None:
    """Prints the rates of a training and what it goes on from, or what is evaluated.

    Args:
        run: that begins.
        changed: lines on keys that are otherwise than at its last start.
    """
    if run.mode.trains:
        run.progress.say("\n".join(experiment.rates_report(run.params)))
    if run.checkpoint and run.mode.trains:
        going_on = f"Going on from step {run.step}, {run.checkpoint.prefix}."
        run.progress.tell("\n".join([going_on, *(f"  {line}" for line in changed)]))
    elif run.checkpoint:
        run.progress.say(run.checkpoint.line)
    elif run.mode.trains and not run.params.task.init_checkpoint:
        run.progress.say(start_line(run.params.task.model.backbone))
    for way in (detection.views_of(run.params.task), detection.tiles_of(run.params.task)):
        if way and run.mode.evaluates:
            run.progress.say(way.describe())


def start_line(backbone) -> str:
    """What the weights of a training without any checkpoint are at first.

    Args:
        backbone: `task.model.backbone`.
    """
    weights = getattr(backbone.get(), "weights", None)
    if weights:
        return f"Starting with the backbone's published weights ({weights}) and random values for the rest."
    reason = f"task.model.backbone.{backbone.type}.weights is empty"
    if weights is None:
        reason = f"there are no published weights for {backbone.type} here"
    return f"Starting with random values everywhere: {reason}."
