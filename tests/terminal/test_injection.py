"""Each exception that a call of a file, the network or a device can raise, at each place of such a call.

A fault ends a tool with one line that names the file, or it ends nothing where that is meant; it leaves nothing half
written, and takes nothing away that was there.
"""

import re

import cases_of_bulk
import cases_of_checkpoints
import cases_of_data
import cases_of_detection
import cases_of_files
import cases_of_models
import cases_of_runs
import cases_of_tools
import cases_of_weights
import injected
import io_calls
import pytest

PLACES = io_calls.places()
ROOMS = (
    *(cases_of_files, cases_of_data, cases_of_weights, cases_of_checkpoints, cases_of_runs, cases_of_models),
    *(cases_of_detection, cases_of_tools, cases_of_bulk),
)
CASES = {name: case for room in ROOMS for name, case in room.CASES.items()}
# A result that is there after a fault: that of before, or the new one as a whole.
RESULTS = (b"of before", b'[\n{"image_id": 1}\n]\n')
# Why no fault is put into a call.
IN_MEMORY = "writes into memory"
IN_A_GRAPH = "runs inside of a data set; `test_a_picture_that_a_data_set_reads` has real faults"
NOT_SEEN = "what cannot be read is a file that a worker does not see, which is then said"
REAL_SOCKETS = "`run/test_tf_config.py` has real sockets: nobody there, a port in use, a stranger"
ANSWERS_NO = "OpenCV answers False, and what is then said is tested with real files"
IN_A_PROCESS_OF_ITS_OWN = "a benchmark's process of its own, whose last line timing/inference.py tells"
TO_LASTING = "writes to `terminal/lasting.py`, whose own calls are tested"
_PIPE = ("_listened:os.pipe", "_listened:os.set_blocking", "_listened:os.close", "_listen:os.read")
ELSEWHERE = "of storage elsewhere; the same calls on this machine have cases"
NOT_INJECTED = {
    "analysis/charts.py:curves:_drawn.savefig": IN_MEMORY,
    "analysis/inputs.py:jpeg:small.save": IN_MEMORY,
    "bulk/pictures.py:Reader._dataset:tf.data.Dataset.from_generator": IN_A_GRAPH,
    "cli/outputs.py:files_below:paths.glob": "gives nothing where it cannot look",
    "cli/outputs.py:files_below:paths.files_below": "gives nothing where it cannot look",
    "config/catalog.py::_PACKAGED.is_dir": "is asked when the module is imported",
    "data/arrays.py:read:np.load": "reads from memory",
    "data/arrays.py:write:zipfile.ZipFile": IN_MEMORY,
    "data/images.py:read_files.read:tf.io.read_file": IN_A_GRAPH,
    "data/records.py:_read.records:tf.data.TFRecordDataset": IN_A_GRAPH,
    "data/shapes.py:Shapes._generate_examples:Image.fromarray.save": IN_MEMORY,
    "data/shapes.py:Shapes._generate_examples:encoded.seek": IN_MEMORY,
    "data/writers/write.py:write:os.sync": "answers nothing",
    "data/writers/write.py:write:shutil.rmtree": "ignores errors",
    "detect/predict_files.py:draw:picture.save": IN_MEMORY,
    "detect/predict_video.py:_Camera.__exit__:self._capture.release": ANSWERS_NO,
    "detect/predict_video.py:_File.__exit__:self._capture.release": ANSWERS_NO,
    "detect/predict_video.py:_Writer.__exit__:self._video.release": ANSWERS_NO,
    "detect/predict_video.py:_Writer._open:video.isOpened": ANSWERS_NO,
    "detect/predict_video.py:_frames_in:capture.isOpened": ANSWERS_NO,
    "detect/predict_video.py:_frames_in:capture.release": ANSWERS_NO,
    "detect/predict_video.py:_open:capture.isOpened": ANSWERS_NO,
    "figures/write_figures.py:write:Image.fromarray.save": IN_MEMORY,
    "figures/write_figures.py:write:figure.savefig": IN_MEMORY,
    "figures/pictures.py:_source.read:tf.data.Dataset.from_generator": "reads nothing before it runs; its rows do",
    "figures/pictures.py:of_files.rows:Image.fromarray.save": IN_MEMORY,
    "run/non_finite.py:keep_batch.write:np.savez_compressed": IN_MEMORY,
    "serving/client.py:encoded:Image.fromarray.save": IN_MEMORY,
    "serving/decode.py:attempt:result.concatenate.get_single_element": "runs inside of an exported graph",
    **dict.fromkeys((f"terminal/interrupts.py:Interrupts.{call}" for call in _PIPE), "a pipe within the process"),
    "data/pixels.py:_source:paths.open_to_read": ELSEWHERE,
    "serving/saved_model.py:_copied:paths.files_below": ELSEWHERE,
    "serving/saved_model.py:_copied:paths.make_folder": ELSEWHERE,
    "serving/saved_model.py:_copied:tf.io.gfile.copy": ELSEWHERE,
    "run/import_published.py:_write:tf.io.gfile.rename": "of storage elsewhere; here it is os.rename",
    "data/service.py:checked:socket.create_connection": "`data/test_service.py` has addresses where nobody answers",
    "run/cluster.py:_fingerprint:file.read": NOT_SEEN,
    "run/cluster.py:_fingerprint:tf.io.gfile.GFile": NOT_SEEN,
    "run/cluster.py:_read:file.read": NOT_SEEN,
    "run/cluster.py:_read:open": NOT_SEEN,
    "run/tf_config.py:_greet:socket.create_connection": REAL_SOCKETS,
    "run/tf_config.py:_heard:socket.socket": REAL_SOCKETS,
    "run/tf_config.py:_listening:socket.SOL_SOCKET": REAL_SOCKETS,
    "run/tf_config.py:_listening:socket.SO_REUSEADDR": REAL_SOCKETS,
    "run/tf_config.py:_listening:socket.socket": REAL_SOCKETS,
    "run/lock.py:_held:os.utime": "in a thread of its own, which goes on",
    "serving/delegation.py:report:interpreter.allocate_tensors": "studies and tests alone call it",
    "serving/delegation.py:report:litert.Interpreter": "studies and tests alone call it",
    "serving/load.py:files_of:paths.files_below": "gives nothing where it cannot look",
    "serving/saved_model.py:_files_of_network:paths.files_below": "gives nothing where it cannot look",
    "serving/metadata.py:pack:archive.writestr": IN_MEMORY,
    "serving/metadata.py:pack:zipfile.ZipFile": IN_MEMORY,
    "serving/saved_model.py:export:shutil.rmtree": "ignores errors",
    "serving/warmup.py:read_requests:tf.data.TFRecordDataset": "tests alone call it",
    "serving/warmup.py:read_requests:tf.data.TFRecordDataset.as_numpy_iterator": "tests alone call it",
    "terminal/lasting.py:Lasting.__init__:open": "of /dev/null, where there is no standard output at all",
    "terminal/lasting.py:streams:sys.stdout.flush": TO_LASTING,
    "terminal/native_log.py:silenced:os.close": "of a descriptor that is open",
    "terminal/native_log.py:silenced:os.dup2": "of descriptors that are open",
    "terminal/native_log.py:silenced:sys.stderr.flush": TO_LASTING,
    "terminal/progress.py:Progress._write:self._stream.flush": TO_LASTING,
    "terminal/progress.py:Progress._write:self._stream.write": TO_LASTING,
    "timing/measure_model.py:frozen_graph.load:pathlib.Path.read_bytes": IN_A_PROCESS_OF_ITS_OWN,
    "timing/measure_model.py:measure:np.load": IN_A_PROCESS_OF_ITS_OWN,
    "timing/measure_model.py:memory_mb:pathlib.Path.read_text": IN_A_PROCESS_OF_ITS_OWN,
    "timing/measure_model.py:saved_model.load:tf.saved_model.load": IN_A_PROCESS_OF_ITS_OWN,
    "timing/measure_model.py:tflite.load.detect:interpreter.get_tensor": IN_A_PROCESS_OF_ITS_OWN,
    "timing/measure_model.py:tflite.load.detect:interpreter.invoke": IN_A_PROCESS_OF_ITS_OWN,
    "timing/measure_model.py:tflite.load:interpreter.allocate_tensors": IN_A_PROCESS_OF_ITS_OWN,
    "timing/measure_model.py:tflite.load:litert.Interpreter": IN_A_PROCESS_OF_ITS_OWN,
}


