"""What `run recovery` does to the stack, one fault after the other; see recovery_stack.py.

A fault is called while the phones send, and returns (begin, end) in seconds of CLOCK_MONOTONIC: a deed of a moment ends when it is
done, an outage when it is over, a crash with the last of them.
"""

import os
import random
import signal
import time
from dataclasses import dataclass
from typing import Callable

from mqtt import Client
from programs import Failed

LOOK_S = 0.02
HANG_DEADLINE_S = 5.0  # of the handler hang
HURT_USER = "u07"  # whose command crashes or hangs


@dataclass(frozen=True)
class Scale:
    """How long things last; --quick has less."""

    before_s: float = 10.0
    outage_s: float = 10.0
    cuts_s: float = 20.0
    flood_s: float = 30.0
    overload_s: float = 60.0
    loggly_s: float = 20.0
    limit_s: float = 90.0  # back after that long, or not at all
    drain_s: float = 45.0  # the last events are waited for so long


QUICK = Scale(before_s=6.0, outage_s=5.0, cuts_s=8.0, flood_s=8.0, overload_s=15.0, loggly_s=6.0, limit_s=40.0, drain_s=20.0)


def moment(deed):
    begin = time.monotonic()
    deed()
    return begin, time.monotonic()


def nothing(_stack, _scale):
    now = time.monotonic()
    return now, now


def kill_host(stack, _scale):
    return moment(lambda: os.kill(stack.host_child(), signal.SIGKILL))


def kill_supervisor(stack, _scale):
    def deed():
        stack.end(stack.host)
        stack.start_host(wait=False)
    return moment(deed)


def send_as(stack, user, command, payload, event, limit_s):
    """One command of a user's second device; waits for the event, and tells when it came and when the host was seen to die."""
    deaths, child, came = [], stack.host_child(), None
    token = stack.programs.token("user", user)
    with Client(stack.broker_port, stack.programs.ca, f"{user}/second", token) as device:
        device.subscribe(f"{user}/{event}")
        begin = time.monotonic()
        device.publish_many(f"{user}/{command}", 1, payload)
        device.socket.setblocking(False)
        while came is None and time.monotonic() < begin + limit_s:
            time.sleep(LOOK_S)
            now_child = stack.host_child()
            if now_child != child and child:
                deaths.append(time.monotonic())
            child = now_child
            came = device.arrived(event)
    return begin, came, deaths


def crash(stack, scale):
    begin, _, deaths = send_as(stack, HURT_USER, "crash", b"{}", "command_failed", scale.limit_s)
    if not deaths:
        raise Failed("crash: the host was not seen to die")
    return begin, deaths[-1]


def hang(stack, scale):
    begin, _, deaths = send_as(stack, HURT_USER, "hang", b'{"n":1}', "hung", scale.limit_s)
    return begin, deaths[-1] if deaths else begin + HANG_DEADLINE_S


def sighup(stack, _scale):
    return moment(lambda: os.kill(stack.host.process.pid, signal.SIGHUP))


def stopped(pid, seconds):
    begin = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    return begin, time.monotonic()


def stop_database(stack, scale):
    return stopped(stack.programs.database_pid, scale.outage_s)


def kill_database(stack, _scale):
    def deed():
        stack.end(stack.programs.database)
        stack.programs.start_database(stack.database_state, stack.database_port)
    return moment(deed)


def stop_broker(stack, scale):
    return stopped(stack.broker.process.pid, scale.outage_s)


def kill_broker(stack, _scale):
    begin = time.monotonic()
    stack.end(stack.broker)
    time.sleep(1)  # what the host had begun comes to its end: the order is checked before and after by itself
    stack.restored_at = time.monotonic()
    stack.broker, _ = stack.programs.start_broker(True, stack.broker.state, stack.broker_port, stack.programs.handler_port)
    return begin, time.monotonic()


def cut_links(stack, scale):
    """Each 0.7 s a reset, and what the host wrote in the 0 to 20 ms before is lost, PUBACKs first."""
    begin = time.monotonic()
    dice = random.Random(13)
    while time.monotonic() < begin + scale.cuts_s:
        stack.relay.order(f"cut {dice.randint(0, 20)}")
        time.sleep(0.7)
    return begin, time.monotonic()


def flood(stack, scale):
    begin = time.monotonic()
    device = stack.start_flood(scale.flood_s, 2000)
    while device.process.poll() is None and time.monotonic() < begin + scale.flood_s + 15:
        time.sleep(LOOK_S)
    end = time.monotonic()
    stack.end(device)
    return begin, end


def loggly_away(stack, scale):
    begin = time.monotonic()
    stack.end(stack.loggly)
    time.sleep(scale.loggly_s)
    stack.start_loggly()
    return begin, time.monotonic()


def service_away(stack, scale):
    """What the handler needs beside the database: everybody's commands fail for now."""
    begin = time.monotonic()
    with open(stack.service_away, "w", encoding="utf-8"):
        time.sleep(scale.outage_s)
    os.unlink(stack.service_away)
    return begin, time.monotonic()


def overload(_stack, scale):
    """The schedule does it."""
    begin = time.monotonic()
    time.sleep(scale.overload_s)
    return begin, time.monotonic()


@dataclass(frozen=True)
class Fault:
    name: str
    title: str
    run: Callable
    back_s: float | None = None  # the target; None: `outage` says, or there is none
    outage: bool = False  # back within T x L / (1 - L) + 2 s
    kills: bool = False  # a host dies, or the broker: what comes again may skip what was not done
    relay: bool = False
    restores: bool = False  # the broker goes back to its last save
    drops_links: bool = False  # a lost connection is what the fault is
    drops_lane: bool = False  # the database is away: the lane is dropped


FAULTS = (
    Fault("none", "no fault", nothing, back_s=0),
    Fault("kill_host", "kill -9 of the host", kill_host, back_s=2, kills=True),
    Fault("kill_supervisor", "kill -9 of the supervisor, restarted", kill_supervisor, kills=True),
    Fault("crash", "a handler that crashes each time", crash, back_s=2, kills=True),
    Fault("hang", "a handler that hangs once", hang, kills=True),
    Fault("sighup", "SIGHUP", sighup, back_s=2),
    Fault("stop_database", "database stopped", stop_database, outage=True, drops_lane=True),
    Fault("kill_database", "database kill -9, restarted", kill_database, outage=True, drops_lane=True),
    Fault("stop_broker", "broker stopped", stop_broker, outage=True, drops_links=True),
    Fault("kill_broker", "broker kill -9, restarted", kill_broker, outage=True, kills=True, restores=True, drops_links=True),
    Fault("cut_links", "links cut every 0.7 s, PUBACKs lost", cut_links, relay=True, drops_links=True),
    Fault("flood", "a device floods its own topics, 2,000/s", flood),
    Fault("loggly", "Loggly away", loggly_away, back_s=0),
    Fault("service_away", "the handler's own service away", service_away, outage=True),
    Fault("overload", "capacity x 2, then the load stops", overload, back_s=80),
)
NAMES = tuple(fault.name for fault in FAULTS)
