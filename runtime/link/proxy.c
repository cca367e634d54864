/*
 * proxy.c - see proxy.h. The answer is looked at before it is taken (MSG_PEEK): so what is behind its head stays in the socket, for TLS or the broker's
 * own bytes. A 2xx has no body, whatever its fields say (RFC 9110, section 9.3.6).
 */
#include "proxy.h"

#include "broker_proxy.h"
#include "http_answer.h"
#include "settings.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	PLACE_SIZE = 280,
	REQUEST_SIZE = 2 * PLACE_SIZE + BROKER_PROXY_BASIC_SIZE + 128,
	PHRASE_SIZE = 64,
	INTERIM_MAX = 4, /* answers of 1xx, which announce another one */
};

struct proxy {
	int socket;
	bool logs_in;
	char name[PROXY_NAME_SIZE];
	char place[PLACE_SIZE]; /* the broker, HOST:PORT */
	size_t begin, end;	/* of the request, what is not sent */
	unsigned interim;
	char request[REQUEST_SIZE];
	char reason[PROXY_REASON_SIZE];
	struct http_answer answer;
};

bool proxy_is_set(const struct settings *settings)
{
	return settings->broker_proxy[0] != '\0';
}

/* An address of IPv6 in brackets. */
static void write_place(const char *host, unsigned port, char *ret, size_t room)
{
	const bool is_six = strchr(host, ':');
	snprintf(ret, room, "%s%s%s:%u", is_six ? "[" : "", host, is_six ? "]" : "", port);
}

/* Settings that nobody has checked never come here. */
static void read_setting(const struct settings *settings, struct broker_proxy *ret)
{
	if (broker_proxy_read(settings->broker_proxy, ret))
		abort();
}

void proxy_name(const struct settings *settings, char ret[static PROXY_NAME_SIZE])
{
	struct broker_proxy setting;
	char place[PLACE_SIZE];
	read_setting(settings, &setting);
	write_place(setting.host, setting.port, place, sizeof(place));
	snprintf(ret, PROXY_NAME_SIZE, "the proxy %s", place);
	broker_proxy_clear(&setting);
}

int proxy_new(const struct settings *settings, int socket, struct proxy **ret)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));
	if (!proxy)
		return -ENOMEM;
	struct broker_proxy setting;
	read_setting(settings, &setting);
	proxy->socket = socket;
	proxy->logs_in = setting.basic[0] != '\0';
	proxy_name(settings, proxy->name);
	write_place(settings->broker_host, settings->broker_port, proxy->place, sizeof(proxy->place));
	proxy->end = (size_t)snprintf(proxy->request, sizeof(proxy->request),
		"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", proxy->place, proxy->place,
		proxy->logs_in ? "Proxy-Authorization: Basic " : "", setting.basic,
		proxy->logs_in ? "\r\n" : "");
	broker_proxy_clear(&setting);
	*ret = proxy;
	return 0;
}

void proxy_free(struct proxy *proxy)
{
	if (!proxy)
		return;
	explicit_bzero(proxy->request, sizeof(proxy->request));
	free(proxy);
}

/* ---- The answer ---- */

__attribute__((format(printf, 3, 4))) static int fail(struct proxy *proxy, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(proxy->reason, sizeof(proxy->reason), format, arguments);
	va_end(arguments);
	return error;
}

static bool wants_other_login(const struct http_answer *answer)
{
	static const char field[] = "Proxy-Authenticate";
	static const char *const others[] = {"Negotiate", "NTLM", "Digest", "Bearer"};
	bool wants = false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		wants |= http_answer_offers(answer, field, others[i]);
	return wants && !http_answer_offers(answer, field, "Basic");
}

static const char *login_advice(const struct proxy *proxy)
{
	if (wants_other_login(&proxy->answer))
		return "it wants a login of another kind than Basic, the only one that BROKER_PROXY can give";
	return proxy->logs_in ? "it does not take the user and the password in BROKER_PROXY"
			      : "it wants a login: set BROKER_PROXY to http://USER:PASSWORD@HOST:PORT";
}

