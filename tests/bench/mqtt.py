"""A few packets of MQTT 5 (OASIS MQTT 5.0, section 3) and 3.1.1 over TLS, for what the benchmark asks of a broker besides load: a session
that waits, messages for it, pings. One connection, blocking, at QoS 1. `version` is the protocol's level: 5, or 4 for 3.1.1, which has no
properties.

Happy path: Client(...) connects and is used as a context manager. Failure: a refusal, a closed connection or a silence of LIMIT_S
raises Failed.
"""

import socket
import ssl
import struct
import time

from programs import Failed

LIMIT_S = 60
CONNACK, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 4, 9, 13, 14


def _length(size):
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (128 if size else 0))
        if not size:
            return bytes(out)


def _packet(first, body):
    return bytes([first]) + _length(len(body)) + body


def _text(text):
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def publish_packet(packet_id, topic, payload, properties=b"", retain=False, version=5, dup=False):
    with_properties = _length(len(properties)) + properties if version == 5 else b""
    return _packet(0x32 | bool(retain) | (8 if dup else 0), _text(topic) + struct.pack(">H", packet_id) + with_properties + payload)


def large_properties(size):
    """A Response Topic and Correlation Data of so many bytes each."""
    return b"\x08" + _text("r" * size) + b"\x09" + _text("c" * size)


def subscribe_packet(topic_filter, qos=1, version=5, packet_id=1):
    return _packet(0x82, struct.pack(">H", packet_id) + (b"\0" if version == 5 else b"") + _text(topic_filter) + bytes([qos]))


def connect_packet(client_id, token, keep=False, version=5):
    properties = b"\x11" + struct.pack(">I", 3600) if keep else b""
    with_properties = _length(len(properties)) + properties if version == 5 else b""
    body = _text("MQTT") + bytes([version, 0xC0 if keep else 0xC2]) + struct.pack(">H", 600) + with_properties
    return _packet(0x10, body + _text(client_id) + _text("JWT") + _text(token))


def take_packet(buffer):
    """Takes the first packet out of a bytearray: (first byte, body); None while it is not all there."""
    size, shift, at = 0, 0, 1
    while at < len(buffer) and at <= 4:
        size |= (buffer[at] & 127) << shift
        shift += 7
        at += 1
        if not buffer[at - 1] & 128:
            if len(buffer) < at + size:
                return None
            packet = buffer[0], bytes(buffer[at:at + size])
            del buffer[:at + size]
            return packet
    return None


class Client:
    """A connection that has been accepted. It keeps its session for an hour where `keep` is set, else for no longer than itself."""

    def __init__(self, port, ca_file, client_id, token, keep=False, source="127.0.0.1", version=5):
        context = ssl.create_default_context(cafile=ca_file)
        plain = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S, source_address=(source, 0))
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.version = version
        self.send(connect_packet(client_id, token, keep, version))
        answer = self.await_packet(CONNACK)
        if answer[1] != 0:
            raise Failed(f"the broker refused {client_id}: {answer[1]:#x}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.send(b"\xe0\x00")
        except OSError:
            pass  # it is gone already
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_packet(self):
        """(type, body) of the next packet."""
        while True:
            packet = take_packet(self.buffer)
            if packet:
                return packet[0] >> 4, packet[1]
            try:
                more = self.socket.recv(65536)
            except OSError as error:
                raise Failed(f"the broker: {error}") from None
            if not more:
                raise Failed("the broker closed the connection")
            self.buffer += more

    def await_packet(self, wanted):
        """The body of the next packet of that type; whatever comes before is dropped."""
        while True:
            kind, body = self.read_packet()
            if kind == wanted:
                return body
            if kind == DISCONNECT:
                raise Failed(f"the broker disconnected: {body.hex()}")

    def subscribe(self, topic_filter):
        self.send(subscribe_packet(topic_filter, version=self.version))
        if self.await_packet(SUBACK)[-1] != 1:
            raise Failed(f"subscription to {topic_filter} not granted at QoS 1")

    def publish_many(self, topic, count, payload, burst=500):
        """So many messages, with `burst` unacknowledged at most."""
        open_now = 0
        for first in range(0, count, burst):
            size = min(burst, count - first)
            self.send(b"".join(publish_packet(at + 1, topic, payload, version=self.version) for at in range(size)))
            open_now = size
            while open_now:
                if self.await_packet(PUBACK)[2:3] not in (b"", b"\0"):
                    raise Failed(f"a message to {topic} was refused or has no subscriber")
                open_now -= 1

    def arrived(self, event):
        """When an event of that name has come, on a socket that does not block; None: not yet."""
        try:
            while True:
                more = self.socket.recv(65536)
                if not more:
                    raise Failed("the broker closed the connection")
                self.buffer += more
        except (ssl.SSLWantReadError, BlockingIOError):
            return time.monotonic() if b"/" + event.encode() in self.buffer else None

    def ping(self):
        """Seconds that the answer took."""
        began = time.monotonic()
        self.send(b"\xc0\x00")
        self.await_packet(PINGRESP)
        return time.monotonic() - began
