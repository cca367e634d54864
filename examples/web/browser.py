"""Chromium without a screen, driven over its own pipe (the DevTools protocol, version 1.3): windows that do not know of each other, clicks, pictures.

Happy path: `with Browser(certificate) as browser: window = browser.window(url)`. It trusts the key of that one certificate, whoever has signed it, and no other.
Failure: no Chromium raises Missing; what Chromium refuses, or what does not come to be within PATIENCE_S, raises Failed. Python's standard library only.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE_S = 90
PACKAGE_HINT = "there is no chromium on PATH: examples/packages/install browser"
OPTIONS = ("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--disable-extensions", "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-dev-shm-usage",
           "--hide-scrollbars", "--remote-debugging-pipe")

# Who is killed leaves nothing behind.
WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--") if shutil.which("setpriv") else ()


class Failed(Exception):
    """What is wrong, in words."""


class Missing(Exception):
    """Chromium is not there."""


def chromium():
    program = shutil.which("chromium")
    if not program:
        raise Missing(PACKAGE_HINT)
    return program


def key_of(certificate):
    """The hash of its public key, as Chromium has it on its command line."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=key, capture_output=True, check=True).stdout
    return base64.b64encode(subprocess.run(["openssl", "dgst", "-sha256", "-binary"], input=der, capture_output=True, check=True).stdout).decode()


def high(descriptor):
    """A copy of it above those that have a meaning of their own."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 20)
    os.close(descriptor)
    return copy


class Browser:
    def __init__(self, certificate):
        program = chromium()
        self.folder = tempfile.mkdtemp(prefix="cashewd-browser-")
        commands, self.output = map(high, os.pipe())
        self.input, answers = map(high, os.pipe())
        options = [*OPTIONS, f"--user-data-dir={self.folder}/profile", f"--ignore-certificate-errors-spki-list={key_of(certificate)}"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # Chromium's own does not work for root
        with open(os.path.join(self.folder, "log"), "wb") as log:
            # It reads commands from descriptor 3 and answers on 4.
            self.process = subprocess.Popen([*WITH_PARENT, "bash", "-c", f'exec "$0" "$@" 3<&{commands} 4>&{answers} {commands}<&- {answers}>&-', program, *options, "about:blank"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(commands, answers), start_new_session=True,
                                            env={**os.environ, "HOME": self.folder})
        os.close(commands)
        os.close(answers)
        self.buffer, self.number, self.windows = bytearray(), 0, {}
        try:
            self.call("Browser.getVersion")
        except Failed:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (Failed, OSError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.input)
        os.close(self.output)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-15:])

    def message(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.input], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.input, 1 << 20) if ready else b""
            if not more:
                raise Failed(f"Chromium {'has ended' if ready else 'does not answer'}; it said:\n{self.log()}")
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        try:
            rest = json.dumps(command).encode() + b"\0"
            while rest:
                rest = rest[os.write(self.output, rest):]
        except BrokenPipeError:
            raise Failed(f"Chromium has ended; it said:\n{self.log()}") from None
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self.message(deadline)
            if message.get("id") == self.number:
                if "error" in message:
                    raise Failed(f"{method}: {message['error']['message']}")
                return message["result"]
            if message.get("sessionId") in self.windows:
                self.windows[message["sessionId"]].hear(message)

    def window(self, url, width=390, height=844, scale=2, dark=False):
        """With cookies and storage of its own, as on a phone of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        window = Window(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        window.look(width, height, scale, dark)
        window.open(url)
        return window


class Window:
    def __init__(self, browser, session):
        self.browser, self.session, self.said = browser, session, []
        browser.windows[session] = self
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def hear(self, message):
        """Errors of the page, and what was refused to it, become lines in `said`."""
        parameters = message["params"]
        if message["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.said.append(parameters["entry"]["text"])
        elif message["method"] == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description", details["text"]))
        elif message["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.said.append(" ".join(str(argument.get("value", argument.get("description"))) for argument in parameters["args"]))

    def look(self, width, height, scale=1, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.call("Emulation.setLocaleOverride", locale="en-GB")
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url):
        # What was there before may still answer: so it is this page that has to be there.
        error = self.call("Page.navigate", url=url).get("errorText")
        if error:
            raise Failed(f"{url}: {error}")
        self.wait(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'", f"{url} is there")

    def run(self, script):
        """What it gives, as JSON has it; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise Failed(f"{script}: {done['exceptionDetails'].get('exception', {}).get('description')}")
        return done["result"].get("value")

    def wait(self, script, what, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.run(script)
            except Failed:
                value = None  # between two pages there is nothing to ask
            if value or value == {}:  # an element
                return value
            if time.monotonic() > deadline:
                raise Failed(f"it did not come to be within {seconds} s that {what}; the page:\n{self.run('document.body.innerText')}\nits console: {self.said}")
            time.sleep(0.05)

    def click(self, selector):
        """As a finger does: at its middle, where it has to be what is on top."""
        place = self.wait(f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            if (!found) return null;
            found.scrollIntoView({{ block: "center" }});
            const box = found.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
            return box.width > 0 && found.contains(document.elementFromPoint(x, y)) ? [x, y] : null;
        }})()""", f"{selector} can be clicked")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def type(self, selector, text):
        self.click(selector)
        self.call("Input.insertText", text=text)

    def picture(self, path):
        self.run("scrollTo(0, 0)")
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
