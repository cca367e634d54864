"""Starts, watches and stops what the benchmark measures: database, broker, hosts, load generator.

Everything listens on 127.0.0.1 on a free port and is stopped by its own process id when Programs is left, whatever the reason.
A program that does not come up, or goes away, raises Failed with the end of its output.
"""

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import time

START_LIMIT_S = 60
STOP_LIMIT_S = 20
# For the broker: a few devices of the benchmark do what thousands do elsewhere.
NO_QUOTAS = "".join(f"plugin_opt_quota_{name} 0\n" for name in (
    "messages_per_second", "bytes_per_second", "refusals_per_second", "connections", "sessions", "subscriptions", "connects_per_minute"))
DATABASE = "cashew_bench"  # and names that begin with it: made anew, and dropped


class Failed(Exception):
    """Something could not be measured."""


def free_port():
    """Below the range that the kernel takes ports of outgoing connections from."""
    for _ in range(100):
        port = random.randint(10000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failed("found no free port")


def memory_of(pids):
    """(VmRSS, VmHWM) in bytes, of all of them together."""
    total = (0, 0)
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status)
        pair = tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        total = (total[0] + pair[0], total[1] + pair[1])
    return total


class Program:
    """A child process whose output goes to a file."""

    def __init__(self, name, number, arguments, folder, environment=None, orders=False):
        self.name = name
        self.path = os.path.join(folder, f"{name}-{number}.log")
        with open(self.path, "wb") as output:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE if orders else subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment
            )

    def order(self, line):
        """A line on its standard input."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def output(self):
        with open(self.path, encoding="utf-8", errors="replace") as output:
            return output.read()

    def tail(self):
        return "\n".join(self.output().splitlines()[-8:])

    def wait_for(self, ready):
        """Waits until ready() is true; returns the seconds since the start."""
        while not ready():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() - self.began > START_LIMIT_S:
                raise Failed(f"{self.name} was not ready within {START_LIMIT_S} s:\n{self.tail()}")
            time.sleep(0.001)
        return time.monotonic() - self.began

    def wait_for_line(self, text):
        return self.wait_for(lambda: text in self.output())

    def stop(self, expected=(0, -signal.SIGTERM)):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed(f"{self.name} did not stop within {STOP_LIMIT_S} s:\n{self.tail()}") from None
        if self.process.returncode not in expected:
            raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")

    def end(self):
        """For a way out after something else has failed."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def pids(self):
        """This process and all below it."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                        parents[int(entry)] = int(stat.read().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue  # it has ended meanwhile
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def memory(self, host_only=False):
        """(VmRSS, VmHWM) in bytes, of all its processes together, which counts the pages of shared libraries in each: cashewd is a
        supervisor and, last, a host."""
        return memory_of(self.pids()[-1:] if host_only else self.pids())


class Programs:
    """All programs of a run. Use as a context manager. With disk_ms each sync of the database takes so long, whatever the disk does."""

    def __init__(self, project, build, folder, disk_ms=None):
        self.project, self.build, self.folder, self.disk_ms = project, build, folder, disk_ms
        self.database_build = build  # where the database is installed, if it has to be
        self.running = []
        self.started = self.runs = 0
        self.database = None
        self.database_url = self.database_kind = None
        self.database_pid = 0
        self.handler_token = None
        self.secret = secrets.token_hex(32)
        self.certificates = os.path.join(folder, "certificates")
        self.ca = os.path.join(self.certificates, "ca.crt")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in reversed(self.running):
            program.end()

    def start(self, name, arguments, environment=None, orders=False):
        self.started += 1
        program = Program(name, self.started, arguments, self.folder, environment, orders)
        self.running.append(program)
        return program

    def stop(self, program):
        program.stop()
        self.running.remove(program)

    def clear(self):
        """Ends what a failed measurement has left, all but the database."""
        for program in [program for program in self.running if program is not self.database]:
            program.end()
            self.running.remove(program)

    def effects(self, database, name):
        """{user: [(nanoseconds, number)]} of what append has left in that list, by time."""
        found = {}
        for line in self.tool("bench-database", "effects", self.database_url, database, name).splitlines():
            user, when, number = line.split()
            found.setdefault(user, []).append((int(when), int(number)))
        for effects in found.values():
            effects.sort()
        return found

    def tool(self, *arguments, limit=120, environment=None):
        """Runs a program of the build to its end and returns its output."""
        command = [os.path.join(self.build, arguments[0]), *arguments[1:]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, env=environment)
        except subprocess.TimeoutExpired:
            raise Failed(f"{arguments[0]} took longer than {limit} s") from None
        if done.returncode != 0:
            raise Failed((done.stderr.strip() or f"{arguments[0]} ended with {done.returncode}"))
        return done.stdout

    def make_certificates(self):
        """As the demo's broker makes them: ca.crt, server.crt, server.key, for localhost and 127.0.0.1."""
        subprocess.run([os.path.join(self.project, "examples", "broker", "certificates"), self.certificates], check=True,
                       capture_output=True, timeout=60)

    def token(self, kind, name):
        """A token of the demo's: kind "user" or "handler"."""
        return self.tool("cashew-token", kind, name, "--expires", "1d",
                         environment={"PATH": os.environ.get("PATH", ""), "JWT_SECRET": self.secret}).strip()

    def start_database(self, state=None, port=0):
        """The database of examples/database/run; one that was ended goes on with its state and port."""
        state = state or os.path.join(self.folder, "database")
        path = os.path.join(state, "env")
        if os.path.exists(path):
            os.unlink(path)
        # Where examples/database/install-benchmark-server has put the compiled one.
        compiled = os.path.join(self.project, "build", "benchmark-server", "bin")
        environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":" + compiled}
        if self.disk_ms is not None:
            environment.update({"LD_PRELOAD": os.path.join(self.build, "bench-steady-disk.so"), "STEADY_DISK_MS": f"{self.disk_ms:g}"})
        program = self.start("database-start", [os.path.join(self.project, "examples", "database", "run"), "--state", state, "--port",
                                                str(port), "--build", self.database_build], environment)
        began = time.monotonic()
        while not os.path.exists(path):
            # The first start may install the server.
            if program.process.poll() not in (None, 0) or time.monotonic() - began > 180:
                raise Failed(f"no database:\n{program.tail()}")
            time.sleep(0.02)
        with open(path, encoding="utf-8") as lines:
            values = dict(line.strip().split("=", 1) for line in lines)
        # The values are shell words; those here need no quotes unless somebody's URL does.
        self.database_url = subprocess.run(["bash", "-c", '. "$1"; printf %s "$MONGO_DB_URL"', "-", path], capture_output=True,
                                           text=True, check=True, timeout=10).stdout
        self.database_kind = values["DATABASE_KIND"]
        self.database_pid = int(values["DATABASE_PID"]) if values["DATABASE_PID"].isdigit() else 0
        self.database = program

    def prepare_database(self, name=DATABASE, users=200, contacts=100, limit=120):
        self.tool("bench-database", "prepare", self.database_url, name, str(users), str(contacts), limit=limit)

    def drop_databases(self, names):
        for name in names:
            self.tool("bench-database", "drop", self.database_url, name)

    def start_broker(self, tls, state=None, port=0, handler_port=0, quotas=False, extra=""):
        """The demo's own broker, as examples/broker/run starts it: plugin, persistence, its settings; and a fresh one, without a session
        or a queue of whoever was measured before, unless state and port are those of one that was ended. It listens with and without
        TLS, and for hosts on self.handler_port; returns it and the port. Users have quotas only where that is said. extra: more settings."""
        self.runs += 1
        state = state or os.path.join(self.folder, f"broker-{self.runs}")
        port = port or free_port()
        self.plain_port = plain_port = free_port()
        env = os.path.join(state, "env")
        if os.path.exists(env):
            os.unlink(env)
        os.makedirs(state, exist_ok=True)
        extra_file = os.path.join(state, "extra.conf")
        with open(extra_file, "w", encoding="utf-8") as output:
            output.write(("" if quotas else NO_QUOTAS) + extra)
        self.handler_port = handler_port or free_port()
        program = self.start("mosquitto", [os.path.join(self.project, "examples", "broker", "run"), "--state", state, "--port", str(port),
                                           "--handler-port", str(self.handler_port), "--plain-port", str(plain_port), "--extra", extra_file,
                                           "--build", self.build, "--certificates", self.certificates],
                             {"PATH": os.environ.get("PATH", ""), "JWT_SECRET": self.secret})
        program.wait_for(lambda: os.path.exists(env))
        program.state = state
        return program, port if tls else plain_port

    def with_token(self):
        """An environment with a handler's token, which acts for all users."""
        self.handler_token = self.handler_token or self.token("handler", "bench")
        return {"PATH": os.environ.get("PATH", ""), "MQTT_TOKEN": self.handler_token}

    def host_environment(self, port, tls, workers=8, settings=None):
        """What cashewd is started with. Each has a client id of its own unless `settings` say otherwise: two of one id in one database are an
        active host and its standby, and one that was killed is waited for. The same holds for the address of its figures."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "JWT_SECRET": self.secret,
            "BROKER_HOST": "127.0.0.1",
            "BROKER_PORT": str(port),
            "BROKER_TLS": "on" if tls else "off",
            "BROKER_CA_FILE": self.ca if tls else "",
            "MONGO_DB_URL": self.database_url,
            "MONGO_DB_NAME": DATABASE,
            "WORKERS": str(workers),
            "CLIENT_ID": f"cashewd-bench-{self.started}",
            "METRICS_ADDR": f"127.0.0.1:{free_port()}",
            "LOG_FORMAT": "json",
            **(settings or {}),
        }

    def start_host(self, binary, port, tls, workers=8, build="", settings=None, wait=True):
        """cashewd or cashewd-bench, of another build where that is given; returns it and the seconds from its start to "ready"."""
        environment = self.host_environment(port, tls, workers, settings)
        program = self.start(binary, [os.path.join(build or self.build, binary)], environment)

        def ready():
            for line in program.output().splitlines():
                try:
                    if json.loads(line).get("event") == "ready":
                        return True
                except ValueError:
                    continue  # half a line, or not one of the log
            return False

        return program, program.wait_for(ready) if wait else 0.0

    def start_echo(self, port, tls):
        program = self.start("bench-echo", [os.path.join(self.build, "bench-echo"), "127.0.0.1", str(port)]
                             + ([self.ca] if tls else []), self.with_token())
        program.wait_for_line("ready")
        return program

    def start_bare(self, port, tls, workers):
        program = self.start("bench-bare", [os.path.join(self.build, "bench-bare"), "127.0.0.1", str(port), str(workers),
                                            self.database_url, DATABASE] + ([self.ca] if tls else []), self.with_token())
        program.wait_for_line("ready")
        return program

    def load(self, port, tls, mode, watch, seconds, rate=0, commands=0, warmup=1.0, devices=0):
        """One run of the load generator: its figures."""
        self.runs += 1
        arguments = ["--port", str(port), "--mode", mode, "--run", f"r{self.runs}", "--seconds", str(seconds), "--warmup",
                     str(warmup)]
        arguments += ["--ca", self.ca] if tls else []
        arguments += ["--rate", str(rate)] if rate else []
        arguments += ["--commands", str(commands)] if commands else []
        arguments += ["--devices", str(devices)] if devices else []
        for name, pids in watch.items():
            arguments += ["--watch", name + "=" + "+".join(str(pid) for pid in pids)]
        figures = json.loads(self.tool("bench-load", *arguments, limit=warmup + seconds + 60, environment=self.with_token()))
        if not figures["commands"]:
            raise Failed(f"{mode}: no event came within the measured time")
        return figures
