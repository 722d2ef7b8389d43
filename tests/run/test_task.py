"""The task: one step, its optimizer, its guard, and two replicas against one."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import config_definitions
from PIL import Image

from fsaf_tf import objective
from fsaf_tf.config import backbone_keys, schedule, schema
from fsaf_tf.data import source
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector
from fsaf_tf.run.task import NON_FINITE, VALIDATION_LOSS, FSAFTask

SIZE, INSTANCES, CLASSES = 64, 3, 2


def _params(**branches) -> schema.Task:
    """A small detector: one block a stage, frozen statistics as with ImageNet weights."""
    task = schema.Task()
    task.override(
        {
            "model": {
                "num_classes": CLASSES,
                "max_level": 5,
                "backbone": {"resnet": {"depth": 14, "width_per_group": 8, "weights": "not read here"}},
                "fpn": {"channels": 16},
                "heads": {"convs": 1, "channels": 16},
                **branches,
            },
            "train_data": {"global_batch_size": 4, "max_instances": INSTANCES},
        }
    )
    return task


BOTH = {"anchor_based": {"enabled": True}}


def _batch(images: int) -> dict[str, tf.Tensor]:
    """A host batch of noise with a few boxes; the second image has none."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 20, [images, INSTANCES, 2])
    boxes = np.concatenate([corner, corner + rng.uniform(8, 40, corner.shape)], axis=-1)
    valid = np.ones([images, INSTANCES], bool)
    valid[1] = False
    return {
        "image": tf.constant(rng.integers(0, 256, [images, SIZE, SIZE, 3]), tf.uint8),
        "image_size": tf.constant([[SIZE, SIZE - 8]] * images, tf.int32),
        "original_size": tf.constant([[2 * SIZE, 2 * SIZE - 16]] * images, tf.int32),
        "image_id": tf.range(10, 10 + images, dtype=tf.int64),
        "boxes": tf.constant(boxes, tf.float32),
        "classes": tf.constant(rng.integers(0, CLASSES, [images, INSTANCES]), tf.int32),
        "valid": tf.constant(valid),
        "left_out": tf.zeros([images], tf.int32),
    }


def _model(task: FSAFTask) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(0)
    return detector.build_detector(task.task_config.model, CLASSES)


def _values(model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.trainable_variables]


def _step_on_one(task: FSAFTask, batch) -> list[np.ndarray]:
    model = _model(task)
    task.train_step(batch, model, tf_keras.optimizers.legacy.SGD(1.0))
    return _values(model)


def test_two_replicas_of_two_images_are_one_of_four():
    task = FSAFTask(_params(**BOTH))
    batch = _batch(4)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = _model(task)
        before = _values(model)
        optimizer = tf_keras.optimizers.legacy.SGD(1.0)
        metrics = task.build_metrics()

    def halves(context):
        first = 2 * context.replica_id_in_sync_group
        return tf.nest.map_structure(lambda x: x[first : first + 2], batch)

    inputs = strategy.experimental_distribute_values_from_function(halves)
    strategy.run(task.train_step, args=(inputs, model, optimizer, metrics))
    expected = _step_on_one(task, batch)
    changes = [np.abs(new - old).max() for new, old in zip(expected, before)]
    assert min(changes) > 0  # every trainable variable has a gradient
    for one, two, change in zip(expected, _values(model), changes):
        np.testing.assert_allclose(two, one, atol=1e-4 * change + 1e-7)
    found = {metric.name: float(metric.result()) for metric in metrics}
    assert found["anchor_free/positives"] > 0 and np.isfinite(found["gradient_norm"])


def _step(task: FSAFTask, batch, run=lambda step: step) -> tuple[list[np.ndarray], dict[str, float]]:
    """The weights after a step, and its terms."""
    model, metrics = _model(task), task.build_metrics()
    loss = run(task.train_step)(batch, model, tf_keras.optimizers.legacy.SGD(1.0), metrics)[task.loss]
    return _values(model), {"loss": float(loss)} | {metric.name: float(metric.result()) for metric in metrics}


@pytest.fixture(scope="module")
def at_once():
    return _step(FSAFTask(_params(**BOTH)), _batch(4))


