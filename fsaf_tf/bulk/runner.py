"""Which of Beam's runners does the work, and whether Beam is there. Imports no Beam."""

import dataclasses
import importlib.util

from fsaf_tf.errors import UserError
from fsaf_tf.terminal import commands

DIRECT = "DirectRunner"


@dataclasses.dataclass(frozen=True)
class Runner:
    """A runner of Beam by its name, and options of its pipeline, as on a command line."""

    name: str = DIRECT
    options: tuple[str, ...] = ()

    @property
    def is_direct(self) -> bool:
        """Whether it works on this machine."""
        return self.name.lower() in ("directrunner", "direct")


def check_installed() -> None:
    """Raises a UserError where Beam is not there."""
    if not importlib.util.find_spec("apache_beam"):
        raise UserError(f"work in shards needs Apache Beam: {commands.to_install('beam')}")
