"""OpenImages: the names of its classes, which its boxes name by codes such as /m/01g317."""

import csv
import io
import posixpath

from fsaf_tf.data.readers import files
from fsaf_tf.files import paths


def class_names(file: str) -> dict[str, str]:
    """Names by codes, of the `class-descriptions` beside a file of boxes or above it; none where there are none.

    Raises:
        UserError: the file is no text.
    """
    folder = posixpath.dirname(file) or "."
    for place in (folder, posixpath.join(folder, "..")):
        names = [name for name in sorted(paths.names(place)) if "class-descriptions" in name and name.endswith(".csv")]
        for name in sorted(names, key=lambda name: "boxable" not in name):
            path = posixpath.join(place, name)
            rows = csv.reader(io.StringIO(files.text_of(path, files.read(path)), newline=""))
            return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}
    return {}
