"""Everything that `run recovery` loads and hurts: the demo's own broker, a database, cashewd, a stand-in for Loggly, the relay between
host and broker, and the phones. One Stack is one phase: fresh broker, fresh database, fresh host.

Happy path: Stack(...) starts all of it, start_load() lets the phones send, the faults (recovery_faults.py) reach in, stop() ends it.
Failure: Failed, as everywhere here.
"""

import json
import os
import threading
import time
import urllib.request
from datetime import datetime

from programs import DATABASE, Failed, free_port

DEVICES = 50
HELD_METRICS = ("cashewd_held_commands", "cashewd_group_commands")  # the second is what it was called before
POLL_S = 0.2


def users():
    return [f"u{at:02}" for at in range(DEVICES)]


class Held(threading.Thread):
    """Asks /metrics what is held, several times a second, and remembers the highest number."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.url, self.highest, self.ended = f"http://{address}/metrics", 0, threading.Event()

    def run(self):
        while not self.ended.wait(POLL_S):
            try:
                with urllib.request.urlopen(self.url, timeout=2) as answer:
                    text = answer.read().decode("utf-8", "replace")
            except OSError:
                continue  # its supervisor is not there now
            held = sum(float(line.rsplit(None, 1)[1]) for line in text.splitlines()
                       if line.split("{", 1)[0].split(" ", 1)[0] in HELD_METRICS)
            self.highest = max(self.highest, int(held))


class Stack:
    def __init__(self, programs, tokens_file, relay=False, quotas=False, extra=""):
        self.programs, self.tokens_file = programs, tokens_file
        self.number = programs.runs
        self.load = self.relay = None
        self.host_logs = []
        folder = os.path.join(programs.folder, f"phase-{self.number}-{time.monotonic_ns()}")
        os.mkdir(folder)
        self.folder, self.list = folder, f"r{time.monotonic_ns()}"
        self.service_away = os.path.join(folder, "service-away")  # while that file exists
        self.database_state = os.path.join(folder, "database")
        programs.start_database(self.database_state)
        self.database_port = int(programs.database_url.rsplit(":", 1)[1].split("/")[0]) if programs.database_pid else 0
        self.broker, self.broker_port = programs.start_broker(tls=True, quotas=quotas, extra=extra)
        self.loggly_port = free_port()
        self.start_loggly()
        self.host_port = programs.handler_port
        if relay:
            self.host_port = free_port()
            self.relay = programs.start("bench-recovery-relay", [os.path.join(programs.build, "bench-recovery-relay"),
                                                                 str(self.host_port), str(programs.handler_port)], orders=True)
            self.relay.wait_for_line("ready")
        self.metrics = f"127.0.0.1:{free_port()}"
        self.start_host()
        self.held = Held(self.metrics)
        self.held.start()

    # ---- parts that faults end and start again ----

    def start_loggly(self):
        certificates = self.programs.certificates
        ready = os.path.join(self.folder, "loggly-ready")
        if os.path.exists(ready):
            os.unlink(ready)
        self.loggly = self.programs.start("cashew-loggly", [
            os.path.join(self.programs.build, "cashew-loggly"), "--certificate", os.path.join(certificates, "server.crt"), "--key",
            os.path.join(certificates, "server.key"), "--events", os.path.join(self.folder, "loggly-events"), "--ready", ready,
            "--port", str(self.loggly_port)])
        self.loggly.wait_for(lambda: os.path.exists(ready))

    def start_host(self, wait=True):
        settings = {"METRICS_ADDR": self.metrics, "LOGGLY_TOKEN": "bench", "LOGGLY_URL": f"https://localhost:{self.loggly_port}",
                    "LOGGLY_CA_FILE": self.programs.ca, "BROKER_HOST": "localhost", "CLIENT_ID": "cashewd",
                    "APPEND_AWAY_FILE": self.service_away}
        self.host = self.programs.start_host("cashewd-bench", self.host_port, True, settings=settings, wait=wait)[0]
        self.host_logs.append(self.host.path)

    def end(self, program):
        """SIGKILL, and forgets it."""
        program.end()
        self.programs.running.remove(program)

    def host_child(self):
        """The pid of the process that runs the commands; 0 while there is none."""
        below = self.host.pids()[1:]
        return below[-1] if below else 0

    # ---- the load ----

    def start_load(self, schedule=None, outstanding=0, seconds=0.0, drain=60, more=()):
        self.load_file = os.path.join(self.folder, "load.txt")
        arguments = ["--port", str(self.broker_port), "--ca", self.programs.ca, "--tokens", self.tokens_file, "--out", self.load_file,
                     "--list", self.list, "--drain", str(drain), "--repeat", "5"]
        arguments += ["--schedule", ",".join(f"{part_s:g}x{rate:.3f}" for part_s, rate in schedule)] if schedule else []
        arguments += ["--outstanding", str(outstanding), "--seconds", str(seconds)] if outstanding else []
        self.load = self.programs.start("bench-recovery-load", [os.path.join(self.programs.build, "bench-recovery-load"), *arguments, *more],
                                        orders=True)

    def start_flood(self, seconds, rate):
        """One more device, which sends for itself alone; it ends by itself."""
        tokens = os.path.join(self.folder, "flood-token")
        with open(tokens, "w", encoding="utf-8") as output:
            output.write(f"flood {self.programs.token('user', 'flood')}\n")
        return self.programs.start("bench-recovery-load", [
            os.path.join(self.programs.build, "bench-recovery-load"), "--port", str(self.broker_port), "--ca", self.programs.ca, "--tokens",
            tokens, "--out", os.path.join(self.folder, "flood.txt"), "--schedule", f"{seconds:g}x{rate:g}", "--command", "ping", "--event",
            "pong", "--drain", "0", "--repeat", "3600"], orders=True)

    def effects(self):
        return self.programs.effects(DATABASE, self.list)

    def log_events(self, names):
        """[(wall clock seconds, event)] of the host's log lines of these names."""
        found = []
        for path in self.host_logs:
            with open(path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        record = json.loads(line)
                    except ValueError:
                        continue
                    if record.get("event") in names:
                        found.append((wall_seconds(record), record["event"]))
        return found

    def stop(self):
        """Ends everything at once: what is wanted has been read."""
        self.held.ended.set()
        for program in (self.load, self.host, self.relay, self.loggly, self.broker, self.programs.database):
            if program in self.programs.running:
                program.end()
                self.programs.running.remove(program)


def wall_seconds(record):
    """When a log line was written."""
    try:
        return datetime.fromisoformat(record.get("timestamp", "")).timestamp()
    except ValueError:
        return 0.0
