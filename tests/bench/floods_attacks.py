"""What one hostile device, or a stranger, does to the broker in `tests/bench/run floods`. Each attack is a function of a Target and the
seconds that it has; it runs in a process of its own, does its worst, and returns a sentence about what came of it.
"""

import contextlib
import os
import resource
import select
import socket
import ssl
import time

from mqtt import Client, connect_packet, large_properties, publish_packet, subscribe_packet
from programs import Failed
from tokens import token

STRANGER = "127.0.0.2"  # an address that is not exempt
BURST = 200


class Target:
    """Where the broker is, and who may get in. An attack of PREPARE_S has besides, in wide_port, a listener that takes as many connections as it needs, the
    secret, and the second since 1970 in which its tokens are to end."""

    def __init__(self, port, plain_port, ca_file, tokens):
        self.port, self.plain_port, self.ca_file, self.tokens = port, plain_port, ca_file, tokens
        self.wide_port = self.ends_at = 0
        self.secret = ""

    def client(self, name, user="flood", keep=False):
        return Client(self.port, self.ca_file, f"{user}/{name}", self.tokens[user], keep=keep)


def flat_out(client, packets, until):
    """Sends them again and again, as fast as the broker reads, and reads what it answers; how many it was."""
    data, sent, at = b"".join(packets), 0, 0
    client.socket.setblocking(False)
    while time.monotonic() < until:
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            while client.socket.recv(65536):
                pass
        try:
            at += client.socket.send(data[at:at + 262144])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            select.select([client.socket], [client.socket], [], 0.01)
        except OSError:
            break
        if at >= len(data):
            at, sent = 0, sent + len(packets)
    return sent


def publish_flood(packets):
    """Whoever is cut off comes again at once."""
    def attack(target, seconds):
        until = time.monotonic() + seconds
        sent = inside = refused = 0
        while time.monotonic() < until:
            try:
                with target.client("flood") as client:
                    inside += 1
                    sent += flat_out(client, packets, until)
            except (Failed, OSError):
                refused += 1
        return f"{sent:,} publishes, {inside:,} of {inside + refused:,} connects got in"
    return attack


def many(topic, payload, **more):
    return [publish_packet(at + 1, topic, payload, **more) for at in range(BURST)]


def own_queue(target, seconds):
    """Large messages for a session of its own whose device is away."""
    with target.client("away", keep=True) as away:
        away.subscribe("flood/queue")
    return publish_flood([publish_packet(at + 1, "flood/queue", b"q" * 100000) for at in range(8)])(target, seconds)


def slow_reader(target, seconds):
    """Sends itself large messages, and does not read them."""
    with target.client("slow") as slow:
        slow.send(subscribe_packet("flood/#", 0))
        packets = [publish_packet(at + 1, "flood/stream", b"s" * 100000) for at in range(8)]
        return publish_flood(packets)(target, seconds)


def connects(seconds, connect):
    inside = refused = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            connect(inside + refused)
            inside += 1
        except (Failed, OSError):
            refused += 1
    return f"{inside:,} of {inside + refused:,} connects got in"


def sessions(target, seconds):
    def connect(number):
        target.client(f"session-{number}", keep=True).close()
    return connects(seconds, connect)


def takeovers(target, seconds):
    held = []

    def connect(_number):
        held.append(target.client("same"))
        if len(held) > 10:
            held.pop(0).socket.close()
    return connects(seconds, connect)


def refused_subscriptions(target, seconds):
    def connect(_number):
        with target.client("nosy") as client:
            client.send(b"".join(subscribe_packet(f"{at}/#") for at in range(6)))
            client.ping()
    return connects(seconds, connect)


def wrong_tokens(target, seconds):
    def connect(number):
        Client(target.port, target.ca_file, f"flood/{number}", "x" * 3000, source=STRANGER)
    return connects(seconds, connect)


def room_for(count):
    """How many of so many connections the machine gives this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(count, max(soft, hard) - 100)


def plain_connections(port, count, beginning, until):
    """Connections of a stranger's: each sends the beginning of something, and no more."""
    opened = []
    for _ in range(room_for(count)):
        if time.monotonic() > until:
            break
        try:
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=2, source_address=(STRANGER, 0)))
            if beginning:
                opened[-1].sendall(beginning)
        except OSError:
            break
    return opened


def unfinished_connects(target, seconds):
    """As large as the broker takes them, without their last byte."""
    size = 262000
    head = b"\x10" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
    until = time.monotonic() + seconds
    opened = plain_connections(target.plain_port, 500, head + b"\0\4MQTT\5" + b"\0" * (size - 100), until)
    time.sleep(max(0, until - time.monotonic()))
    return f"{len(opened)} unfinished"


def idle_connections(target, seconds):
    until = time.monotonic() + seconds
    opened = plain_connections(target.port, 20000, b"", until)
    time.sleep(max(0, until - time.monotonic()))
    return f"{len(opened):,} opened"


EXPIRING = 17000


def expiring_tokens(target, seconds):
    """As many users as the machine gives, whose tokens end in the same second: they connect before, and wait for it."""
    until, connects_until = time.monotonic() + seconds, time.monotonic() + PREPARE_S["expiring_tokens"]
    opened, closed, last = {}, 0, 0.0
    poll = select.epoll()
    for at in range(room_for(EXPIRING)):
        if time.monotonic() > connects_until:
            break
        one = socket.create_connection(("127.0.0.1", target.wide_port), timeout=2)
        one.sendall(connect_packet(f"expiring{at}", token(target.secret, f"expiring{at}", target.ends_at)))
        if one.recv(64)[3:4] != b"\0":
            raise Failed(f"the broker refused number {at}")
        opened[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLRDHUP)
    count = len(opened)
    while opened and time.monotonic() < until:
        for descriptor, _ in poll.poll(0.2, 1000):
            opened.pop(descriptor).close()
            closed, last = closed + 1, time.time() - target.ends_at
    return f"{count:,} connected, {closed:,} closed, the last one {last:.1f} s after the tokens' end"


WIDE_JSON = b"{" + b",".join(b'"k%05d":1' % at for at in range(9500)) + b"}"

ATTACKS = {
    "commands": publish_flood(many("flood/ping", b'{"n":1}')),
    "not_json": publish_flood(many("flood/ping", b"{not json")),
    "wide_json": publish_flood(many("flood/ping", WIDE_JSON[:120000])[:20]),
    "fat_commands": publish_flood(many("flood/ping", b'"' + b"x" * 120000 + b'"', properties=large_properties(60000))[:20]),
    "retained": publish_flood([publish_packet(at + 1, f"flood/kept{at}", b"k" * 100000, retain=True) for at in range(50)]),
    "own_queue": own_queue,
    "slow_reader": slow_reader,
    "sessions": sessions,
    "takeovers": takeovers,
    "refused_subscriptions": refused_subscriptions,
    "wrong_tokens": wrong_tokens,
    "unfinished_connects": unfinished_connects,
    "idle_connections": idle_connections,
    "expiring_tokens": expiring_tokens,
}

# What an attack does in this time is no part of it: it begins so long before the honest devices are looked at.
PREPARE_S = {"expiring_tokens": 30}


def in_a_process(name, target, seconds):
    """Starts the attack; its sentence comes out of the pipe at its end. Returns (pid, descriptor)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(writing)
        return pid, reading
    text = "?"
    try:
        text = ATTACKS[name](target, seconds)
    except (Failed, OSError) as failure:
        text = str(failure)
    finally:
        os.write(writing, text.encode()[:4000])
        os._exit(0)
