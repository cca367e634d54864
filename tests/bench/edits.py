"""`tests/bench/run edits`: how long an author waits from saving a handler to the answer that says what was saved. README.md in this folder says how to
read it.

Happy path: `cashew new` writes a handler into a folder of its own, `cashew dev` runs there; then the handler is changed again and again, and
`cashew send` asks, when `cashew dev` says that it is live, until the answer is that of the change. Failure: what ends, or does not answer within a
minute, is told; exit 1 then.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from programs import Failed

HANDLER = "wave"
ASKED, TESTED_MAX = 50, 3  # what the generated test sends stays as it is
START_S, ANSWER_S, PAUSE_S = 300, 60, 1.5
LIMIT_S = 2.0


class Author:
    """`cashew` in a folder of its own, and what it prints."""

    def __init__(self, project, build, folder):
        self.cashew, self.folder = os.path.join(project, "cashew"), folder
        self.environment = {**os.environ, "CASHEW_BUILD": os.path.join(build, "bench-author")}
        self.source = os.path.join(folder, "handlers", f"{HANDLER}.c")
        self.said = os.path.join(folder, "said")
        self.dev = None

    def call(self, *words):
        return subprocess.run((self.cashew, *words), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)

    def output(self):
        with open(self.said, encoding="utf-8") as file:
            return file.read()

    def tail(self):
        return self.output()[-2000:]

    def start(self):
        os.makedirs(os.path.join(self.folder, "handlers"))
        made = self.call("new", HANDLER)
        if made.returncode != 0:
            raise Failed(f"cashew new: {made.stderr}")
        with open(self.said, "w", encoding="utf-8") as said:
            self.dev = subprocess.Popen((self.cashew, "dev"), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=said, stderr=subprocess.STDOUT)
        end = time.monotonic() + START_S
        while "watching" not in self.tail():
            if self.dev.poll() is not None or time.monotonic() > end:
                raise Failed(f"cashew dev does not watch:\n{self.tail()}")
            time.sleep(0.2)

    def stop(self):
        if self.dev and self.dev.poll() is None:
            self.dev.send_signal(signal.SIGTERM)
            self.dev.wait(60)

    def save(self, number):
        """From now on the answer is that number."""
        with open(self.source, encoding="utf-8") as file:
            text = file.read()
        changed, count = re.subn(r"\.count = [^)]*\)", f".count = in->count > {TESTED_MAX} ? {number} : in->count)", text)
        if count != 1:
            raise Failed(f"{self.source} does not look as expected:\n{text}")
        with open(self.source, "w", encoding="utf-8") as file:
            file.write(changed)

    def answer_s(self, number):
        """Seconds from the saving to the first answer that has the number."""
        begin, told = time.monotonic(), self.output().count(" changed: ")
        self.save(number)
        # Whoever asks all the time is refused after a while: the broker's plugin lets a user connect 20 times a minute.
        while self.output().count(" changed: ") == told and time.monotonic() < begin + ANSWER_S:
            time.sleep(0.02)
        while f'"count":{number}}}' not in self.call("send", f"68946/{HANDLER}", json.dumps({"count": ASKED})).stdout:
            if self.dev.poll() is not None or time.monotonic() > begin + ANSWER_S:
                raise Failed(f"the answer does not become {number}:\n{self.tail()}")
        return time.monotonic() - begin


def run(project, words, say, _build, _machine):
    parser = argparse.ArgumentParser(prog="tests/bench/run edits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=10, help="how often the handler is changed (10)")
    parser.add_argument("--out", default=os.path.join(project, "build", "bench"), help="folder for edits.json (build/bench)")
    arguments = parser.parse_args(words)
    os.makedirs(arguments.out, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="edits-", dir=arguments.out)
    author = Author(project, os.path.join(project, "build"), folder)
    try:
        author.start()
        seconds = []
        for number in range(ASKED + 1, ASKED + 1 + arguments.saves):
            time.sleep(PAUSE_S)
            seconds.append(author.answer_s(number))
            say(f"  saved, tested, live and answered after {seconds[-1]:.2f} s")
    finally:
        author.stop()
        shutil.rmtree(folder, ignore_errors=True)
    median = statistics.median(seconds)
    say(f"{'reached' if median < LIMIT_S else 'missed '}  median < {LIMIT_S:g} s: "
        f"{min(seconds):.2f} / {median:.2f} / {max(seconds):.2f}")
    with open(os.path.join(arguments.out, "edits.json"), "w", encoding="utf-8") as output:
        json.dump({"seconds": seconds, "limit": LIMIT_S, "load average": os.getloadavg()[0]}, output, indent=1)
    return 0 if median < LIMIT_S else 1
