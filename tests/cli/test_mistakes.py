"""Wrong command lines of all tools: one line that names the fault and says what to type instead, no traceback."""

import pathlib
import shlex

import pytest
from in_process import call

from fsaf_tf.cli import analyze, data, export, import_weights, predict, prepare_data, serve_client, train, visualize

TOOLS = {
    "train": train,
    "predict": predict,
    "prepare_data": prepare_data,
    "export": export,
    "import_weights": import_weights,
    "analyze": analyze,
    "data": data,
    "visualize": visualize,
    "serve_client": serve_client,
}
DEMO = "train --experiment=fsaf_demo"
KEYS = f"{DEMO} --print_config --params_override"
PICTURE = "--images=file.txt --output=out"
CONVERT = "data convert --annotations=a.json --images=folder --output=out"
SPLIT = CONVERT.replace("convert", "split")
# A command line, and what its error must say: the fault, and then the remedy.
MISTAKES = {
    # What other programs have as flags is a key here.
    f"{DEMO} --epochs=10": ("no flag --epochs; it is a key", "--params_override=trainer.epochs=10 (--print_config"),
    f"{DEMO} --epochs 10": ("no flag --epochs", "--params_override=trainer.epochs=VALUE"),
    f"{DEMO} -epochs=10": ("no flag --epochs", "--params_override=trainer.epochs=10"),
    f"{DEMO} --batch_size=8": ("no flag --batch_size", "--params_override=task.train_data.global_batch_size=8"),
    f"{DEMO} --batch-size=8": ("no flag --batch-size", "--params_override=task.train_data.global_batch_size=8"),
    f"{DEMO} --lr=0.01": ("no flag --lr", "trainer.optimizer_config.learning_rate.cosine.initial_learning_rate=0.01"),
    f"{DEMO} --steps=100": ("no flag --steps", "--params_override=trainer.train_steps=100"),
    f"{DEMO} --classes=3": ("no flag --classes", "--params_override=task.model.num_classes=3"),
    f"{DEMO} --seed=3": ("no flag --seed", "--params_override=task.train_data.seed=3"),
    f"{DEMO} --image_size=320": ("no flag --image_size", "task.input_size.shorter_side=320,task.input_size.longer_"),
    f"{DEMO} --data=a.json": ("no flag --data", "task.train_data.annotation_file=a.json,task.train_data.image_dir="),
    f"{DEMO} --val_split=0.2": ("no flag --val_split", "--params_override=task.validation_data.fraction=0.2"),
    f"{DEMO} --weights=runs/a": ("no flag --weights", "--params_override=task.init_checkpoint=runs/a"),
    f"{DEMO} --optimizer=adam": ("no flag --optimizer", "=trainer.optimizer_config.optimizer.type=adam"),
    f"{DEMO} --device=0": ("no flag --device", "CUDA_VISIBLE_DEVICES=0 before the command"),
    f"{DEMO} --workers=4": ("no flag --workers", "the number of threads is found by itself"),
    f"{DEMO} --resume": ("no flag --resume", "the same command goes on"),
    # Flags: names and values.
    "train": ("--experiment is missing", "fsaf_r50, "),
    "train --experimnt=fsaf_demo": ("no flag --experimnt, did you mean --experiment?",),
    f"{DEMO} --params_overide=a=1": ("did you mean --params_override?",),
    f"{DEMO} --model-dir=a": ("did you mean --model_dir?",),
    f"{DEMO} --output=out": ("no flag --output, did you mean --model_dir?",),
    f"{DEMO} --zebra=1": ("no flag --zebra (--help lists the flags)",),
    f"{DEMO} --mode=evl": ("--mode cannot be 'evl', did you mean 'eval'?; there are: train, eval, train_and_eval",),
    f"{DEMO} --download=maybe": ("--download cannot be 'maybe'; it is --download or --nodownload",),
    f"{DEMO} --experiment=fsaf_r50": ("--experiment is given twice, fsaf_demo and fsaf_r50; leave one",),
    "train --experiment": ("--experiment has no value; write --experiment=VALUE",),
    "train --experiment --mode=eval": ("--experiment has no value", "(--mode=eval comes after it)"),
    "train fsaf_demo": ("'fsaf_demo' is no flag", "did you mean --experiment=fsaf_demo?"),
    f"{DEMO} model_dir=a": ("'model_dir=a' is no flag", "did you mean --model_dir=a?"),
    f"{DEMO} trainer.epochs=10 task.name=a": ("is no flag", "--params_override=trainer.epochs=10,task.name=a"),
    f"{DEMO} --tile=640": ("--tile is for --mode=eval", "task.train_data.augmentation.tile"),
    f"{DEMO} --mode=eval --overlap=0.5": ("--overlap is for --tile, the side of a tile in pixels",),
    "export --format=tflite --model_dir=run --output=out --tile=640": (
        "one picture of its input's size",
        "docs/tiles.md",
    ),
    "predict --images file.txt ok.yaml": ("'ok.yaml' is no flag", "a glob in quotes"),
    # Experiments: files, folders, keys, values.
    "train --experiment=fsaf_dem": ("no experiment 'fsaf_dem', did you mean 'fsaf_demo'?",),
    "train --experiment=folder": ("folder is a folder, not an experiment", "give the path of a YAML file"),
    "train --experiment=run": ("run is a folder, not an experiment", "give run/params.yaml"),
    "train --experiment=file.txt": ("file.txt, line 2: expected ',' or ']'",),
    f"{DEMO} --config_file=folder": ("--config_file=folder is a folder; give a file",),
    f"{DEMO} --config_file=ok.yaml,ok.yaml": ("are several files; give --config_file once for each",),
    f"{DEMO} --config_file=none.yaml": ("none.yaml cannot be read: No such file",),
    f"{DEMO} --model_dir=file.txt": ("--model_dir=file.txt is a file; give a folder",),
    f"{KEYS}=epochs=10": ("there is no key epochs, did you mean trainer.epochs?",),
    f"{KEYS}=task.epochs=10": ("there is no key task.epochs, did you mean trainer.epochs?",),
    f"{KEYS}=batch_size=8": ("no key batch_size, did you mean task.train_data.global_batch_size?",),
    f"{KEYS}=trainer.epoch=10": ("no key trainer.epoch, did you mean 'epochs'?; there are: ",),
    f"{KEYS}=trainer.epochs=ten": ("trainer.epochs wants a number, not ten",),
    f"{KEYS}=trainer.epochs=": ("trainer.epochs wants a number, not null",),
    f"{KEYS}='trainer.epochs=10 task.name=a'": ("wants a number, not 10 task.name=a; between keys is a comma",),
    f"{KEYS}='trainer.epochs=10;task.name=a'": ("wants a number, not 10;task.name=a; between keys is a comma",),
    f"{KEYS}='trainer.epochs: 10'": ("no key trainer.epochs; write a key with = and not with :",),
    f"{KEYS}=trainer.epochs:10": ("--params_override wants a.b=1,c.d=[1,2]", "not trainer.epochs:10"),
    f"{KEYS}=trainer.epochs": ("--params_override wants a.b=1,c.d=[1,2]", "not trainer.epochs"),
    f"{KEYS}=task=1": ("task wants keys of its own, not 1; there are: ",),
    f"{KEYS}=task.model.backbone=resnet": ("wants keys of its own, not resnet; write task.model.backbone.type=resnet",),
    f"{KEYS}=trainer.optimizer_config.learning_rate=0.1": ("wants keys of its own, not 0.1; there are: constant, cos",),
    f"{KEYS}=trainer.epochs=zehn_Ärger": ("trainer.epochs wants a number, not zehn_Ärger",),
    f"{KEYS}=task.evaluation.max_detections=300": ("set task.model.postprocess.max_detections=300 too",),
    f"{DEMO} --config_file=": ("--config_file= has no value; leave it out, or write --config_file=VALUE",),
    "train -- --experiment=fsaf_demo": ("is no flag", "did you mean --experiment=fsaf_demo?"),
    "train --flagfile=none": ("Unable to open flagfile", "No such file"),
    f"{KEYS}=task.freeze=backbone": ("task.freeze wants a list, each text, not backbone",),
    f"{KEYS}=runtime.mixed_precision_dtype=fp16": (
        "runtime.mixed_precision_dtype cannot be 'fp16'; there are: float32, float16, bfloat16",
    ),
    f"{KEYS}=runtime.distribution_strategy=miror": (
        "cannot be 'miror', did you mean 'mirrored'?; there are: mirrored, multi_worker_mirrored, one_device",
    ),
    f"{KEYS}=runtime.tpu=local": ("runtime.tpu has no effect: leave it at null; TPUs are not supported",),
    f"{KEYS}=runtime.distribution_strategy=tpu": ("=tpu does not work: a TPU wants the shapes of a step",),
    f"{DEMO} --replicas=8": ("--replicas is for --print_config",),
    f"{KEYS}=trainer.best_checkpoint_metric_comp=up": ("cannot be 'up'", "there are: higher, lower"),
    f"{KEYS}=trainer.optimizer_config.optimizer.type=adamm": ("cannot be 'adamm', did you mean 'adam'?; there are: ",),
    f"{KEYS}=trainer.optimizer_config.learning_rate.type=cosin": ("did you mean 'cosine'?; there are: ",),
    f"{KEYS}=task.model.backbone.type=resnet50": ("cannot be 'resnet50', did you mean 'resnet'?; there are: ",),
    f"{KEYS}=task.model.anchor_free.selection=onlin": ("did you mean 'online'?; there are: online, heuristic, soft",),
    f"{KEYS}=task.model.pyramid=fpm": ("cannot be 'fpm', did you mean 'fpn'?; there are: fpn, ssd, dssd, nas_fpn",),
    "train --mode=eval --model_dir=none": ("none/params.yaml cannot be read: is none the folder of a run?",),
    f"{DEMO} --mode=train --checkpoint=best": ("--checkpoint is for --mode=eval",),
    # Data.
    "prepare_data": ("--annotations is missing",),
    "prepare_data --annotations=file.txt --images=file.txt --output=out": (
        "--images=file.txt is a file; give a folder",
    ),
    "prepare_data --annotations=file.txt --images=folder --output=out": ("file.txt: ",),
    "prepare_data --num_shards=3": ("no flag --num_shards, did you mean --shards?",),
    "prepare_data --exif_orientation=up": ("--exif_orientation cannot be 'up'", "there are: auto, upright, stored"),
    # Prediction.
    "predict": ("--images is missing, or --image_list, --video or --camera",),
    "predict --images=folder": ("--output is missing",),
    f"predict {PICTURE}": ("give --model, the folder of a run or an exported model",),
    f"predict {PICTURE} --model=folder": ("folder holds no checkpoint; train first",),
    f"predict {PICTURE} --model=none": ("none is neither a folder nor a checkpoint",),
    "predict --images=file.txt --output=file.txt": ("--output=file.txt is a file; give a folder",),
    "predict --images=none --output=out --model=folder": ("--images=none: there is no such file",),
    f"predict {PICTURE} --source=a": ("no flag --source, did you mean --images?",),
    f"predict {PICTURE} --conf=0.3": ("no flag --conf, did you mean --score_threshold?",),
    f"predict {PICTURE} --weights=a": ("no flag --weights, did you mean --model?",),
    f"predict {PICTURE} --device=cuda": ("no flag --device", "CUDA_VISIBLE_DEVICES"),
    f"predict {PICTURE} --score_threshold=2": ("--score_threshold wants a number in the range [0.0, 1.0], not '2'",),
    f"predict {PICTURE} --score_threshold=half": ("wants a number in the range [0.0, 1.0], not 'half'",),
    "predict --video=folder --output=out": ("--video=folder is a folder; give a file",),
    # Export.
    "export": ("--format is missing: saved_model, tflite, onnx",),
    "export --format=coreml": ("--format cannot be 'coreml'; there are: saved_model, tflite, onnx",),
    "export --format=tflit": ("did you mean 'tflite'?",),
    "export --format=tflite --quantize=fp16": ("cannot be 'fp16'; there are: none, float16, int8",),
    "export --format=tflite --canvas=wide": ("there are: square, landscape, portrait, both",),
    "export --format=tflite --height=abc": ("--height wants a positive integer, not 'abc'",),
    "export --format=tflite --imgsz=320": ("no flag --imgsz, did you mean --height?",),
    "export --model=folder": ("no flag --model, did you mean --model_dir?",),
    "export --format=tflite --model_dir=folder --output=file.txt": ("--output=file.txt is a file; give a folder",),
    "export --format=saved_model --model_dir=folder --output=out --raw": ("--raw is for --format=tflite only",),
    # The others.
    "import_weights": ("--source is missing: keras, torchvision, mmdet",),
    "import_weights --source=torch": ("--source cannot be 'torch'", "there are: keras, torchvision, mmdet"),
    "import_weights --source=mmdet --weights=folder --experiment=fsaf_r50 --output=out": ("is a folder; give a file",),
    "import_weights --source=mmdet --weight=a": ("no flag --weight, did you mean --weights?",),
    "analyze": ("give --model_dir or --detections",),
    "analyze --model_dir=folder --output=out": ("--output is missing, or does not end in .html",),
    "analyze --model_dir=file.txt --output=out.html": ("--model_dir=file.txt is a file; give a folder",),
    "analyze --detections=folder --annotations=ok.yaml --output=o.html": ("--detections=folder is a folder; give a",),
    "analyze --pictures=many": ("--pictures wants a non-negative integer, not 'many'",),
    "visualize --figure=target": ("did you mean 'targets'?; there are: targets, selection, compare, levels, training",),
    "visualize --figure=levels --rule=sise": ("did you mean 'size'?; there are: size, anchor",),
    "visualize": ("--figure is missing: targets, selection, compare, levels, training, batch",),
    "visualize --figure=targets --model=folder --output=file.txt": ("--output=file.txt is a file; give a folder",),
    # Data.
    "data konvert": ("it is one of: check, convert, split, merge",),
    "data convert": ("--annotations is missing",),
    "data convert --annotations=a.json --images=a": ("--output is missing",),
    f"{CONVERT} --form=vocc": ("--form cannot be 'vocc', did you mean 'voc'?; there are: coco, voc, yolo, labelme",),
    f"{CONVERT} --format=voc": ("no flag --format, did you mean --form?",),
    f"{CONVERT} --fractions=0.8,0.2": ("--fractions is for split, not for convert",),
    f"{CONVERT} --overwrite": ("--overwrite is for check, not for convert",),
    f"{CONVERT} --annotations=b.json": ("--annotations is given twice, a.json and b.json; leave one, or merge them",),
    f"{CONVERT} --copy_images --link_images": ("--copy_images and --link_images are both given; leave one",),
    f"{CONVERT} --rename=nut": ("--rename wants OLD:NEW, not 'nut'",),
    f"{CONVERT} --images=b": ("--images is given 2 times for 1 --annotations; once for each",),
    f"{CONVERT} --form=yolo": ("YOLO finds boxes by the place of the pictures: add --link_images, or --copy_images",),
    CONVERT.replace("=out", "=file.txt"): ("--output=file.txt: give a folder",),
    CONVERT.replace("=out", "=run"): ("--output=run is there and not empty; nothing is written over",),
    CONVERT: ("a.json: there is no such annotation file",),
    SPLIT: ("--fractions is missing: 0.8,0.2 of train and val, or 0.7,0.2,0.1",),
    f"{SPLIT} --fractions=0.8": ("--fractions wants 2 or 3 numbers above 0 that make 1, as 0.8,0.2, not 0.8",),
    f"{SPLIT} --fractions=0.8,0.3": ("that make 1, as 0.8,0.2, not 0.8,0.3",),
    f"{SPLIT} --fractions=80,20": ("that make 1",),
    f"{SPLIT} --fractions=most,rest": ("--fractions wants numbers as in 0.8,0.2, not 'most,rest'",),
    f"{SPLIT} --ratio=0.8,0.2": ("no flag --ratio, did you mean --fractions?",),
    f"{SPLIT} --fractions=0.8,0.2 --seed=a": ("--seed wants an integer, not 'a'",),
    f"{SPLIT} --fractions=0.8,0.2 --rename=a:b": ("--rename is for convert, merge, not for split",),
    CONVERT.replace("convert", "merge"): ("merge joins several files: give --annotations once for each",),
    "data check --annotations=a --annotations=b --images=a": ("--annotations is given twice, a and b; leave one",),
    "data check --annotations=a --images=a --form=voc": ("--form is for convert, split, merge, not for check",),
    "serve_client": ("--model is missing",),
    "serve_client --model=m --port=8501": ("no flag --port, did you mean --server?",),
    f"serve_client --model=m --server=http://[ {PICTURE}": ("--server=http://[ has no host; write http://HOST:8501",),
    f"serve_client --model=m --labels=folder {PICTURE}": ("--labels=folder is a folder; give a file",),
    f"serve_client --model=m --concurrency=0 {PICTURE}": ("--concurrency wants a positive integer, not '0'",),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_told_with_its_remedy(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "run"):
        pathlib.Path(folder).mkdir()
    pathlib.Path("run/params.yaml").write_text("task: {}\n")
    pathlib.Path("file.txt").write_text("a: [1\n")
    pathlib.Path("ok.yaml").write_text("task: {}\n")
    name, *arguments = shlex.split(line)
    said = call(TOOLS[name], monkeypatch, *arguments)
    assert isinstance(said, str) and said.startswith("error: ") and "\n" not in said
    assert capsys.readouterr() == ("", "")
    place = 0
    for part in MISTAKES[line]:
        assert part in said[place:], said
        place = said.index(part, place)
    assert not pathlib.Path("out").exists()


def test_only_pictures_may_have_names_that_are_no_text(monkeypatch):
    """TensorFlow writes and reads files by names in UTF-8."""
    said = call(predict, monkeypatch, "--images=gr\udcfcn.jpg", "--output=gr\udcfcn")
    assert said == "error: --output=gr\\udcfcn is not UTF-8, which only the names of pictures may be; rename it"
    assert "--images=gr\udcfcn.jpg: there is no such" in call(
        predict, monkeypatch, "--images", "gr\udcfcn.jpg", "--output=out", "--model=none"
    )


@pytest.mark.parametrize("key", ["task.init_checkpoint", "task.train_data.tfds_name"])
def test_nothing_after_a_key_empties_a_text(key, monkeypatch, capsys):
    assert call(train, monkeypatch, "--experiment=fsaf_demo", "--print_config", f"--params_override={key}=") == 0
    assert f"{key.split('.')[-1]}: ''" in capsys.readouterr().out
