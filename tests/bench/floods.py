"""`tests/bench/run floods`: what honest devices notice while another one, or a stranger, floods the broker as it is shipped.

Happy path: for each attack a fresh broker with the limits and quotas of examples/broker, a fresh database and host, and 20 honest devices with
a command a second each; then the attack, and a look at what is left of it. Prints a row for each, and the targets. Failure: what cannot be
measured is told and counts as missed. Exit code 0: all targets held; 1: some were missed.
"""

import argparse
import json
import math
import os
import resource
import shutil
import tempfile
import threading
import time

from floods_attacks import ATTACKS, EXPIRING, PREPARE_S, Target, in_a_process
from mqtt import Client
from programs import Failed, Programs, free_port
from recovery_measure import Load, p99
from recovery_stack import Stack

HONEST = 20  # devices, a command a second each
LEAD_S, BEFORE_S, ATTACK_S, SETTLE_S, AFTER_S = 2, 8, 12, 2, 6
ENDS_S = 3  # of an attack, after which the tokens of those who have prepared it end
FACTOR, SLACK_S = 2, 0.005
ANSWERED = 0.999
BROKER_BYTES = 256 * 1024 * 1024
NEWCOMERS = [f"newcomer{at}" for at in range(ATTACK_S)]


def parse(project, words):
    parser = argparse.ArgumentParser(prog="tests/bench/run floods", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"some of {','.join(ATTACKS)} (all)")
    parser.add_argument("--without-quotas", action="store_true", help="switch the quotas by user off: what they are for")
    parser.add_argument("--build", default=os.path.join(project, "build", "release"), help="build folder (build/release)")
    parser.add_argument("--no-build", action="store_true", help="the build folder is up to date")
    parser.add_argument("--out", help="folder for floods.json (BUILD/bench)")
    arguments = parser.parse_args(words)
    arguments.only = arguments.only.split(",") if arguments.only else list(ATTACKS)
    for name in arguments.only:
        if name not in ATTACKS:
            parser.error(f"--only: there is no {name!r}: expected some of {','.join(ATTACKS)}")
    arguments.build = os.path.realpath(arguments.build)
    arguments.out = os.path.realpath(arguments.out or os.path.join(arguments.build, "bench"))
    return arguments


# ---- one attack ----


def follow(load, until):
    while time.monotonic() < until:
        load.read()
        time.sleep(0.1)
    load.read()


def latencies_of(load, begin, end):
    return sorted(latency for second in load.latencies(begin, end) for latency in second)


def answered_of(latencies):
    return sum(math.isfinite(latency) for latency in latencies) / max(1, len(latencies))


class Newcomers(threading.Thread):
    """A device a second that connects for the first time: how many get in."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.inside, self.tried = target, 0, 0

    def run(self):
        for user in NEWCOMERS:
            began = time.monotonic()
            self.tried += 1
            try:
                Client(self.target.port, self.target.ca_file, user, self.target.tokens[user]).close()
                self.inside += 1
            except (Failed, OSError):
                pass
            time.sleep(max(0.0, began + 1 - time.monotonic()))


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def prepare(load, target, name, programs):
    """Starts an attack that has to prepare, and waits until it has. Returns (pid, descriptor), as in_a_process() does."""
    prepare_s = PREPARE_S[name]
    target.wide_port, target.secret = programs.wide_port, programs.secret
    target.ends_at = int(time.time()) + prepare_s + BEFORE_S + ENDS_S
    began = time.monotonic()
    attack = in_a_process(name, target, prepare_s + BEFORE_S + ATTACK_S)
    follow(load, began + prepare_s)
    return attack


def wide_listener(programs, name):
    """Settings of the broker's: what takes the connections of an attack that needs more than a listener for devices takes."""
    if name not in PREPARE_S:
        return ""
    programs.wide_port = free_port()
    return f"listener {programs.wide_port} 127.0.0.1\nmax_connections {EXPIRING + 1000}\n"