def test_every_place_that_reads_or_writes_has_a_case():
    missing = sorted(set(PLACES) - set(CASES) - set(NOT_INJECTED))
    assert not missing, (
        f"{len(missing)} calls that read or write have no fault put into them: {missing}. Add a Case to"
        " tests/terminal/cases_of_*.py that comes to the call, with the errors that it can raise, or a line to"
        " NOT_INJECTED that says why none reaches a user"
    )
    gone = sorted((set(CASES) | set(NOT_INJECTED)) - set(PLACES))
    assert not gone, f"these are no calls of the library any more: {gone}"


def content(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outcome(name: str, error, folder) -> tuple[int | str, BaseException]:
    """How a tool ends when its call raises an error, and which one that was."""
    place, case, raised = PLACES[name], CASES[name], []

    def raise_it(path: str) -> BaseException:
        raised.append(error(re.sub(r"(\.part(-[\w.-]+-\d+)?|/)$", "", path)))
        return raised[-1]

    try:
        with injected.fault(place, case, raise_it):
            end = injected.outcome(lambda: case.act(folder))
    except Exception as other:
        raise AssertionError(f"{error('PATH')!r} of {name} is a traceback") from other
    assert raised, f"the act of {name} does not come to it"
    return end, raised[-1]


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_one_line_and_nothing_is_lost(name, tmp_path):
    case = CASES[name]
    for number, error in enumerate(case.errors):
        folder = tmp_path / str(number)
        folder.mkdir()
        end, raised = outcome(name, error, folder)
        if case.goes_on:
            assert end == 0
            continue
        assert isinstance(end, str) and end.startswith("error: ") and "\n" not in end, (raised, end)
        assert "{{" not in end and "[Op:" not in end and len(end) > len("error: ") + 10, end
        path = next((str(path) for path in [folder, *folder.rglob("*")][::-1] if str(path) in str(raised)), "")
        if not isinstance(raised, MemoryError):
            assert (case.names or path) in end, (raised, end)
        there = content(folder)
        assert case.leaves or not [path for path in there if ".part" in path or ".try-" in path], (raised, end)
        assert there.get("result.json") in (None, *RESULTS), (raised, there)
