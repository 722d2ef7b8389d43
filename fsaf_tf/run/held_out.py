"""The pictures that a run holds out from training, recorded: data that change later must not hold out others."""

from fsaf_tf.data.examples import Source
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

FILE = "held_out.json"


def check(model_dir: str, source: Source) -> None:
    """Compares the pictures that are held out with those that a run records, if it does.

    Args:
        model_dir: the run's folder.
        source: its data, of training or of evaluation.

    Raises:
        UserError: they are others.
    """
    before = storage.read_dict(f"{model_dir}/{FILE}").get("pictures")
    if not before or not source.held_out or {*before} == {*source.held_out}:
        return
    others = len({*source.held_out} - {*before})
    raise UserError(
        f"{model_dir}/{FILE} records {len(before):,} pictures that were held out from training, and now they are"
        f" {len(source.held_out):,}, {others:,} of them others: annotations or pictures have changed; take them as they"
        " were, or another --model_dir"
    )


def write(model_dir: str, source: Source) -> None:
    """Records the pictures that are held out, if any are."""
    if source.held_out:
        storage.write_json(f"{model_dir}/{FILE}", {"pictures": source.held_out})
