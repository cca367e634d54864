"""A phone as the broker sees it: a session that is kept, QoS 1 both ways, MQTT 5 or 3.1.1, over TLS.

Happy path: Devices(...) makes them; each connects, is sent what is published below its user, and sends again on the next connection what the
broker has not acknowledged when one ends. Failure: Failed where a broker that is there does not let it in at first; later it tries again, for ever.
"""

import asyncio
import ssl
import struct
import threading
import time

from mqtt import CONNACK, PUBACK, SUBACK, connect_packet, publish_packet, subscribe_packet, take_packet
from programs import Failed

LIMIT_S = 20
RETRY_S = 0.2
PUBLISH, RECEIVE_MAXIMUM = 3, 65535
PUBLISH_IDS = 60000  # packet identifiers of what is published; those above are of subscriptions
NO_LOCAL = 4  # of a subscription's options, MQTT 5
# The sizes of properties' values (MQTT 5.0, 2.2.2.2); those not here are a text, of which 0x26 has two.
SIZES = {**dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1), **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
         **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4)}
RECEIVE_MAXIMUM_ID, CORRELATION_ID, SHARED_ID = 0x21, 0x09, 0x2A


def properties_of(body, at):
    """({id: value}, where they end) of the properties that begin at `at`."""
    size, shift = 0, 0
    while True:
        byte = body[at]
        at += 1
        size |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            break
    end, found = at + size, {}
    while at < end:
        name, at = body[at], at + 1
        length = SIZES.get(name)
        for _ in range(2 if name == 0x26 else 1):
            if length is None:
                size = struct.unpack_from(">H", body, at)[0]
                found[name] = body[at + 2:at + 2 + size]
                at += 2 + size
            else:
                found[name] = int.from_bytes(body[at:at + length], "big")
                at += length
    return found, end


class Event:
    """A message that came."""

    def __init__(self, first, body, version):
        size = struct.unpack_from(">H", body)[0]
        self.topic, at = body[2:2 + size].decode(), 2 + size
        self.packet_id, self.came = 0, time.monotonic()
        if first & 6:
            self.packet_id, at = struct.unpack_from(">H", body, at)[0], at + 2
        self.properties, at = properties_of(body, at) if version == 5 else ({}, at)
        self.payload = body[at:]
        self.name = self.topic.partition("/")[2]


