"""`tests/bench/run scale`: very many live subscriptions on one broker, and very many documents. README.md in this folder says how to read it.

Happy path: for each number of subscriptions a fresh broker as it is shipped (TLS, tokens, persistence), cashewd, and as many devices as it takes; get_apples
at one rate after the other on a fixed schedule; then the same with a bare echo in cashewd's place, which is what the broker alone makes of these messages.
Then request_contact and get_contact_list over more and more documents. Prints tables and targets, writes scale.json, scale.md and scale.svg. Failure: what
cannot be measured is told and counts as missed. Exit code 0: all targets held; 1: some were missed. With --quick: 1 where something was lost or not measured.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time

from programs import Failed, Programs, free_port, memory_of
from report import verdict_line
from scale_picture import picture
from scale_report import COMMANDS, ECHO, HOST, contact_table, is_lossless, judge, machine_lines, step_table, summary_table
from tokens import token

SUBSCRIPTIONS, QUICK_SUBSCRIPTIONS = (1_000, 10_000, 50_000), (1_000,)
RATES, QUICK_RATES = (1_000, 2_000, 5_000, 7_500, 10_000, 12_500, 15_000), (500, 1_000)
DOCUMENTS, QUICK_DOCUMENTS = (10_000, 100_000, 1_000_000), (1_000, 10_000)
CONTACTS = 100  # of each user, and as many requests: what one get_contact_list answers
CONTACT_RATE, QUICK_CONTACT_RATE = 300, 50
EACH = 5  # subscriptions of a device
DESCRIPTORS = 200  # of a process for other things than devices
CONNECT_S = 400  # for all devices to connect, or to leave, at most
DRAIN_S, QUICK_DRAIN_S = 30, 60
SETTLE_S = 5  # for a database that has just been filled to write what it has
# A few devices do here what very many do elsewhere: what one may send is counted, and is enough.
MESSAGES = "plugin_opt_quota_messages_per_second 5000\nplugin_opt_quota_messages_burst 20000\n"
BYTES = "plugin_opt_quota_bytes_per_second 10000000\nplugin_opt_quota_bytes_burst 10000000\n"


def numbers(text):
    values = sorted({int(part) for part in text.split(",")})
    if values[0] < 1:
        raise ValueError(text)
    return values


def parse(project, words):
    parser = argparse.ArgumentParser(prog="tests/bench/run scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=numbers, help="(1000,10000,50000)")
    parser.add_argument("--rates", type=numbers, help="commands a second (1000,2000,5000,7500,10000,12500,15000)")
    parser.add_argument("--seconds", type=float, help="measured at each rate (15)")
    parser.add_argument("--warmup", type=float, help="before that (3)")
    parser.add_argument("--documents", type=numbers, help="contact documents (10000,100000,1000000)")
    parser.add_argument("--contact-rate", type=float, help="commands a second over these documents (300)")
    parser.add_argument("--only", choices=("subscriptions", "documents"), help="one half of it")
    parser.add_argument("--quick", action="store_true", help="few subscriptions, rates and documents, a minute: it says whether all of it works")
    parser.add_argument("--disk-ms", type=float, help="what a sync takes the database, 0 to 1000, instead of what this machine's disk takes it now")
    parser.add_argument("--build", default=os.path.join(project, "build", "release"), help="build folder (build/release)")
    parser.add_argument("--no-build", action="store_true", help="the build folder is up to date")
    parser.add_argument("--out", help="folder for scale.json, scale.md and scale.svg (BUILD/bench)")
    arguments = parser.parse_args(words)
    quick = arguments.quick
    arguments.subscriptions = arguments.subscriptions or list(QUICK_SUBSCRIPTIONS if quick else SUBSCRIPTIONS)
    arguments.rates = arguments.rates or list(QUICK_RATES if quick else RATES)
    arguments.documents = arguments.documents or list(QUICK_DOCUMENTS if quick else DOCUMENTS)
    arguments.seconds = arguments.seconds or (4 if quick else 15)
    arguments.warmup = arguments.warmup if arguments.warmup is not None else 1 if quick else 3
    arguments.contact_rate = arguments.contact_rate or (QUICK_CONTACT_RATE if quick else CONTACT_RATE)
    if arguments.documents[0] < 4 * CONTACTS:
        parser.error(f"--documents {arguments.documents[0]}: expected {4 * CONTACTS} or more: each user has {CONTACTS}, and commands come from four")
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS
    if arguments.subscriptions[-1] > EACH * room:
        parser.error(f"--subscriptions {arguments.subscriptions[-1]}: the machine's descriptors (ulimit -Hn) are enough for {EACH * room}")
    if not 0.5 <= arguments.seconds <= 600 or not 0 <= arguments.warmup <= 600:
        parser.error("expected --seconds from 0.5 to 600 and --warmup from 0 to 600")
    if arguments.disk_ms is not None and not 0 <= arguments.disk_ms <= 1000:
        parser.error(f"--disk-ms: {arguments.disk_ms:g}: expected milliseconds, 0 to 1000")
    arguments.build = os.path.realpath(arguments.build)
    arguments.out = os.path.realpath(arguments.out or os.path.join(arguments.build, "bench"))
    return arguments


# ---- many subscriptions ----


class Devices:
    """The load generator with all its connections: a step is a line to it, and a line from it."""

    def __init__(self, programs, port, connections, watch, drain_s):
        self.path = os.path.join(programs.folder, f"tokens-{connections}")
        ends_at = int(time.time()) + 86400
        with open(self.path, "w", encoding="utf-8") as output:
            for at in range(connections):
                output.write(f"p{at} {token(programs.secret, f'p{at}', ends_at)}\n")
        arguments = ["--port", str(port), "--ca", programs.ca, "--tokens", self.path, "--each", str(EACH), "--drain", str(drain_s)]
        for name, pids in watch.items():
            arguments += ["--watch", name + "=" + "+".join(str(pid) for pid in pids)]
        self.lines = 0
        self.programs = programs
        self.program = programs.start("bench-scale-load", [os.path.join(programs.build, "bench-scale-load"), *arguments], orders=True)
        self.connected = self.line(CONNECT_S)

    def line(self, limit_s):
        """The next line that it prints."""
        end = time.monotonic() + limit_s
        while True:
            lines = self.program.output().split("\n")[:-1]
            if len(lines) > self.lines and lines[self.lines].startswith("{"):
                self.lines += 1
                return json.loads(lines[self.lines - 1])
            if self.program.process.poll() is not None:
                raise Failed(f"bench-scale-load ended with {self.program.process.returncode}:\n{self.program.tail()}")
            if time.monotonic() > end:
                raise Failed(f"bench-scale-load said nothing for {limit_s:.0f} s:\n{self.program.tail()}")
            time.sleep(0.1)

    def step(self, rate, warmup, seconds):
        self.program.order(f"{rate} {warmup} {seconds}")
        return self.line(warmup + seconds + 300)

    def stop(self):
        self.program.process.stdin.close()
        try:
            self.program.process.wait(CONNECT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"bench-scale-load did not end:\n{self.program.tail()}") from None
        self.programs.stop(self.program)


def wide_listener(programs, connections):
    """Settings of the broker's: the listener for devices as it is shipped, but for more connections."""
    port = free_port()
    return port, (f"listener {port} 127.0.0.1\nmax_connections {connections + DESCRIPTORS}\ncertfile {programs.certificates}/server.crt\n"
                  f"keyfile {programs.certificates}/server.key\n{MESSAGES}{BYTES}")


