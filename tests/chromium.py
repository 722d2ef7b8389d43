"""Chromium without a window, driven as its developer tools do it, over a pipe: no driver and no package."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
LONGEST = 600  # seconds that are waited for what must come: it ends a test that hangs


class Page:
    """One page. `said` holds what came over its console and was not caught."""

    def __init__(self, requests: int, answers: int):
        """Takes the file descriptors of the pipe's two ends."""
        self._requests, self._answers = requests, os.fdopen(answers, "rb")
        self._number, self._rest, self._session, self.said = 0, b"", {}, []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "DOM", "Runtime"):
            self._call(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Goes there; what the page does then is waited for by `wait`."""
        self._call("Page.navigate", url=address)
        self.wait("document.readyState == 'complete'")

    def run(self, code: str) -> Any:
        """The value of an expression of JavaScript."""
        result = self._call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, code: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + LONGEST
        while not self.run(code):
            assert time.monotonic() < end, f"never came: {code}; the page: {self.run('document.body.innerText')}"
            time.sleep(0.05)

    def choose(self, selector: str, *files: str | os.PathLike) -> None:
        """Gives files to an input, as a user does."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[os.fspath(file) for file in files])

    def screenshot(self, file: str | os.PathLike, width: int = 1100, height: int = 900) -> None:
        """Writes a PNG of what is seen."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        pathlib.Path(file).write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """Ends the whole Chromium."""
        os.write(self._requests, b'{"id": 0, "method": "Browser.close"}\0')

    def _call(self, method: str, **params) -> dict:
        """Asks, and waits for the answer; messages between are events."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            if answer.get("method") == "Runtime.exceptionThrown":
                self.said.append(answer["params"]["exceptionDetails"])

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            data = self._answers.read1(1 << 20)
            assert data, "Chromium has ended"
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


@contextlib.contextmanager
def page(folder: str | os.PathLike) -> Iterator[Page]:
    """A page of a new Chromium with a profile of its own in `folder`."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    # Chromium reads from descriptor 3 and writes to 4, whatever those are here.
    command = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    arguments = [PROGRAM, *FLAGS, f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
    with open(os.path.join(folder, "stderr"), "wb") as errors:
        process = subprocess.Popen(
            ["bash", "-c", command, "bash", *arguments], pass_fds=(theirs_in, theirs_out), stderr=errors
        )
    os.close(theirs_in)
    os.close(theirs_out)
    opened = Page(ours_out, ours_in)
    try:
        yield opened
    finally:
        opened.close()
        process.wait(LONGEST)
        os.close(ours_out)
