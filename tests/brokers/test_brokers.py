#!/usr/bin/env python3
"""What tests/brokers/run judges by, without a broker: which findings are a broker's own, what packets say, and whom RabbitMQ's authorities let do what."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "bench")]

from device import CORRELATION_ID, RECEIVE_MAXIMUM_ID, Event, properties_of  # noqa: E402
from mqtt import publish_packet, subscribe_packet, take_packet  # noqa: E402
from rabbitmq import authorities  # noqa: E402
from rows import Row, judge  # noqa: E402
from several import strange_doubles  # noqa: E402

SECRET = "0123456789abcdef0123456789abcdef"


def token(claims, secret=SECRET):
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "HS256"}, claims)]
    signed = ".".join(parts)
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return signed + "." + base64.urlsafe_b64encode(signature).decode().rstrip("=")


class Judge(unittest.TestCase):
    CANNOT = {"broker killed": {"the session is new": "in memory"}, "story": {"ids": "dots"}}
    CASES = (
        ("broker killed", [], "ok"),
        ("broker killed", ["the session is new"], "known"),
        ("broker killed", ["the session is new", "lost: 3"], "FAILED"),
        ("broker killed", ["lost: 3", "the session is new"], "FAILED"),
        ("host killed", ["the session is new"], "FAILED"),
        ("story 3.1.1", ["ids of 64 characters: a request comes"], "known"),
        ("story 5", ["apples"], "FAILED"),
    )

    def test_cases(self):
        for name, findings, wanted in self.CASES:
            with self.subTest(name=name, findings=findings):
                outcome, lines = judge(self.CANNOT, Row(name, "", findings))
                self.assertEqual(outcome, wanted)
                self.assertEqual(len(lines), len(findings))


class Doubles(unittest.TestCase):
    """A host died from 10 s to 10.1 s."""

    CASES = (
        ("once", [9.0], False),
        ("before and after", [9.0, 20.0], False),
        ("as it died, and after", [10.05, 10.06], False),
        ("twice before", [8.0, 9.0], True),
        ("twice after", [11.0, 20.0], True),
        ("before and twice after", [9.0, 11.0, 20.0], True),
    )

    def test_cases(self):
        for name, times, wanted in self.CASES:
            with self.subTest(name):
                effects = {"a": [(int(when * 1e9), 7) for when in times], "b": [(int(9e9), 7), (int(11e9), 8)]}
                self.assertEqual(bool(strange_doubles(effects, [(10.0, 10.1)])), wanted)

    def test_a_lost_link(self):
        effects = {"a": [(int(11e9), 7), (int(20e9), 7)]}
        self.assertEqual(strange_doubles(effects, [(10.0, 10.1), (14.0, 16.0)]), [])
        self.assertEqual(strange_doubles(effects, [(10.0, 10.1)]), ["a 7 at +1.000, +10.000 s"])


class Packets(unittest.TestCase):
    def test_an_event_of_each_version(self):
        properties = b"\x01\x01\x09\x00\x02ab\x26\x00\x01n\x00\x01v"
        for version, sent, found in ((4, b"", {}), (5, properties, {0x01: 1, CORRELATION_ID: b"ab", 0x26: b"v"})):
            with self.subTest(version=version):
                first, body = take_packet(bytearray(publish_packet(7, "u/pong", b"{}", sent, version=version, dup=True)))
                self.assertEqual(first, 0x3A)
                event = Event(first, body, version)
                self.assertEqual((event.topic, event.name, event.packet_id, event.payload), ("u/pong", "pong", 7, b"{}"))
                self.assertEqual(event.properties, found)

    def test_a_connack(self):
        self.assertEqual(properties_of(b"\0\0\x06\x21\x00\x0a\x13\x00\x3c", 2)[0][RECEIVE_MAXIMUM_ID], 10)

    def test_half_a_packet_waits(self):
        whole = publish_packet(1, "u/ping", b"x" * 300)
        for size in (0, 1, 2, 3, len(whole) - 1):
            self.assertIsNone(take_packet(bytearray(whole[:size])))
        buffer = bytearray(whole + b"\xd0\x00")
        self.assertEqual(take_packet(buffer)[0], 0x32)
        self.assertEqual(take_packet(buffer), (0xD0, b""))

    def test_subscriptions(self):
        self.assertEqual(subscribe_packet("a/#", 1, 4, 0x102), b"\x82\x08\x01\x02\x00\x03a/#\x01")
        self.assertEqual(subscribe_packet("a/#", 5, 5, 0x102), b"\x82\x09\x01\x02\x00\x00\x03a/#\x05")


class RabbitMqs(unittest.TestCase):
    USER, HANDLER = {"user_id": "a", "exp": time.time() + 60}, {"handler": {"name": "cashewd"}, "exp": time.time() + 60}
    LOGINS = (
        ("a user", token(USER), "a/phone", True),
        ("a user with its id alone", token(USER), "a", True),
        ("another user's client id", token(USER), "b/phone", False),
        ("one that begins alike", token(USER), "ab", False),
        ("the host's", token({**USER, "user_id": "cashewd"}), "cashewd", False),
        ("the host", token(HANDLER), "cashewd", True),
        ("its egress", token(HANDLER), "cashewd-egress-1", True),
        ("a handler with a user's", token(HANDLER), "a/phone", False),
        ("another secret", token(USER, "x" * 32), "a/phone", False),
        ("over", token({**USER, "exp": time.time() - 1}), "a/phone", False),
    )
    TOPICS = (("a/phone", "a.ping", True), ("a/phone", "a.#", True), ("a/phone", "b.ping", False), ("a/phone", "ab.ping", False),
              ("a/phone", "#", False), ("a/phone", "*.ping", False), ("cashewd", "*.ping", True), ("cashewd-egress-1", "b.pong", True))

    def test_logins(self):
        for name, password, client_id, wanted in self.LOGINS:
            with self.subTest(name):
                self.assertEqual(authorities.may_log_in({"password": password, "client_id": client_id}, SECRET), wanted)

    def test_topics(self):
        for client_id, key, wanted in self.TOPICS:
            with self.subTest(client_id=client_id, key=key):
                self.assertEqual(authorities.may_use({"variable_map.client_id": client_id, "routing_key": key}), wanted)


if __name__ == "__main__":
    unittest.main()
