"""The cases of `test_injection.py` for what runs and imports write."""

import types

import orbit
import tensorflow as tf
from cases_of_checkpoints import CLASSES, model, params, told
from cases_of_files import DAMAGED, GFILE, text
from injected import (
    CREATE,
    LOOK,
    MEMORY,
    TF_CREATE,
    TF_OPEN,
    TF_READ,
    TF_RUN,
    TF_WRITE,
    WRITE,
    Case,
    nameless,
    system,
)

from fsaf_tf.config import schema
from fsaf_tf.data.bad_pictures import NONE_ALLOWED, BadPictures
from fsaf_tf.run import best, import_published, lock, non_finite, records, runner, training
from fsaf_tf.run.controller import Controller
from fsaf_tf.run.figure_table import FigureTable
from fsaf_tf.terminal.progress import Progress


def exporter(folder) -> best.BestExporter:
    """What keeps the best checkpoint."""
    return best.BestExporter(f"{folder}/best", "AP", "higher", {}, print)


def keep_best(folder) -> None:
    exporter(folder).maybe_export_checkpoint(tf.train.Checkpoint(model=model()), {"AP": 0.5}, 7)


def save(folder) -> None:
    """Saves as a training does."""
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model()), str(folder), max_to_keep=1, checkpoint_name="ckpt"
    )
    trainer = types.SimpleNamespace(checkpoint_interval=1)
    this = types.SimpleNamespace(
        _step=8, _saved_step=7, checkpoint_manager=manager, _run=types.SimpleNamespace(trainer=trainer)
    )
    Controller._maybe_save_checkpoint(this)


def initialize(folder) -> None:
    """Starts where there is no checkpoint."""
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=model()), str(folder), max_to_keep=1)
    this = types.SimpleNamespace(
        _checkpoint=None,
        strategy=tf.distribute.get_strategy(),
        checkpoint_manager=manager,
        _params=types.SimpleNamespace(task=schema.Task()),
    )
    Controller.restore_checkpoint(this)


NO_LOGBOOK = types.SimpleNamespace(add=lambda split, step, figures: None)


def add_row(folder) -> None:
    """A row behind another: of a run that goes on."""
    table = FigureTable(f"{folder}/train.csv", print)
    for step in (5, 10):
        table.add(step, {"loss": 0.5})


def go_on(folder) -> None:
    """Takes away the rows after a step."""
    (folder / "train.csv").write_text("step,loss\n5,0.5\n10,0.5\n")
    FigureTable(f"{folder}/train.csv", print).go_on_from(5)


def summaries(folder) -> orbit.utils.SummaryManager:
    """What writes event files."""
    return orbit.utils.SummaryManager(f"{folder}/train", tf.summary.scalar, tf.Variable(7, dtype=tf.int64))


def log(folder) -> None:
    """Writes means of a training."""
    this = types.SimpleNamespace(summary_manager=summaries(folder), _logs=[(1, {"loss": 1.0})], _bad=NONE_ALLOWED)
    this.logbook, this._step = NO_LOGBOOK, 7
    Controller._write_logs(this)


def log_bad_pictures(folder) -> None:
    """Writes the names of pictures that were left out."""
    bad = BadPictures(0.5, 4)
    bad.add("1.png", "cannot be read")
    this = types.SimpleNamespace(
        summary_manager=summaries(folder), _bad=bad, _bad_told=0, _progress=Progress(), global_step=7
    )
    Controller._tell_bad_pictures(this)


def log_evaluation(folder) -> None:
    """Writes figures and pictures of an evaluation."""
    task = types.SimpleNamespace(summary_pictures=lambda model: {"picture": tf.zeros([1, 2, 2, 3], tf.uint8)})
    this = types.SimpleNamespace(
        eval_summary_manager=summaries(folder),
        _task=task,
        evaluator=types.SimpleNamespace(model=None),
        global_step=tf.constant(7, tf.int64),
        logbook=NO_LOGBOOK,
        _step=7,
    )
    Controller._write_evaluation(this, {"AP": 0.5})


def bad_batch(folder) -> str:
    """A run's folder with a batch that is kept, and the folder's name."""
    non_finite.keep_batch(str(folder), {"image_id": tf.constant([7], tf.int64)}, tf.constant(3))
    return str(folder)


