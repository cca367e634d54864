"""What is looked at beside each broker, row by row: how cashewd connects, what its doctor says, the story, and a ledger under faults.

Happy path: a row takes a Stand (a broker, cashewd behind a relay, phones) and returns a Row: figures for people, and findings, which are
what should not be. Failure: Failed where a row could not be played at all; the driver tells it as that row's finding.
"""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field

import story
from device import PUBLISH, Devices, Event
from ledger import Ledger
from mqtt import Client, take_packet
from programs import DATABASE, Failed, free_port
from recovery_measure import as_runs, in_order

READY_LIMIT_S = 120
DOCTOR_LIMIT_S = 120
WAIT_MAX_S = 1.5  # of others beside a slow command
SLOW_USER, NAPS, NAP_S = "slow", 2, 3
CALM_USERS, CALM_RATE, CALM_S = 5, 20, 2
VERSIONS = {4: "3.1.1", 5: "5"}
OUTCOMES = re.compile(r"^(ok|warn|fail|skip)\s+(\S+)\s+(.*)$")


@dataclass(frozen=True)
class Scale:
    kills: int = 5
    kill_every_s: float = 3.0
    kill_rate: float = 100.0
    broker_before_s: float = 3.0
    broker_after_s: float = 4.0
    broker_rate: float = 50.0
    cuts: int = 8
    cut_every_s: float = 2.0
    cut_rate: float = 100.0
    repeat_s: float = 10.0  # a command that is not answered so long is repeated
    shared_rate: float = 500.0
    shared_s: float = 60.0
    back_s: float = 5.0  # a killed host is started again
    ended_s: float = 5.0  # of load, after the dead one's session has ended
    handovers: int = 5
    standby_rate: float = 50.0
    killed_limit_s: float = 5.0
    stopped_limit_s: float = 1.0
    many_cuts: int = 20
    many_cuts_every_s: float = 3.0
    cut_limit_s: float = 1.0
    failover_rate: float = 100.0
    back_limit_s: float = 5.0


QUICK = Scale(kills=2, kill_every_s=2.0, kill_rate=50.0, broker_before_s=1.5, broker_after_s=2.0, broker_rate=25.0, cuts=3, cut_every_s=1.5,
              cut_rate=50.0, repeat_s=4.0, shared_rate=100.0, shared_s=6.0, back_s=1.0, handovers=1, standby_rate=25.0, killed_limit_s=30.0,
              stopped_limit_s=15.0, many_cuts=3, cut_limit_s=15.0, failover_rate=25.0,
              back_limit_s=30.0)
CUT_MS = 200
HELD_S = 0.3
SESSION_RATE = 50.0
REDELIVERED, REDELIVERED_RATE, REDELIVERED_LIMIT_S = 300, 100, 15.0


@dataclass
class Row:
    name: str
    text: str
    findings: list = field(default_factory=list)


