/*
 * provider.mjs - an OpenID provider on https://localhost, and a person who logs in there: node provider.mjs CERTIFICATES OUT, by ./run.
 *
 * Happy path: "issuer https://localhost:PORT" on standard output; then for each line on standard input an answer of one line, until that ends:
 *   login CLIENT   the authorization code flow, with cookies and without a browser: OUT/id_token, OUT/access_token -> "token"
 *   rotate         other keys from now on -> "rotated"
 *   count          how often the keys were asked for since the start -> "count N"
 * The package writes its warnings to standard error. Failure: an exception, and exit code 1.
 */
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const [, , certificates, out] = process.argv;
const callback = 'https://app.example/callback';
const api = 'https://api.example';
const person = '68946';
let serve, issuer, keyCount = 0;
let keysAskedFor = 0;

// ---- The provider ----

function key(kind, options) {
	const jwk = generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });
	return { ...jwk, use: 'sig', kid: `key-${++keyCount}` };
}

function client(id, algorithm) {
	return {
		client_id: id,
		redirect_uris: [callback],
		token_endpoint_auth_method: 'none',
		id_token_signed_response_alg: algorithm,
	};
}

// The worst access token: a JWT of the same keys, whose aud is the client.
const resourceIndicators = {
	enabled: true,
	getResourceServerInfo: (_, indicator, who) => ({
		scope: 'read',
		audience: who.clientId,
		accessTokenFormat: 'jwt',
		jwt: { sign: { alg: 'RS256' } },
	}),
};

function start() {
	const provider = new Provider(issuer, {
		clients: [client('app', 'RS256'), client('app-es', 'ES256')],
		jwks: {
			keys: [
				key('rsa', { modulusLength: 2048 }),
				key('ec', { namedCurve: 'P-256' }),
				// One that is not for us.
				key('ed25519'),
			],
		},
		cookies: { keys: [randomBytes(32).toString('hex')] },
		features: { devInteractions: { enabled: true }, resourceIndicators },
		findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
		ttl: { IdToken: 600, AccessToken: 600, Grant: 600, Session: 600, Interaction: 600 },
	});
	serve = provider.callback();
}

// ---- The person ----

class Browser {
	#cookies = new Map();

	// The address where it was sent to, or the page.
	async go(address, form) {
		const answer = await fetch(new URL(address, issuer), {
			redirect: 'manual',
			method: form ? 'POST' : 'GET',
			body: form && new URLSearchParams(form),
			headers: { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
		});
		for (const cookie of answer.headers.getSetCookie()) {
			const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
			if (value === '')
				this.#cookies.delete(name);
			else
				this.#cookies.set(name, value);
		}
		const page = await answer.text();
		if (answer.status >= 400)
			throw new Error(`${address}: ${answer.status} ${page.slice(0, 2000)}`);
		return { next: answer.headers.get('location'), page };
	}
}

async function login(clientId) {
	const browser = new Browser();
	const verifier = randomBytes(32).toString('base64url');
	const query = new URLSearchParams({
		client_id: clientId,
		redirect_uri: callback,
		response_type: 'code',
		scope: 'openid read',
		resource: api,
		nonce: 'n-0S6_WzA2Mj',
		code_challenge: createHash('sha256').update(verifier).digest('base64url'),
		code_challenge_method: 'S256',
	});
	let { next } = await browser.go(`/auth?${query}`);
	for (let steps = 0; !next.startsWith(callback); steps++) {
		if (steps > 10)
			throw new Error(`the login leads nowhere: ${next}`);
		if (!new URL(next, issuer).pathname.startsWith('/interaction/')) {
			({ next } = await browser.go(next));
			continue;
		}
		const { page } = await browser.go(next);
		const [, prompt] = /name="prompt" value="([a-z]+)"/.exec(page);
		({ next } = await browser.go(next, { prompt, login: person, password: 'any' }));
	}
	const code = new URL(next).searchParams.get('code');
	if (!code)
		throw new Error(`no code: ${next}`);
	const { page } = await browser.go('/token', {
		client_id: clientId,
		grant_type: 'authorization_code',
		code,
		redirect_uri: callback,
		code_verifier: verifier,
		resource: api,
	});
	const tokens = JSON.parse(page);
	writeFileSync(`${out}/id_token`, tokens.id_token);
	writeFileSync(`${out}/access_token`, tokens.access_token);
}

// ---- What it is told to do ----

const server = createServer({
	cert: readFileSync(`${certificates}/server.crt`),
	key: readFileSync(`${certificates}/server.key`),
}, (request, response) => {
	keysAskedFor += request.url === '/jwks';
	serve(request, response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
issuer = `https://localhost:${server.address().port}`;
start();
console.log(`issuer ${issuer}`);

for await (const line of createInterface({ input: process.stdin })) {
	const [command, argument] = line.split(' ');
	if (command === 'login') {
		await login(argument);
		console.log('token');
	} else if (command === 'rotate') {
		start();
		console.log('rotated');
	} else if (command === 'count') {
		console.log(`count ${keysAskedFor}`);
	} else {
		throw new Error(`unknown: ${line}`);
	}
}
process.exit(0);
