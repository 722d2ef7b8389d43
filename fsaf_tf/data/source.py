"""Opens the data that a config names, whatever its kind."""

from fsaf_tf.config import schema
from fsaf_tf.data import coco, records, tfds
from fsaf_tf.data.examples import Source
from fsaf_tf.errors import UserError


def open_source(config: schema.Data, *, download: bool = False) -> Source:
    """Opens and checks a data set; see `data.tfds`, `data.coco` and `data.records` for what is checked when.

    Args:
        config: `train_data` or `validation_data`.
        download: let TFDS fetch what is not there.

    Raises:
        UserError: one line that says what is wrong.
    """
    given = [name for name in schema.SOURCES if getattr(config, name)]
    if len(given) != 1:
        raise UserError(f"data needs exactly one of {', '.join(schema.SOURCES)}; it has {', '.join(given) or 'none'}")
    if config.tfds_name:
        return tfds.open_tfds(config.tfds_name, config.tfds_split, config.tfds_data_dir, download=download)
    if config.annotation_file:
        return coco.open_coco(config.annotation_file, config.image_dir, max_instances=config.max_instances)
    return records.open_records(config.input_path, config.label_map)