def run_subscriptions(programs, arguments, kind, subscriptions, result):
    """One program under one number of subscriptions, through all rates; what is found goes into the result at once."""
    connections = (subscriptions + EACH - 1) // EACH
    port, extra = wide_listener(programs, connections)
    broker, _ = programs.start_broker(tls=True, quotas=True, extra=extra)
    host = (programs.start_host("cashewd", programs.handler_port, tls=True)[0] if kind == HOST
            else programs.start_echo(programs.handler_port, tls=True))
    parts = {"broker": broker, "host": host}
    watch = {name: program.pids() for name, program in parts.items()}
    if kind == HOST and programs.database_pid:
        watch["database"] = [programs.database_pid]

    def memory():
        return {name: program.memory()[0] for name, program in parts.items()}
    result["memory"]["empty"] = memory()
    devices = Devices(programs, port, connections, watch, QUICK_DRAIN_S if arguments.quick else DRAIN_S)
    result.update(devices.connected)
    parts["load"] = devices.program
    result["memory"]["connected"] = memory()
    for rate in arguments.rates:
        step = devices.step(rate, arguments.warmup, arguments.seconds)
        step["memory"] = memory()
        result["steps"].append(step)
        if not is_lossless(step):
            break  # what comes late would be taken for events of the next rate
    devices.stop()
    programs.stop(host)
    programs.stop(broker)


@contextlib.contextmanager
def failure_is_told(programs, what, result, say):
    """What cannot be measured counts as missed, and the rest goes on."""
    try:
        yield
    except (Failed, OSError, ValueError) as failure:
        result["failed"] = str(failure)
        say(f"  FAILED: {what}: {failure}")
        programs.clear()


