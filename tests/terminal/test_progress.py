"""What a run says on the terminal."""

import io

from fsaf_tf.terminal import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_terminal_rewrites_one_line_and_keeps_the_last():
    stream = Terminal()
    lines = progress.Progress(stream)
    lines.update("step 1")
    lines.update("step 2")
    lines.keep("step 2: AP 0.5")
    lines.say("done")
    assert stream.getvalue() == "\r\x1b[Kstep 1\r\x1b[Kstep 2\r\x1b[Kstep 2: AP 0.5\ndone\n"


def test_terminal_ends_the_live_line_before_a_line_that_stays():
    stream = Terminal()
    lines = progress.Progress(stream)
    lines.update("step 1")
    lines.say("checkpoint set aside")
    lines.update("step 2")
    lines.close()
    lines.close()
    assert stream.getvalue() == "\r\x1b[Kstep 1\ncheckpoint set aside\n\r\x1b[Kstep 2\n"


def test_terminal_line_is_cut_to_the_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "8")
    stream = Terminal()
    progress.Progress(stream).update("0123456789")
    assert stream.getvalue() == "\r\x1b[K0123456"


def test_file_gets_a_line_every_ten_seconds():
    stream, clock = io.StringIO(), Clock()
    lines = progress.Progress(stream, clock)
    for second in range(25):
        clock.now = 100.0 + second
        lines.update(f"{second} s")
    lines.keep("end")
    assert stream.getvalue() == "0 s\n10 s\n20 s\nend\n"


def test_rate_is_without_the_first_loop_and_not_known_before_the_second():
    rate = progress.Rate(window=2)
    assert rate.per_second == 0.0
    assert rate.add(10, 10.0) == 0.0
    assert rate.add(10, 1.0) == 10.0
    assert rate.add(10, 4.0) == 4.0
    assert rate.add(10, 1.0) == 4.0


def test_lines_hold_step_loss_ap_rate_and_eta():
    line = progress.training_line(120, 900, 1.23456, "P3 93%", None, 31.24, 272)
    assert line == "step 120/900  loss 1.235  P3 93%  AP -  31.2 images/s  ETA 4:32"
    assert "AP 0.123" in progress.training_line(120, 900, 1.0, "", 0.1234, 31.24, 3600)
    assert progress.evaluation_line(64, 205, 10.0) == "evaluating 64/205 images  10.0 images/s  ETA 0:14"
    assert progress.training_line(5, 900, 1.5, "", None, 0.0, 0.0) == "step 5/900  loss 1.5  AP -"
    assert progress.evaluation_line(64, 205, 0.0) == "evaluating 64/205 images"
    assert progress.prediction_line(1, 3, 2.0, "pictures") == "predicting 1/3 pictures  2.0 pictures/s  ETA 0:01"
    assert progress.prediction_line(1, 0, 2.0, "frames") == "predicting frame 1  2.0 frames/s"
    assert progress.duration(3725) == "1:02:05"


def test_track_tells_after_each_item_and_closes_the_line():
    """The time of an item is that of making it and of what is done with it: 2 s each, the first one is forgotten."""
    stream, clock = Terminal(), Clock()
    lines = progress.Progress(stream, clock)

    def items():
        for seconds in (5, 1, 1):
            clock.now += seconds
            yield seconds

    for _ in progress.track(items(), lines, lambda done, rate: f"{done} at {rate:g}/s"):
        clock.now += 1
    lines.say("end")
    assert stream.getvalue() == "\r\x1b[K1 at 0/s\r\x1b[K2 at 0.5/s\r\x1b[K3 at 0.5/s\nend\n"