class Stand:
    """A broker that runs, the relay behind it, cashewd, and phones."""

    def __init__(self, programs, broker, scale):
        self.programs, self.broker, self.scale = programs, broker, scale
        self.version = max(broker.versions)
        self.database = f"{DATABASE}_{broker.name}"
        programs.drop_databases([self.database])
        self.up_s = broker.start()
        self.relay_port = free_port()
        self.relay = programs.start("bench-recovery-relay", [os.path.join(programs.build, "bench-recovery-relay"), str(self.relay_port),
                                                             str(broker.host_port)], orders=True)
        self.relay.wait_for_line("ready")
        self.metrics = f"127.0.0.1:{free_port()}"
        self.settings = {"BROKER_HOST": "localhost", "CLIENT_ID": "cashewd", "METRICS_ADDR": self.metrics, "MONGO_DB_NAME": self.database}
        self.logs = []
        self.start_host()
        self.devices = Devices(broker.port, programs.ca, lambda user: programs.token("user", user), broker.dotted)

    def start_host(self):
        """Until it is ready."""
        self.host = self.programs.start_host("cashewd-bench", self.relay_port, True, settings=self.settings, wait=False)[0]
        self.logs.append(self.host.path)
        self.await_ready()

    def stop_host(self):
        self.programs.stop(self.host)

    def close(self):
        self.devices.close()
        for program in (self.host, self.relay):
            if program in self.programs.running:
                program.end()
                self.programs.running.remove(program)
        self.broker.close()

    # ---- what the host says ----

    @staticmethod
    def records(path):
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue  # half a line, or not one of the log

    def log(self, *events):
        """Its lines of these events, so far."""
        return [record for path in self.logs for record in self.records(path) if record.get("event") in events]

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.metrics}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def await_ready(self):
        """Seconds until the host is ready."""
        began = time.monotonic()
        while not self.ready():
            if time.monotonic() - began > READY_LIMIT_S:
                raise Failed(f"not ready after {READY_LIMIT_S} s:\n{self.host.tail()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def host_child(self):
        """The process that runs the commands; 0 while there is none."""
        below = self.host.pids()[1:]
        return below[-1] if below else 0

    # ---- the ledger ----

    def effects(self, name):
        return self.programs.effects(self.database, name)

    def under(self, name, rate, fault):
        """A ledger's row, while `fault()` is done to it; that returns words and findings of its own, and maybe when the broker went back."""
        ledger = Ledger(self.devices, self.version, f"{self.broker.name[0]}{time.monotonic_ns() % 1000000}x", rate, self.scale.repeat_s)
        ledger.start()
        try:
            words, findings, restored_at = fault()
            counts = ledger.finish(self.effects, restored_at)
        except BaseException:
            ledger.abandon()
            raise
        for what, key in (("lost", "lost"), ("effects are missing", "missing"), ("refused", "refused")):
            if counts[key]:
                findings.append(f"{what}: {counts[key]}")
        if counts["out_of_order"]:
            findings.append(f"out of order: {counts['out_of_order']} users, {counts['example']}")
        text = (f"{words}; {counts['commands']} commands, lost {counts['lost']}, done twice {counts['doubled']}, out of order {counts['out_of_order']}, "
                f"repeated by the phone {counts['repeated']}, longest {counts['longest_s'] or 0:.1f} s, median {1000 * (counts['median_s'] or 0):.0f} ms")
        return Row(name, text, findings)


# ---- rows ----


def connects(stand):
    spoken = [record["mqtt"] for record in stand.log("broker_connected")]
    lost = len(stand.log("broker_unreachable", "broker_lost"))
    wanted = VERSIONS[stand.version]
    findings = [] if spoken and set(spoken) == {wanted} else [f"speaks {spoken}, not {wanted}"]
    return Row("connects", f"MQTT {'/'.join(sorted(set(spoken)))}; broker up after {stand.up_s:.1f} s; {lost} connections failed before", findings)


def doctor(stand):
    done = subprocess.run([os.path.join(stand.programs.build, "cashewd-bench"), "doctor"], capture_output=True, text=True, check=False,
                          timeout=DOCTOR_LIMIT_S, cwd=stand.programs.folder,
                          env=stand.programs.host_environment(stand.relay_port, True, settings=stand.settings))
    lines = [found.groups() for found in map(OUTCOMES.match, done.stdout.splitlines()) if found]
    counts = {outcome: sum(line[0] == outcome for line in lines) for outcome in ("ok", "warn", "fail", "skip")}
    text = f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail, {counts['skip']} skipped"
    warned = [f"{name}: {words}" for outcome, name, words in lines if outcome == "warn"]
    findings = [f"{name}: {words}" for outcome, name, words in lines if outcome == "fail"]
    if not lines:
        findings.append(f"it says nothing: exit code {done.returncode}: {done.stderr[-300:]}")
    return Row("doctor", text + "".join(f"; {line}" for line in warned), findings)


def tells(version):
    def play_story(stand):
        checks = stand.devices.run(story.run(stand.devices, version, f"s{version}"))
        return Row(f"story {VERSIONS[version]}", f"{checks} in {checks.seconds:.1f} s", checks.bad)
    play_story.__name__ = f"story_{VERSIONS[version]}"
    return play_story


def numbers_received(client, seconds, acknowledge, enough=lambda numbers: False):
    """The numbers of what comes within so many seconds, or until there are enough."""
    numbers, end = [], time.monotonic() + seconds
    client.socket.settimeout(0.1)
    while time.monotonic() < end and not enough(numbers):
        packet = take_packet(client.buffer)
        if packet and packet[0] >> 4 == PUBLISH:
            event = Event(*packet, client.version)
            numbers.append(int(event.payload))
            if acknowledge:
                client.send(b"\x40\x02" + event.packet_id.to_bytes(2, "big"))
        if packet:
            continue
        try:
            more = client.socket.recv(65536)
        except TimeoutError:
            continue
        if not more:
            raise Failed("the broker closed the connection")
        client.buffer += more
    return numbers


async def send_numbers(devices, version):
    phone = await devices.add("numbered", version, filters=("nothing",))
    began = time.monotonic()
    for number in range(1, REDELIVERED + 1):
        await phone.wait(lambda number=number: time.monotonic() - began >= number / REDELIVERED_RATE, REDELIVERED_LIMIT_S)
        phone.publish("numbered/number", str(number).encode())
    await phone.wait(lambda: not phone.pending)
    await phone.leave()


def redelivery(stand):
    """What the broker does by itself: a bare client in cashewd's place holds what comes, its connection breaks, and more comes meanwhile."""
    arguments = (stand.broker.host_port, stand.programs.ca, "cashewd-bare", stand.programs.token("handler", "bare"), True)
    client = Client(*arguments, version=stand.version)
    client.subscribe("+/number")
    phone = stand.devices.begin(send_numbers(stand.devices, stand.version))
    try:
        held = numbers_received(client, 1.0, False)
        client.socket.close()
        time.sleep(0.3)
        client, began = Client(*arguments, version=stand.version), time.monotonic()
        again = numbers_received(client, REDELIVERED_LIMIT_S, True, lambda numbers: len(set(numbers)) == REDELIVERED)
    finally:
        phone.result(REDELIVERED_LIMIT_S + 10)
        client.close()
    took_s, lost = time.monotonic() - began, REDELIVERED - len(set(again))
    findings = [f"lost: {lost}"] if lost else []
    if not in_order(list(dict.fromkeys(again))):
        findings.append(f"sent again out of order: {as_runs(again)}")
    return Row("redelivery", f"a bare client held {len(held)} when its connection broke; all came within {took_s:.1f} s", findings)


def host_killed(stand):
    scale = stand.scale

    def fault():
        died = 0
        for _ in range(scale.kills):
            time.sleep(scale.kill_every_s)
            child = stand.host_child()
            if child:
                os.kill(child, signal.SIGKILL)
                died += 1
        ready_s = stand.await_ready()
        time.sleep(1)
        return f"{died} times, ready after {ready_s:.1f} s", [], None
    return stand.under("host killed", scale.kill_rate, fault)


def broker_killed(stand):
    scale = stand.scale

    def fault():
        time.sleep(scale.broker_before_s)
        stand.broker.kill()
        # The host ends what it holds: by that moment it has, and what comes later is of the restored broker.
        time.sleep(HELD_S)
        restored_at = time.monotonic()
        up_s = stand.broker.start()
        ready_s = stand.await_ready()
        time.sleep(scale.broker_after_s)
        session = [record["session"] for record in stand.log("broker_connected") if record["connection"] != "egress"][-1]
        findings = ["the session is new"] if session == "new" else []
        return f"up after {up_s:.1f} s, ready {ready_s:.1f} s later, session {session}", findings, restored_at
    return stand.under("broker killed", scale.broker_rate, fault)


def links_cut(stand):
    scale = stand.scale
    names = ("session_taken_over", "standby")

    def fault():
        before, downs = len(stand.log(*names)), []
        for _ in range(scale.cuts):
            time.sleep(scale.cut_every_s)
            stand.relay.order(f"cut {CUT_MS}")
            time.sleep(2 * CUT_MS / 1000)
            downs.append(stand.await_ready())
        stood = len(stand.log(*names)) - before
        return f"{scale.cuts} cuts, ready again after {max(downs):.1f} s at most", [f"stood by {stood} times"] if stood else [], None
    return stand.under("links cut", scale.cut_rate, fault)


async def pings(calm, seconds):
    """The others' latencies, sorted, of pings for so long; and how many were sent."""
    sent, began = {}, time.monotonic()
    for user in calm:
        user.events.clear()
    while time.monotonic() < began + seconds:
        if len(sent) < (time.monotonic() - began) * CALM_RATE:
            user, number = calm[len(sent) % CALM_USERS], str(len(sent)).encode()
            sent[number] = time.monotonic()
            user.publish(f"{user.user}/ping", number)
        await user.wait(lambda: False, 0.005)
    await calm[0].wait(lambda: sum(len(user.events) for user in calm) >= len(sent))
    return sorted(event.came - sent[event.payload] for user in calm for event in user.events), len(sent)


async def beside_slow(devices, version):
    """(the others' pings before, beside the slow commands, how many of these ended)."""
    slow = await devices.add(SLOW_USER, version, filters=("napped",))
    calm = [await devices.add(f"calm{at}", version, filters=("pong",)) for at in range(CALM_USERS)]
    before = await pings(calm, CALM_S)
    for _ in range(NAPS):
        slow.publish(f"{SLOW_USER}/nap", b"{}")
    beside = await pings(calm, NAPS * NAP_S)
    await slow.wait(lambda: len(slow.events) >= NAPS)
    napped = len(slow.events)
    await devices.leave()
    return before, beside, napped


def slow_command(stand):
    (calm, _), (latencies, sent), napped = stand.devices.run(beside_slow(stand.devices, stand.version))
    longest, without = latencies[-1] if latencies else 0, calm[-1] if calm else 0
    findings = []
    if len(latencies) < sent:
        findings.append(f"{sent - len(latencies)} of {sent} not answered")
    if longest > WAIT_MAX_S + without:
        findings.append(f"others waited {longest:.1f} s")
    if napped < NAPS:
        findings.append(f"{NAPS - napped} slow commands not answered")
    middle = 1000 * latencies[len(latencies) // 2] if latencies else 0
    return Row("slow command", f"{NAPS} x {NAP_S} s of one user; {len(latencies)} of {sent} others', median {middle:.0f} ms, longest {1000 * longest:.0f} ms; "
               f"{1000 * without:.0f} ms without", findings)


def session_lost(stand):
    """The host is away, and its session ends: what comes then has no queue to wait in."""
    def fault():
        time.sleep(1)
        stand.stop_host()
        Client(stand.broker.host_port, stand.programs.ca, "cashewd", stand.programs.token("handler", "probe"), version=stand.version).close()
        time.sleep(1)
        before = len(stand.log("broker_connected"))
        stand.start_host()
        main = [record for record in stand.log("broker_connected")[before:] if record["connection"] != "egress"]
        session = main[0]["session"] if main else "?"
        warned = sorted({record["event"] for record in stand.records(stand.logs[-1]) if record.get("level") == "warn"})
        time.sleep(2)
        return f"session {session}, warnings: {', '.join(warned) or 'none'}", [] if session == "new" else [f"session {session}, not new"], None
    return stand.under("session lost", SESSION_RATE, fault)


def rows_of(broker):
    if broker.pair:
        return (connects,)
    return (connects, doctor, *(tells(version) for version in broker.versions), redelivery, slow_command, host_killed, links_cut, broker_killed, session_lost)


def judge(cannot, row):
    """("ok", "known" or "FAILED", a line for each finding): `cannot` has for a row, or for "story", how findings begin that are the broker's own."""
    known = {**cannot.get(row.name, {}), **cannot.get(row.name.partition(" ")[0], {})}
    outcome, lines = "ok", []
    for finding in row.findings:
        why = next((why for beginning, why in known.items() if finding.startswith(beginning)), None)
        lines.append(f"known: {finding} ({why})" if why else f"FOUND: {finding}")
        outcome = "FAILED" if not why or outcome == "FAILED" else "known"
    return outcome, lines


def play(stand, row):
    """Whatever happens, a Row."""
    began = time.monotonic()
    try:
        played = row(stand)
    except (Failed, OSError, TimeoutError, subprocess.SubprocessError, KeyError, IndexError) as failure:
        played = Row(row.__name__.replace("_", " "), "not played", [f"{type(failure).__name__}: {failure}"])
    played.seconds = time.monotonic() - began
    return played
