"""Phones that send numbered commands on a schedule whatever happens, and what became of each: lost, done twice, out of order.

Happy path: Ledger(...) connects the phones, start() lets them send `append`, finish() waits for the last events and counts. A phone behaves
as one should: what the broker has not acknowledged is sent again on the next connection, and a command whose event does not come is
repeated, with a number of its own. Failure: Failed where a phone cannot connect; a command without an event is a figure, not a failure.
"""

import asyncio
import json
import time
from itertools import count

from recovery_measure import Load, judge_effects

PHONES = 20
DRAIN_S = 90.0  # without an event, after which what is left is lost
FINISH_S = 900.0
TICK_S = 0.01
EVENTS = ("appended", "command_failed", "command_rejected")
_numbers = count(1)


class Ledger:
    def __init__(self, devices, version, tag, rate, repeat_s):
        self.devices, self.version, self.rate, self.repeat_s = devices, version, rate, repeat_s
        self.list = f"{tag}{next(_numbers)}"
        self.load = Load("")  # what the report of the benchmark reads from a file is noted here directly
        self.phones, self.twice, self.commands, self.repeat_at = {}, 0, {}, {}
        self.stopped, self.last_came = False, 0.0
        self.task = None

    def start(self):
        self.devices.run(self.connect())
        self.task = self.devices.begin(self.send())

    async def connect(self):
        for at in range(PHONES):
            user = f"{self.list}p{at:02}"
            phone = await self.devices.add(user, self.version, filters=EVENTS)
            phone.take = lambda event, user=user: self.came(user, event)
            self.phones[user] = phone
            self.commands[user] = 0
            self.load.sends[user] = {}
        self.load.began = time.monotonic()

    def publish(self, user, command):
        sends = self.load.sends[user]
        number = len(sends) + 1
        sends[number] = command
        self.phones[user].publish(f"{user}/append", json.dumps({"list": self.list, "n": number}).encode())

    def came(self, user, event):
        if event.name != "appended":
            self.load.refused.append((user, event.name, event.payload))
            return
        command = self.load.sends[user].get(json.loads(event.payload)["n"])
        self.last_came = event.came
        if (user, command) in self.load.answered:
            self.twice += 1
        else:
            self.load.answered[(user, command)] = event.came
            self.repeat_at.pop((user, command), None)

    def unanswered(self):
        return len(self.load.due) - len(self.load.answered)

    async def send(self):
        users, sent, began = list(self.phones), 0, self.load.began
        began_drain = None
        while True:
            now = time.monotonic()
            while not self.stopped and sent < (now - began) * self.rate:
                user = users[sent % len(users)]
                self.commands[user] += 1
                key = (user, self.commands[user])
                self.load.due[key] = now
                self.repeat_at[key] = (now + self.repeat_s, self.repeat_s)
                self.publish(*key)
                sent += 1
            for key, (when, pause) in list(self.repeat_at.items()):
                if now >= when:
                    self.repeat_at[key] = (now + 2 * pause, 2 * pause)
                    self.load.repeats += 1
                    self.publish(*key)
            if self.stopped:
                # A broker without CPU may have a backlog: as long as something comes, nothing is lost.
                began_drain = began_drain or now
                if not self.unanswered() or now > max(began_drain, self.last_came) + DRAIN_S:
                    return
            await asyncio.sleep(TICK_S)

    def finish(self, effects, restored_at=None):
        """No more commands; what is told of them. `effects(list)` reads what they have left in the database. Where the broker went back to
        an earlier save, order counts before and after that moment, each by itself."""
        self.stopped = True
        self.task.result(FINISH_S)
        counts = judge_effects(self.load, effects(self.list), restored_at)
        latencies = sorted(self.load.answered[key] - due for key, due in self.load.due.items() if key in self.load.answered)
        counts.update(events_twice=self.twice, refused=len(self.load.refused), longest_s=latencies[-1] if latencies else None,
                      median_s=latencies[len(latencies) // 2] if latencies else None)
        self.devices.run(self.devices.leave())
        return counts

    def abandon(self):
        self.stopped = True
        self.task.cancel()
        self.devices.run(self.devices.leave())
