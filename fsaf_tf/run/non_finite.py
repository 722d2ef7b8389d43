"""What is kept of a step whose loss is not finite: its batch, and the weights and the optimizer that it met.

Both are in `non_finite/` of the run; `run.replay` makes the step again.
"""

import io

import numpy as np
import tensorflow as tf

from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.terminal import faults

FOLDER = "non_finite"
_WEIGHTS = "weights"


def keep_batch(model_dir: str, batch: dict[str, tf.Tensor], step: tf.Tensor) -> tf.Tensor:
    """Writes a batch of a step, counted from 1, that has passed the device stage, when the graph comes here.

    Returns:
        `[]` bool, for what is to wait.
    """
    keys = list(batch)

    def write(step: int, replica: int, *values: np.ndarray) -> bool:
        content = io.BytesIO()
        np.savez_compressed(content, **dict(zip(keys, values, strict=True)))
        try:
            storage.make_folder(f"{model_dir}/{FOLDER}")
            storage.write_bytes(f"{model_dir}/{FOLDER}/batch-{step}-{replica}.npz", content.getvalue())
        except (UserError, OSError, tf.errors.OpError) as error:
            print(f"The batch is not kept: {faults.line(error) or error}", flush=True)
        return True

    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.numpy_function(write, [step, replica, *batch.values()], tf.bool)


def keep_weights(model_dir: str, checkpoint: tf.train.Checkpoint) -> None:
    """Writes what the step met: it changed no variable that is trained."""
    try:
        checkpoint.write(weights(model_dir))
    except (OSError, MemoryError, tf.errors.OpError) as error:
        print(f"The weights of the step are not kept: {faults.line(error) or error}", flush=True)


def is_kept(model_dir: str) -> bool:
    """Whether there is such a step."""
    return bool(_batches(model_dir)) and tf.io.gfile.exists(f"{weights(model_dir)}.index")


def weights(model_dir: str) -> str:
    """The prefix of the checkpoint."""
    return f"{model_dir}/{FOLDER}/{_WEIGHTS}"


def read_batches(model_dir: str, step: int) -> list[dict[str, np.ndarray]]:
    """The batches of the replicas on which the loss of a step was not finite.

    Raises:
        UserError: there is none.
    """
    files = _batches(model_dir, step)
    if not files:
        raise UserError(f"{model_dir}/{FOLDER} holds no batch of step {step}")
    return [_read(file) for file in files]


def _batches(model_dir: str, step: int | str = "*") -> list[str]:
    return sorted(tf.io.gfile.glob(f"{model_dir}/{FOLDER}/batch-{step}-*.npz"))


def _read(file: str) -> dict[str, np.ndarray]:
    with tf.io.gfile.GFile(file, "rb") as stream:
        content = io.BytesIO(stream.read())
    try:
        with np.load(content) as arrays:
            return dict(arrays)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes NumPy raise almost anything
        raise UserError(f"{file} is damaged: {error}") from error
