"""Opening data by its config."""

import pytest

from fsaf_tf.config import schema
from fsaf_tf.data import source
from fsaf_tf.errors import UserError


@pytest.mark.parametrize("values", [{}, {"tfds_name": "shapes", "annotation_file": "x.json"}])
def test_exactly_one_kind_of_data(values):
    config = schema.Data(**values)
    with pytest.raises(UserError, match="exactly one of annotation_file, tfds_name, input_path; it has "):
        source.open_source(config)