@pytest.mark.parametrize(("parts", "way"), [(2, "eager"), (4, "eager"), (2, "graph"), (2, "compiled")], ids=str)
def test_a_step_in_parts_is_the_step_at_once(parts, way, at_once):
    runtime = config_definitions.RuntimeConfig(enable_xla=way == "compiled")
    in_parts = FSAFTask(_params(**BOTH).replace(accumulation_steps=parts), runtime=runtime)
    found, terms = _step(in_parts, _batch(4), *([tf.function] if way == "graph" else []))
    values, terms_at_once = at_once
    assert terms == pytest.approx(terms_at_once, rel=1e-4, abs=1e-6)
    for one, other in zip(values, found):
        np.testing.assert_allclose(other, one, atol=1e-4 * max(1, np.abs(one).max()))


def test_compiled_step_is_the_plain_step():
    batch = _batch(2)
    runtime = config_definitions.RuntimeConfig(enable_xla=True)
    plain, compiled = (_step_on_one(FSAFTask(_params(), runtime=r), batch) for r in (None, runtime))
    for first, second in zip(plain, compiled):
        np.testing.assert_allclose(first, second, atol=1e-5 * max(1, np.abs(first).max()))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_step_in_half_precision_is_nearly_the_same(dtype):
    """Weights stay float32; the loss of float16 is scaled, and its gradients are scaled back."""
    task, batch, changes = FSAFTask(_params()), _batch(2), []
    for wanted in ("float32", dtype):
        policy = "float32" if wanted == "float32" else f"mixed_{dtype}"
        tf_keras.mixed_precision.set_global_policy(policy)
        try:
            model = _model(task)
            runtime = config_definitions.RuntimeConfig(mixed_precision_dtype=wanted, loss_scale=128.0)
            optimizer = task.create_optimizer(schedule.Trainer().optimizer_config, runtime)
            assert isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer) == (wanted == "float16")
            before = _values(model)
            task.train_step(batch, model, optimizer)
            changes.append(np.concatenate([(new - old).ravel() for new, old in zip(_values(model), before)]))
        finally:
            tf_keras.mixed_precision.set_global_policy("float32")
    assert {variable.dtype for variable in model.trainable_variables} == {tf.float32}
    full, half = changes
    assert np.dot(full, half) / np.linalg.norm(full) / np.linalg.norm(half) > 0.98
    assert np.linalg.norm(half) == pytest.approx(np.linalg.norm(full), rel=0.1)


def test_the_selection_has_its_warm_up_for_a_share_of_the_steps():
    """Of 4 steps the first two are as with the heuristic alone, the third is as with online selection alone."""
    warmup = {"anchor_free": {"selection_warmup": "heuristic", "selection_warmup_share": 0.5}}
    batch = _batch(2)

    def levels(model_values, step):
        task = FSAFTask(_params(**model_values), steps=range(4))
        model, optimizer, metrics = _model(task), tf_keras.optimizers.legacy.SGD(0.0), task.build_metrics()
        optimizer.iterations.assign(step)
        task.train_step(batch, model, optimizer, metrics)
        return [float(metric.result()) for metric in metrics if "/level_" in metric.name]

    by_size, online = (levels({"anchor_free": {"selection": rule}}, 0) for rule in ("heuristic", "online"))
    assert by_size != online
    assert levels(warmup, 1) == by_size
    assert levels(warmup, 2) == online


def test_device_stage_runs_on_a_second_device():
    """As the first lines of the training step, where the accelerator is."""
    task = FSAFTask(_params())
    with tf.device("CPU:1"):
        staged = tf.function(task._device_stage)(_batch(2))
    assert all("CPU:1" in tensor.device for tensor in (staged["images"], staged["cell_ranges"]))
    np.testing.assert_array_equal(staged["images"][:, :, SIZE - 8 :], 0)  # padding is zero after normalising
    expected = detector.normalization(backbone_keys.Backbone()).normalize(_batch(2)["image"])
    np.testing.assert_allclose(staged["images"][:, :, : SIZE - 8], expected[:, :, : SIZE - 8])


def test_a_batch_of_no_images_passes_the_device_stage_and_detection():
    task = FSAFTask(_params(**BOTH))
    empty = tf.nest.map_structure(lambda x: x[:0], _batch(2))
    found = task.validation_step(empty, _model(task))
    assert found["boxes"].shape == (0, 100, 4) and found["num_detections"].shape == (0,)


