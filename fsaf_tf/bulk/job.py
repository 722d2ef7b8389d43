"""Work in shards that may be killed at any time: a folder that says what it is, what each shard is of, what is done.

A shard has a plan, which says what it is of, and a result, which is written last and whole. Whoever starts the same
work again does the shards without a result; other work in the folder is refused.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Protocol

import tensorflow as tf

from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

FILE = "job.json"
FOLDER = "unfinished"  # in the folder of the output
_RESULT = re.compile(r"result-(\d+)\.npz")


@dataclasses.dataclass(frozen=True)
class Job:
    """Work in shards.

    Attributes:
        folder: of plans and results, on a disk or in a store that all workers see.
        num_shards: how many there are.
    """

    folder: str
    num_shards: int

    def plan(self, shard: int) -> str:
        """The file that says what a shard is of."""
        return f"{self.folder}/plan-{shard:05d}.npz"

    def result(self, shard: int) -> str:
        """The file that is there when a shard is done."""
        return f"{self.folder}/result-{shard:05d}.npz"

    def done(self) -> list[int]:
        """The shards that are done."""
        names = map(_RESULT.fullmatch, tf.io.gfile.listdir(self.folder))
        return sorted(int(name[1]) for name in names if name)

    def forget(self, shard: int) -> None:
        """Takes the result of a shard away."""
        tf.io.gfile.remove(self.result(shard))

    def end(self) -> None:
        """Takes the folder away."""
        tf.io.gfile.rmtree(self.folder)


class Work(Protocol):
    """What is done with a shard, in whichever process: a value that can be pickled."""

    def load(self) -> Any:
        """What all shards of a process need; made once."""

    def do(self, shard: int, loaded: Any) -> None:
        """Does one shard, and writes its result at the end. Raises a UserError for what a user can mend."""


def begin(output: str, num_shards: int, identity: Mapping[str, Any]) -> tuple[Job, bool]:
    """The job of an output, new or to be gone on with.

    Args:
        output: the folder of the output.
        num_shards: how many shards there are.
        identity: all that says which work it is, by words for messages.

    Returns:
        The job, and whether it was there.

    Raises:
        UserError: there is one that is of other work.
    """
    job, wanted = Job(f"{output}/{FOLDER}", num_shards), storage.plain(dict(identity))
    path = f"{job.folder}/{FILE}"
    if tf.io.gfile.exists(path):
        difference = differs(storage.read_dict(path), wanted)
        if difference:
            raise UserError(
                f"{job.folder} is of other work that was not finished: {difference}; go on with that, delete the"
                " folder, or give another --output"
            )
        return job, True
    if tf.io.gfile.exists(job.folder) and tf.io.gfile.listdir(job.folder):
        raise UserError(f"{job.folder} is there and not of this tool; give another --output")
    tf.io.gfile.makedirs(job.folder)
    storage.write_json(path, wanted)
    return job, False


def differs(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """In what two identities differ first, in words; empty if they do not."""
    for name in {**wanted, **there}:
        if there.get(name) != wanted.get(name):
            return f"{name} is {there.get(name)!r:.80} there and {wanted.get(name)!r:.80} here"
    return ""
