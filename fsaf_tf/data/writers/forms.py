"""The forms that annotations are written in, by the names of `--form`."""

from fsaf_tf.data.writers import coco, cvat, label_studio, labelme, openimages, table, via, voc, yolo

FORMS = {
    "coco": coco.FORM,
    "voc": voc.FORM,
    "yolo": yolo.FORM,
    "labelme": labelme.FORM,
    "csv": table.FORM,
    "cvat": cvat.FORM,
    "via": via.FORM,
    "label_studio": label_studio.FORM,
    "openimages": openimages.FORM,
}