def test_losses_of_an_evaluation_are_means_over_images_and_levels_over_instances():
    """In batches of two, of one and of none, as of all three images at once."""
    task = FSAFTask(_params(**BOTH))
    task.task_config.losses.weight_decay = 0.02
    model, batch = _model(task), _batch(3)
    metrics = task.build_metrics(training=False)
    for part in (slice(0, 2), slice(2, 3), slice(0, 0)):
        task.validation_step({key: values[part] for key, values in batch.items()}, model, metrics)
    batch = task._device_stage(batch)
    terms = objective.terms(
        batch, model(batch["images"]), model.trainable_variables, task.task_config.branches(), 0.02, None
    )
    terms[VALIDATION_LOSS] = terms["total_loss"]
    found = {metric.name: float(metric.result()) for metric in metrics}
    assert {VALIDATION_LOSS, "anchor_free/class_loss", "anchor_based/box_loss", "anchor_free/level_3"} < set(found)
    assert found == pytest.approx({name: float(terms[name].value) for name in found}, rel=1e-4, abs=1e-6)


def test_an_evaluation_has_what_each_branch_finds_alone():
    """The same as a detector of the same weights with that branch alone, and as its results in COCO's form."""
    joint, batch = FSAFTask(_params(**BOTH)), _batch(2)
    model = _model(joint)
    for output in (*model.get_layer("heads").class_outputs.values(),):
        output.bias.assign(tf.zeros_like(output.bias))  # scores about 0.5
    step = joint.validation_step(batch, model)
    weights = {variable.name: variable for variable in model.variables}
    for branch, other in (("anchor_free", "anchor_based"), ("anchor_based", "anchor_free")):
        one = FSAFTask(_params(**{branch: {"enabled": True}, other: {"enabled": False}}))
        alone = _model(one)
        for variable in alone.variables:
            variable.assign(weights[variable.name])
        expected = one.validation_step(batch, alone)
        assert not any("/" in key for key in expected) and expected["num_detections"].numpy().min() > 0
        for key in expected.keys() - {"image_id"}:
            np.testing.assert_allclose(step[f"{branch}/{key}"], expected[key], rtol=1e-5, atol=1e-3, err_msg=key)
        assert set(step[f"{branch}/branch"].numpy().ravel()) <= {0, ("anchor_free", "anchor_based").index(branch)}


def test_detections_are_in_pixels_of_the_original_image():
    task = FSAFTask(_params(postprocess={"score_threshold": 0.0}))
    found = task.validation_step(_batch(2), _model(task))
    assert found["num_detections"].numpy().min() > 0
    assert np.all(found["boxes"] <= [2 * SIZE, 2 * SIZE - 16] * 2) and found["boxes"].numpy().max() > SIZE


def test_a_loss_that_is_not_finite_names_its_term_and_its_images_and_updates_nothing():
    task = FSAFTask(_params())
    model = _model(task)
    bias = model.get_layer("heads").class_outputs["anchor_free_logits"].bias
    bias.assign(bias * np.nan)
    before = _values(model)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.function(task.train_step)(_batch(2), model, tf_keras.optimizers.legacy.SGD(1.0))
    message = str(error.value)
    assert NON_FINITE in message and "anchor_free/class_loss" in message and "10 11" in message
    assert "anchor_free/box_loss" not in message
    for old, new in zip(before, _values(model)):
        np.testing.assert_array_equal(old, new)


def test_total_loss_is_the_weighted_sum_of_its_terms():
    """L = L_ab + 0.5 (L_cls + L_reg), and l2(1e-4 / 2) on trainable kernels once (section 3.4)."""
    task = FSAFTask(_params(**BOTH))
    model, batch = _model(task), task._device_stage(_batch(2))
    branches = task.task_config.branches()
    terms = objective.terms(
        batch, model(batch["images"]), model.trainable_variables, branches, weight_decay=1e-4, step=None
    )
    terms = {name: term.value for name, term in terms.items()}
    kernels = [v for v in model.trainable_variables if v.name.endswith("kernel:0")]
    decay = 1e-4 / 2 * sum(np.sum(kernel.numpy().astype(np.float64) ** 2) for kernel in kernels)
    np.testing.assert_allclose(terms["weight_decay"], decay, rtol=1e-5)
    branch = {name: terms[f"{name}/class_loss"] + terms[f"{name}/box_loss"] for name in ("anchor_free", "anchor_based")}
    np.testing.assert_allclose(
        terms["total_loss"], branch["anchor_based"] + 0.5 * branch["anchor_free"] + decay, rtol=1e-5
    )
    assert sum(float(terms[f"anchor_free/level_{level}"]) for level in range(3, 6)) == pytest.approx(1)