def run_attack(programs, tokens_file, tokens, name, quotas):
    stack = Stack(programs, tokens_file, quotas=quotas, extra=wide_listener(programs, name))
    try:
        stack.start_load(schedule=((600, HONEST),), drain=10, more=("--command", "ping", "--event", "pong"))
        load = Load(stack.load_file)
        limit = time.monotonic() + 30
        while not load.began:
            follow(load, time.monotonic() + 0.1)
            if time.monotonic() > limit:
                raise Failed(f"the honest devices did not begin:\n{stack.load.tail()}")
        target = Target(stack.broker_port, programs.plain_port, programs.ca, tokens)
        follow(load, load.began + LEAD_S)
        attack = prepare(load, target, name, programs) if name in PREPARE_S else None
        follow(load, time.monotonic() + BEFORE_S)
        logs = (stack.broker.path, stack.host.path)
        written = [size_of(path) for path in logs]
        begin = time.monotonic()
        pid, pipe = attack or in_a_process(name, target, ATTACK_S)
        newcomers = Newcomers(target)
        newcomers.start()
        follow(load, begin + ATTACK_S)
        _, rss_during = stack.broker.memory()
        written = [size_of(path) - before for path, before in zip(logs, written)]
        text = os.read(pipe, 4096).decode()
        os.close(pipe)
        os.waitpid(pid, 0)
        end = time.monotonic()
        newcomers.join(70)
        follow(load, end + SETTLE_S + AFTER_S + 1)
        rss_after, _ = stack.broker.memory()
        during = latencies_of(load, begin, begin + ATTACK_S)
        return {
            "attack": text, "before_ms": p99(latencies_of(load, begin - BEFORE_S, begin)) * 1000, "during_ms": p99(during) * 1000,
            "after_ms": p99(latencies_of(load, end + SETTLE_S, end + SETTLE_S + AFTER_S)) * 1000, "answered": answered_of(during),
            "newcomers": f"{newcomers.inside}/{newcomers.tried}", "broker_bytes": rss_during, "broker_after_bytes": rss_after,
            "broker_log_bytes": written[0], "host_log_bytes": written[1],
        }
    finally:
        stack.stop()


# ---- the table ----


def missed(result):
    """Which targets the row has missed, in words."""
    limit = FACTOR * result["before_ms"] + SLACK_S * 1000
    found = []
    if not result["during_ms"] <= limit:
        found.append("p99 during")
    if not result["after_ms"] <= limit:
        found.append("p99 after")
    if result["answered"] < ANSWERED:
        found.append("answered")
    if result["broker_bytes"] > BROKER_BYTES:
        found.append("memory")
    return found


def row_of(name, result):
    return (f"  {name:<22}{result['before_ms']:>8.1f}{result['during_ms']:>10.1f}{result['after_ms']:>10.1f}{result['answered']:>10.1%}"
            f"{result['newcomers']:>8}{result['broker_bytes'] / 2**20:>8.0f}{result['broker_log_bytes'] / 1024:>8.0f}"
            f"{result['host_log_bytes'] / 1024:>8.0f}  {', '.join(missed(result)) or 'held':<24}{result['attack']}")


HEAD = (f"  {'flood':<22}{'before':>8}{'during':>10}{'after':>10}{'answered':>10}{'new in':>8}{'MB':>8}{'log KB':>8}{'host KB':>8}  "
        f"{'targets':<24}what the attacker did\n  {'':<22}{'p99 of honest devices in ms':>28}")


def write_tokens(programs):
    honest = [f"honest{at}" for at in range(HONEST)]
    tokens = {user: programs.token("user", user) for user in (*honest, *NEWCOMERS, "flood")}
    path = os.path.join(programs.folder, "tokens")
    with open(path, "w", encoding="utf-8") as output:
        output.writelines(f"{user} {tokens[user]}\n" for user in honest)
    return path, tokens


def run(project, words, say, build, machine):
    arguments = parse(project, words)
    if not arguments.no_build:
        build(arguments.build)
    os.makedirs(arguments.out, exist_ok=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the broker's too
    folder = tempfile.mkdtemp(prefix="floods-", dir=arguments.out)
    document = {"quotas": not arguments.without_quotas, "floods": {}}
    held = 0
    try:
        with Programs(project, arguments.build, folder) as programs:
            programs.make_certificates()
            tokens_file, tokens = write_tokens(programs)
            say(HEAD)
            for name in arguments.only:
                try:
                    result = run_attack(programs, tokens_file, tokens, name, document["quotas"])
                except (Failed, OSError, ValueError) as failure:
                    document["floods"][name] = {"failed": str(failure)}
                    say(f"  {name:<22}not measured: {failure}")
                    continue
                document["floods"][name] = {**result, "missed": missed(result)}
                held += not missed(result)
                say(row_of(name, result))
            document["machine"] = machine(programs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    path = os.path.join(arguments.out, "floods.json")
    with open(path, "w", encoding="utf-8") as output:
        json.dump(document, output, indent=1)
    say(f"\n{held} of {len(arguments.only)} floods leave the honest devices alone: p99 at most {FACTOR} x + {SLACK_S * 1000:.0f} ms of before, also "
        f"{SETTLE_S} s after it, {ANSWERED:.1%} answered, the broker within {BROKER_BYTES >> 20} MB; all figures: {path}")
    return 0 if held == len(arguments.only) else 1
