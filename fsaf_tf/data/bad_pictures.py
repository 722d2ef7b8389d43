"""Pictures that cannot be read: an error that names the first, or, where a training allows it, left out and counted."""

import tensorflow as tf

from fsaf_tf.data import images
from fsaf_tf.data.findings import Finding, counted, found, listed
from fsaf_tf.errors import UserError


class BadPictures:
    """Those of one data set, known by their names.

    Attributes:
        share: of the pictures that may be left out; with 0 the first one is an error.
        problems: what is wrong with those that were left out, by name.
    """

    def __init__(self, share: float = 0.0, num_images: int = 0):
        """Of a data set of so many images none is known yet."""
        self.share, self.problems = share, {}
        self._num_images = num_images

    def closed(self) -> "BadPictures":
        """The same, to which none may be added: of data that must not change any more, such as those of figures."""
        closed = BadPictures(0.0, self._num_images)
        closed.problems = dict(self.problems)
        return closed

    @property
    def are_allowed(self) -> bool:
        """Whether any may be left out."""
        return self.share > 0

    def leave_out(self, examples: tf.data.Dataset) -> tf.data.Dataset:
        """Takes `problem`, see `images.add_headers`, from examples, and the examples that have one.

        Raises (when the data set runs): there are more than are allowed; names the last.
        """

        def is_good(example: dict) -> tf.Tensor:
            name, problem = example["file_name"], example["problem"]
            added = tf.cond(problem == "", lambda: True, lambda: tf.numpy_function(self._add, [name, problem], tf.bool))
            return tf.ensure_shape(added, [])

        def without_problem(example: dict) -> dict:
            name, problem = example["file_name"], example.pop("problem")
            with tf.control_dependencies([images.require(problem == "", name, " ", problem)]):
                return {**example, "file_name": tf.identity(name)}

        good = examples.filter(is_good) if self.are_allowed else examples
        return good.map(without_problem)

    def add(self, name: str, problem: str) -> None:
        """Leaves out one more.

        Raises:
            UserError: there are more than are allowed.
        """
        count = len({*self.problems, name})
        if count > self.share * self._num_images or count == self._num_images:
            words = f"{counted(count, 'picture', 'pictures')} of {self._num_images:,} cannot be read"
            raise UserError(f"{words}, more than max_bad_pictures, {self.share:g}, allows; the last: {name} {problem}")
        self.problems[name] = problem

    def _add(self, name: bytes, problem: bytes) -> bool:
        self.add(name.decode(errors="replace"), problem.decode(errors="replace"))
        return False

    @property
    def cases(self) -> list[str]:
        """The name of each that was left out, and what is wrong with it."""
        return [f"{name} {problem}" for name, problem in self.problems.items()]

    def finding(self, where: str) -> list[Finding]:
        """Those that are known, as a finding of the data set `where`."""
        words = "pictures are missing or cannot be read; left out, as max_bad_pictures allows"
        return found("bad_pictures", len(self.problems), self._num_images, words, self.cases, where)

    def line(self, where: str) -> str:
        """Those that are known, with their names, for a line on the data set `where`; empty if there are none."""
        findings = self.finding(where)
        return f"{where}: {findings[0].message}: {listed(self.cases)}" if findings else ""


NONE_ALLOWED = BadPictures()