def test_decay_acts_on_trained_kernels_alone():
    """No bias, no batch normalisation, nothing of the frozen stem and first stage."""
    model = _model(FSAFTask(_params()))
    decayed = {variable.name for variable in objective.decayed(model.trainable_variables)}
    assert not any(word in name for name in decayed for word in ("bias", "gamma", "beta", "conv1_conv", "conv2_"))
    assert {"heads/anchor_free_logits/kernel:0", "conv3_block1_1_conv/kernel:0"} <= decayed


def test_workers_share_the_images_of_the_task(tmp_path):
    """Each gets its own part, of as many pictures as the batch of one replica has."""
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    images = [{"id": number, "file_name": name, "height": 30, "width": 40} for number, name in enumerate(names)]
    boxes = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "four.json").write_text(json.dumps(content))
    params = _params()
    params.validation_data.override({"annotation_file": f"{tmp_path}/four.json", "image_dir": f"{tmp_path}"})
    task = FSAFTask(params, data=source.open_sources(params, train=False, validation=True))
    found = []
    for worker in range(2):
        context = tf.distribute.InputContext(2, worker, num_replicas_in_sync=2)
        batches = task.build_inputs(params.validation_data, context)
        found.append([batch["image_id"].numpy().tolist() for batch in batches])
    assert found == [[[0, 2]], [[1, 3]]]


def test_pictures_of_an_evaluation_are_of_the_tasks_own_selection(tmp_path):
    """By size an object of half the picture is on P3; by its loss this network has it elsewhere."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 64, "width": 64}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 8, 32, 32]}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "one.json").write_text(json.dumps(content))

    def pictures_of(**branches) -> dict[str, np.ndarray]:
        params = _params(**branches)
        params.input_size.override({"shorter_side": SIZE, "longer_side": SIZE})
        params.validation_data.override({"annotation_file": f"{tmp_path}/one.json", "image_dir": f"{tmp_path}"})
        task = FSAFTask(params, data=source.open_sources(params, train=False, validation=True))
        model = _model(task)
        for logits in model.get_layer("heads").class_outputs.values():
            logits.kernel.assign(-300 * logits.kernel)  # so that the levels' losses differ
        return task.summary_pictures(model)

    one, other = (pictures_of(anchor_free={"selection": rule}) for rule in ("heuristic", "online"))
    assert one.keys() == {"detections", "targets"} and one["targets"].dtype == np.uint8
    assert np.array_equal(one["detections"], other["detections"])
    assert not np.array_equal(one["targets"], other["targets"])
    assert pictures_of(anchor_free={"enabled": False}, **BOTH).keys() == {"detections"}


def test_training_and_validation_data_must_have_the_same_categories(tmp_path):
    """Equal names with other ids would score nothing."""
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    params = _params()
    for name, first in (("train", 1), ("validation", 0)):
        content = {
            "images": [{"id": 1, "file_name": "a.png", "height": 30, "width": 40}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": first, "bbox": [1, 1, 9, 9]}],
            "categories": [{"id": first, "name": "cat"}, {"id": first + 1, "name": "dog"}],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        config = getattr(params, f"{name}_data")
        config.annotation_file, config.image_dir = str(tmp_path / f"{name}.json"), str(tmp_path)
    for used in ({"train": True, "validation": False}, {"train": False, "validation": True}):
        sources = source.open_sources(params, **used)
        assert {key: getattr(sources, key) is not None for key in used} == used
        assert sources.of_classes.num_images == 1
    with pytest.raises(
        UserError,
        match=r"other classes than the training data .*train.json: 0 cat, 1 dog in place of 1 cat, 2 dog; give",
    ):
        source.open_sources(params, train=True, validation=True)


def _rates(batch_size: int, steps) -> list[float]:
    params = _params()
    params.train_data.global_batch_size = batch_size
    optimizer = FSAFTask(params).create_optimizer(schema.fsaf().trainer.optimizer_config)
    return [float(optimizer.learning_rate(step)) for step in steps]


def test_rates_of_the_paper():
    """0.01 for 16 images after 500 warm-up steps from a third of it, divided by 10 at 60k and 80k (section 3.4)."""
    rates = _rates(16, [0, 250, 500, 60_000, 60_001, 80_001, 89_999])
    np.testing.assert_allclose(rates, [0.01 / 3, 0.02 / 3, 0.01, 0.01, 0.001, 0.0001, 0.0001], rtol=1e-4)


def test_rates_follow_the_batch_once():
    np.testing.assert_allclose(_rates(4, [0, 600, 70_000]), [0.0025 / 3, 0.0025, 0.00025], rtol=1e-4)
