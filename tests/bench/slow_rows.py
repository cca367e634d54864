"""Two rows of another shape: "window", commands a second behind a broker that keeps 20 unacknowledged, and "naps", what two commands
a second that sleep for three seconds cost all others. Both of this build, and with --beside of another one, in turns. beside.py has the
limits.

Failure: what a build cannot do (it has no handler nap, say) is told by Failed.
"""

import json
import os
import subprocess

import beside
from programs import Failed, free_port
from report import spread

NAPS_PER_S, NAP_S = 2, 3
OTHERS_PER_S = 2000
DEVICES = 12  # that send naps by turns: each has one under way at most
COMMAND = ("get_apples_worker", "got_apples")


def builds_of(arguments):
    """{name: build folder}"""
    return {"cashewd": arguments.build, **({"cashewd, beside": arguments.beside} if arguments.beside else {})}


def behind_window(programs, build, seconds, warmup=1.0, only_311=False, rate=0, naps=0, command=COMMAND):
    """The figures of one host behind bench-window-broker."""
    port = free_port()
    arguments = ["--port", str(port), "--seconds", str(seconds), "--warmup", str(warmup), "--command", command[0], "--event", command[1]]
    arguments += ["--rate", str(rate)] if rate else []
    arguments += ["--naps", str(naps)] if naps else []
    arguments += ["--only-311"] if only_311 else []
    broker = programs.start("bench-window-broker", [os.path.join(programs.build, "bench-window-broker"), *arguments])
    host, _ = programs.start_host("cashewd-bench", port, False, build=build)
    try:
        broker.process.wait(seconds + warmup + 40)
    except subprocess.TimeoutExpired:
        raise Failed("bench-window-broker came to no end") from None
    finally:
        for program in (host, broker):
            program.end()
            programs.running.remove(program)
    if broker.process.returncode != 0:
        raise Failed(f"behind a window of 20: {broker.tail()}")
    return json.loads(broker.output())


def beside_naps(programs, build, seconds, naps):
    """The others' figures behind the demo's broker, with TLS, and with naps where `naps` is set."""
    broker, port = programs.start_broker(True)
    host, _ = programs.start_host("cashewd-bench", port, True, build=build)
    sleeper = None
    if naps:
        # It says at its end that not every event came; nobody waits for that.
        sleeper = programs.start("bench-load", [
            os.path.join(programs.build, "bench-load"), "--port", str(port), "--ca", programs.ca, "--mode", "nap", "--devices", str(DEVICES),
            "--outstanding", "8", "--connections", "1", "--prefix", "s", "--rate", str(naps), "--warmup", "0", "--seconds",
            str(seconds + 20)], programs.with_token())
    try:
        return programs.load(port, True, COMMAND[0], {}, seconds, OTHERS_PER_S, warmup=NAP_S + 2)
    finally:
        for program in (sleeper, host, broker):
            if program:
                program.end()
                programs.running.remove(program)


def run_window(programs, arguments, say):
    """Commands a second behind a broker that keeps exactly 20 unacknowledged messages, plain TCP."""
    cases = {f"{name}, {protocol}": (build, protocol == "MQTT 3.1.1") for name, build in builds_of(arguments).items()
             for protocol in ("MQTT 5", "MQTT 3.1.1")}
    results = {name: [] for name in cases}
    seconds = max(2, arguments.seconds)
    for turn in range(min(arguments.repetitions, 5)):
        for name in list(cases)[::-1 if turn % 2 else 1]:
            build, only_311 = cases[name]
            results[name].append(behind_window(programs, build, seconds, only_311=only_311, command=("get_apples", "got_apples")))
    for name, figures in results.items():
        say(f"  {name:<32} {spread([one['per_second'] for one in figures], 0):>32} commands/s, at most "
            f"{max(one['window'] for one in figures)} unacknowledged")
    say()
    verdicts = []
    revision = beside.revision_of(arguments.beside) if arguments.beside else ""
    for protocol in ("MQTT 5", "MQTT 3.1.1") if arguments.beside else ():
        ours, theirs = ([one["per_second"] for one in results[f"{name}, {protocol}"]] for name in ("cashewd", "cashewd, beside"))
        reference = beside.window_reference(revision, theirs)
        verdicts.append(beside.judge("window", f"window of 20, {protocol} (the other's: {spread(reference, 0)}/s)", ours, reference))
    return results, verdicts


def run_naps(programs, arguments, say):
    """Two naps of 3 s a second beside 2,000 commands/s of others, whose p99 counts."""
    seconds = 10 if arguments.quick else 20
    turns = min(arguments.repetitions, 3)
    results = {}
    programs.prepare_database()
    for name, build in builds_of(arguments).items():
        ways = {
            f"{name}, mosquitto, alone": lambda build=build: beside_naps(programs, build, seconds, 0),
            f"{name}, mosquitto, naps": lambda build=build: beside_naps(programs, build, seconds, NAPS_PER_S),
            f"{name}, window of 20, alone": lambda build=build: behind_window(programs, build, seconds, NAP_S + 2, rate=OTHERS_PER_S),
            f"{name}, window of 20, naps": lambda build=build: behind_window(programs, build, seconds, NAP_S + 2, rate=OTHERS_PER_S,
                                                                             naps=NAPS_PER_S),
        }
        for way in ways:
            try:
                results[way] = [ways[way]() for _ in range(turns)]
            except Failed as failure:
                results[way] = []
                say(f"  {way:<36} FAILED: {failure}")
                continue
            say(f"  {way:<36} p50 {spread([one['p50_ms'] for one in results[way]], 1):>26}   p99 "
                f"{spread([one['p99_ms'] for one in results[way]], 1):>32} ms")

    def p99(way):
        return [one["p99_ms"] for one in results[way]]
    verdicts = [beside.judge("naps", "naps, mosquitto", p99("cashewd, mosquitto, naps"), p99("cashewd, mosquitto, alone")),
                beside.judge("naps, window", "naps, window of 20", p99("cashewd, window of 20, naps"))]
    say()
    return results, verdicts
