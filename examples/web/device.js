/*
 * A device in a web page: one user's connection to the broker, and the commands that have no answer yet.
 *
 * A command is repeated until its answer has come, after five seconds and then with longer pauses, and at once when there is a new connection: a broker
 * that is killed may forget one, and handlers can be repeated. Its id goes along as Correlation Data, the same each time; cashewd copies that to the
 * events, so an answer finds its command, and a command that counts something counts once.
 *
 * Whose event goes to somebody else is sent together with a question that the sender is answered: cashewd keeps the order of a user's commands, so the
 * answer tells that the command before has taken effect.
 *
 * It knows nothing of the page. `mqtt` is mqtt.js, from mqtt.min.js.
 */
const REPEAT_S = [5, 10, 20, 40, 60];
const RECONNECT_S = [0.5, 1, 2, 4, 8, 15];
const BAD_ENDS = ["command_rejected", "command_failed"];

const ofPauses = (pauses, count) => 1000 * pauses[Math.min(count, pauses.length - 1)];

export class Device {
	#options;
	#client = null;
	#timer = 0; // the next attempt to connect
	#attempts = 0;
	#waiting = new Map(); // id: what was sent and not answered
	#ended = false;

	/*
	 * options: broker (its URL), user, fetchToken() -> promise of a token, and what is called when
	 * - onState({state, retryAt, why}): "connecting", "ready", "lost" (until retryAt, in ms), "refused" (for good);
	 * - onEvent({event, payload, id}): payload is what JSON.parse() makes of it, undefined where it is no JSON;
	 * - onSent({id, commands, names, tries}) and onAnswered() of the same; onWaiting(list of those that have no answer).
	 */
	constructor(options) {
		this.#options = options;
		this.#open();
	}

	/* commands: [[name, payload], ..]; `answer` is the event that tells that all of them have taken effect. The id of it. */
	send(commands, answer) {
		const id = crypto.randomUUID();
		this.#waiting.set(id, { id, commands, names: commands.map(([name]) => name), answer, tries: 0, timer: 0 });
		this.#publish(id);
		return id;
	}

	/* Does not wait any longer where it does. */
	connectNow() {
		if (this.#timer) this.#open();
	}

	end() {
		this.#ended = true;
		clearTimeout(this.#timer);
		this.#waiting.forEach((waiting) => clearTimeout(waiting.timer));
		this.#waiting.clear();
		this.#client?.end();
	}

	#ready() {
		return this.#client?.subscribed === true;
	}

	/* A connection has a client of its own, so that nothing of one gets into the next. */
	async #open() {
		const { broker, user, fetchToken } = this.#options;
		clearTimeout(this.#timer);
		this.#timer = 0;
		this.#options.onState({ state: "connecting" });
		let token;
		try {
			token = await fetchToken();
		} catch (error) {
			return this.#lost(error.message);
		}
		if (this.#ended) return;
		const client = mqtt.connect(broker, {
			protocolVersion: 5,
			username: "JWT",
			password: token,
			clientId: `${user}-web-${crypto.randomUUID()}`,
			keepalive: 60,
			connectTimeout: 10000,
			reconnectPeriod: 0, // it is ours
			timerVariant: "native", // the other one is a worker made of a text, which the page's policy forbids
		});
		this.#client = client;
		let why = "the broker does not answer";
		client.on("connect", () => this.#subscribe(client));
		client.on("message", (topic, payload, packet) => this.#take(topic, payload, packet));
		client.on("error", (error) => {
			why = error.message || why;
			// What has a reason code is an answer: from 0x84 to 0x8c it is this client or its token that is not wanted.
			if (error.code >= 0x84 && error.code <= 0x8c) this.#refused(error.message);
		});
		client.on("disconnect", (packet) => (why = `the broker closes the connection (reason ${packet.reasonCode})`));
		client.on("close", () => {
			if (client !== this.#client) return;
			client.end(true);
			this.#lost(why);
		});
	}

	#subscribe(client) {
		// A device's own commands lie below its user id too: "no local" keeps them from coming back to it.
		client.subscribe(`${this.#options.user}/#`, { qos: 1, nl: true }, (error) => {
			if (client !== this.#client) return;
			if (error) return client.end(true);
			client.subscribed = true;
			this.#attempts = 0;
			[...this.#waiting.keys()].forEach((id) => this.#publish(id));
			this.#options.onState({ state: "ready" });
		});
	}

	#lost(why) {
		this.#client = null;
		this.#waiting.forEach((waiting) => clearTimeout(waiting.timer));
		if (this.#ended) return;
		// Some chance in it keeps thousands of pages from coming back in one moment.
		const pause = ofPauses(RECONNECT_S, this.#attempts++) * (0.8 + 0.4 * Math.random());
		this.#timer = setTimeout(() => this.#open(), pause);
		this.#options.onState({ state: "lost", retryAt: Date.now() + pause, why });
	}

	#refused(why) {
		this.end();
		this.#client = null;
		this.#options.onState({ state: "refused", why });
	}

	/* Where there is no connection the next one sends it: what mqtt.js would keep for then would come on top. */
	#publish(id) {
		const waiting = this.#waiting.get(id);
		if (!waiting || this.#ended) return;
		clearTimeout(waiting.timer);
		if (this.#ready()) {
			for (const [name, payload] of waiting.commands)
				this.#client.publish(`${this.#options.user}/${name}`, JSON.stringify(payload), { qos: 1, properties: { correlationData: id } }, () => {
					// A refusal, for a quota for one, is a command without an answer like any other: it is sent again.
				});
			waiting.timer = setTimeout(() => this.#publish(id), ofPauses(REPEAT_S, waiting.tries++));
			this.#options.onSent(waiting);
		}
		this.#options.onWaiting([...this.#waiting.values()]);
	}

	#take(topic, bytes, packet) {
		const id = packet.properties?.correlationData?.toString();
		const event = topic.slice(this.#options.user.length + 1);
		const waiting = this.#waiting.get(id);
		let payload;
		try {
			payload = JSON.parse(bytes.toString());
		} catch {
			payload = undefined;
		}
		if (waiting && (event === waiting.answer || BAD_ENDS.includes(event))) {
			clearTimeout(waiting.timer);
			this.#waiting.delete(id);
			this.#options.onAnswered(waiting);
			this.#options.onWaiting([...this.#waiting.values()]);
		}
		this.#options.onEvent({ event, payload, id });
	}
}
