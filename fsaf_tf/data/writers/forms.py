"""The forms that annotations are written in, by the names of `--form`."""

from fsaf_tf.data.writers import coco, cvat, label_studio, labelme, openimages, table, via, voc, yolo
from fsaf_tf.data.writers.form import Form

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


def of_title(words: str) -> Form:
    """The form that annotations were read in, by what is said of it, "Pascal VOC, 205 files"; COCO JSON of nothing."""

    def name(form: Form) -> str:
        return form.title.removesuffix(" JSON").removesuffix(" XML").removesuffix(" CSV")

    return next((form for form in FORMS.values() if words.startswith(name(form))), coco.FORM)
