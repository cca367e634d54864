/* websocket_upgrade.c - see websocket.h: the HTTP request that makes a connection a WebSocket, and what its answer must be (RFC 6455, section 4). */
#include "websocket.h"

#include "settings.h"
#include "websocket_private.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443, NONCE_SIZE = 16, KEY_SIZE = 25, SHA1_SIZE = 20, HOST_SIZE = 280 };

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* ---- The request ---- */

static int make_key(char ret_key[static KEY_SIZE], char ret_accept[static WEBSOCKET_ACCEPT_SIZE])
{
	unsigned char nonce[NONCE_SIZE], digest[SHA1_SIZE];
	char both[KEY_SIZE + sizeof(guid)];
	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return -EIO;
	(void)EVP_EncodeBlock((unsigned char *)ret_key, nonce, sizeof(nonce));
	const int size = snprintf(both, sizeof(both), "%s%s", ret_key, guid);
	if (EVP_Digest(both, (size_t)size, digest, NULL, EVP_sha1(), NULL) != 1)
		return -EIO;
	(void)EVP_EncodeBlock((unsigned char *)ret_accept, digest, sizeof(digest));
	return 0;
}

static void write_host(const struct settings *settings, char ret[static HOST_SIZE])
{
	const bool is_usual = settings->broker_port == (settings->broker_tls ? HTTPS_PORT : HTTP_PORT);
	const bool is_six = strchr(settings->broker_host, ':');
	char port[16] = "";
	if (!is_usual)
		snprintf(port, sizeof(port), ":%u", settings->broker_port);
	snprintf(ret, HOST_SIZE, "%s%s%s%s", is_six ? "[" : "", settings->broker_host, is_six ? "]" : "",
		port);
}

int websocket_upgrade_begin(struct websocket *websocket)
{
	char key[KEY_SIZE], host[HOST_SIZE];
	const int error = make_key(key, websocket->accept);
	if (error != 0)
		return error;
	write_host(websocket->settings, host);
	const int size = snprintf((char *)websocket->out, sizeof(websocket->out),
		"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		websocket->settings->broker_path, host, key);
	if (size < 0 || (size_t)size >= sizeof(websocket->out))
		return -EIO;
	websocket->out_end = (size_t)size;
	return 0;
}

/* ---- The answer ---- */

/* What to do about a status that is no upgrade. */
static const char *advice(unsigned status)
{
	if (status >= 300 && status < 400)
		return "redirects are not followed: set BROKER_HOST, BROKER_PORT and BROKER_PATH to where the WebSocket is";
	if (status == 404)
		return "no WebSocket is there: set BROKER_PATH to the path of the broker's";
	if (status == 401 || status == 403)
		return "it lets nobody in there without other credentials than MQTT's";
	if (status >= 400 && status < 500)
		return "does the broker speak MQTT over WebSockets on BROKER_PORT, and with BROKER_TLS as it is?";
	if (status >= 500)
		return "the broker, or what stands before it, has a fault or is not ready";
	return "what answers is a web server: set BROKER_PORT and BROKER_PATH to where the broker's WebSocket is";
}

static bool field_is(const struct http_answer *answer, const char *name, const char *expected)
{
	size_t size = 0;
	const char *value = http_answer_field(answer, name, &size);
	return value && size == strlen(expected) && memcmp(value, expected, size) == 0;
}

static int judge(struct websocket *websocket)
{
	const struct http_answer *answer = &websocket->answer;
	const char *path = websocket->settings->broker_path;
	if (answer->status != 101)
		return websocket_fail(websocket, -EPROTO,
			"the broker answered HTTP %u to the WebSocket upgrade at %.100s; %s", answer->status,
			path, advice(answer->status));
	if (!http_answer_lists(answer, "Upgrade", "websocket") ||
		!http_answer_lists(answer, "Connection", "Upgrade"))
		return websocket_fail(websocket, -EPROTO,
			"the broker answered HTTP 101 at %.100s, but without the fields of a WebSocket upgrade",
			path);
	if (!field_is(answer, "Sec-WebSocket-Accept", websocket->accept))
		return websocket_fail(websocket, -EPROTO,
			"the broker's answer to the WebSocket upgrade at %.100s is not to this request: Sec-WebSocket-Accept is wrong; does a cache "
			"stand between?",
			path);
	if (!field_is(answer, "Sec-WebSocket-Protocol", "mqtt"))
		return websocket_fail(websocket, -EPROTO,
			"the WebSocket at %.100s does not take the subprotocol mqtt: set BROKER_PATH to the path of the broker's MQTT",
			path);
	size_t size = 0;
	if (http_answer_field(answer, "Sec-WebSocket-Extensions", &size) && size > 0)
		return websocket_fail(websocket, -EPROTO,
			"the broker switched on a WebSocket extension that nobody has asked for");
	return 0;
}

static int take(struct websocket *websocket, size_t count)
{
	const char *path = websocket->settings->broker_path;
	const int error = http_answer_add(&websocket->answer, count);
	if (error == HTTP_ANSWER_E_BAD)
		return websocket_fail(websocket, -EPROTO,
			"what answered the WebSocket upgrade at %.100s is no HTTP: does the broker speak WebSockets on port %u? If it speaks MQTT alone "
			"there, set BROKER_TRANSPORT=tcp",
			path, websocket->settings->broker_port);
	if (error == HTTP_ANSWER_E_LONG)
		return websocket_fail(websocket, -EPROTO,
			"the header of the broker's answer to the WebSocket upgrade at %.100s has more than %d bytes",
			path, (int)HTTP_ANSWER_MAX);
	return error == 0 ? judge(websocket) : error;
}

int websocket_shake(struct websocket *websocket)
{
	int error = websocket_flush(websocket);
	if (error != 0)
		return error;
	do {
		size_t room;
		void *place = http_answer_room(&websocket->answer, &room);
		const ssize_t got = websocket->below.read(websocket->below.context, place, room);
		/* A broker that is asked what it does not understand may close in both ways. */
		if (got < 0 && got != -ECONNRESET)
			return (int)got;
		if (got <= 0)
			return websocket_fail(websocket, -ECONNRESET,
				"the broker closed the connection instead of answering the WebSocket upgrade at %.100s",
				websocket->settings->broker_path);
		error = take(websocket, (size_t)got);
	} while (error == -EAGAIN);
	return error;
}