def keep_weights(folder) -> None:
    """Writes the weights of a step."""
    (folder / non_finite.FOLDER).mkdir()
    non_finite.keep_weights(str(folder), tf.train.Checkpoint(step=tf.Variable(7)))


def watch(folder) -> None:
    """Waits for checkpoints."""
    run = types.SimpleNamespace(model_dir=str(folder))
    Controller.evaluate_continuously(types.SimpleNamespace(_run=run, metrics={}), timeout=0.0)


def write_evaluation(folder) -> None:
    """Writes an evaluation over one of before."""
    text(folder, "metrics.json", '{"AP": 0.1}')
    records.write_evaluation(str(folder), {"AP": 0.5}, [{"image_id": 1}])


def write_import(folder) -> None:
    """Writes an import into a folder that is empty."""
    (folder / "out").mkdir(exist_ok=True)
    import_published._write(f"{folder}/out", params(), model(), CLASSES)


def write_records(folder) -> None:
    """What a run records of itself."""
    mode = types.SimpleNamespace(trains=False)
    run = types.SimpleNamespace(
        model_dir=f"{folder}/run",
        results_dir=f"{folder}/run",
        mode=mode,
        params=params(),
        step=0,
        strategy=tf.distribute.get_strategy(),
    )
    training._write_records(run, types.SimpleNamespace(classes=CLASSES))


def lock_it(folder) -> None:
    """Locks a folder that is not there yet."""
    with lock.held(f"{folder}/run", [lock.TRAINING], print):
        pass


def lock_of_another(folder) -> None:
    """Locks a folder that another machine has locked."""
    text(folder, f"run/{lock.TRAINING}", '{"host": "elsewhere", "pid": 1, "since": "2026"}')
    lock_it(folder)


