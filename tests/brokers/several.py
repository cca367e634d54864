"""Several hosts beside one broker, row by row: hosts of one SHARED_GROUP of which one is killed, an active host and its standby, and links that are cut often.

Happy path: a row stops the stand's own host where it is in the way, starts hosts of its own, kills one under the ledger, and starts the stand's again.
Failure: as in rows.py. A phone of the shared rows repeats nothing unless the broker cannot keep what it gave to a dead host: a command that is lost shows.
"""

import math
import os
import random
import re
import signal
import time
import urllib.request

from ledger import Ledger
from mqtt import Client
from programs import Failed, free_port
from recovery_stack import wall_seconds
from rows import CUT_MS, READY_LIMIT_S, Row

MEMBERS = 3
GROUP = "apples"
EXPIRY_S = 60  # the shortest SESSION_EXPIRY
ENDED_S = 3  # after which a broker has ended a session that is over
KNOWN_S = 3  # a standby is known by then: it asks every half second, the active host every second
EXAMPLES = 3
BREAKS = ("broker_lost", "lane_dropped", "store_away", "store_write_failed", "not_ready")
LOGGED_S = 1  # a line of the log may come as much later than what it tells
DONE = re.compile(r'^cashewd_commands_total\{end="done"\} (\d+)', re.MULTILINE)


class Member:
    """A host beside the stand's own: with another client id, or as the standby of one."""

    def __init__(self, stand, client_id, settings=()):
        self.stand, self.metrics = stand, f"127.0.0.1:{free_port()}"
        self.logs = []
        self.settings = {**stand.settings, "CLIENT_ID": client_id, "METRICS_ADDR": self.metrics, **dict(settings)}
        self.start()

    def start(self):
        self.host = self.stand.programs.start_host("cashewd-bench", self.stand.relay_port, True, settings=self.settings, wait=False)[0]
        self.logs.append(self.host.path)

    def page(self, name):
        with urllib.request.urlopen(f"http://{self.metrics}/{name}", timeout=2) as answer:
            return answer.read().decode()

    def ready(self):
        try:
            self.page("readyz")
        except OSError:
            return False
        return True

    def await_ready(self):
        """When it was."""
        return self.await_that(self.ready, "ready")

    def await_standby(self):
        return self.await_that(lambda: "standby" in self.events(), "a standby")

    def await_that(self, state, name):
        began = time.monotonic()
        while not state():
            if time.monotonic() - began > READY_LIMIT_S:
                raise Failed(f"not {name} after {READY_LIMIT_S} s:\n{self.host.tail()}")
            time.sleep(0.01)
        return time.monotonic()

    def events(self):
        """Of its log, since its last start."""
        return [record.get("event") for record in self.stand.records(self.host.path)]

    def done(self):
        """Commands, since its last start."""
        return int(DONE.search(self.page("metrics"))[1])

    def kill(self):
        """SIGKILL to its supervisor and all below; when it began, and when all had ended."""
        began = time.monotonic()
        for pid in self.host.pids():
            os.kill(pid, signal.SIGKILL)
        self.host.process.wait()
        self.stand.programs.running.remove(self.host)
        return began, time.monotonic()

    def terminate(self):
        """SIGTERM; waits for nothing."""
        self.host.process.terminate()
        return time.monotonic(), None

    def stop(self):
        """SIGTERM, if it was not told so yet, and its end."""
        self.stand.programs.stop(self.host)

    def end(self):
        if self.host in self.stand.programs.running:
            self.host.end()
            self.stand.programs.running.remove(self.host)


# ---- the ledger, by command ----


def strange_doubles(effects, breaks):
    """Of what ran more than once, what no break explains: that ran once before and once after one. A break: (when it began, when it was over)."""
    strange = []
    for user, ran in effects.items():
        times = {}
        for when, number in ran:
            times.setdefault(number, []).append(when / 1e9)
        for number, runs in times.items():
            if not all(any(first <= ended and again >= began for began, ended in breaks) for first, again in zip(runs, runs[1:])):
                at = ", ".join(f"{when - breaks[0][0]:+.3f}" for when in runs)
                strange.append(f"{user} {number} at {at} s")
    return strange


def breaks_of(stand, members):
    """What makes a host run again what it had not acknowledged, or what the database had not: by the log, which has times of day."""
    ahead = time.time() - time.monotonic()
    at = [wall_seconds(record) - ahead for member in members for path in member.logs for record in stand.records(path)
          if record.get("event") in BREAKS and record.get("connection") != "egress"]
    return [(when - LOGGED_S, when + LOGGED_S) for when in at]


def lost_ones(load, began):
    return [f"{user} {command} of {load.due[(user, command)] - began:+.3f} s" for user, command in sorted(set(load.due) - set(load.answered))]


def some_of(texts):
    return ", ".join(texts[:EXAMPLES]) + (" .." if len(texts) > EXAMPLES else "")


