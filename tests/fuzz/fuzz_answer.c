/*
 * fuzz_answer.c - answers of HTTP servers on the way to the broker: their head (runtime/link/http_answer.c), and what a proxy says to CONNECT
 * (runtime/link/proxy.c), over a real socket. Pieces mean nothing; not a byte behind the head is taken.
 *
 * Input: a byte that says how large the pieces are, then what the server sends.
 */
#include "fuzz.h"
#include "http_answer.h"
#include "proxy.h"
#include "settings.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE_MAX_SENT = 32768, PHRASE_SIZE = 16 };

/* What it comes to in pieces of that size, as far as it is looked at. */
static int read_answer(const uint8_t *bytes, size_t size, size_t piece, struct http_answer *ret)
{
	int result = -EAGAIN;
	*ret = (struct http_answer){.head = 0};
	for (size_t at = 0; at < size && result == -EAGAIN;) {
		size_t room;
		void *place = http_answer_room(ret, &room);
		size_t count = size - at < piece ? size - at : piece;
		count = count < room ? count : room;
		FUZZ_NEED(count > 0);
		memcpy(place, bytes + at, count);
		at += count;
		result = http_answer_add(ret, count);
	}
	return result;
}

static void check_fields(const struct http_answer *answer)
{
	static const char *const names[] = {"Proxy-Authenticate", "Upgrade", "a"};
	char phrase[PHRASE_SIZE];
	http_answer_phrase(answer, phrase, sizeof(phrase));
	if (phrase[0] != '\0')
		fuzz_need_reason(phrase, sizeof(phrase));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t size = 0;
		const char *value = http_answer_field(answer, names[i], &size);
		if (value)
			FUZZ_NEED(value > answer->bytes && value + size < answer->bytes + answer->head);
		if (http_answer_lists(answer, names[i], "basic"))
			FUZZ_NEED(http_answer_offers(answer, names[i], "BASIC"));
	}
}

/* Whole and in pieces it is the same. */
static void check_answer(const uint8_t *bytes, size_t size, size_t piece)
{
	static struct http_answer whole, pieces;
	const int result = read_answer(bytes, size, sizeof(whole.bytes), &whole);
	FUZZ_NEED(read_answer(bytes, size, piece, &pieces) == result);
	if (result != 0)
		return;
	FUZZ_NEED(whole.status >= 100 && whole.status <= 999 && pieces.status == whole.status);
	FUZZ_NEED(pieces.head == whole.head && whole.head <= sizeof(whole.bytes));
	FUZZ_NEED(memcmp(whole.bytes + whole.head - 4, "\r\n\r\n", 4) == 0);
	check_fields(&whole);
}

static size_t left_in(int fd)
{
	size_t count = 0;
	char bytes[4096];
	for (ssize_t got; (got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
		count += (size_t)got;
	return count;
}

static void check_proxy(const uint8_t *bytes, size_t size)
{
	static const struct settings settings = {
		.broker_host = "broker", .broker_port = 8883, .broker_proxy = "http://u:hunter22@proxy:3128"};
	int ends[2], result = -EAGAIN;
	struct proxy *proxy = NULL;
	FUZZ_NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	FUZZ_NEED(proxy_new(&settings, ends[0], &proxy) == 0);
	FUZZ_NEED(send(ends[1], bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
	/* In each turn it takes something, or is done. */
	for (size_t turns = 0; result == -EAGAIN && turns <= size; turns++)
		result = proxy_shake(proxy);
	if (result == 0) {
		const size_t left = left_in(ends[0]);
		FUZZ_NEED(left <= size - 4 && memcmp(bytes + size - left - 4, "\r\n\r\n", 4) == 0);
	} else if (result == -EAGAIN) {
		FUZZ_NEED(left_in(ends[0]) == 0);
	} else {
		fuzz_need_reason(proxy_reason(proxy), PROXY_REASON_SIZE);
		FUZZ_NEED(!strstr(proxy_reason(proxy), "hunter22") || memmem(bytes, size, "hunter22", 8));
	}
	proxy_free(proxy);
	close(ends[0]);
	close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 2 || size > SIZE_MAX_SENT)
		return 0;
	const size_t piece = bytes[0] % 64 + 1U;
	uint8_t *copy = fuzz_copy(bytes + 1, size - 1);
	check_answer(copy, size - 1, piece);
	check_proxy(copy, size - 1);
	free(copy);
	return 0;
}
