"""What a run says of its data before it starts, and whether it can start with them."""

import dataclasses
from typing import Any

from fsaf_tf.config import schema
from fsaf_tf.data import inspection
from fsaf_tf.data.examples import Source
from fsaf_tf.data.findings import Finding
from fsaf_tf.data.inspection import Inspection
from fsaf_tf.data.kept_boxes import Sizing
from fsaf_tf.data.source import Sources, matched, open_source, open_sources
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import commands

MOST_FINDINGS = 18  # lines of them at the start of a run; with the counts of both sets these are under 25

_OF_CLASSES = ("empty_class", "similar_class")  # told of the training data alone


@dataclasses.dataclass(frozen=True)
class DataReport:
    """Attributes:
    train: the training data, None where there are none.
    validation: the validation data, likewise.
    findings: those of both, and of the two together.
    error: why the run cannot start; None if it can.
    is_to_train: whether there were training data to open.
    """

    train: Inspection | None
    validation: Inspection | None
    findings: tuple[Finding, ...]
    error: str | None
    is_to_train: bool

    def lines(self, most: int | None = None) -> list[str]:
        """The report as text.

        Args:
            most: findings that are shown; all if not given.
        """
        counts = []
        for part, to_train in ((self.train, True), (self.validation, False)):
            if part is not None:
                first, *rest = inspection.lines(part, to_train=to_train)
                counts += [first, *(f"  {line}" for line in rest)]
        shown = self.findings[:most]
        many = len({finding.where for finding in shown}) > 1
        judged = [f"  {finding.where}: {finding.line}" if many else f"  {finding.line}" for finding in shown]
        left = len(self.findings) - len(shown)
        more = [f"  and {left} more findings: {commands.of_tool('data', 'check')} lists all"] if left else []
        return [*counts, *judged, *more]

    def values(self) -> dict[str, Any]:
        """The report for programs; see docs/data.md."""
        values: dict[str, Any] = _values(self.train if self.is_to_train else self.validation)
        values["findings"] = [dataclasses.asdict(finding) for finding in self.findings]
        if self.is_to_train and self.validation is not None:
            values["validation"] = _values(self.validation)
        return values | ({"error": self.error} if self.error else {})


def _values(part: Inspection | None) -> dict[str, Any]:
    if part is None:
        return {"pictures": None, "boxes": None, "trained_boxes": None, "classes": {}}
    classes = {name: {"boxes": count, "trained_boxes": kept} for name, (count, kept) in part.of_classes().items()}
    values = {
        "pictures": part.source.num_images,
        "boxes": len(part.table),
        "trained_boxes": int(part.trained.sum()),
        "classes": classes,
    }
    values |= {"notes": list(part.source.notes)} if part.source.notes else {}
    return values | ({"boxes_with_anchor": int(part.of_anchors.is_fit.sum())} if part.of_anchors else {})


def check(task: schema.Task, *, download: bool = False) -> DataReport:
    """Opens and looks at the data that a task names; what would end a run is the report's `error`.

    Args:
        task: `train_data`, `validation_data` or both name data.
        download: let TFDS fetch what is not there.
    """
    errors: list[str] = []

    def opened(config: schema.Data) -> Source | None:
        if not config.source_keys():
            return None
        try:
            return open_source(config, download=download)
        except UserError as error:
            errors.append(str(error))
            return None

    sources = Sources(None, None)
    try:
        if task.validation_data.fraction:
            sources = open_sources(task, train=True, validation=True)
        else:
            sources = Sources(opened(task.train_data), opened(task.validation_data))
            sources = matched(sources.train, sources.validation)
    except UserError as error:
        errors.append(str(error))
    try:
        report = inspect(task, sources)
    except UserError as error:
        report = DataReport(None, None, (), str(error), False)
    error = next(iter(errors), report.error)
    return dataclasses.replace(report, error=error, is_to_train=bool(task.train_data.source_keys()))


def inspect(task: schema.Task, sources: Sources) -> DataReport:
    """Looks at the data of a run.

    Args:
        task: its sizes, and its anchors where it has that branch.
        sources: the opened data.

    Raises:
        UserError: a bad example, of data that are read on the way.
    """
    sources, model, size = _told_apart(sources), task.model, task.input_size.as_dict()
    branch = task.anchor_based().anchors if model.anchor_based.enabled else None
    values = {"max_detections": task.evaluation.max_detections, "branch": branch, "levels": model.geometry().levels}
    train = validation = None
    if sources.train is not None:
        data = task.train_data
        jitter = Sizing(**size, drawn_sides=tuple(data.shorter_sides), tile=data.augmentation.tile)
        train = inspection.inspect(sources.train, jitter, max_instances=data.max_instances, **values)
    if sources.validation is not None:
        room = task.validation_data.max_instances
        validation = inspection.inspect(
            sources.validation, Sizing(**size, tile=task.tiles.size), max_instances=room, **values
        )
    both = ()
    if train and validation and train.source.classes == validation.source.classes:
        both = inspection.compare(train, validation)
        # Their classes are compared with those of the training data already.
        seen = tuple(finding for finding in validation.findings if finding.kind not in _OF_CLASSES)
        validation = dataclasses.replace(validation, findings=seen)
    errors = [
        train and inspection.refusal_of_training(train),
        validation and inspection.refusal_of_evaluation(validation),
    ]
    findings = (*both, *(finding for part in (train, validation) if part for finding in part.findings))
    return DataReport(train, validation, findings, next(filter(None, errors), None), sources.train is not None)


def with_sizes(sources: Sources, report: DataReport) -> Sources:
    """The data of a run, which know the sizes of the pictures that its report has looked at."""

    def seen(source: Source | None, part: Inspection | None) -> Source | None:
        return dataclasses.replace(source, sizes=part.table.sizes) if source and part and not source.boxes else source

    return Sources(seen(sources.train, report.train), seen(sources.validation, report.validation))


def _told_apart(sources: Sources) -> Sources:
    """Both sets of one file, or of one split, under names that say which is which."""
    train, validation = sources.train, sources.validation
    if train is None or validation is None or train.name != validation.name:
        return sources

    def renamed(source: Source, part: str) -> Source:
        name = f"{source.name} ({part})"
        findings = tuple(dataclasses.replace(finding, where=name) for finding in source.findings)
        return dataclasses.replace(source, name=name, findings=findings)

    return Sources(renamed(train, "training"), renamed(validation, "validation"))
