"""Files of labelling tools and platforms, by their own code without their servers."""

import json
import pathlib
import shutil
import sys
import types

import scene


def labelme(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """One file a picture."""
    from labelme._label_file import LabelFile

    width, height = scene.PICTURES["a.png"]
    shapes = [{**shape, "description": "", "mask": None} for shape in _labelme_shapes("a.png")]
    LabelFile().save(
        filename=str(out / "own.json"), shapes=shapes, image_path="a.png", image_height=height, image_width=width
    )


def labelme2coco(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """Rectangles and one polygon. It opens the pictures, and names them from the folder on."""
    import labelme2coco

    for name, (width, height) in scene.PICTURES.items():
        shutil.copy(images / name, work / name)
        size = {"imagePath": name, "imageHeight": height, "imageWidth": width}
        content = {"version": "5.5.0", "flags": {}, "shapes": _labelme_shapes(name), "imageData": None, **size}
        (work / name).with_suffix(".json").write_text(json.dumps(content))
    labelme2coco.convert(str(work), str(work / "coco"), category_id_start=1)
    shutil.copy(work / "coco" / "dataset.json", out / "coco.json")


def _labelme_shapes(name: str) -> list[dict]:
    shapes = []
    for label, box in scene.boxes_of(name):
        flat, is_polygon = scene.polygon(box), label == "bolt"
        points = [list(point) for point in zip(flat[::2], flat[1::2])]
        kind = {"shape_type": "polygon" if is_polygon else "rectangle", "group_id": None, "flags": {}}
        shapes.append({"label": label, "points": points if is_polygon else points[::2], **kind})
    return shapes


def isat(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """Polygons; the background is a class."""
    from ISAT.formats.coco import COCO

    writer = COCO()
    for name, (width, height) in scene.PICTURES.items():
        annotation = writer.ANNO()
        annotation.info, annotation.objs = writer.ANNO.INFO(), []
        annotation.info.description = "ISAT"
        annotation.info.name, annotation.info.width, annotation.info.height = name, width, height
        for group, (label, box) in enumerate(scene.boxes_of(name), 1):
            part, flat = writer.ANNO.OBJ(), scene.polygon(box)
            part.category, part.group, part.area, part.iscrowd = label, group, float(box[2] * box[3]), False
            part.segmentation, part.bbox = [list(point) for point in zip(flat[::2], flat[1::2])], scene.corners(box)
            annotation.objs.append(part)
        writer.annos[name] = annotation
    writer.save_to_coco(str(out / "coco.json"), ("__background__", *scene.CLASSES))


def darwin(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """V7: boxes, and a polygon of two parts."""
    import darwin.datatypes as dt
    from darwin.exporter.formats import coco

    def annotation(label: str, box) -> dt.Annotation:
        if label == "nut":
            return dt.make_bounding_box(label, *box)
        x1, y1, x2, y2 = scene.corners(box)
        middle = (y1 + y2) / 2
        halves = [[(x1, top), (x2, top), (x2, bottom), (x1, bottom)] for top, bottom in ((y1, middle), (middle, y2))]
        return dt.make_polygon(label, [[{"x": x, "y": y} for x, y in half] for half in halves])

    files = []
    for number, (name, (width, height)) in enumerate(scene.PICTURES.items(), 1041):
        rows = [annotation(*row) for row in scene.boxes_of(name)]
        about = {"image_width": width, "image_height": height, "remote_path": "/", "seq": number}
        kinds = {row.annotation_class for row in rows}
        files.append(dt.AnnotationFile(images / name, name, kinds, rows, **about))
    coco.export(iter(files), work)
    shutil.copy(work / "output.json", out / "coco.json")


def supervisely(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """Rectangles and one polygon, with an unused class; areas of rectangles are 0 in older versions."""
    import supervisely as sly

    classes = [sly.ObjClass(name, sly.AnyGeometry) for name in (*scene.CLASSES, "washer")]
    meta = sly.ProjectMeta(obj_classes=classes)
    project = sly.Project(str(work / "project"), sly.OpenMode.CREATE)
    project.set_meta(meta)
    dataset = project.create_dataset("ds")
    for name, (width, height) in scene.PICTURES.items():
        labels = []
        for label, box in scene.boxes_of(name):
            left, top, right, bottom = map(int, scene.corners(box))
            points = [(top, left), (top, right), (bottom, right), (bottom, left)]
            is_polygon = label == "bolt"
            shape = sly.Polygon(points) if is_polygon else sly.Rectangle(top, left, bottom, right)
            labels.append(sly.Label(shape, meta.get_obj_class(label)))
        dataset.add_item_file(name, str(images / name), ann=sly.Annotation((height, width), labels))
    dataset.to_coco(meta, return_type="path", dest_dir=str(work / "coco"))
    [file] = (work / "coco").rglob("*.json")
    shutil.copy(file, out / "coco.json")


def fiftyone(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """The exporter of COCO by itself: it needs no database."""
    import fiftyone as fo
    from fiftyone.core.metadata import ImageMetadata
    from fiftyone.utils.coco import COCODetectionDatasetExporter

    for variant, options in (("names", {}), ("paths", {"abs_paths": True, "classes": [*scene.CLASSES, "washer"]})):
        labels = str(out / f"{variant}.json")
        exporter = COCODetectionDatasetExporter(
            data_path=str(images), labels_path=labels, export_media=False, iscrowd="is_crowd", **options
        )
        exporter.setup()
        for name, (width, height) in scene.PICTURES.items():
            detections = [
                fo.Detection(label=label, bounding_box=_shares(box, width, height), is_crowd=0, supercategory="part")
                for label, box in scene.boxes_of(name)
            ]
            metadata = ImageMetadata(width=width, height=height)
            exporter.export_sample(str(images / name), fo.Detections(detections=detections), metadata)
        exporter.close()


def _shares(box, width, height) -> list[float]:
    return [value / side for value, side in zip(box, (width, height, width, height))]


def mmdetection(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    """The converter of Pascal VOC, with our classes in the place of VOC's."""
    import importlib.util

    stand_ins = {
        "mmengine": {},
        "mmengine.fileio": {"dump": None, "list_from_file": None},
        "mmengine.utils": {"mkdir_or_exist": None, "track_progress": None},
        "mmdet.evaluation": {"voc_classes": lambda: list(scene.CLASSES)},
    }
    package = pathlib.Path(importlib.util.find_spec("mmdet").origin).parent
    for module, names in stand_ins.items():
        sys.modules[module] = types.ModuleType(module)
        vars(sys.modules[module]).update(names)
    spec = importlib.util.spec_from_file_location(
        "pascal_voc", package / ".mim" / "tools" / "dataset_converters" / "pascal_voc.py"
    )
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    annotations = []
    for name, (width, height) in scene.PICTURES.items():
        objects = "".join(_voc_object(label, box) for label, box in scene.boxes_of(name))
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        file = work / f"{name}.xml"
        file.write_text(f"<annotation>{size}{objects}</annotation>")
        annotations.append(converter.parse_xml((str(file), f"VOC2007/JPEGImages/{name}")))
    (out / "from_voc.json").write_text(json.dumps(converter.cvt_to_coco_json(annotations)))


def _voc_object(label: str, box) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), scene.corners(box))
    text = "".join(f"<{side}>{int(value) + 1}</{side}>" for side, value in sides)
    return f"<object><name>{label}</name><difficult>{int(label == 'bolt')}</difficult><bndbox>{text}</bndbox></object>"
