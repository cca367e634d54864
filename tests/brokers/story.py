"""What a person would see beside a broker: apples, contacts, ids as identity providers make them, large payloads, and nothing of another's.

Happy path: run(devices, version, tag) plays it with devices of that version and returns Checks, each with a name. Failure: a check that
says what came instead; Failed where a device cannot even connect.
"""

import json
import time

import device as devices_module

NOTHING_S = 0.7  # a message that must not come has that long, once one that was sent behind it has come
LARGE = 100 * 1024


class Checks:
    def __init__(self):
        self.good, self.bad = [], []

    def add(self, name, good, came=""):
        (self.good if good else self.bad).append(name if good else f"{name}: {came}" if came else name)

    def __str__(self):
        return f"{len(self.good)}/{len(self.good) + len(self.bad)}"


def long_id(tag, letter):
    """64 characters, as some provider has them."""
    return f"auth0|{tag}.{letter}".ljust(64, letter)


def text_of(payload):
    text = payload.decode("utf-8", "replace")
    return text if len(text) <= 100 else text[:100] + ".."


class Scene:
    """Devices that send and wait, and a list of checks."""

    def __init__(self, version):
        self.version, self.checks = version, Checks()

    async def send(self, device, command, payload="{}", properties=b""):
        data = payload if isinstance(payload, bytes) else payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        device.publish(f"{device.user}/{command}", data, properties)

    async def comes(self, name, device, event, wanted=None, count=1, limit=devices_module.LIMIT_S):
        """A check that so many events of that name came whose payload is what is wanted; then they are forgotten."""
        def matches(one):
            if one.name != event:
                return False
            if wanted is None or callable(wanted):
                return wanted is None or wanted(json.loads(one.payload))
            return json.loads(one.payload) == wanted if not isinstance(wanted, bytes) else one.payload == wanted

        def found():
            return [one for one in device.events if matches(one)]
        good = await device.wait(lambda: len(found()) >= count, limit)
        others = ", ".join(f"{one.name} {text_of(one.payload)}" for one in device.events[-3:] if not matches(one))
        self.checks.add(name, good, f"{len(found())} of {count} {event} came" + (f"; {others}" if others else ""))
        result = found()
        device.events[:] = [one for one in device.events if not matches(one)]
        return result


async def apples(scene, a):
    await scene.send(a, "get_apples")
    await scene.comes("apples", a, "got_apples", ["red", "yellow", "blue"])
    await scene.send(a, "get_more_apples")
    await scene.comes("more apples, by two handlers", a, "got_apples", count=2)
    for what in ('{"b": [1, 2.5, null, "\\u00e4"]}', "7"):
        await scene.send(a, "ping", what)
        await scene.comes(f"ping {what[:2]}", a, "pong", what.encode())
    await scene.send(a, "request_contact", "no JSON")
    await scene.comes("a bad payload is rejected", a, "command_rejected", lambda payload: payload["command"] == "request_contact")


async def large(scene, a):
    payload = json.dumps("x" * (LARGE - 2)).encode()
    await scene.send(a, "ping", payload)
    await scene.comes("a payload of 100 KB", a, "pong", payload)


async def become_contacts(scene, a, b, who):
    await scene.send(a, "request_contact", {"contact_id": b.user})
    if not await scene.comes(f"{who}: a request comes", b, "contact_requested", {"user_id": a.user}):
        return  # what follows would wait for it
    await scene.send(b, "get_contact_requests")
    await scene.comes(f"{who}: it is in the list", b, "contact_requests",
                      lambda payload: [one["user_id"] for one in payload["contact_requests"]] == [a.user])
    await scene.send(b, "accept_contact", {"contact_id": a.user})
    await scene.comes(f"{who}: an acceptance comes", a, "contact_approved", {"contact_id": b.user})
    for one, other in ((a, b), (b, a)):
        await scene.send(one, "get_contact_list")
        await scene.comes(f"{who}: each is in the other's list", one, "contact_list",
                          lambda payload, other=other: [entry["contact_id"] for entry in payload["contacts"]] == [other.user])


async def part(scene, a, b):
    await scene.send(a, "remove_contact", {"contact_id": b.user})
    await scene.comes("a removal comes", b, "contact_removed", {"contact_id": a.user})
    await scene.send(a, "get_contact_list")
    await scene.comes("the list is empty", a, "contact_list", lambda payload: payload["contacts"] == [])
    await scene.send(b, "request_contact", {"contact_id": a.user})
    await scene.comes("another request comes", a, "contact_requested", {"user_id": b.user})
    await scene.send(a, "decline_contact", {"contact_id": b.user})
    await scene.comes("a refusal comes", b, "contact_declined", {"contact_id": a.user})


async def away(scene, a, b):
    await b.leave()
    await scene.send(a, "request_contact", {"contact_id": b.user})
    await scene.send(a, "ping", "1")
    await scene.comes("the one who is there goes on", a, "pong", b"1")
    await b.come_back()
    await scene.comes("what was sent to one who was away", b, "contact_requested", {"user_id": a.user})


async def properties(scene, a):
    """MQTT 5: Correlation Data comes back, and a Response Topic of the sender's own is honoured."""
    data = b"sixteen bytes..."
    topic = f"{a.user}/answers".encode()
    sent = b"\x08" + len(topic).to_bytes(2, "big") + topic + b"\x09" + len(data).to_bytes(2, "big") + data
    await scene.send(a, "ping", "2", sent)
    came = await scene.comes("a Response Topic", a, "answers", b"2")
    scene.checks.add("Correlation Data", bool(came) and came[0].properties.get(devices_module.CORRELATION_ID) == data)


async def kept_apart(scene, a, b):
    """What a sends below b, or asks to be sent of b, comes to nothing. A broker may end the connection for it."""
    b.events.clear()
    a.publish(f"{b.user}/got_apples", b'["forged"]')
    await b.wait(lambda: False, NOTHING_S)
    # What the broker has neither acknowledged nor refused would be sent again on each connection.
    a.pending.clear()
    await scene.send(b, "ping", "3")
    await scene.comes("the other goes on", b, "pong", b"3")
    scene.checks.add("nobody publishes below another", not any(b"forged" in one.payload for one in b.events))
    thief = await a.devices.add(a.user, scene.version, "thief", clean=True)
    thief.filters = [f"{a.user}/#", f"{b.user}/#"]
    try:
        await thief.leave()
        await thief.come_back()
        await thief.wait(lambda: len(thief.granted) == 2, NOTHING_S)
    except (OSError, devices_module.Failed):
        pass  # it is refused altogether
    await scene.send(b, "ping", '"secret"')
    await scene.comes("the other goes on again", b, "pong", b'"secret"')
    await b.wait(lambda: False, NOTHING_S)
    scene.checks.add("nobody reads what is another's", not any(b"secret" in one.payload for one in thief.events))
    thief.filters = thief.filters[:1]


async def run(devices, version, tag):
    scene = Scene(version)
    began = time.monotonic()
    a, b = [await devices.add(f"{tag}{letter}", version) for letter in "ab"]
    await apples(scene, a)
    await large(scene, a)
    await become_contacts(scene, a, b, "contacts")
    await part(scene, a, b)
    await away(scene, a, b)
    if version == 5:
        await properties(scene, a)
    await kept_apart(scene, a, b)
    c, d = [await devices.add(long_id(tag, letter), version) for letter in "cd"]
    await become_contacts(scene, c, d, "ids of 64 characters with | and .")
    await devices.leave()
    scene.checks.seconds = time.monotonic() - began
    return scene.checks
