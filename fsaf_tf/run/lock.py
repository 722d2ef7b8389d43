"""One process writes to the folder of a run, or of predictions: a lock there, which says whose it is.

`flock` on a file with host and process. The system lets go of it when a process dies, however, and takes no later
process of the same number for it; two cannot take over a dead one's lock at once, as they could a file that is only
created. Other machines that share the folder may not see it: they go by the age of the file, which its owner touches
every minute. So a run that is killed and started again on another machine goes on after ten minutes at most.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from fsaf_tf.errors import UserError
from fsaf_tf.files import parts, paths, storage
from fsaf_tf.run.mode import Mode
from fsaf_tf.terminal import beat, faults

# What is written: the checkpoints of a run, its figures, predictions, shards of data.
TRAINING, EVALUATION, PREDICTION, PREPARATION = "train.lock", "evaluate.lock", "predict.lock", "prepare.lock"
SIGN, SILENCE = 60, 600  # seconds between two signs of an owner's life, and without one until it is dead elsewhere
_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)  # file systems without it


def names_of(mode: Mode, is_chief: bool) -> list[str]:
    """What a run writes to its folder, and so keeps others from; in a cluster only the chief does.

    One that watches goes beside a training; one evaluation does not, whose checkpoint might go meanwhile.
    """
    is_alone = not mode.watches
    return is_chief * ([TRAINING] * is_alone + [EVALUATION] * mode.evaluates)


@contextlib.contextmanager
def held(folder: str, names: Sequence[str], say: Callable[[str], None]) -> Iterator[None]:
    """Locks a folder, as a context, which makes it if it is not there, and takes it away if it stays empty.

    Args:
        folder: on this machine or shared with others; one with `://` in its name is not locked, which is said.
        names: what is written there: `TRAINING`, `EVALUATION`, `PREDICTION`.
        say: prints a line, such as that the lock of a dead process is taken over.

    Raises:
        UserError: another process has it, or one of another machine that may live.
    """
    if paths.is_remote(folder):
        if names:
            say(f"{folder} cannot be locked: no other process may write to it meanwhile.")
        yield
        return
    is_new = not os.path.isdir(folder)
    with contextlib.ExitStack() as locks:
        if names:
            storage.make_folder(folder)
        if is_new:
            locks.callback(_remove_empty, folder)
        for name in names:
            locks.enter_context(_held(f"{folder}/{name}", say))
        yield


@contextlib.contextmanager
def _held(path: str, say: Callable[[str], None]) -> Iterator[None]:
    with _open(path) as file:
        before = storage.read_dict(path)
        if before and before.get("host") != platform.node() and _age(file) < SILENCE:
            until = f"it counts as dead {SILENCE // 60} minutes after its last sign; if it is, delete {path}"
            raise UserError(f"{_whose(path, before)}; {until}")
        if before:
            say(f"{_whose(path, before)}, and is dead: its lock is taken over.")
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        owner = {"host": platform.node(), "pid": os.getpid(), "since": now}
        try:
            with faults.named(path):
                file.truncate(0)
                file.write(json.dumps(owner))
                file.flush()
            with beat.every(SIGN, lambda: os.utime(path), away=OSError):
                yield
        finally:
            with contextlib.suppress(OSError):  # the folder may be gone; a lock that stays is known for a dead one's
                os.remove(path)


def _age(file: TextIO) -> float:
    """Seconds since the last sign of its owner."""
    return time.time() - os.fstat(file.fileno()).st_mtime


def _open(path: str) -> TextIO:
    """The file of a lock, locked."""
    while True:
        file = open(path, "a+", encoding="utf-8")
        try:
            if not _is_free(file, path):
                owner = storage.read_dict(path)
                other = owner.get("host", platform.node()) != platform.node()
                unless = f"; if it no longer runs there, delete {path}" if other else ""
                raise UserError(f"{_whose(path, owner)}; wait for it, or take another folder{unless}")
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(file.fileno()).st_ino == os.stat(path).st_ino:  # else its owner has just removed it
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_free(file: TextIO, path: str) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            error.filename = path
            raise
        owner = storage.read_dict(path)
        is_here = owner.get("host") == platform.node() and isinstance(owner.get("pid"), int)
        return not (is_here and owner["pid"] != os.getpid() and parts.is_alive(owner["pid"]))
    return True


def _whose(path: str, owner: dict) -> str:
    folder, said = os.path.dirname(path), "another process writes to it"
    if owner:
        said = f"process {owner.get('pid')} on {owner.get('host')} writes to it since {owner.get('since')}"
    return f"{folder} is in use: {said}"


def _remove_empty(folder: str) -> None:
    with contextlib.suppress(OSError):  # something is in it
        os.rmdir(folder)
