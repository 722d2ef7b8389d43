"""The paper's run, and its learning rates at another batch size (section 3.4)."""

import dataclasses

from official.core import config_definitions
from official.modeling import optimization

from fsaf_tf.config.fields import limited

# Rates in an experiment are for this many images a step; the task scales them to the batch (section 3.4).
REFERENCE_BATCH_SIZE = 16


def _optimizer() -> optimization.OptimizationConfig:
    """SGD as in section 3.4; the warm-up is Detectron's."""
    return optimization.OptimizationConfig(
        {
            "optimizer": {"type": "sgd", "sgd": {"momentum": 0.9}},
            "learning_rate": {
                "type": "stepwise",
                "stepwise": {"boundaries": [60_000, 80_000], "values": [0.01, 0.001, 0.0001]},
            },
            "warmup": {"type": "linear", "linear": {"warmup_steps": 500, "warmup_learning_rate": 0.01 / 3}},
        }
    )


@dataclasses.dataclass
class Trainer(config_definitions.TrainerConfig):
    """The Garden's trainer with the paper's run, section 3.4: 90k steps.

    Attributes:
        early_stop_patience: end the run after so many evaluations without a better `best_checkpoint_eval_metric`; 0
            never does. The best checkpoint is in `best_checkpoint_export_subdir` all the same.
    """

    optimizer_config: optimization.OptimizationConfig = dataclasses.field(default_factory=_optimizer)
    steps_per_loop: int = limited(10, 1)
    summary_interval: int = limited(100, 1)
    checkpoint_interval: int = limited(1_000, 1)
    max_to_keep: int = limited(3, 1)
    train_steps: int = limited(90_000, 1)
    validation_interval: int = limited(10_000, 1)
    best_checkpoint_export_subdir: str = "best"
    best_checkpoint_eval_metric: str = "AP"
    early_stop_patience: int = limited(0, 0)


def rates(optimizer_config: optimization.OptimizationConfig) -> dict:
    """The learning rates of the chosen schedule and warm-up: `{"learning_rate.stepwise.values": [...], ...}`."""
    found = {}
    for part in ("learning_rate", "warmup"):
        chosen = getattr(optimizer_config, part)
        for name, value in chosen.get().as_dict().items() if chosen.type else ():
            if (name == "values" or name.endswith("learning_rate")) and value is not None:
                found[f"{part}.{chosen.type}.{name}"] = value
    return found


def scale_rates(optimizer_config: optimization.OptimizationConfig, batch_size: int) -> optimization.OptimizationConfig:
    """The same optimizer for `batch_size` images a step: every rate times `batch_size / 16`; the given one is kept."""
    factor = batch_size / REFERENCE_BATCH_SIZE
    scaled = optimizer_config.replace()
    for key, rate in rates(optimizer_config).items():
        part, chosen, name = key.split(".")
        rate = [factor * value for value in rate] if isinstance(rate, list) else factor * rate
        setattr(getattr(getattr(scaled, part), chosen), name, rate)
    return scaled
