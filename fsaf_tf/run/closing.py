"""What a run says at its end: its figures, where everything is, and what may come next."""

from fsaf_tf.evaluate import metrics_table
from fsaf_tf.run import checkpoints
from fsaf_tf.run.run import Run
from fsaf_tf.terminal import commands


def report(run: Run, metrics: dict) -> dict:
    """Prints the table of the last evaluation, if there was one, where everything is, and what may come next."""
    run.progress.close()
    if "AP" in metrics:
        run.progress.say(f"Evaluation of {metrics['checkpoint']}, {metrics['images']} images:")
        run.progress.say(metrics_table.format_table(metrics))
    if run.mode.is_one_evaluation:
        run.progress.say(f"The figures are in {run.results_dir}/metrics.json, the detections in detections.json there")
    else:
        logs = f"tensorboard --logdir={run.model_dir}"
        run.progress.say(f"Everything is in {run.model_dir}; curves and pictures: {logs}, or train.csv, validation.csv")
    if run.mode.trains and run.is_chief:
        run.progress.say("\n".join(_next_steps(run)))
    return metrics


def _next_steps(run: Run) -> list[str]:
    """The checkpoint that the other tools take, and their commands."""
    checkpoint, folder = checkpoints.choose(run.model_dir), run.model_dir
    which = {checkpoints.BEST: "Best checkpoint", checkpoints.NEWEST: "Newest checkpoint"}[checkpoint.kind]
    notes = f" ({'; '.join(checkpoint.notes)})" if checkpoint.notes else ""
    look = commands.of_tool("analyze", f"--model_dir={folder}", "--output=report.html")
    if not checkpoint.read_metrics():
        look = commands.of_tool("train", "--mode=eval", f"--model_dir={folder}")
    return [
        f"{which}: {checkpoint}{notes}. Next:",
        f"  {commands.of_tool('predict', f'--model={folder}', '--images=photos', '--output=out')}",
        f"  {commands.of_tool('export', '--format=saved_model', f'--model_dir={folder}', '--output=exported')}",
        f"  {look}",
    ]
