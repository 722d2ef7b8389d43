"""What the machine cannot do, on one line: real faults of real calls, by Python's and by TensorFlow's functions."""

import h5py
import pytest
import tensorflow as tf

from fsaf_tf.terminal import faults


def fill(write) -> None:
    """Writes more to a full disk than any buffer holds."""
    write("x" * 10**6)


def damaged(folder) -> str:
    """A TFRecord file whose record has another checksum than it says."""
    path = f"{folder}/a.tfrecord"
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"some content")
    with open(path, "r+b") as file:
        file.seek(14)
        file.write(b"X")
    return path


def write_full(path: str) -> None:
    with tf.io.gfile.GFile(path, "w") as file:
        fill(file.write)


def in_graph(op, *arguments):
    """An op as a training has it: in a graph, whose errors begin with where in the code it was made."""
    return tf.function(lambda *values: op(*values))(*map(tf.constant, arguments))


def in_loop(dataset: tf.data.Dataset) -> None:
    """Goes through a data set as a loop of training steps does."""

    @tf.function
    def loop(iterator):
        for _ in tf.range(3):
            next(iterator)

    loop(iter(dataset))


FAULTS = {
    "missing, by Python": (lambda folder: open(f"{folder}/x"), "{folder}/x: it is not there"),
    "missing, by TensorFlow": (lambda folder: tf.io.gfile.GFile(f"{folder}/x").read(), "{folder}/x: it is not there"),
    "missing, in an op": (lambda folder: tf.io.read_file(f"{folder}/x"), "{folder}/x: it is not there"),
    "missing, in a data set": (
        lambda folder: list(tf.data.Dataset.from_tensors(f"{folder}/a b/x.png").map(tf.io.read_file)),
        "{folder}/a b/x.png: it is not there",
    ),
    "missing, in a graph": (lambda folder: in_graph(tf.io.read_file, f"{folder}/x"), "{folder}/x: it is not there"),
    "missing, in a data set of a loop": (
        lambda folder: in_loop(tf.data.Dataset.from_tensors(f"{folder}/a b/x.png").map(tf.io.read_file)),
        "{folder}/a b/x.png: it is not there",
    ),
    "missing, of HDF5": (lambda folder: h5py.File(f"{folder}/x.h5"), "{folder}/x.h5"),
    "folder for a file": (lambda folder: open(folder), "{folder}: it is a folder where a file is wanted"),
    "folder for a file, by TensorFlow": (
        lambda folder: tf.io.gfile.GFile(f"{folder}", "rb").read(),
        "{folder}: it is a folder where a file is wanted",
    ),
    "file for a folder": (lambda folder: open("/etc/passwd/x"), "/etc/passwd/x: a folder on the way to it is a file"),
    "file for a folder, by TensorFlow": (
        lambda folder: tf.io.gfile.GFile("/etc/passwd/x", "w").write("x"),
        "/etc/passwd/x: a folder on the way to it is a file",
    ),
    "full disk": (lambda folder: fill(open("/dev/full", "w").write), "the disk is full: free some space"),
    "full disk, by TensorFlow": (
        lambda folder: write_full("/dev/full"),
        "/dev/full: the disk is full: free some space",
    ),
    "long name": (lambda folder: open(f"{folder}/{'x' * 300}", "w"), "the name is too long"),
    "long name, by TensorFlow": (
        lambda folder: tf.io.gfile.GFile(f"{folder}/{'x' * 300}", "w").write("x"),
        "the name is too long",
    ),
    "other storage": (lambda folder: tf.io.gfile.GFile("s3://bucket/x").read(), "s3:// paths are not read by this"),
    "damaged record": (lambda folder: list(tf.data.TFRecordDataset(damaged(folder))), "a file is damaged: corrupted"),
    "damaged record, in a loop": (
        lambda folder: in_loop(tf.data.TFRecordDataset(damaged(folder))),
        "a file is damaged: corrupted",
    ),
    "checkpoint in no folder": (
        lambda folder: tf.train.Checkpoint(a=tf.Variable(1.0)).write("/proc/none/x"),
        "it is not there",
    ),
    "memory": (lambda folder: bytearray(2**62), "out of memory: lower task.train_data.global_batch_size"),
    "memory, in an op": (lambda folder: tf.zeros([10**6, 10**6, 10]), "out of memory: lower task.train_data"),
    "memory, in a graph": (
        lambda folder: in_graph(lambda side: tf.zeros([side, 10**6, 10]), 10**6),
        "out of memory: lower task.train_data",
    ),
    "text": (lambda folder: b"\xff\xfe\xfd".decode("utf-8"), "text that is not UTF-8: "),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_one_line_that_names_the_file(kind, tmp_path):
    call, words = FAULTS[kind]
    with pytest.raises(Exception) as error:
        call(str(tmp_path))
    line = faults.line(error.value)
    assert words.format(folder=tmp_path) in line and "\n" not in line
    assert "{{" not in line and "[Op:" not in line


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), tf.errors.InternalError(None, None, "x")], ids=repr)
def test_our_own_mistakes_keep_their_traceback(error):
    assert faults.line(error) is None


def test_a_file_that_contains_itself():
    with pytest.raises(RecursionError) as error:
        repr_of = []
        for _ in range(100_000):
            repr_of = [repr_of]
        str(repr_of)
    assert "nested too deep" in faults.line(error.value)
