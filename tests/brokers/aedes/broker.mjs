/*
 * broker.mjs - Aedes with TLS, cashew's tokens and users kept apart: node broker.mjs PORT CERTIFICATE KEY, with JWT_SECRET in the environment.
 *
 * Sessions are in memory, which is its default: whoever needs them to outlive a restart gives it another persistence. It ends when it is killed;
 * a port that is taken ends it with Node's message.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:tls";
import { Aedes } from "aedes";

const [port, certificate, key] = process.argv.slice(2);
const secret = process.env.JWT_SECRET;

/* {handler} or {user} of a good token, else null. */
function identityOf(token) {
	const [header, body, signature] = token.split(".");
	const expected = createHmac("sha256", secret).update(`${header}.${body}`).digest();
	const given = Buffer.from(signature ?? "", "base64url");
	if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
	const claims = JSON.parse(Buffer.from(body, "base64url"));
	if (!(claims.exp > Date.now() / 1000)) return null;
	return claims.handler ? { handler: claims.handler.name } : { user: claims.user_id };
}

const isHandlers = (id) => id === "cashewd" || id.startsWith("cashewd-");
const ownsClientId = (identity, id) => (identity.handler ? isHandlers(id) : !isHandlers(id) && id.split("/")[0] === identity.user);
const mayUse = (client, topic) => client.identity.handler || topic.startsWith(`${client.identity.user}/`);

const aedes = await Aedes.createBroker({
	concurrency: 1000,
	authenticate(client, _username, password, done) {
		try {
			client.identity = identityOf(String(password ?? ""));
		} catch {
			client.identity = null;
		}
		const good = client.identity && ownsClientId(client.identity, client.id);
		done(good ? null : Object.assign(new Error("bad token or client id"), { returnCode: 5 }), Boolean(good));
	},
	authorizePublish: (client, packet, done) => done(!client || mayUse(client, packet.topic) ? null : new Error("not below its own id")),
	authorizeSubscribe: (client, subscription, done) => done(null, mayUse(client, subscription.topic) ? subscription : null),
});
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, aedes.handle);
server.on("secureConnection", (socket) => socket.setNoDelay(true));
server.listen(Number(port), "127.0.0.1");
