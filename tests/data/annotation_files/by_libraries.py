"""Files of libraries that convert annotations.

Each function takes the folder with the pictures, one to work in, and one to write to.
"""

import json
import pathlib
import shutil

import numpy as np
import scene


def supervision(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """Boxes, and masks of which one has a hole."""
    import supervision as sv

    def detections(name: str, with_masks: bool):
        rows, (width, height) = scene.boxes_of(name), scene.PICTURES[name]
        mask = np.zeros((len(rows), height, width), bool)
        for place, (label, box) in enumerate(rows):
            left, top, right, bottom = map(int, scene.corners(box))
            mask[place, top:bottom, left:right] = True
            mask[place, top + 4 : bottom - 4, left + 4 : left + 8] = label == "nut"
        return sv.Detections(
            xyxy=np.array([scene.corners(box) for _, box in rows], np.float32).reshape(-1, 4),
            class_id=np.array([scene.CLASSES.index(label) for label, _ in rows], int),
            mask=mask if with_masks else None,
        )

    for variant, with_masks in (("boxes", False), ("masks", True)):
        annotations = {str(images / name): detections(name, with_masks) for name in scene.PICTURES}
        data = sv.DetectionDataset(classes=list(scene.CLASSES), images=list(annotations), annotations=annotations)
        data.as_coco(annotations_path=str(out / f"{variant}.json"))


def globox(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """COCO, and the files of six other formats."""
    from globox import Annotation, AnnotationSet, BoundingBox

    def annotation(name: str):
        rows = scene.boxes_of(name)
        boxes = [BoundingBox.create(label=label, coords=scene.corners(box)) for label, box in rows]
        return Annotation(name, scene.PICTURES[name], boxes)

    annotations = AnnotationSet(map(annotation, scene.PICTURES))
    annotations.save_coco(out / "coco.json", auto_ids=True)
    annotations.save_via_json(out / "via.json", image_folder=images)
    annotations.save_cvat(out / "cvat.xml")
    annotations.save_openimage(out / "openimage.csv")
    for kind, save in (("labelme", annotations.save_labelme), ("pascal_voc", annotations.save_pascal_voc)):
        save(work / kind)
        [file] = (work / kind).glob("a.*")
        shutil.copy(file, out / f"{kind}{file.suffix}")
    annotations.save_yolo_v5(work / "yolo", label_to_id={name: place for place, name in enumerate(scene.CLASSES)})
    shutil.copy(work / "yolo" / "a.txt", out / "yolo.txt")


def labelformat(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    from labelformat.formats import COCOObjectDetectionInput, COCOObjectDetectionOutput, LightlyObjectDetectionOutput

    source = COCOObjectDetectionInput(_plain_coco(work))
    COCOObjectDetectionOutput(out / "coco.json").save(source)
    LightlyObjectDetectionOutput(work / "lightly").save(source)
    shutil.copy(work / "lightly" / "a.json", out / "lightly.json")


def pylabel(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """From Pascal VOC, which it takes apart into numbers of its own, and from YOLO."""
    from pylabel import importer

    for name, (width, height) in scene.PICTURES.items():
        objects = "".join(
            f"<object><name>{label}</name><pose>Left</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
            + "".join(f"<{side}>{value}</{side}>" for side, value in zip(_SIDES, scene.corners(box)))
            + "</bndbox></object>"
            for label, box in scene.boxes_of(name)
        )
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        text = f"<annotation><folder>x</folder><filename>{name}</filename>{size}{objects}</annotation>"
        (work / name).with_suffix(".xml").write_text(text)
        rows = [(scene.CLASSES.index(label), *_shares(box, width, height)) for label, box in scene.boxes_of(name)]
        (work / name).with_suffix(".txt").write_text("".join(f"{' '.join(map(str, row))}\n" for row in rows))
    data = importer.ImportVOC(path=str(work), path_to_images=str(images), name="parts")
    data.export.ExportToCoco(str(out / "from_voc.json"))
    names = list(scene.CLASSES)
    data = importer.ImportYoloV5(path=str(work), path_to_images=str(images), cat_names=names, img_ext="png")
    data.export.ExportToCoco(str(out / "from_yolo.json"), cat_id_index=1)


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _shares(box, width, height) -> tuple[float, ...]:
    """Centre and sides in shares of the picture, as YOLO has them."""
    x, y, w, h = box
    return (x + w / 2) / width, (y + h / 2) / height, w / width, h / height


def sahi(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """A data set, and predictions."""
    from sahi.utils.coco import Coco, CocoAnnotation, CocoCategory, CocoImage, CocoPrediction

    data, predictions = Coco(), Coco()
    for place, name in enumerate(scene.CLASSES):
        data.add_category(CocoCategory(id=place, name=name))
    for number, (name, (width, height)) in enumerate(scene.PICTURES.items(), 1):
        image, predicted = (CocoImage(file_name=name, width=width, height=height) for _ in range(2))
        for label, box in scene.boxes_of(name):
            row = {"bbox": list(box), "category_id": scene.CLASSES.index(label), "category_name": label}
            image.add_annotation(CocoAnnotation(**row))
            predicted.add_prediction(CocoPrediction(**row, score=0.5, image_id=number))
        data.add_image(image)
        predictions.add_image(predicted)
    (out / "coco.json").write_text(json.dumps(data.json))
    (out / "predictions.json").write_text(json.dumps(predictions.prediction_array))


def kwcoco(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    import kwcoco

    data = kwcoco.CocoDataset()
    numbers = {name: data.add_category(name, supercategory="fastener") for name in scene.CLASSES}
    for name, (width, height) in scene.PICTURES.items():
        image = data.add_image(file_name=name, width=width, height=height)
        for label, box in scene.boxes_of(name):
            data.add_annotation(image_id=image, category_id=numbers[label], bbox=list(box))
    data.dump(str(out / "coco.json"))


def bboxconverter(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """Images without boxes are not in its table."""
    import bboxconverter as bc

    bc.read_coco(_plain_coco(work)).export(str(work), format="coco")
    shutil.copy(work / "annotations.json", out / "coco.json")


def _plain_coco(work: pathlib.Path) -> pathlib.Path:
    import plain

    file = work / "plain.json"
    file.write_text(json.dumps(plain.coco()))
    return file
