"""examples/demo/run --web as a child, for the picture and the test.

Happy path: `with Demo(folder, options) as demo` waits until the page can be had; `demo.env` is its STATE/env. Leaving it ends it as Ctrl-C does, and its exit code
has to be 0. Failure: Failed, with what the demo has said.
"""

import os
import signal
import subprocess
import time

from browser import WITH_PARENT, Failed

HERE = os.path.dirname(os.path.realpath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
START_S = 600  # it may have to build
END_S = 120


def variables_of(path):
    """Those of a file of shell assignments."""
    done = subprocess.run(["env", "-i", "bash", "-c", 'set -a; source "$1"; env -0', "-", path], capture_output=True, check=True)
    return dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if "=" in entry)


def interruptible():
    """A shell that was started in the background has SIGINT ignored, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo:
    def __init__(self, folder, options=()):
        self.state, self.log = os.path.join(folder, "state"), os.path.join(folder, "demo.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*WITH_PARENT, os.path.join(PROJECT, "examples", "demo", "run"), "--web", "--state", self.state, *options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=interruptible)

    def __enter__(self):
        try:
            self.await_env()
        except BaseException:
            self.process.terminate()
            self.process.wait()
            raise
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed(f"the demo did not end within {END_S} s of Ctrl-C:\n{self.said()}") from None
        if code != 0 and kind is None:
            raise Failed(f"the demo ended with exit code {code}:\n{self.said()}")

    def await_env(self):
        """Also after it was told to start a part anew."""
        path, deadline = os.path.join(self.state, "env"), time.monotonic() + START_S
        while not os.path.exists(path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the demo is not ready:\n{self.said()}")
            time.sleep(0.1)
        self.env = variables_of(path)
        self.url = self.env["WEB_URL"]
        self.certificate = os.path.join(self.state, "broker", "certificates", "server.crt")

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-25:])
