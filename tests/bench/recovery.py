"""`tests/bench/run recovery`: how long a fault is felt, at 0.7 of what the machine carries. README.md in this folder says how to read it.

Happy path: measures capacity, lets phones send at 0.7 of it, hurts one thing after the other, and says for each when all was as before,
what was lost, doubled or out of order. Failure: a phase that cannot be measured is told and counts as missed. Exit code 0: all targets
held; 1: some were missed, or could not be measured; 3: the run without a fault failed the same test: machine too noisy.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import tempfile
import time

import recovery_faults
from programs import Failed, Programs
from recovery_measure import TEN, Back, Load, back, drain_per_s, judge_effects, limit_of, p99, typical
from recovery_picture import picture
from recovery_report import checks_of, outcome, table, verdict
from recovery_stack import DEVICES, Stack, users

LEAD_S = 3  # of the load, not looked at: the first seconds of a host
LOAD = 0.7  # of capacity
OUTSTANDING = 20
PROBE_RATE = DEVICES  # a second: after the overload, to see when it is back
LOSSES = ("lane_dropped", "broker_lost")


class Noisy(Failed):
    """What is to be compared with, the seconds before the fault, cannot be."""


def parse(project, words):
    parser = argparse.ArgumentParser(prog="tests/bench/run recovery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"some of {','.join(recovery_faults.NAMES)} (all)")
    parser.add_argument("--rounds", type=int, help="of which the median counts (3)")
    parser.add_argument("--quick", action="store_true", help="one round, shorter faults: a look, no verdict")
    parser.add_argument("--rate", type=float, help="commands a second instead of 0.7 of the capacity that is measured")
    parser.add_argument("--disk-ms", type=float, help="what a sync takes the database, 0 to 1000, instead of what this machine's disk takes it now")
    parser.add_argument("--build", default=os.path.join(project, "build", "release"), help="build folder (build/release)")
    parser.add_argument("--no-build", action="store_true", help="the build folder is up to date")
    parser.add_argument("--out", help="folder for recovery.json and recovery.svg (BUILD/bench)")
    parser.add_argument("--keep", action="store_true", help="keep the logs, in the out folder")
    arguments = parser.parse_args(words)
    arguments.only = arguments.only.split(",") if arguments.only else list(recovery_faults.NAMES)
    for name in arguments.only:
        if name not in recovery_faults.NAMES:
            parser.error(f"--only: there is no {name!r}: expected some of {','.join(recovery_faults.NAMES)}")
    if arguments.disk_ms is not None and not 0 <= arguments.disk_ms <= 1000:
        parser.error(f"--disk-ms: {arguments.disk_ms:g}: expected milliseconds, 0 to 1000")
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    arguments.build = os.path.realpath(arguments.build)
    arguments.out = os.path.realpath(arguments.out or os.path.join(arguments.build, "bench"))
    return arguments


# ---- one phase ----


def follow(load, until, enough):
    """Reads the phones' file until enough() or the time is there."""
    while time.monotonic() < until:
        load.read()
        if enough():
            return True
        time.sleep(0.25)
    load.read()
    return False


def measure_capacity(programs, tokens, quick):
    """Commands a second with 50 devices x 20 outstanding: the median of seconds 5 to 20."""
    seconds = 12 if quick else 20
    stack = Stack(programs, tokens)
    try:
        stack.start_load(outstanding=OUTSTANDING, seconds=seconds, drain=10)
        load = Load(stack.load_file)
        if not follow(load, time.monotonic() + seconds + 30, lambda: load.ended):
            raise Failed(f"capacity: the phones did not come to an end:\n{stack.load.tail()}")
        rates = load.answered_per_second(load.began, load.began + seconds)[5:]
        return statistics.median(rates)
    finally:
        stack.stop()


def schedule_of(fault, rate, capacity, scale):
    if fault.run is recovery_faults.overload:
        return ((LEAD_S + scale.before_s, rate), (scale.overload_s, 2 * capacity), (scale.limit_s + TEN, PROBE_RATE))
    longest = max(scale.outage_s, scale.cuts_s, scale.flood_s, scale.loggly_s, scale.limit_s)
    return ((LEAD_S + scale.before_s + longest + scale.limit_s + TEN, rate),)


def losses(stack, begin, end, fault):
    """Lanes dropped and links lost that the fault does not explain."""
    offset = time.time() - time.monotonic()
    found = []
    for when, event in stack.log_events(LOSSES):
        at = when - offset
        # A while longer, for what the fault's end itself brings about.
        during = begin - 0.1 <= at <= end + 2
        if not during or not (fault.drops_links if event == "broker_lost" else fault.drops_lane or fault.drops_links):
            found.append((round(at - begin, 2), event))
    return found


def series_of(load, began, until, begin):
    """For the picture: a row for each second, counted from the fault."""
    answered = load.answered_per_second(began, until)
    rows = []
    for at, latencies in enumerate(load.latencies(began, until)):
        value = p99(latencies) if latencies else None
        rows.append((round(began + at - begin, 2), answered[at], None if value is None or math.isinf(value) else round(value * 1000, 2)))
    return rows