def run_all_subscriptions(programs, arguments, document, say):
    for subscriptions in arguments.subscriptions:
        for kind in (HOST, ECHO):
            result = {"program": kind, "subscriptions": subscriptions, "memory": {}, "steps": []}
            document["runs"].append(result)
            with failure_is_told(programs, f"{subscriptions:,} subscriptions, {kind}", result, say):
                run_subscriptions(programs, arguments, kind, subscriptions, result)
        say(step_table(document, subscriptions))


# ---- many documents ----


def run_documents(programs, arguments, documents, result, say):
    users = documents // CONTACTS
    began = time.monotonic()
    programs.prepare_database(users=users, contacts=CONTACTS, limit=1800)
    result["load_s"] = time.monotonic() - began
    say(f"  {documents:,} contact documents and as many requests: loaded in {result['load_s']:.0f} s")
    time.sleep(0 if arguments.quick else SETTLE_S)
    broker, port = programs.start_broker(tls=True)
    host, _ = programs.start_host("cashewd", programs.handler_port, tls=True)
    watch = {"broker": broker.pids(), "host": host.pids()}
    if programs.database_pid:
        watch["database"] = [programs.database_pid]
    for command in COMMANDS:
        result["commands"][command] = programs.load(port, True, command, watch, arguments.seconds, warmup=arguments.warmup, devices=users,
                                                    rate=arguments.contact_rate)
    result["memory"] = {"broker": broker.memory()[0], "host": host.memory()[0]}
    if programs.database_pid:
        result["memory"]["database"] = memory_of([programs.database_pid])[0]
    programs.stop(host)
    programs.stop(broker)


def run_all_documents(programs, arguments, document, say):
    for documents in arguments.documents:
        result = {"documents": documents, "commands": {}}
        document["contacts"].append(result)
        with failure_is_told(programs, f"{documents:,} documents", result, say):
            run_documents(programs, arguments, documents, result, say)
    say()
    say(contact_table(document))


# ---- all of it ----


def finish(arguments, document, say):
    """The summary, the targets and the three files; the exit code."""
    verdicts = judge(document)
    document["targets"] = [vars(verdict) for verdict in verdicts]
    text = [f"# {len(document['runs'])} runs of many subscriptions, {len(document['contacts'])} of many documents", "",
            *machine_lines(document), ""]
    for subscriptions in sorted({run["subscriptions"] for run in document["runs"]}):
        text.append(step_table(document, subscriptions))
    summary = summary_table(document) if document["runs"] else ""
    text += [summary, contact_table(document) if document["contacts"] else ""]
    lines = [verdict_line(verdict, ("reached", "MISSED ", "-      ")) for verdict in verdicts]
    text += ["## Targets", "", *(f"- {line.strip()}" for line in lines), ""]
    say(summary)
    for line in [*lines, "", *machine_lines(document)]:
        say(line)
    for name, content in (("scale.json", json.dumps(document, indent=1)), ("scale.md", "\n".join(text)), ("scale.svg", picture(document))):
        with open(os.path.join(arguments.out, name), "w", encoding="utf-8") as output:
            output.write(content)
    failed = [one for one in document["runs"] + document["contacts"] if "failed" in one]
    lost = any(not is_lossless(step) for run in document["runs"] for step in run["steps"])
    reached = sum(verdict.reached is True for verdict in verdicts)
    say(f"\n{reached} of {len(verdicts)} targets held; {arguments.out}/scale.json, scale.md, scale.svg")
    if arguments.quick:
        say("--quick: few and short steps say little.")
        return 1 if failed or lost else 0
    return 0 if reached == len(verdicts) and not failed else 1


def run(project, words, say, build, machine):
    arguments = parse(project, words)
    if not arguments.no_build:
        build(arguments.build)
    os.makedirs(arguments.out, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="scale-", dir=arguments.out)
    document = {"each": EACH, "seconds": arguments.seconds, "quick": arguments.quick, "disk_ms": arguments.disk_ms, "runs": [], "contacts": []}
    try:
        with Programs(project, arguments.build, folder, arguments.disk_ms) as programs:
            programs.make_certificates()
            programs.start_database()
            document["machine"] = machine(programs)
            for line in machine_lines(document):
                say(line)
            say()
            if arguments.only != "documents":
                run_all_subscriptions(programs, arguments, document, say)
            if arguments.only != "subscriptions":
                run_all_documents(programs, arguments, document, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return finish(arguments, document, say)
