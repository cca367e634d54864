"""`tests/bench/run lost`: how many commands are lost when the program that handles them is killed. README.md in this folder says how to read it.

Three programs do the same, one insert and one answer for each command: an mqtt.js program of twenty lines (lost/early.mjs), a plain C program of libmosquitto
and libmongoc (lost_plain.c), and cashewd with the handler append. Each keeps its session at the broker, and is started again at once.

Happy path: for each program and each fault a fresh broker; devices send on a schedule; the program is killed by SIGKILL, again and again. In the end each
number that was sent and that the broker has taken must be in the database; what is not is lost. Nobody repeats a command here.
Failure: what cannot be measured is told; exit 1 then, and where cashewd has lost a command. Without npm mqtt.js is left out, in words.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from bisect import bisect_left

from programs import DATABASE, Failed, Programs, free_port
from recovery_measure import Load

HERE = os.path.dirname(os.path.realpath(__file__))
DEVICES = 50
LEAD_S, BETWEEN_S, SILENT_S, SETTLE_S, DRAIN_S = 3, (1.5, 2.5), 3, 3, 90
LOAD_S = 3600  # or until it is told to stop
PROGRAMS = ("node", "plain", "cashewd")
SHOWN = {"node": "mqtt.js and mongodb, in Node", "plain": "libmosquitto and libmongoc, in C", "cashewd": "cashewd"}
FAULTS = ("working", "silent")
FAULTS_SHOWN = {"working": "while the database answers", "silent": f"while the database has been silent for {SILENT_S} s"}


# ---- The ledger ----


def ledger(due, effects, kills):
    """due: {(user, number): when a command was due}; effects: {user: [number]}, a number as often as it was done; kills: when, in order.
    Returns ([lost by each kill], doubled): a lost command is one of the first kill after it was due."""
    lost = [0] * len(kills)
    done = {(user, number) for user, numbers in effects.items() for number in numbers}
    for key, when in due.items():
        if key not in done:
            lost[min(bisect_left(kills, when), len(kills) - 1)] += 1
    return lost, sum(map(len, effects.values())) - len(done)


def waited_ms(due, effects):
    """How long a command was under way to its effect, in the median: whether a program had less to do than it could. effects: {user: [(ns, number)]}."""
    waits = [when / 1e6 - due[user, number] * 1000 for user, done in effects.items() for when, number in done if (user, number) in due]
    return statistics.median(waits) if waits else 0.0


def row_of(program, results):
    """A line of the table: what was lost by a kill, and in sum."""
    cells = []
    for fault in FAULTS:
        result = results.get((program, fault))
        if not result:
            cells.append("not measured")
            continue
        lost = result["lost"]
        each = f"{min(lost)} / {statistics.median(lost):g} / {max(lost)}" if any(lost) else "0"
        cells.append(f"{each} (in sum {sum(lost):,} of {result['sent']:,})")
    return f"| {SHOWN[program]} | " + " | ".join(cells) + " |"


# ---- The programs ----


def install_node(build):
    """The folder with early.mjs and what it needs; None: no npm. Once for each package-lock.json."""
    if not shutil.which("npm") or not shutil.which("node"):
        return None
    folder, here = os.path.join(build, "bench-lost"), os.path.join(HERE, "lost")
    lock, mark = os.path.join(here, "package-lock.json"), os.path.join(folder, "installed.json")
    with open(lock, encoding="utf-8") as file:
        wanted = file.read()
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(here, "early.mjs"), folder)
    if os.path.exists(mark) and open(mark, encoding="utf-8").read() == wanted:
        return folder
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(here, name), folder)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"], cwd=folder, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"npm ci failed (without a network it does):\n{done.stdout}{done.stderr}")
    with open(mark, "w", encoding="utf-8") as file:
        file.write(wanted)
    return folder


class Victim:
    """One of the programs, started again after each kill."""

    def __init__(self, programs, kind, node):
        self.programs, self.kind, self.node = programs, kind, node
        self.running = None
        self.metrics = f"127.0.0.1:{free_port()}"
        self.start()

    def start(self):
        programs = self.programs
        if self.kind == "cashewd":
            settings = {"BROKER_HOST": "localhost", "CLIENT_ID": "cashewd", "METRICS_ADDR": self.metrics}
            self.running = programs.start_host("cashewd-bench", programs.handler_port, True, settings=settings)[0]
            return
        arguments = [str(programs.plain_port), programs.database_url, DATABASE]
        if self.kind == "node":
            command = ["node", os.path.join(self.node, "early.mjs"), *arguments]
        else:
            command = [os.path.join(programs.build, "bench-lost-plain"), *arguments]
        self.running = programs.start(f"lost-{self.kind}", command, programs.with_token())
        self.running.wait_for_line("ready")

    def kill(self, before=lambda: None):
        """SIGKILL to the process that runs the commands; `before` happens in between, then it is started again. Of cashewd the supervisor does that."""
        if self.kind == "cashewd":
            said = self.running.output().count('"event":"ready"')
            os.kill(self.running.pids()[-1], signal.SIGKILL)
            before()
            limit = time.monotonic() + 30
            while self.running.output().count('"event":"ready"') == said:
                if time.monotonic() > limit:
                    raise Failed(f"cashewd was not ready again:\n{self.running.tail()}")
                time.sleep(0.01)
            return
        self.running.end()
        self.programs.running.remove(self.running)
        before()
        self.start()


# ---- One cell ----


def start_load(programs, tokens, port, number, rate):
    load_file = os.path.join(programs.folder, f"load-{number}.txt")
    return load_file, programs.start("bench-recovery-load", [
        os.path.join(programs.build, "bench-recovery-load"), "--port", str(port), "--ca", programs.ca, "--tokens", tokens, "--out", load_file, "--list",
        f"lost{number}", "--schedule", f"{LOAD_S}x{rate}", "--drain", str(DRAIN_S), "--repeat", "3600"], orders=True)


def kill_now(programs, victim, fault):
    """Returns when the process was killed."""
    if fault == "silent":
        os.kill(programs.database_pid, signal.SIGSTOP)
        try:
            time.sleep(SILENT_S)
            at = time.monotonic()
            victim.kill(lambda: os.kill(programs.database_pid, signal.SIGCONT))
        finally:
            os.kill(programs.database_pid, signal.SIGCONT)
    else:
        at = time.monotonic()
        victim.kill()
    return at


def effects_of(programs, number):
    found = {}
    for line in programs.tool("bench-database", "effects", programs.database_url, DATABASE, f"lost{number}").splitlines():
        user, when, effect = line.split()
        found.setdefault(user, []).append((int(when), int(effect)))
    return found


def settle(programs, number):
    """The effects, once no more come."""
    effects, since, limit = effects_of(programs, number), time.monotonic(), time.monotonic() + DRAIN_S
    while time.monotonic() < min(since + SETTLE_S, limit):
        time.sleep(0.5)
        now = effects_of(programs, number)
        if sum(map(len, now.values())) != sum(map(len, effects.values())):
            effects, since = now, time.monotonic()
    return effects


def measure(programs, tokens, node, kind, fault, options, number):
    broker, port = programs.start_broker(tls=True)
    victim = Victim(programs, kind, node)
    load_file, load_process = start_load(programs, tokens, port, number, options.rate)
    load, kills = Load(load_file), []
    try:
        time.sleep(LEAD_S)
        for _ in range(options.kills):
            time.sleep(random.uniform(*BETWEEN_S))
            kills.append(kill_now(programs, victim, fault))
        load_process.order("stop")
        effects = settle(programs, number)
        load.read()
        due = {(user, n): load.due[(user, command)] for user, numbers in load.sends.items() for n, command in numbers.items()}
        if load.repeats or not due:
            raise Failed(f"the devices sent {len(due)} commands and repeated {load.repeats}: expected some, and none")
        lost, doubled = ledger(due, {user: [number for _, number in done] for user, done in effects.items()}, kills)
        return {"lost": lost, "doubled": doubled, "sent": len(due), "waited_ms": waited_ms(due, effects)}
    finally:
        for program in (load_process, victim.running, broker):
            program.end()
            if program in programs.running:
                programs.running.remove(program)


# ---- All of it ----


def parse(project, words):
    parser = argparse.ArgumentParser(prog="tests/bench/run lost", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PROGRAMS), help=f"some of {','.join(PROGRAMS)}")
    parser.add_argument("--kills", type=int, default=20, help="of each program, for each fault (20)")
    parser.add_argument("--rate", type=int, default=300, help="commands a second (300)")
    parser.add_argument("--build", default=os.path.join(project, "build", "release"))
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--out", default=os.path.join(project, "build", "bench"), help="where lost.json goes")
    options = parser.parse_args(words)
    options.only = [name for name in options.only.split(",") if name]
    if not options.only or set(options.only) - set(PROGRAMS):
        parser.error(f"--only: expected some of {','.join(PROGRAMS)}")
    if not 1 <= options.kills <= 1000 or not 1 <= options.rate <= 10000:
        parser.error("--kills: expected 1 to 1000, --rate: 1 to 10000")
    return options


def write_tokens(programs):
    path = os.path.join(programs.folder, "tokens")
    with open(path, "w", encoding="utf-8") as output:
        output.writelines(f"u{at:02} {programs.token('user', f'u{at:02}')}\n" for at in range(DEVICES))
    return path


def run(project, words, say, build, machine):
    options = parse(project, words)
    if not options.no_build:
        build(options.build)
    os.makedirs(options.out, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="lost-", dir=options.out)
    results, failed = {}, 0
    try:
        node = install_node(options.build) if "node" in options.only else None
        if "node" in options.only and not node:
            say("There is no npm on PATH: mqtt.js is left out.")
            options.only.remove("node")
        with Programs(project, options.build, folder) as programs:
            programs.make_certificates()
            programs.start_database()
            if not programs.database_pid:
                raise Failed("the database is somebody else's, and cannot be stopped for a while: unset MONGO_DB_URL")
            tokens = write_tokens(programs)
            about = machine(programs)
            for number, (kind, fault) in enumerate((kind, fault) for fault in FAULTS for kind in options.only):
                try:
                    results[kind, fault] = result = measure(programs, tokens, node, kind, fault, options, number)
                    say(f"  {SHOWN[kind]}, {FAULTS_SHOWN[fault]}: lost by each kill {result['lost']}, of {result['sent']} in all; done twice {result['doubled']}; "
                        f"stored after {result['waited_ms']:.1f} ms in the median")
                except (Failed, OSError) as failure:
                    failed += 1
                    say(f"  {kind}, {fault}: not measured: {failure}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"\nkill -9, {options.kills} times for each, at {options.rate} commands/s: commands lost by a kill, minimum / median / maximum\n")
    say("| | " + " | ".join(FAULTS_SHOWN[fault] for fault in FAULTS) + " |\n|---|---|---|")
    for kind in options.only:
        say(row_of(kind, results))
    path = os.path.join(options.out, "lost.json")
    with open(path, "w", encoding="utf-8") as output:
        json.dump({"machine": about, "kills": options.kills, "rate": options.rate,
                   "results": {f"{kind}, {fault}": result for (kind, fault), result in results.items()}}, output, indent=1)
    say(f"\nall figures: {path}")
    ours = sum(sum(result["lost"]) for (kind, _), result in results.items() if kind == "cashewd")
    return 1 if failed or ours else 0
