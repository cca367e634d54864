#!/usr/bin/env node
// A device in JavaScript: sends a command, again until its event has come, and prints what comes meanwhile. README.md in this folder says how to run it.
const fs = require("node:fs");
const mqtt = require("mqtt");

const [user, command, payload, event] = process.argv.slice(2);
const { BROKER_HOST, BROKER_PORT, BROKER_CA_FILE, TOKEN } = process.env;
const client = mqtt.connect({
	protocol: "mqtts", // in a web page: "wss", and no ca
	host: BROKER_HOST,
	port: Number(BROKER_PORT),
	ca: fs.readFileSync(BROKER_CA_FILE),
	username: "JWT",
	password: TOKEN,
	clientId: `${user}-javascript`,
	protocolVersion: 5,
});
let tries = 0;
let timer;

function send() {
	if (tries++ === 12) return end("no answer"); // for a minute: commands can be repeated, and a broker that is killed may forget one
	client.publish(`${user}/${command}`, payload, { qos: 1 });
	timer = setTimeout(send, 5000);
}

function end(problem) {
	clearTimeout(timer);
	if (problem) console.error(problem);
	process.exitCode = problem ? 1 : 0;
	client.end();
}

// Again when it reconnects, which mqtt.js does by itself.
client.once("connect", () => client.subscribe(`${user}/#`, { qos: 1 }, (error) => (error ? end(String(error)) : send())));
// What has a reason code is final; after all else mqtt.js connects again.
client.on("error", (error) => typeof error.code === "number" && end(`the broker refuses the connection: ${error.message}`));
client.on("message", (topic, message) => {
	console.log(topic, message.toString());
	if (topic === `${user}/${event}`) end();
});
