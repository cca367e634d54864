"""The row "saves": what it costs the demo's broker to write its database while much waits.

mosquitto stands still while it saves, so a save's length is the longest answer to a ping while it happens (SIGUSR1 makes it save at
once). Saves' share of the broker's time is that length divided by the interval that stands in examples/broker/mosquitto.conf.in.
"""

import os
import re
import signal
import statistics
import time

from mqtt import Client
from report import spread
from rows import Verdict

WAITING = (1_000, 10_000, 100_000)
SHARE_LIMIT = 0.10
WATCH_S = 2.0
# What a phone's command looks like, with room to spare.
PAYLOAD = b'{"contact_id":"auth0|5f7c8ec7c33c6c004bbafe82","note":"' + b"x" * 60 + b'"}'


def autosave(project):
    """(autosave_on_changes, autosave_interval) of the demo's broker."""
    with open(os.path.join(project, "examples", "broker", "mosquitto.conf.in"), encoding="utf-8") as lines:
        text = lines.read()
    return (re.search(r"^autosave_on_changes (\w+)$", text, re.MULTILINE).group(1) == "true",
            int(re.search(r"^autosave_interval (\d+)$", text, re.MULTILINE).group(1)))


def save_ms(client, pid):
    """How long one save takes: the longest answer to a ping from SIGUSR1 on."""
    os.kill(pid, signal.SIGUSR1)
    end, longest = time.monotonic() + WATCH_S, 0.0
    while time.monotonic() < end:
        longest = max(longest, client.ping())
        time.sleep(0.0005)
    return longest * 1000


def run_saves(programs, arguments, say):
    """What saves take of the broker's time while commands wait for a host that is away."""
    on_changes, interval_s = autosave(programs.project)
    broker, port = programs.start_broker(tls=True)
    token = programs.token("handler", "bench")
    with Client(port, programs.ca, "bench-host", token, keep=True) as host:
        host.subscribe("+/request_contact")
    times, waiting = {}, 0
    say(f"  {'commands that wait':<20} {'ms per save':>24} {f'of the time, every {interval_s} s':>30}")
    with Client(port, programs.ca, "bench-phones", token) as phones:
        for count in WAITING:
            phones.publish_many("68946/request_contact", count - waiting, PAYLOAD)
            waiting = count
            times[count] = [save_ms(phones, broker.process.pid) for _ in range(3 if arguments.quick else 9)]
            share = statistics.median(times[count]) / 1000 / interval_s
            say(f"  {count:<20,} {spread(times[count], 1):>24} {share:>29.1%}")
    programs.stop(broker)
    say()
    share = statistics.median(times[WAITING[-1]]) / 1000 / interval_s
    return times, [Verdict(f"saves, {WAITING[-1]:,} commands waiting: <= {SHARE_LIMIT:.0%} of the broker's time: {share:.1%}",
                           share <= SHARE_LIMIT and not on_changes, [share])]
