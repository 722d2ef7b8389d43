"""A tool as from its command line, in this process: a new one would import TensorFlow again, for seconds."""

import contextlib
import io
import sys

import pytest


def call(tool, monkeypatch, *arguments: str):
    """Runs the `main` of a module of `fsaf_tf.cli` and returns its exit status: 0, or the line of an error."""
    monkeypatch.setattr(sys, "argv", ["tool", *arguments])
    tool._FLAGS.unparse_flags()
    for name in tool._FLAGS:
        tool._FLAGS[name].unparse()
    with pytest.raises(SystemExit) as done:
        tool.main()
    return done.value.code


def printed(tool, *arguments: str) -> str:
    """What a tool prints that does what it is asked for."""
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stdout(output):
        assert call(tool, monkeypatch, *arguments) == 0
    return output.getvalue()
