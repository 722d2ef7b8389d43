"""Whether the selection uses the levels (section 3.3): what a training's lines say of it, and when they warn."""

import collections
import re
from collections.abc import Callable

from fsaf_tf.evaluate import metrics_table

WINDOW = 100  # steps that a warning looks back over
NEARLY_ALL, NOBODY = 0.9, 0.01  # shares of the objects on a level
FEW, MANY = 0.2, 0.2  # what Eq. 3 gives to it
REMEDY = "see docs/selection.md; task.model.anchor_free.selection_warmup_share=0.1 begins with Eq. 3"

Shares = dict[int, float]


class LevelWatch:
    """The shares of the objects that the levels learn, over the last steps.

    Attributes:
        shares: by level; empty before the first step, and without an anchor-free branch.
        by_size: what Eq. 3 would give.
    """

    def __init__(self, first_step: int, say: Callable[[str], None]):
        """Nothing is known yet.

        Args:
            first_step: steps up to this one are not judged: the selection has its warm-up.
            say: prints the warning, which comes once.
        """
        self._first_step, self._say = first_step, say
        self._loops = collections.deque()
        self._has_warned = False
        self.shares: Shares = {}
        self.by_size: Shares = {}

    def add(self, step: int, num_steps: int, logs: dict[str, float]) -> None:
        """Takes in what is logged of the `num_steps` steps up to `step`: among it `AnchorFree.level_shares`."""
        self._loops.append((step, num_steps, logs))
        while sum(steps for _, steps, _ in self._loops) - self._loops[0][1] >= WINDOW:
            self._loops.popleft()
        total = sum(steps for _, steps, _ in self._loops)
        means = {name: sum(steps * float(logs[name]) for _, steps, logs in self._loops) / total for name in logs}
        self.shares, self.by_size = of_levels(means)
        is_judged = self._loops[0][0] - self._loops[0][1] >= self._first_step
        is_full = sum(steps for _, steps, _ in self._loops) >= WINDOW
        if is_judged and is_full and not self._has_warned and (finding := fallen(self.shares, self.by_size)):
            self._say(f"Selection: over the last {WINDOW} steps {finding}. {REMEDY}.")
            self._has_warned = True

    @property
    def short(self) -> str:
        """The level that most objects are on: `P3 93%`."""
        level = max(self.shares, key=self.shares.get, default=None)
        return "" if level is None else metrics_table.level_share(level, self.shares[level])


def of_levels(logs: dict[str, float]) -> tuple[Shares, Shares]:
    """The shares of the levels among what is logged, and those of Eq. 3; see `AnchorFree.level_shares`."""
    return tuple(
        {int(match[1]): share for name, share in logs.items() if (match := re.fullmatch(pattern, name))}
        for pattern in (r"anchor_free/level_(\d+)", r"anchor_free/level_(\d+)_by_size")
    )


def fallen(shares: Shares, by_size: Shares) -> str | None:
    """What is wrong where nearly all objects are on one level against Eq. 3, in words; None if they are not."""
    for level, share in sorted(shares.items(), key=lambda item: -item[1]):
        is_crowded = share >= NEARLY_ALL and by_size[level] <= FEW
        is_starved = share <= NOBODY and by_size[level] >= MANY
        if is_crowded or is_starved:
            return f"P{level} learns {share:.0%} of the objects, and by size (Eq. 3) it would {by_size[level]:.0%}"
    return None