def median_ms(latencies):
    return 1000 * sorted(latencies)[len(latencies) // 2] if latencies else 0


def latencies_of(load, begin, end):
    return [load.answered[key] - due for key, due in load.due.items() if begin <= due < end and key in load.answered]


def under_ledger(stand, rate, repeat_s, fault):
    """(ledger, counts, what fault() returned) of what is sent while `fault()` goes on."""
    ledger = Ledger(stand.devices, stand.version, f"{stand.broker.name[0]}{time.monotonic_ns() % 1000000}x", rate, repeat_s)
    ledger.start()
    try:
        told = fault()
        counts = ledger.finish(stand.effects)
    except BaseException:
        ledger.abandon()
        raise
    return ledger, counts, told


def counted(counts):
    """What no fault excuses where one host is active."""
    findings = [f"{what}: {counts[key]}" for what, key in (("lost", "lost"), ("effects are missing", "missing"), ("refused", "refused")) if counts[key]]
    if counts["out_of_order"]:
        findings.append(f"out of order: {counts['out_of_order']} users, {counts['example']}")
    return findings


def findings_of(stand, ledger, counts, breaks):
    """The same of hosts of one group, command by command. Order is none of their promises. Times count from the first break."""
    findings = []
    if counts["lost"]:
        findings.append(f"lost: {counts['lost']}: {some_of(lost_ones(ledger.load, breaks[0][0]))}")
    findings += [f"{what}: {counts[key]}" for what, key in (("effects are missing", "missing"), ("refused", "refused")) if counts[key]]
    strange = strange_doubles(stand.effects(ledger.list), breaks)
    if strange:
        findings.append(f"done twice without a reason: {len(strange)}: {some_of(strange)}")
    return findings


# ---- hosts that divide the commands ----


def end_session(stand, client_id):
    Client(stand.broker.host_port, stand.programs.ca, client_id, stand.programs.token("handler", "probe"), version=stand.version).close()


def shares(members):
    total = sum(members) or 1
    return "/".join(f"{100 * member / total:.0f}" for member in members)


def divided(stand, name, play):
    """`play(members)` with the hosts of one group in the place of the stand's own, of which nothing is left when they are there."""
    stand.stop_host()
    end_session(stand, stand.settings["CLIENT_ID"])
    settings = {"SHARED_GROUP": GROUP, "SESSION_EXPIRY": EXPIRY_S}
    names = [f"cashewd-member{at}" for at in range(MEMBERS)]
    members = []
    try:
        members = [Member(stand, client_id, {key: str(value) for key, value in settings.items()}) for client_id in names]
        for member in members:
            member.await_ready()
        text, findings = play(members)
    finally:
        for member in members:
            member.end()
        for client_id in names:
            end_session(stand, client_id)
        stand.start_host()
    return Row(name, text, findings)


def one_is_killed(stand, members, back):
    """In the middle of the load. back: it is started again after some seconds, with its client id."""
    scale = stand.scale

    def fault():
        time.sleep(scale.shared_s / 2)
        before = [member.done() for member in members]
        began, ended = members[1].kill()
        if back:
            time.sleep(scale.back_s)
            members[1].start()
            back_at = members[1].await_ready()
        time.sleep(max(0, began + scale.shared_s / 2 - time.monotonic()))
        return before, began, ended, back_at - began if back else None

    repeat_s = scale.repeat_s if stand.broker.keeps_for_dead and not back else math.inf
    ledger, counts, (before, began, ended, back_s) = under_ledger(stand, scale.shared_rate, repeat_s, fault)
    others = breaks_of(stand, members)
    findings = findings_of(stand, ledger, counts, [(began, ended), *others])
    after = [member.done() - (was if at != 1 else 0) for at, (member, was) in enumerate(zip(members, before)) if back or at != 1]
    load = ledger.load
    calm, then = latencies_of(load, load.began, began), latencies_of(load, began, math.inf)
    text = (f"{counts['commands']} commands at {scale.shared_rate:.0f}/s, lost {counts['lost']}, done twice {counts['doubled']}, "
            f"repeated by the phones {counts['repeated']}; shares {shares(before)} %, after the kill {shares(after)} %; "
            f"median {median_ms(calm):.0f} ms, after it {median_ms(then):.0f} ms, longest {max(then):.1f} s")
    text += f"; other breaks {len(others)}" if others else ""
    return text + (f"; ready again {back_s:.1f} s after the kill" if back else ""), findings, began


def shared(stand):
    """It stays away. Where the broker keeps for it what it was given, until its session ends, phones repeat that; from then on nothing is given to it."""
    def play(members):
        text, findings, began = one_is_killed(stand, members, False)
        if not stand.broker.keeps_for_dead:
            return text, findings
        time.sleep(max(0, began + EXPIRY_S + ENDED_S - time.monotonic()))
        ledger, counts, _ = under_ledger(stand, stand.scale.shared_rate, math.inf, lambda: time.sleep(stand.scale.ended_s))
        findings += findings_of(stand, ledger, counts, [(began, began), *breaks_of(stand, members)])
        return f"{text}; after the session's end {counts['commands']}, lost {counts['lost']}, longest {counts['longest_s'] or 0:.1f} s", findings
    return divided(stand, "shared", play)


def shared_back(stand):
    """It is back, and has what the broker kept for it: phones repeat nothing."""
    return divided(stand, "shared back", lambda members: one_is_killed(stand, members, True)[:2])


# ---- an active host and its standby ----


def standby(stand):
    """Each in turn ends, by SIGKILL and by SIGTERM, and comes back as the other's standby. Times are from the signal to the other's readiness."""
    scale, killed, stopped = stand.scale, [], []

    def hand_over(pair, end, times):
        active, other = pair
        began, _ = end(active)
        times.append(other.await_ready() - began)
        if active.host in stand.programs.running:
            active.stop()
        active.start()
        active.await_standby()
        time.sleep(KNOWN_S + random.random())  # not in step with its questions
        pair.reverse()

    def fault():
        for _ in range(scale.handovers):
            hand_over(pair, Member.kill, killed)
            hand_over(pair, Member.terminate, stopped)

    stand.stop_host()
    pair = []
    try:
        pair = [Member(stand, stand.settings["CLIENT_ID"])]
        pair[0].await_ready()
        pair.append(Member(stand, stand.settings["CLIENT_ID"]))
        pair[1].await_standby()
        time.sleep(KNOWN_S)
        ledger, counts, _ = under_ledger(stand, scale.standby_rate, math.inf, fault)
        for member in reversed(pair):
            member.stop()
    finally:
        for member in pair:
            member.end()
        stand.start_host()
    findings = counted(counts)
    findings += [f"ready {max(times):.1f} s after {what}" for times, limit_s, what in (
        (killed, scale.killed_limit_s, "a kill"), (stopped, scale.stopped_limit_s, "a stop")) if max(times) > limit_s]
    text = (f"{scale.handovers} of each: ready {min(killed):.1f} to {max(killed):.1f} s after kill -9, {min(stopped):.2f} to {max(stopped):.2f} s after "
            f"SIGTERM; {counts['commands']} commands, lost {counts['lost']}, done twice {counts['doubled']}, out of order {counts['out_of_order']}")
    return Row("standby", text, findings)


def cut_often(stand):
    """Without another host."""
    scale, downs = stand.scale, []
    names = ("session_taken_over", "standby")

    def fault():
        for _ in range(scale.many_cuts):
            next_at = time.monotonic() + scale.many_cuts_every_s
            lost = len(stand.log("broker_lost"))
            stand.relay.order(f"cut {CUT_MS}")
            while len(stand.log("broker_lost")) == lost:
                if time.monotonic() > next_at + READY_LIMIT_S:
                    raise Failed("a link was cut, and the host does not say so")
                time.sleep(0.01)
            downs.append(stand.await_ready())
            time.sleep(max(0, next_at - time.monotonic()))
        return None

    before = len(stand.log(*names))
    ledger, counts, _ = under_ledger(stand, scale.cut_rate, math.inf, fault)
    stood = len(stand.log(*names)) - before
    findings = counted(counts)
    if stood:
        findings.append(f"stood by {stood} times")
    if max(downs) > scale.cut_limit_s:
        findings.append(f"back only after {max(downs):.1f} s")
    text = (f"{scale.many_cuts} cuts in {scale.many_cuts * scale.many_cuts_every_s:.0f} s, stood by {stood} times, back {sorted(downs)[len(downs) // 2]:.2f} s "
            f"after the cut, {max(downs):.2f} s at most; {len(ledger.load.due)} commands, lost {counts['lost']}, done twice {counts['doubled']}")
    return Row("cut often", text, findings)


# ---- a broker and its backup ----


def failover(stand):
    """The primary is killed under load. Phones repeat nothing: what it had acknowledged the backup has."""
    scale = stand.scale

    def fault():
        time.sleep(scale.broker_before_s)
        took_s = stand.broker.fail_over()
        back_s = stand.await_ready()
        time.sleep(scale.broker_after_s)
        return took_s, back_s

    _, counts, (took_s, back_s) = under_ledger(stand, scale.failover_rate, math.inf, fault)
    findings = counted(counts)
    session = [record["session"] for record in stand.log("broker_connected") if record["connection"] != "egress"][-1]
    if session == "new":
        findings.append("the session is new")
    if back_s > scale.back_limit_s:
        findings.append(f"ready only {back_s:.1f} s after the backup lets clients in")
    return Row("failover", f"the backup lets clients in {took_s:.1f} s after kill -9, the host is ready {back_s:.1f} s later, session {session}; "
               f"{counts['commands']} commands at {scale.failover_rate:.0f}/s, lost {counts['lost']}, done twice {counts['doubled']}, out of order {counts['out_of_order']}, "
               f"longest {counts['longest_s'] or 0:.1f} s", findings)


def rows_of(broker, quick):
    """Quick is too short for a session's end."""
    if broker.pair:
        return (failover,)
    divide = () if not broker.divides else (shared_back,) if quick and broker.keeps_for_dead else (shared, shared_back)
    return (*divide, standby, cut_often)
