"""Own formats of tools that cannot be run here, and lists of COCO without boxes: read, or refused by their names."""

_TEXTS = {
    "via/project.json": """\
{"_via_settings": {"ui": {}, "core": {}, "project": {"name": "parts"}},
"_via_img_metadata": {"a.png280": {"filename": "a.png", "size": 280,
"regions": [{"shape_attributes": {"name": "rect", "x": 10, "y": 10, "width": 30, "height": 20},
"region_attributes": {"type": "nut"}}, {"shape_attributes": {"name": "rect", "x": 60.5, "y": 30, "width": 40,
"height": 45.5}, "region_attributes": {"type": "bolt"}}], "file_attributes": {}}},
"_via_attributes": {"region": {}, "file": {}}, "_via_data_format_version": "2.0.10",
"_via_image_id_list": ["a.png280"]}
""",
    "via/project_of_3.json": """\
{"project": {"pid": "__VIA_PROJECT_ID__", "rev": "0", "pname": "parts", "data_format_version": "3.1.1",
"vid_list": ["1"]}, "config": {"file": {"loc_prefix": {}}, "ui": {}}, "attribute": {"1": {"aname": "type",
"type": 3, "options": {"0": "nut"}}}, "file": {"1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1,
"src": ""}}, "metadata": {"1_a": {"vid": "1", "flg": 0, "z": [], "xy": [2, 10, 10, 30, 20], "av": {"1": "0"}}},
"view": {"1": {"fid_list": ["1"]}}}
""",
    "labelbox/export_of_v1.json": """\
[{"ID": "clx", "DataRow ID": "cly", "Labeled Data": "https://example.com/a.png", "Label": {"objects": []},
"External ID": "a.png"}]
""",
    "azure/custom_vision.json": """\
[{"id": "6f1c2b1e-9d0a-4f55-8a3e-0c7d1f2a9b11", "width": 120, "height": 90,
"tags": [{"tagId": "0b7e6d9c-13f4-4a0d-b5ce-91f7a2d3e402", "tagName": "nut"}],
"regions": [{"regionId": "e4d909c2-90d0-4b1e-a1d5-77aa3c5b6d03", "tagName": "nut", "left": 0.08, "top": 0.11,
"width": 0.25, "height": 0.22}], "originalImageUri": "https://example.com/a.png"}]
""",
    "createml/own.json": """\
[{"image": "a.png", "annotations": [{"label": "nut", "coordinates": {"x": 25, "y": 20, "width": 30,
"height": 20}}]}]
""",
    "darwin/own.json": """\
{"version": "2.0",
"schema_ref": "https://darwin-public.s3.eu-west-1.amazonaws.com/darwin_json/2.0/schema.json",
"item": {"name": "a.png", "path": "/", "slots": [{"type": "image", "slot_name": "0", "width": 120,
"height": 90}]}, "annotations": [{"id": "6f1c2b1e-9d0a-4f55-8a3e-0c7d1f2a9b11", "name": "nut",
"bounding_box": {"x": 10, "y": 10, "w": 30, "h": 20}, "slot_names": ["0"]}]}
""",
    "supervisely/own.json": """\
{"description": "", "tags": [], "size": {"height": 90, "width": 120}, "objects": [{"classTitle": "nut",
"geometryType": "rectangle", "points": {"exterior": [[10, 10], [40, 30]], "interior": []}}]}
""",
    "superannotate/own.json": """\
{"metadata": {"name": "a.png", "width": 120, "height": 90}, "instances": [{"type": "bbox", "className": "nut",
"points": {"x1": 10, "x2": 40, "y1": 10, "y2": 30}}], "tags": [], "comments": []}
""",
    "hasty/own.json": """\
{"project_name": "parts", "export_format_version": "1.1", "label_classes": [{"class_name": "nut"}],
"images": [{"image_name": "a.png", "width": 120, "height": 90, "labels": [{"class_name": "nut", "bbox": [10,
10, 40, 30], "polygon": null}]}]}
""",
    "scale/tasks.json": """\
[{"task_id": "5f1", "type": "imageannotation", "status": "completed",
"params": {"attachment": "https://example.com/a.png"}, "response": {"annotations": [{"label": "nut",
"left": 10, "top": 10, "width": 30, "height": 20}]}}]
""",
    "vott/own.json": """\
{"name": "parts", "tags": [{"name": "nut", "color": "#5db300"}], "version": "2.2.0",
"assets": {"7b1": {"asset": {"name": "a.png", "size": {"width": 120, "height": 90}},
"regions": [{"type": "RECTANGLE", "tags": ["nut"], "boundingBox": {"left": 10, "top": 10, "width": 30,
"height": 20}}]}}}
""",
    "encord/own.json": """\
[{"label_hash": "6f1c2b1e-9d0a-4f55-8a3e-0c7d1f2a9b11", "dataset_title": "parts", "data_title": "a.png",
"data_units": {"0b7e6d9c-13f4-4a0d-b5ce-91f7a2d3e402": {"data_hash": "0b7e6d9c-13f4-4a0d-b5ce-91f7a2d3e402",
"width": 120, "height": 90, "labels": {"objects": [{"name": "nut", "boundingBox": {"x": 0.08, "y": 0.11,
"w": 0.25, "h": 0.22}}]}}}}]
""",
    "isat/own.json": """\
{"info": {"description": "ISAT", "folder": "", "name": "a.png", "width": 120, "height": 90, "depth": 3,
"note": ""}, "objects": [{"category": "nut", "group": 1, "segmentation": [[10, 10], [40, 10], [40, 30]],
"area": 300, "bbox": [10, 10, 40, 30], "iscrowd": false}]}
""",
    "bdd100k/labels.json": """\
[{"name": "a.png", "attributes": {}, "labels": [{"category": "nut", "box2d": {"x1": 10, "y1": 10, "x2": 40,
"y2": 30}}]}]
""",
    "mmdetection/own.json": """\
{"metainfo": {"classes": ["nut", "bolt"]}, "data_list": [{"img_path": "a.png", "height": 90, "width": 120,
"instances": [{"bbox": [10, 10, 40, 30], "bbox_label": 0, "ignore_flag": 0}]}]}
""",
    "detectron2/dicts.json": """\
[{"file_name": "a.png", "height": 90, "width": 120, "image_id": 1, "annotations": [{"bbox": [10, 10, 30, 20],
"bbox_mode": 1, "category_id": 0}, {"bbox": [60.5, 30, 40, 45.5], "bbox_mode": 1, "category_id": 1}]},
{"file_name": "b.png", "height": 120, "width": 90, "image_id": 2, "annotations": [{"bbox": [20, 70, 25, 25],
"bbox_mode": 1, "category_id": 0}]}, {"file_name": "c.png", "height": 100, "width": 100, "image_id": 3,
"annotations": []}]
""",
    "coco/panoptic.json": """\
{"images": [{"id": 1, "file_name": "a.png", "width": 120, "height": 90}, {"id": 2, "file_name": "b.png",
"width": 90, "height": 120}, {"id": 3, "file_name": "c.png", "width": 100, "height": 100}],
"annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 1,
"iscrowd": 0, "bbox": [10, 10, 30, 20], "area": 600}]}], "categories": [{"id": 1, "name": "nut",
"supercategory": ""}, {"id": 2, "name": "bolt", "supercategory": ""}]}
""",
    "coco/captions.json": """\
{"images": [{"id": 1, "file_name": "a.png", "width": 120, "height": 90}, {"id": 2, "file_name": "b.png",
"width": 90, "height": 120}, {"id": 3, "file_name": "c.png", "width": 100, "height": 100}],
"annotations": [{"image_id": 1, "id": 1, "caption": "a nut beside a bolt"}], "categories": [{"id": 1,
"name": "nut", "supercategory": ""}, {"id": 2, "name": "bolt", "supercategory": ""}]}
""",
    "coco/image_info.json": """\
{"images": [{"id": 1, "file_name": "a.png", "width": 120, "height": 90}, {"id": 2, "file_name": "b.png",
"width": 90, "height": 120}, {"id": 3, "file_name": "c.png", "width": 100, "height": 100}],
"categories": [{"id": 1, "name": "nut", "supercategory": ""}, {"id": 2, "name": "bolt", "supercategory": ""}]}
""",
    "coco/no_boxes.json": """\
{"images": [{"id": 1, "file_name": "a.png", "width": 120, "height": 90}, {"id": 2, "file_name": "b.png",
"width": 90, "height": 120}, {"id": 3, "file_name": "c.png", "width": 100, "height": 100}], "annotations": [],
"categories": [{"id": 1, "name": "nut", "supercategory": ""}, {"id": 2, "name": "bolt", "supercategory": ""}]}
""",
    "coco/coco_text.json": """\
{"cats": {}, "anns": {"1": {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 20], "area": 600,
"segmentation": [], "iscrowd": 0}, "2": {"id": 2, "image_id": 1, "category_id": 2, "bbox": [60.5, 30, 40,
45.5], "area": 1820.0, "segmentation": [], "iscrowd": 0}, "3": {"id": 3, "image_id": 2, "category_id": 1,
"bbox": [20, 70, 25, 25], "area": 625, "segmentation": [], "iscrowd": 0}}, "imgs": {"1": {"id": 1,
"file_name": "a.png", "width": 120, "height": 90}, "2": {"id": 2, "file_name": "b.png", "width": 90,
"height": 120}, "3": {"id": 3, "file_name": "c.png", "width": 100, "height": 100}}, "imgToAnns": {"1": [1, 2]}}
""",
    "coco/annotations_alone.json": """\
[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 20], "area": 600, "segmentation": [],
"iscrowd": 0}, {"id": 2, "image_id": 1, "category_id": 2, "bbox": [60.5, 30, 40, 45.5], "area": 1820.0,
"segmentation": [], "iscrowd": 0}, {"id": 3, "image_id": 2, "category_id": 1, "bbox": [20, 70, 25, 25],
"area": 625, "segmentation": [], "iscrowd": 0}]
""",
    "results/ultralytics.json": """\
[{"image_id": 1, "file_name": "a.png", "category_id": 1, "bbox": [10, 10, 30, 20], "score": 0.91},
{"image_id": 1, "file_name": "a.png", "category_id": 2, "bbox": [60.5, 30, 40, 45.5], "score": 0.91},
{"image_id": 2, "file_name": "a.png", "category_id": 1, "bbox": [20, 70, 25, 25], "score": 0.91}]
""",
    "results/mmyolo.json": """\
[{"image_id": 1, "bbox": [10, 10, 30, 20], "score": 0.5, "category_id": 1}, {"image_id": 1, "bbox": [60.5, 30,
40, 45.5], "score": 0.5, "category_id": 2}, {"image_id": 2, "bbox": [20, 70, 25, 25], "score": 0.5,
"category_id": 1}]
""",
    "labelbox/export.ndjson": """\
{"data_row": {"id": "clx", "external_id": "a.png", "row_data": "https://example.com/a.png"}, \
"media_attributes": {"height": 90, "width": 120}, "projects": {}}
{"data_row": {"id": "clx", "external_id": "a.png", "row_data": "https://example.com/a.png"}, \
"media_attributes": {"height": 90, "width": 120}, "projects": {}}
""",
    "azure/automl.jsonl": """\
{"image_url": "AmlDatastore://data/a.png", "image_details": {"format": "png", "width": "120px", \
"height": "90px"}, "label": [{"label": "nut", "topX": 0.08, "topY": 0.11, "bottomX": 0.33, "bottomY": 0.33, \
"isCrowd": 0}]}
{"image_url": "AmlDatastore://data/b.png", "image_details": {"format": "png", "width": "120px", \
"height": "90px"}, "label": [{"label": "nut", "topX": 0.08, "topY": 0.11, "bottomX": 0.33, "bottomY": 0.33, \
"isCrowd": 0}]}
{"image_url": "AmlDatastore://data/c.png", "image_details": {"format": "png", "width": "120px", \
"height": "90px"}, "label": [{"label": "nut", "topX": 0.08, "topY": 0.11, "bottomX": 0.33, "bottomY": 0.33, \
"isCrowd": 0}]}
""",
    "sagemaker/output.manifest": """\
{"source-ref": "s3://bucket/a.png", "parts": {"image_size": [{"width": 120, "height": 90, "depth": 3}], \
"annotations": [{"class_id": 0, "left": 10, "top": 10, "width": 30, "height": 20}]}, \
"parts-metadata": {"class-map": {"0": "nut"}}}
{"source-ref": "s3://bucket/a.png", "parts": {"image_size": [{"width": 120, "height": 90, "depth": 3}], \
"annotations": [{"class_id": 0, "left": 10, "top": 10, "width": 30, "height": 20}]}, \
"parts-metadata": {"class-map": {"0": "nut"}}}
""",
    "dota/labels.txt": """\
imagesource:GoogleEarth
gsd:0.1
10.0 10.0 40.0 10.0 40.0 30.0 10.0 30.0 nut 0
""",
    "kitti/labels.txt": """\
nut 0.00 0 0.00 10.00 10.00 40.00 30.00 -1 -1 -1 -1000 -1000 -1000 -10
""",
    "yolo/data.yaml": """\
path: ../parts
train: images/train
val: images/val
names:
  0: nut
  1: bolt
""",
}


def files() -> dict[str, bytes]:
    """Contents by path."""
    return {path: text.encode() for path, text in _TEXTS.items()}
