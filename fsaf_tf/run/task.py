"""The Garden task: build the detector, take a training step, evaluate."""

import functools

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task, task_factory
from official.modeling import optimization, performance

from fsaf_tf import branches, detection, objective, postprocess, regions, visualize
from fsaf_tf.config import schedule, schema
from fsaf_tf.data import digest, pipeline
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Source
from fsaf_tf.data.source import Sources
from fsaf_tf.detection import ALL
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision
from fsaf_tf.modeling import backbones, detector, freezing
from fsaf_tf.run import accumulate, head_rate, non_finite
from fsaf_tf.selection import Step

NON_FINITE = "Non-finite loss"
SUMMARY_IMAGES = 4
VALIDATION_LOSS = "validation_loss"


@task_factory.register_task_cls(schema.Task)
class FSAFTask(base_task.Task):
    """RetinaNet, FSAF, or both together, as the experiment's `task.model` says."""

    def __init__(
        self,
        params: schema.Task,
        logging_dir=None,
        name=None,
        *,
        runtime=None,
        data: Sources | None = None,
        steps: range | None = None,
    ):
        """Makes the task.

        Args:
            params: the experiment's `task`.
            logging_dir: see the base class.
            name: see the base class.
            runtime: the experiment's `runtime`; its `enable_xla` compiles forward pass, losses and gradients.
            data: what it trains on and is evaluated on, and so the classes. Single steps, as in tests, need none.
            steps: of the training, from the one that it goes on from; without them the selection has no warm-up, which
                is a share of all.
        """
        super().__init__(params, logging_dir=logging_dir, name=name)
        self._data = data
        self._ground_truth = functools.cache(lambda: self.source.ground_truth())  # TFDS and TFRecord read all images
        self._branches, self._steps = params.branches(), steps
        self._terms_and_gradients = self._plain_terms_and_gradients
        if runtime is not None and runtime.enable_xla:
            self._terms_and_gradients = tf.function(self._plain_terms_and_gradients, autograph=False, jit_compile=True)

    # Data.

    @property
    def source(self) -> Source:
        """The validation data."""
        return self._data.validation

    @property
    def training_source(self) -> Source | None:
        """The training data."""
        return self._data.train

    @property
    def classes(self) -> Classes:
        """The K classes of the data."""
        return self._data.of_classes.classes

    @property
    def num_classes(self) -> int:
        """K: the configured number, which must be the data's, or the data's where none is configured."""
        configured, found = self.task_config.model.num_classes, len(self.classes)
        if configured not in (0, found):
            raise UserError(
                f"task.model.num_classes is {configured}, but {self._data.of_classes.name} has {found} classes."
            )
        return found

    def build_inputs(self, params: schema.Data, input_context=None) -> tf.data.Dataset:
        """Batches of `params`; on a machine without accelerators they have passed the device stage.

        Those of the validation data have the views of `task.test_augmentation`, or for `task.tiles` one picture each.

        Args:
            params: `train_data` or `validation_data`.
            input_context: how many replicas share the batch.

        Returns:
            A data set of dicts; see `data.pipeline.build_dataset` and `device_stage`.
        """
        source = self._data.train if isinstance(params, schema.TrainData) else self.source
        replicas = input_context.num_replicas_in_sync if input_context else 1
        is_training, tiles = isinstance(params, schema.TrainData), detection.tiles_of(self.task_config)
        batches = pipeline.build_dataset(
            source,
            params,
            self.task_config.input_size,
            batch_size=1 if tiles and not is_training else params.global_batch_size // replicas,
            input_context=input_context,
            also=pipeline.nothing if is_training else detection.also_of(self.task_config),
            first_step=0 if self._steps is None else self._steps.start,
        )
        if tf.config.list_logical_devices("GPU"):
            return batches
        return batches.map(self._device_stage, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    @tf.autograph.experimental.do_not_convert
    def _device_stage(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        if "images" in batch:  # the tf.data pipeline has done it
            return batch
        model = self.task_config.model
        return pipeline.device_stage(batch, detector.normalization(model.backbone), model.geometry())

    # The model and its optimizer.

    def build_model(self) -> tf_keras.Model:
        """The detector for the data's classes, with `task.freeze`; see `modeling.detector.build_detector`."""
        model = detector.build_detector(self.task_config.model, self.num_classes)
        freezing.freeze(model, self.task_config.freeze)
        return model

    def initialize(self, model: tf_keras.Model) -> None:
        """The published weights of the backbone, for a run that starts from no checkpoint."""
        backbones.initialize(model, self.task_config.model.backbone)

    def create_optimizer(self, optimizer_config, runtime_config=None, dp_config=None):
        """The Garden's optimizer, its rate scaled from 16 images to the batch (section 3.4: 0.01 for 16 images).

        The heads have `task.head_rate_multiplier` times that rate.
        """
        if dp_config is not None:
            raise UserError("task.differential_privacy_config is not supported: leave it null.")
        batch_size = self.task_config.train_data.global_batch_size
        factory = optimization.OptimizerFactory(schedule.scale_rates(optimizer_config, batch_size))
        optimizer = factory.build_optimizer(factory.build_learning_rate())
        if self.task_config.head_rate_multiplier != 1:
            optimizer = head_rate.multiply(optimizer, self.task_config.head_rate_multiplier, _is_of_the_heads)
        if runtime_config is None:
            return optimizer
        use_float16 = runtime_config.mixed_precision_dtype == "float16"
        return performance.configure_optimizer(optimizer, use_float16=use_float16, loss_scale=runtime_config.loss_scale)

    # Training.

    def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
        """Means: of the terms of the loss and of what tells whether the selection is healthy, see `objective.terms`.

        Of an evaluation the losses and the levels, see `AnchorFree.level_shares`.
        """
        names = [*objective.names(self._branches), "gradient_norm"]
        names += ["not_mixed"] * self.task_config.train_data.augmentation.mixes
        if not training:
            names = [VALIDATION_LOSS, *objective.loss_names(self._branches), *self._level_names]
        return [tf_keras.metrics.Mean(name) for name in names]

    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs, model: tf_keras.Model, optimizer, metrics=None) -> dict[str, tf.Tensor]:
        """Forward pass, selection without gradient, losses and update (section 3.4), on one replica.

        Args:
            inputs: a batch.
            model: the detector.
            optimizer: its optimizer.
            metrics: those of `build_metrics`.

        Returns:
            The total loss as `loss`.

        Raises:
            tf.errors.InvalidArgumentError: if a loss or the gradient is not finite: names the terms and the images.
                No variable is trained by that step.
        """
        batch = self._device_stage(inputs)
        terms, gradients = self._terms_and_gradients(batch, model, optimizer)
        checked = dict(terms)
        if isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
            del checked["gradient_norm"]  # it meets a gradient that overflows by skipping the step
        finite = self._check_finite(checked, batch, optimizer.iterations)
        with tf.control_dependencies([finite]):
            gradients = [tf.identity(gradient) for gradient in gradients]
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        for metric in metrics or []:
            metric.update_state(terms[metric.name].value, sample_weight=terms[metric.name].weight)
        return {self.loss: terms["total_loss"].value}

    def _check_finite(self, terms: dict[str, branches.Term], batch, iterations) -> tf.Operation:
        """Asserts that all terms are finite. A batch of which they are not is kept, where there is a run to keep it."""
        finite = tf.math.is_finite(tf.stack([term.value for term in terms.values()]))
        is_finite, kept = tf.reduce_all(finite), tf.constant(True)
        if self.logging_dir:
            kept = tf.cond(
                is_finite, lambda: True, lambda: non_finite.keep_batch(self.logging_dir, batch, iterations + 1)
            )
        wrong = tf.boolean_mask(tf.constant(list(terms)), ~finite)
        message = [f"{NON_FINITE}:", wrong, "step", iterations + 1, "images", batch["image_id"]]
        with tf.control_dependencies([kept]):
            return tf.debugging.Assert(is_finite, message, summarize=64)

    def _plain_terms_and_gradients(self, batch, model: tf_keras.Model, optimizer):
        """The terms of the objective with `gradient_norm`, and the gradients ready for the optimizer."""
        of_part = functools.partial(self.of_images, model=model, optimizer=optimizer)
        parts = self.task_config.accumulation_steps
        terms, gradients = of_part(batch) if parts == 1 else accumulate.in_parts(of_part, batch, parts)
        # Of the replica's own images: the others' gradients are known only to the optimizer.
        norm = tf.linalg.global_norm(gradients) * tf.distribute.get_strategy().num_replicas_in_sync
        return {**terms, "gradient_norm": branches.Term(norm)}, gradients

    def of_images(self, batch, model: tf_keras.Model, optimizer) -> tuple[dict[str, branches.Term], list[tf.Tensor]]:
        """The terms of the objective and their gradients, of some images of a step that have passed the device stage.

        Args:
            batch: of these.
            model: the detector.
            optimizer: tells the step, and how the loss is scaled.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        scaled = isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
        step = None if self._steps is None else Step(optimizer.iterations, self._steps.stop)
        variables, weight_decay = model.trainable_variables, self.task_config.losses.weight_decay
        with tf.GradientTape() as tape:
            outputs = model(batch["images"], training=True)
            terms = objective.terms(batch, outputs, variables, self._branches, weight_decay, step)
            loss = terms["total_loss"].value / replicas  # the optimizer sums the replicas' gradients
            loss = optimizer.get_scaled_loss(loss) if scaled else loss
        gradients = tape.gradient(loss, variables)
        return terms, optimizer.get_unscaled_gradients(gradients) if scaled else gradients

    # Evaluation.

    def _program(self, model: tf_keras.Model) -> detection.Program:
        return detection.program(self.task_config, model.get_layer("heads").num_classes)

    @tf.autograph.experimental.do_not_convert
    def validation_step(self, inputs, model: tf_keras.Model, metrics=None) -> dict[str, tf.Tensor]:
        """Detections of a batch with `boxes` in pixels of the original images, and their `image_id`.

        Of two branches also what each finds alone, `anchor_free/boxes` and so on.

        Args:
            inputs: a batch.
            model: the detector.
            metrics: those of `build_metrics(training=False)`; one in views or tiles leaves them as they are.
        """
        batch, program = self._device_stage(inputs), self._program(model)
        network = functools.partial(detector.infer, model)
        if "picture" in batch:
            found = program.detect_in_tiles_of_one(network, batch["picture"])
        elif "views" in batch:
            sized = [(view["image"], view["image_size"]) for view in batch["views"]]
            found = program.by_branch(*program.candidates_in_views(network, sized), batch["original_size"])
        else:
            outputs = network(batch["images"])
            candidates = postprocess.candidates(outputs, program.decoding)
            found = program.by_branch(candidates, batch["image_size"], batch["original_size"])
            self._update_metrics(metrics or [], batch, outputs, model)
        return {**detection.flat(found), "image_id": batch["image_id"]}

    @property
    def _level_names(self) -> list[str]:
        anchor_free = [branch for branch in self._branches if isinstance(branch, branches.AnchorFree)]
        return [f"{branch.name}/{name}" for branch in anchor_free for name in branch.level_names()]

    def _update_metrics(self, metrics: list[tf_keras.metrics.Metric], batch, outputs, model: tf_keras.Model) -> None:
        """Adds a batch of an evaluation: a loss weighs as many images as it has, a level's share as many instances."""
        if not metrics:
            return
        weight_decay, variables = self.task_config.losses.weight_decay, model.trainable_variables
        terms = objective.terms(batch, outputs, variables, self._branches, weight_decay, None)
        terms[VALIDATION_LOSS] = terms["total_loss"]
        images = tf.cast(tf.shape(batch["image_id"])[0], tf.float32)
        for metric in metrics:
            value, instances = terms[metric.name]
            weight = instances if metric.name in self._level_names else images
            metric.update_state(tf.where(weight > 0, value, 0.0), sample_weight=weight)

    def aggregate_logs(self, state=None, step_logs=None) -> dict[str, list[dict]]:
        """Adds a step's detections, of all replicas, to the COCO results in `state`: of `ALL` and each branch alone."""
        results = {} if state is None else state
        for index in range(len(step_logs["image_id"])):
            detections = {name: by_replica[index].numpy() for name, by_replica in step_logs.items()}
            image_ids = detections.pop("image_id")
            of_each: dict[str, dict] = {}
            for name, value in detections.items():
                branch, _, key = name.rpartition("/")
                of_each.setdefault(branch or ALL, {})[key] = value
            for branch, found in of_each.items():
                rows = average_precision.detections_to_coco(found, image_ids, self.classes.ids)
                results.setdefault(branch, []).extend(rows)
        return results

    def reduce_aggregated_logs(self, aggregated_logs, global_step=None) -> dict:
        """The COCO figures of all results; see `average_precision.coco_metrics`."""
        most = self.task_config.evaluation.max_detections
        return average_precision.coco_metrics(self._ground_truth(), aggregated_logs, most)

    def branch_figures(self, results: dict[str, list[dict]]) -> dict[str, dict[str, float]]:
        """`average_precision.brief` of each branch alone, of the results of `aggregate_logs`; empty of one branch."""
        most, truth = self.task_config.evaluation.max_detections, self._ground_truth
        alone = {branch: rows for branch, rows in results.items() if branch != ALL}
        return {branch: average_precision.brief(truth(), rows, most) for branch, rows in alone.items()}

    def data_digest(self) -> dict[str, str]:
        """The content of the validation data; see `digest.of`."""
        return digest.of(self._ground_truth())

    def summary_pictures(self, model: tf_keras.Model) -> dict[str, np.ndarray]:
        """Pictures for TensorBoard of the first validation images.

        `detections` has the true boxes on the left and those that are found on the right, `targets` is as Fig. 5.

        Args:
            model: the detector.

        Returns:
            `[images, H, W, 3]` uint8 each; no `targets` without an anchor-free branch.
        """
        batch = self._device_stage(self._summary_batch)
        outputs = detector.infer(model, batch["images"])
        images = self._summary_batch["image"].numpy()
        found = self._program(model).of_outputs(outputs, batch["image_size"], batch["image_size"])
        truth = {name: batch[name] for name in ("boxes", "classes", "valid")}
        pictures = {"detections": visualize.detections_beside_truth(images, truth, found, self.classes.names)}
        if self.task_config.model.anchor_free.enabled:
            target = self.task_config.anchor_free().targets(outputs, regions.Instances.of_batch(batch))
            instances = truth | {"levels": target.pop("levels")}
            geometry = self.task_config.model.geometry()
            pictures["targets"] = visualize.target_pictures(images, instances, target, geometry, self.classes.names)
        return pictures

    @functools.cached_property
    def _summary_batch(self) -> dict[str, tf.Tensor]:
        config, size = self.task_config.validation_data, self.task_config.input_size
        return next(iter(pipeline.build_dataset(self.source, config, size, batch_size=SUMMARY_IMAGES)))


def _is_of_the_heads(variable: tf.Variable) -> bool:
    return variable.name.startswith("heads/")
