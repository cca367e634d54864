/*
 * fuzz_http.c - requests for the pages (runtime/supervisor/pages/http_server.c), over a real socket, and the addresses in them
 * (base/http_address.c). Every request gets an answer of HTTP or none, and whoever comes after it is served; a page that is for this machine is
 * shown to nobody who was led here by a name of another one.
 *
 * Input: what a client sends before it closes its side.
 */
#include "fuzz.h"
#include "http_address.h"
#include "http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOCAL "for this machine alone"

enum { ANSWER_SIZE = 64 * 1024, WAIT_MS = 20000, PATIENCE_MS = 1, REQUEST_SIZE_MAX = 32 * 1024 };

static unsigned write_open(struct view *view, FILE *out)
{
	(void)view;
	fputs("for all\n", out);
	return HTTP_OK;
}

static unsigned write_local(struct view *view, FILE *out)
{
	(void)view;
	fputs(LOCAL "\n", out);
	return HTTP_UNAVAILABLE;
}

static const struct http_page pages[] = {
	{.path = "/metrics", .content_type = "text/plain", .write = write_open},
	{.path = "/status", .content_type = "text/plain", .local_only = true, .write = write_local},
	{.path = NULL},
};

/* ---- The second look ---- */

/* Whether the name, without a port, is one of this machine's for itself. Larger than what http_address.c takes, never smaller. */
static bool may_be_local(const char *host)
{
	char name[256];
	snprintf(name, sizeof(name), "%s", host);
	char *bracket = strrchr(name, ']'), *colon = strrchr(bracket ? bracket : name, ':');
	if (colon)
		*colon = '\0';
	if (strcasecmp(name, "localhost") == 0)
		return true;
	struct in_addr four;
	struct in6_addr six;
	if (inet_pton(AF_INET, name, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (name[0] != '[' || !bracket)
		return false;
	*bracket = '\0';
	return inet_pton(AF_INET6, name + 1, &six) == 1 &&
	       (IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127));
}

/* What a Host header says, without the blanks around it. NULL: the line is no such header. free() it. */
static char *host_of(const char *line, size_t size)
{
	if (size < 5 || strncasecmp(line, "host", 4) != 0)
		return NULL;
	const char *at = line + 4 + strspn(line + 4, " \t"), *end = line + size;
	if (at >= end || *at != ':')
		return NULL;
	at++;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	char *host = strndup(at, (size_t)(end - at));
	FUZZ_NEED(host);
	return host;
}

/* Whether it is a header as RFC 9110 section 5 has it: a name of its characters, a colon, printable text. */
static bool is_header(const char *line, size_t size)
{
	const size_t name =
		strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~");
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)line[i] < ' ' || (unsigned char)line[i] > '~')
			return false;
	return name > 0 && name < size && line[name] == ':';
}

/*
 * Whether the request's head has a Host header, and none that names this machine. Only a whole and well-formed head is judged, as programs that
 * obey a web page send it: how a library takes others is its own affair, and whoever sends them can read the page anyway.
 */
static bool led_here(const char *request)
{
	bool is_named = false;
	const char *line = strchr(request, '\n');
	while (line) {
		line++;
		const char *end = strchr(line, '\n');
		if (!end)
			return false;
		const size_t size = (size_t)(end - line) - (end > line && end[-1] == '\r' ? 1 : 0);
		if (size == 0)
			return is_named;
		char *host = host_of(line, size);
		const bool local = host && may_be_local(host);
		is_named = is_named || host;
		free(host);
		if (local || !is_header(line, size))
			return false;
		line = end;
	}
	return false;
}

static void check_address(const char *text)
{
	struct http_address address, again;
	char written[HTTP_ADDRESS_TEXT_SIZE];
	if (http_address_host_is_local(text))
		FUZZ_NEED(may_be_local(text));
	if (http_address_read(text, &address) != 0 || address.off)
		return;
	http_address_write((const struct sockaddr *)&address.socket, written);
	FUZZ_NEED(http_address_read(written, &again) == 0 && !again.off && again.size == address.size);
	FUZZ_NEED(memcmp(&again.socket, &address.socket, again.size) == 0);
}

/* ---- A client ---- */

static int dial(unsigned port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((in_port_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* Closed by a reset, so that thousands a second leave no port behind that waits. */
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_NEED(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	/* libFuzzer's timer interrupts; then the connection goes on being made. */
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		struct pollfd made = {.fd = fd, .events = POLLOUT};
		int error = errno;
		socklen_t size = sizeof(error);
		FUZZ_NEED(error == EINTR && TEMP_FAILURE_RETRY(poll(&made, 1, WAIT_MS)) == 1);
		FUZZ_NEED(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
	}
	return fd;
}

/* Sends it, and says that nothing more comes. */
static int ask(unsigned port, const uint8_t *bytes, size_t size)
{
	const int fd = dial(port);
	for (size_t sent = 0; sent < size;) {
		const ssize_t now = TEMP_FAILURE_RETRY(send(fd, bytes + sent, size - sent, MSG_NOSIGNAL));
		if (now <= 0)
			break; /* it has heard enough */
		sent += (size_t)now;
	}
	(void)shutdown(fd, SHUT_WR);
	return fd;
}

/* Reads to the end, or until nothing has come for so long. Hangs up. */
static const char *answer_of(int fd, int wait_ms)
{
	static char answer[ANSWER_SIZE];
	size_t got = 0;
	for (;;) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		if (TEMP_FAILURE_RETRY(poll(&readable, 1, wait_ms)) != 1)
			break;
		const ssize_t now = TEMP_FAILURE_RETRY(recv(fd, answer + got, sizeof(answer) - 1 - got, 0));
		if (now <= 0)
			break;
		got += (size_t)now;
	}
	close(fd);
	answer[got] = '\0';
	return answer;
}

/* It goes on until the program ends. */
static unsigned server_port(void)
{
	static struct http_server *http;
	if (!http)
		FUZZ_NEED(http_server_open(
				  &(const struct http_options){.address = "127.0.0.1:0", .pages = pages},
				  &http) == 0);
	FUZZ_NEED(http_server_port(http) != 0);
	return http_server_port(http);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size > REQUEST_SIZE_MAX)
		return 0;
	const uint8_t *at = bytes;
	size_t left = size;
	while (left > 0) {
		char *line = fuzz_line(&at, &left);
		check_address(line);
		free(line);
	}
	/* The server is one thread: when the second has its answer, it has seen to the first, and waits for the rest of that, or has answered. */
	static const char good[] = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
	const int first = ask(server_port(), bytes, size);
	const int second = ask(server_port(), (const uint8_t *)good, sizeof(good) - 1);
	FUZZ_NEED(strstr(answer_of(second, WAIT_MS), "for all\n"));
	const char *answer = answer_of(first, PATIENCE_MS);
	FUZZ_NEED(answer[0] == '\0' || strncmp(answer, "HTTP/1.", 7) == 0);
	char *request = fuzz_text(bytes, size);
	if (strlen(request) == size && strstr(answer, LOCAL))
		FUZZ_NEED(!led_here(request));
	free(request);
	return 0;
}
