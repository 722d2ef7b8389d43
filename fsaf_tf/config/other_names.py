"""What other programs call our keys, so that a mistake is answered by the key. Imports no TensorFlow."""

# A word, and what to give in the place of it: `{}` is the value that was given.
_KEYS = {
    "trainer.epochs={}": "epochs num_epochs max_epochs n_epochs",
    "trainer.train_steps={}": "steps train_steps max_steps num_steps iterations iters max_iter num_iterations",
    "task.train_data.global_batch_size={}": "batch_size batch bs batchsize train_batch_size",
    "trainer.optimizer_config.learning_rate.type=cosine,trainer.optimizer_config.learning_rate.cosine."
    "initial_learning_rate={}": "lr lr0 learning_rate base_lr initial_learning_rate",
    "trainer.optimizer_config.optimizer.type={}": "optimizer optim",
    "task.losses.weight_decay={}": "weight_decay wd",
    "task.model.num_classes={}": "classes num_classes n_classes nc",
    "task.train_data.seed={}": "seed random_seed",
    "task.input_size.shorter_side={},task.input_size.longer_side={}": (
        "image_size img_size imgsz img input_size size resolution width height"
    ),
    "task.train_data.annotation_file={},task.train_data.image_dir=FOLDER": (
        "data dataset annotations annotation_file train_data train ann_file"
    ),
    "task.validation_data.annotation_file={},task.validation_data.image_dir=FOLDER": "val valid validation val_data",
    "task.validation_data.fraction={}": "val_split validation_split val_fraction validation_fraction val_ratio",
    "task.train_data.image_dir={}": "images image_dir img_dir image_folder data_dir data_root",
    "task.init_checkpoint={}": "weights pretrained init_checkpoint init_weights pretrain load_from",
    "task.model.backbone.type={}": "backbone arch architecture encoder",
    "task.freeze=[backbone]": "freeze freeze_backbone",
    "trainer.early_stop_patience={}": "patience early_stopping early_stop",
    "trainer.validation_interval={}": "eval_interval val_interval validation_interval eval_every",
    "trainer.checkpoint_interval={}": "save_interval save_every checkpoint_interval save_period",
    "runtime.mixed_precision_dtype={}": "amp fp16 half precision dtype mixed_precision bf16",
    "runtime.distribution_strategy={}": "strategy distribution_strategy distributed launcher",
    "runtime.tpu={}": "tpu tpu_address tpu_name",
    "runtime.num_gpus={}": "gpus num_gpus n_gpu ngpus",
    "runtime.enable_xla=true": "xla enable_xla jit compile jit_compile",
}
KEYS = {word: key for key, words in _KEYS.items() for word in words.split()}


def keys_of(word: str) -> list[str]:
    """The keys that a word stands for elsewhere; none if it is not known."""
    settings = KEYS.get(word.lower().replace("-", "_"), "")
    return [setting.partition("=")[0] for setting in settings.split(",") if setting]