class Device:
    """One of a user's. Its methods run in the loop of its Devices."""

    def __init__(self, devices, user, version, name="phone", clean=False):
        self.devices, self.user, self.version, self.clean = devices, user, version, clean
        self.client_id = f"{user if devices.dotted else user.replace('.', '_')}/{name}"
        self.token = devices.token(user)
        self.filters = [f"{user}/#"]
        self.events, self.take = [], self.keep
        self.pending, self.waiting = {}, []  # packet id -> (topic, payload, properties); what is to be published
        self.refused = []  # (topic, reason code) of what the broker refused
        self.last_id, self.maximum, self.writer, self.granted = 0, RECEIVE_MAXIMUM, None, []
        self.ended, self.connections = False, 0
        self.task = None

    # ---- a connection ----

    def keep(self, event):
        self.events.append(event)

    async def connect(self):
        """Waits for the first connection; the later ones are made in the background."""
        reader = await self.open()
        self.task = asyncio.ensure_future(self.live(reader))

    async def open(self):
        """Connects, subscribes, and sends again what was not acknowledged."""
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", self.devices.port, ssl=self.devices.tls, server_hostname="localhost"), LIMIT_S)
        try:
            buffer = bytearray()
            writer.write(connect_packet(self.client_id, self.token, not self.clean, self.version))
            first, body = await asyncio.wait_for(self.read(reader, buffer), LIMIT_S)
            if first >> 4 != CONNACK or body[1] != 0:
                raise Failed(f"the broker refused {self.client_id}: {body.hex()}")
            found = properties_of(body, 2)[0] if self.version == 5 else {}
            self.maximum = found.get(RECEIVE_MAXIMUM_ID, RECEIVE_MAXIMUM)
            self.granted = []
            for at, topic_filter in enumerate(self.filters, PUBLISH_IDS + 1):
                # Its own commands are nothing that it wants to hear of; before MQTT 5 it hears them all the same.
                writer.write(subscribe_packet(topic_filter, 1 | NO_LOCAL if self.version == 5 else 1, self.version, at))
            for packet_id, message in self.pending.items():
                writer.write(self.packet(packet_id, message, dup=bool(body[0] & 1)))
        except BaseException:
            writer.close()
            raise
        self.writer, self.buffer = writer, buffer
        self.connections += 1
        return reader

    async def read(self, reader, buffer):
        while True:
            packet = take_packet(buffer)
            if packet:
                return packet
            more = await reader.read(65536)
            if not more:
                raise ConnectionResetError("the broker closed the connection")
            buffer += more

    async def live(self, reader):
        while not self.ended:
            try:
                while True:
                    self.answer(*await self.read(reader, self.buffer))
            except (OSError, asyncio.IncompleteReadError):
                pass
            self.close()
            while not self.ended:
                try:
                    reader = await self.open()
                    break
                except (OSError, Failed, asyncio.TimeoutError, asyncio.IncompleteReadError):
                    await asyncio.sleep(RETRY_S)

    def close(self):
        if self.writer:
            self.writer.transport.abort()
        self.writer = None

    async def leave(self, goodbye=True):
        """Ends the connection, not the session."""
        self.ended = True
        if self.writer and goodbye:
            self.writer.write(b"\xe0\x00")
            await asyncio.sleep(0)
        if self.writer:
            self.writer.close()
        if self.task:
            self.task.cancel()
        self.writer = None

    async def come_back(self):
        self.ended = False
        await self.connect()

    # ---- packets ----

    def packet(self, packet_id, message, dup=False):
        topic, payload, properties = message
        return publish_packet(packet_id, topic, payload, properties, version=self.version, dup=dup)

    def publish(self, topic, payload, properties=b""):
        """Sends it, as soon as the broker allows."""
        self.waiting.append((topic, payload, properties))
        self.flush()

    def flush(self):
        while self.writer and self.waiting and len(self.pending) < self.maximum:
            message = self.waiting.pop(0)
            self.last_id = self.last_id % PUBLISH_IDS + 1
            while self.last_id in self.pending:
                self.last_id = self.last_id % PUBLISH_IDS + 1
            self.pending[self.last_id] = message
            self.writer.write(self.packet(self.last_id, message))

    def answer(self, first, body):
        kind = first >> 4
        if kind == PUBLISH:
            event = Event(first, body, self.version)
            if event.packet_id:
                self.writer.write(b"\x40\x02" + struct.pack(">H", event.packet_id))
            self.take(event)
        elif kind == PUBACK:
            message = self.pending.pop(struct.unpack_from(">H", body)[0], None)
            if message and len(body) > 2 and body[2] >= 0x80:
                self.refused.append((message[0], body[2]))
            self.flush()
        elif kind == SUBACK:
            self.granted.append(body[-1])

    # ---- waiting ----

    async def wait(self, ready, limit=LIMIT_S):
        """Waits until ready() is true; whether it is."""
        end = time.monotonic() + limit
        while not ready():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.01)
        return True

    async def subscribed(self):
        if not await self.wait(lambda: len(self.granted) == len(self.filters)):
            raise Failed(f"{self.client_id}: no SUBACK came")
        if any(code not in (0, 1) for code in self.granted):
            raise Failed(f"{self.client_id}: the broker refuses to subscribe it to {self.filters}")


class Devices:
    """All of them, in a thread of their own. `token(user)` gives a user's token; dotted: client ids may have a dot, as user ids may."""

    def __init__(self, port, ca_file, token, dotted=True):
        self.port, self.token, self.dotted = port, token, dotted
        self.tls = ssl.create_default_context(cafile=ca_file)
        self.loop = asyncio.new_event_loop()
        self.all = []
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine, limit=600):
        """Waits for the end of a coroutine, and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(limit)

    def begin(self, coroutine):
        """Does not wait: a future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    async def add(self, user, version, name="phone", clean=False, filters=None):
        device = Device(self, user, version, name, clean)
        if filters:
            device.filters = [f"{user}/{one}" for one in filters]
        self.all.append(device)
        await device.connect()
        await device.subscribed()
        return device

    async def leave(self):
        for device in self.all:
            await device.leave()
        self.all = []

    def close(self):
        self.run(self.leave())
        self.loop.call_soon_threadsafe(self.loop.stop)
