#!/usr/bin/env python3
"""A device in Python: sends a command, again until its event has come, and prints what comes meanwhile. README.md in this folder says how to run it."""

import os
import queue
import sys

import paho.mqtt.client as mqtt

user, command, payload, event = sys.argv[1:5]
ends = queue.Queue()  # why it ends; empty: the event has come


def on_connect(client, _userdata, _flags, reason_code, _properties):
    if reason_code.is_failure:
        ends.put(f"the broker refuses the connection: {reason_code}")
    client.subscribe(f"{user}/#", qos=1)  # at each connection: the session ends with it


def on_message(_client, _userdata, message):
    print(message.topic, message.payload.decode(), flush=True)
    if message.topic == f"{user}/{event}":
        ends.put("")


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"{user}-python", protocol=mqtt.MQTTv5)
client.on_connect, client.on_message = on_connect, on_message
client.username_pw_set("JWT", os.environ["TOKEN"])
client.tls_set(os.environ["BROKER_CA_FILE"])
client.connect(os.environ["BROKER_HOST"], int(os.environ["BROKER_PORT"]))
client.loop_start()
problem = "no answer"
for _ in range(12):  # a minute: commands can be repeated, and a broker that is killed may forget one
    client.publish(f"{user}/{command}", payload, qos=1)
    try:
        problem = ends.get(timeout=5)
        break
    except queue.Empty:
        pass
client.disconnect()
client.loop_stop()
sys.exit(problem or 0)