LOG_EVALUATION = Case(told(log_evaluation), (*TF_WRITE, *TF_OPEN), orbit.utils.SummaryManager)
IMPORT = Case(write_import, TF_CREATE)
READ_BATCH = Case(lambda folder: non_finite.read_batches(bad_batch(folder), 3), TF_OPEN)
LOCK = Case(lock_it, CREATE)
LOCK_WRITE = Case(lock_it, WRITE, via="open", names="train.lock")
CASES = {
    "run/best.py:BestExporter.maybe_export_checkpoint:self._get_checkpoint_manager.save": Case(
        told(keep_best), (*TF_CREATE, *TF_RUN), tf.train.CheckpointManager, "save"
    ),
    "run/controller.py:Controller._maybe_save_checkpoint:self.checkpoint_manager.save": Case(
        told(save), (*TF_CREATE, *TF_RUN, *CREATE), tf.train.CheckpointManager, "save"
    ),
    "run/controller.py:Controller.restore_checkpoint:self.checkpoint_manager.restore_or_initialize": Case(
        told(initialize), (*TF_OPEN, *TF_READ), tf.train.CheckpointManager, "restore_or_initialize"
    ),
    "run/controller.py:Controller._write_logs:self.summary_manager.write_summaries": Case(
        told(log), (*TF_WRITE, *TF_OPEN), orbit.utils.SummaryManager, "write_summaries"
    ),
    "run/controller.py:Controller._write_logs:self.summary_manager.flush": Case(
        told(log), TF_WRITE, orbit.utils.SummaryManager, "flush"
    ),
    "run/controller.py:Controller._tell_bad_pictures:self.summary_manager.summary_writer": Case(
        told(log_bad_pictures), (*TF_WRITE, *TF_OPEN), orbit.utils.SummaryManager, "summary_writer"
    ),
    "run/controller.py:Controller._tell_bad_pictures:tf.summary.text": Case(
        told(log_bad_pictures), (*TF_WRITE, *TF_READ)
    ),
    "run/controller.py:Controller._write_evaluation:self.eval_summary_manager.write_summaries": LOG_EVALUATION._replace(
        attribute="write_summaries"
    ),
    "run/controller.py:Controller._write_evaluation:self.eval_summary_manager.summary_writer": LOG_EVALUATION._replace(
        attribute="summary_writer"
    ),
    "run/controller.py:Controller._write_evaluation:self.eval_summary_manager.flush": LOG_EVALUATION._replace(
        attribute="flush"
    ),
    "run/controller.py:Controller._write_evaluation:tf.summary.image": Case(
        told(log_evaluation), (*TF_WRITE, *TF_READ)
    ),
    "run/controller.py:Controller.evaluate_continuously:tf.train.checkpoints_iterator": Case(told(watch), TF_OPEN),
    "run/figure_table.py:FigureTable._append:tf.io.gfile.GFile": Case(add_row, TF_CREATE, goes_on=True),
    "run/figure_table.py:FigureTable._append:file.write": Case(add_row, TF_WRITE, GFILE, "write", goes_on=True),
    "run/figure_table.py:_read:tf.io.gfile.exists": Case(go_on, TF_OPEN, goes_on=True),
    "run/non_finite.py:_batches:tf.io.gfile.glob": READ_BATCH,
    "run/non_finite.py:_read:tf.io.gfile.GFile": READ_BATCH,
    "run/non_finite.py:_read:stream.read": READ_BATCH._replace(errors=TF_READ, owner=GFILE, attribute="read"),
    "run/non_finite.py:_read:np.load": READ_BATCH._replace(errors=(*DAMAGED, MEMORY), names="batch-3-0.npz"),
    "run/non_finite.py:is_kept:tf.io.gfile.exists": Case(lambda folder: non_finite.is_kept(bad_batch(folder)), TF_OPEN),
    "run/non_finite.py:keep_weights:checkpoint.write": Case(
        keep_weights, (*TF_CREATE, *TF_RUN, *CREATE), tf.train.Checkpoint, "write", goes_on=True
    ),
    "run/import_published.py:_write:tf.io.gfile.makedirs": IMPORT,
    "run/import_published.py:_write:tf.train.Checkpoint.write": IMPORT._replace(
        errors=(*TF_CREATE, *CREATE), owner=tf.train.Checkpoint, attribute="write"
    ),
    "run/import_published.py:_write:tf.io.gfile.rmtree": IMPORT._replace(
        errors=TF_OPEN[:-1], leaves=True, goes_on=True
    ),
    "run/import_published.py:_write:os.rename": IMPORT._replace(errors=CREATE),
    "run/lock.py:_open:open": LOCK,
    "run/lock.py:_open:os.stat": LOCK._replace(errors=LOOK[1:]),  # one that is gone is opened anew
    "run/lock.py:_open:os.fstat": LOCK._replace(errors=nameless(5, 116)),
    "run/lock.py:_age:os.fstat": Case(lock_of_another, nameless(5, 116), names="error:"),
    "run/lock.py:_held:file.truncate": LOCK_WRITE._replace(attribute="truncate"),
    "run/lock.py:_held:file.write": LOCK_WRITE._replace(attribute="write"),
    "run/lock.py:_held:file.flush": LOCK_WRITE._replace(attribute="flush"),
    "run/lock.py:_held:os.remove": LOCK._replace(errors=LOOK, goes_on=True),
    "run/lock.py:_remove_empty:os.rmdir": LOCK._replace(errors=LOOK, goes_on=True),
    "run/records.py:write_evaluation:tf.io.gfile.makedirs": Case(write_evaluation, TF_CREATE),
    "run/records.py:forget_evaluation:tf.io.gfile.exists": Case(write_evaluation, TF_OPEN),
    "run/records.py:forget_evaluation:tf.io.gfile.remove": Case(write_evaluation, TF_CREATE),
    "run/records.py:recorded_params:tf.io.gfile.exists": Case(
        lambda folder: records.recorded_params(str(folder)), TF_OPEN
    ),
    "run/records.py:_git_commit:subprocess.run": Case(
        lambda folder: records._git_commit(), (*system(2, 13, 24, 5), *nameless(12)), goes_on=True
    ),
    "run/records.py:versions:importlib.metadata.version": Case(lambda folder: records.versions(), (*LOOK, MEMORY)),
    "run/runner.py:Runner.__init__:tempfile.TemporaryDirectory": Case(
        told(lambda folder: runner.Runner(None, None)), CREATE
    ),
    "run/training.py:_write_records:tf.io.gfile.makedirs": Case(told(write_records), TF_CREATE),
    "run/training.py:_write_records:tf.io.gfile.exists": Case(told(write_records), TF_OPEN),
}
