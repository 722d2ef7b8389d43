"""Opens the data that a config names, whatever its kind."""

import collections

from fsaf_tf import configs
from fsaf_tf.data import coco, records, tfds
from fsaf_tf.data.examples import Order as Order
from fsaf_tf.data.examples import Source as Source
from fsaf_tf.errors import UserError


def open_source(config: configs.Data, *, download: bool = False) -> Source:
    """Opens and checks a data set; see `data.tfds`, `data.coco` and `data.records` for what is checked when.

    Args:
        config: `train_data` or `validation_data`.
        download: let TFDS fetch what is not there.

    Raises:
        UserError: one line that says what is wrong.
    """
    kinds = ("tfds_name", "annotation_file", "input_path")
    given = [kind for kind in kinds if getattr(config, kind)]
    if len(given) != 1:
        raise UserError(f"data needs exactly one of {', '.join(kinds)}; it has {', '.join(given) or 'none'}")
    if config.tfds_name:
        return tfds.open_tfds(config.tfds_name, config.tfds_split, config.tfds_data_dir, download=download)
    if config.annotation_file:
        return coco.open_coco(config.annotation_file, config.image_dir, max_instances=config.max_instances)
    return records.open_records(config.input_path, config.label_map)


def describe(source: Source) -> str:
    """A look at the data: images, and by class the boxes and those that are small, thin or crowd.

    Small is under 32 x 32 px of the stored image as COCO counts, thin is longer than 8 times its width.
    """
    truth = source.ground_truth()
    counts = {category_id: collections.Counter() for category_id in source.category_ids}
    for item in truth["annotations"]:
        sides = sorted(item["bbox"][2:])
        counts[item["category_id"]].update(
            boxes=1, small=item["area"] < 32**2, thin=sides[1] > 8 * sides[0], crowd=item["iscrowd"]
        )
    lines = [f"{source.name}: {len(truth['images'])} images, {len(truth['annotations'])} boxes", *source.report]
    lines.append(f"{'class':20}" + "".join(f"{column:>8}" for column in ("boxes", "small", "thin", "crowd")))
    for name, category_id in zip(source.class_names, source.category_ids):
        row = (counts[category_id][column] for column in ("boxes", "small", "thin", "crowd"))
        lines.append(f"{name:20}" + "".join(f"{count:8}" for count in row))
    return "\n".join(lines)