/* What to do about a status that lets nobody through. */
static const char *advice(const struct proxy *proxy)
{
	const unsigned status = proxy->answer.status;
	/* tinyproxy answers the second to a wrong login, and the first to none. */
	if (status == 407 || status == 401)
		return login_advice(proxy);
	if (status >= 300 && status < 400)
		return "redirects are not followed: set BROKER_PROXY to the proxy itself";
	if (status == 403)
		return "it must be told to let CONNECT through to this host and port";
	if (status == 404 || status == 405 || status == 501)
		return "is it a proxy, and is CONNECT switched on there?";
	if (status >= 500)
		return "it cannot reach the broker, whose name it looks up itself, or has a fault; its log may say more";
	return "does BROKER_PROXY name an HTTP proxy that knows CONNECT?";
}

static int judge(struct proxy *proxy)
{
	struct http_answer *answer = &proxy->answer;
	char phrase[PHRASE_SIZE];
	if (answer->status >= 200 && answer->status < 300)
		return 0;
	if (answer->status < 200 && answer->status != 101 && proxy->interim++ < INTERIM_MAX) {
		*answer = (struct http_answer){.head = 0};
		return -EAGAIN;
	}
	http_answer_phrase(answer, phrase, sizeof(phrase));
	return fail(proxy, -EPROTO, "%.100s answered HTTP %u%s%s%s to CONNECT %.60s; %s", proxy->name,
		answer->status, phrase[0] != '\0' ? " (" : "", phrase, phrase[0] != '\0' ? ")" : "",
		proxy->place, advice(proxy));
}

/* What was peeked at belongs to the head up to its end. Takes that much. */
static int take(struct proxy *proxy, void *place, size_t count)
{
	const size_t before = proxy->answer.size;
	const int error = http_answer_add(&proxy->answer, count);
	const size_t ours = error == 0 ? proxy->answer.head - before : count;
	if (error == HTTP_ANSWER_E_BAD)
		return fail(proxy, -EPROTO,
			"what %.100s answered to CONNECT is no HTTP: expected an HTTP proxy without TLS in BROKER_PROXY",
			proxy->name);
	if (error == HTTP_ANSWER_E_LONG)
		return fail(proxy, -EPROTO,
			"the header of the answer to CONNECT of %.100s has more than %d bytes", proxy->name,
			(int)HTTP_ANSWER_MAX);
	const ssize_t taken = recv(proxy->socket, place, ours, 0);
	if (taken != (ssize_t)ours)
		return fail(proxy, -EIO, "the answer of %.100s cannot be read", proxy->name);
	return error == 0 ? judge(proxy) : error;
}

static int hear(struct proxy *proxy)
{
	size_t room;
	void *place = http_answer_room(&proxy->answer, &room);
	const ssize_t got = recv(proxy->socket, place, room, MSG_PEEK);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	/* A server that is asked what it does not understand may close in both ways. */
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return fail(proxy, -ECONNRESET, "%.100s closed the connection instead of answering CONNECT",
			proxy->name);
	if (got < 0)
		return fail(proxy, -errno, "%.100s: %s", proxy->name, strerror(errno));
	return take(proxy, place, (size_t)got);
}

static int say(struct proxy *proxy)
{
	while (proxy->begin < proxy->end) {
		const ssize_t sent = send(proxy->socket, proxy->request + proxy->begin,
			proxy->end - proxy->begin, MSG_NOSIGNAL);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return -EAGAIN;
		if (sent < 0)
			return fail(proxy, -errno, "%.100s: %s", proxy->name, strerror(errno));
		proxy->begin += (size_t)sent;
	}
	return 0;
}

int proxy_shake(struct proxy *proxy)
{
	const int error = say(proxy);
	return error == 0 ? hear(proxy) : error;
}

short proxy_events(const struct proxy *proxy)
{
	return proxy->begin < proxy->end ? POLLOUT : POLLIN;
}

const char *proxy_reason(const struct proxy *proxy)
{
	return proxy->reason;
}