def run_phase(programs, tokens, fault, capacity, rate, scale):
    stack = Stack(programs, tokens, relay=fault.relay)
    stack.restored_at = None
    try:
        stack.start_load(schedule=schedule_of(fault, rate, capacity, scale), drain=scale.drain_s)
        load = Load(stack.load_file)
        if not follow(load, time.monotonic() + 30, lambda: load.began):
            raise Failed(f"the phones did not begin:\n{stack.load.tail()}")
        quiet = load.began + LEAD_S
        follow(load, quiet + scale.before_s, lambda: False)
        begin, end = fault.run(stack, scale)
        before = typical(load_read(load).latencies(quiet, begin))
        if math.isinf(before):
            raise Noisy("machine too noisy: in most seconds before the fault one command of a hundred was not answered when the fault came")

        everybody, hurt = Back(load, end, before), Back(load, begin, before, is_hurt)

        def is_back():
            # A second that has passed is known when its last command is answered: so look at those a while ago.
            # Of a hang the user it is about is looked at by himself, from the sending on, so that may take longer.
            until = time.monotonic() - limit_of(before) - 0.5
            return (everybody.by(until) is not None
                    and (fault.run is not recovery_faults.hang or hurt.by(until) is not None))
        follow(load, end + scale.limit_s + TEN, is_back)
        until = time.monotonic() - limit_of(before) - 0.5
        stack.load.order("stop")
        follow(load, time.monotonic() + scale.drain_s + 10, lambda: load.ended)
        result = measure(stack, load, fault, rate, (quiet, begin, end, until, before))
        result["held"] = stack.held.highest
        return result
    finally:
        stack.stop()


def is_hurt(user):
    return user == recovery_faults.HURT_USER


def is_other(user):
    return not is_hurt(user)


def load_read(load):
    load.read()
    return load


def measure(stack, load, fault, rate, times):
    quiet, begin, end, until, before = times
    result = judge_effects(load, stack.effects(), stack.restored_at)
    during = load.latencies(begin, max(end, begin + 1))
    longest = max((second[-1] for second in load.latencies(begin, until, is_other) if second), default=math.inf)
    result.update({
        "fault_s": end - begin, "before_p99_ms": before * 1000, "back_s": back(load, end, until, before),
        "during_p99_ms": typical(during) * 1000, "bad_during": sum(p99(second) > limit_of(before) for second in during) / max(1, len(during)),
        "others_max_ms": longest * 1000, "losses": losses(stack, begin, end, fault), "repeated": load.repeats,
        "hurt_user_back_s": back(load, begin, until, before, is_hurt),
        "others_back_s": back(load, begin, until, before, is_other),
    })
    result["drain_per_s"] = drain_per_s(load, end, until, rate)
    overloaded = load.answered_per_second(begin, end)
    result["during_per_s"] = statistics.median(overloaded[len(overloaded) // 6:]) if overloaded else None
    # A second's border lies where the fault begins.
    result["series"] = series_of(load, begin - math.floor(begin - load.began), max(until, end + 1), begin)
    result["fault_end_s"] = end - begin
    return result


# ---- all of it ----


def write_tokens(programs):
    path = os.path.join(programs.folder, "tokens")
    with open(path, "w", encoding="utf-8") as output:
        for user in users():
            output.write(f"{user} {programs.token('user', user)}\n")
    return path


def run_rounds(programs, arguments, say, document):
    scale = recovery_faults.QUICK if arguments.quick else recovery_faults.Scale()
    tokens = write_tokens(programs)
    document["capacity"] = capacity = measure_capacity(programs, tokens, arguments.quick)
    document["rate"] = rate = arguments.rate or LOAD * capacity
    document["database"], document["disk_ms"] = programs.database_kind, arguments.disk_ms
    say(f"  database: {programs.database_kind}"
        f"{'' if programs.database_kind in ('mongod', 'secantusd-rs') else '; slow: examples/database/install-benchmark-server builds a fast one'}"
        f"{'' if arguments.disk_ms is None else f'; each of its syncs takes {arguments.disk_ms:g} ms'}")
    say(f"  capacity: {capacity:,.0f} commands/s, {DEVICES} devices x {OUTSTANDING} outstanding; load: {rate:,.0f}/s\n")
    chosen = [fault for fault in recovery_faults.FAULTS if fault.name in arguments.only or fault.name == "none"]
    for turn in range(arguments.rounds):
        for fault in chosen:
            if fault.drops_lane and not programs.database_pid:
                continue  # it is somebody else's
            try:
                result = run_phase(programs, tokens, fault, capacity, rate, scale)
            except (Failed, OSError, ValueError) as failure:
                result = {"failed": str(failure), "noisy": isinstance(failure, Noisy)}
            document["faults"].setdefault(fault.name, []).append(result)
            checks = checks_of([fault], {**document, "faults": {fault.name: [result]}})
            say(f"  round {turn + 1}: {verdict(fault, result, checks)}")
    return chosen


def run(project, words, say, build, machine):
    arguments = parse(project, words)
    if not arguments.no_build:
        build(arguments.build)
    os.makedirs(arguments.out, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="recovery-", dir=arguments.out)
    document = {"faults": {}}
    try:
        with Programs(project, arguments.build, folder, arguments.disk_ms) as programs:
            programs.make_certificates()
            chosen = run_rounds(programs, arguments, say, document)
            document["machine"] = machine(programs)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    checks = checks_of(chosen, document)
    document["targets"] = [{"fault": check.fault, "text": check.text, "held": check.held} for check in checks]
    say("\n" + table(chosen, document, checks))
    for check in checks:
        say(f"  {'held  ' if check.held else 'MISSED'}  {check.text}")
    for name, text in (("recovery.json", json.dumps(document, indent=1)), ("recovery.svg", picture(chosen, document, checks))):
        with open(os.path.join(arguments.out, name), "w", encoding="utf-8") as output:
            output.write(text)
    say(f"\n{sum(check.held for check in checks)} of {len(checks)} targets held; all figures: {arguments.out}/recovery.json, a picture: "
        f"{arguments.out}/recovery.svg")
    if arguments.quick:
        say("--quick: one round of shorter faults says little.")
    code, sentence = outcome(checks)
    if sentence:
        say(sentence)
    return code
