/* scrape.c - see scrape.h. */
#include "scrape.h"
#include "harness_private.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 4 * 1024 * 1024, SERIES_MAX = 1024 };

static size_t scrape_prepare(void *self, struct pollfd *polls, size_t room)
{
	(void)self;
	(void)polls;
	(void)room;
	return 0;
}

static void scrape_serve(void *self, const struct pollfd *polls, size_t count)
{
	(void)self;
	(void)polls;
	(void)count;
}

static void scrape_free(void *self)
{
	struct scrape *scrape = self;
	free(scrape->head);
	free(scrape->before);
}

struct scrape *scrape_new(struct harness *h, struct host *host)
{
	struct scrape *scrape = harness_alloc(h, sizeof(*scrape));
	struct harness_part *part = harness_alloc(h, sizeof(*part));
	const json_t *told = host_expect_log(host, "metrics_on");
	scrape->harness = h;
	scrape->port = (unsigned)json_integer_value(json_object_get(told, "port"));
	assert_int_not_equal(scrape->port, 0);
	*part = (struct harness_part){
		.self = scrape, .prepare = scrape_prepare, .serve = scrape_serve, .free = scrape_free};
	harness_add(h, part);
	return scrape;
}

static int dial(unsigned port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((in_port_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval limit = {.tv_sec = HARNESS_TIMEOUT_MS / 1000};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool scrape_page(struct scrape *scrape, const char *path)
{
	const char *request =
		harness_format(scrape->harness, "GET %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n\r\n",
			path, scrape->asked_as ? scrape->asked_as : "127.0.0.1", scrape->port);
	const int fd = dial(scrape->port);
	if (fd < 0)
		return false;
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	char *answer = malloc(ANSWER_MAX);
	size_t size = 0;
	ssize_t got;
	assert_non_null(answer);
	while ((got = recv(fd, answer + size, ANSWER_MAX - 1 - size, 0)) > 0)
		size += (size_t)got;
	close(fd);
	answer[size] = '\0';
	char *end = strstr(answer, "\r\n\r\n");
	if (got < 0 || !end)
		harness_fail("%s was not answered", path);
	free(scrape->head);
	scrape->head = realloc(answer, size + 1);
	end = strstr(scrape->head, "\r\n\r\n");
	*end = '\0';
	scrape->body = end + 4;
	scrape->status = atoi(scrape->head + strlen("HTTP/1.1 "));
	return true;
}

/*
 * The value of a series in lines of metrics that end at `end`; NULL: it is not among them. There are thousands, and each is asked for at each scrape:
 * so not by functions of texts, for which a sanitizer with strict checks looks at all that follows, each time.
 */
static const char *find(const char *lines, const char *end, const char *series)
{
	const size_t size = strlen(series);
	for (const char *line = lines, *next; line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next + 1 : end;
		if ((size_t)(next - line) > size && line[size] == ' ' && memcmp(line, series, size) == 0)
			return line + size + 1;
	}
	return NULL;
}

double scrape_value(const struct scrape *scrape, const char *series)
{
	const char *found = find(scrape->body, scrape->body + strlen(scrape->body), series);
	if (!found)
		harness_fail("there is no %s in the metrics", series);
	return strtod(found, NULL);
}

static bool is_counter(const char *series)
{
	const size_t name = strcspn(series, "{");
	static const char *const ends[] = {"_total", "_bucket", "_count", "_sum"};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (name > strlen(ends[i]) &&
			strncmp(series + name - strlen(ends[i]), ends[i], strlen(ends[i])) == 0)
			return true;
	return false;
}

/* A label's value may hold a blank: the value is what follows the last one. Series come in the same order each time, so the next is looked for
 * behind the last one first. */
static void compare(const struct scrape *scrape)
{
	const char *const before_end = scrape->before + strlen(scrape->before);
	const char *const now_end = scrape->body + strlen(scrape->body), *place = scrape->body;
	for (const char *line = scrape->before, *end; line < before_end; line = end + 1) {
		char series[SERIES_MAX];
		end = memchr(line, '\n', (size_t)(before_end - line));
		if (!end)
			break;
		if (line[0] == '#')
			continue;
		const char *blank = memrchr(line, ' ', (size_t)(end - line));
		assert_non_null(blank);
		assert_true(blank - line < SERIES_MAX);
		memcpy(series, line, (size_t)(blank - line));
		series[blank - line] = '\0';
		if (!is_counter(series))
			continue;
		const char *found = find(place, now_end, series);
		if (!found)
			found = find(scrape->body, now_end, series);
		if (!found)
			harness_fail("there is no %s in the metrics", series);
		const double before = strtod(blank + 1, NULL), now = strtod(found, NULL);
		if (now < before)
			harness_fail("%s fell from %g to %g", series, before, now);
		place = memchr(found, '\n', (size_t)(now_end - found));
		place = place ? place + 1 : scrape->body;
	}
}

void scrape_metrics(struct scrape *scrape)
{
	if (!scrape_page(scrape, "/metrics"))
		harness_fail("nobody serves metrics");
	assert_int_equal(scrape->status, 200);
	if (scrape->before)
		compare(scrape);
	free(scrape->before);
	scrape->before = strdup(scrape->body);
	assert_non_null(scrape->before);
	scrape->taken++;
}

struct value_wait {
	struct scrape *scrape;
	const char *series;
	double value, found;
};

static bool value_is(void *context)
{
	struct value_wait *wait = context;
	scrape_metrics(wait->scrape);
	wait->found = scrape_value(wait->scrape, wait->series);
	return wait->found == wait->value;
}

void scrape_wait_value(struct scrape *scrape, const char *series, double value)
{
	struct value_wait wait = {.scrape = scrape, .series = series, .value = value};
	if (!harness_wait_for(scrape->harness, value_is, &wait, HARNESS_TIMEOUT_MS))
		harness_fail("%s is %g, and was expected to become %g", series, wait.found, value);
}

struct page_wait {
	struct scrape *scrape;
	const char *path, *text;
	int status;
};

static bool page_is(void *context)
{
	const struct page_wait *wait = context;
	return scrape_page(wait->scrape, wait->path) && wait->scrape->status == wait->status &&
	       strstr(wait->scrape->body, wait->text);
}

void scrape_wait_page(struct scrape *scrape, const char *path, int status, const char *text)
{
	struct page_wait wait = {.scrape = scrape, .path = path, .text = text, .status = status};
	if (!harness_wait_for(scrape->harness, page_is, &wait, HARNESS_TIMEOUT_MS))
		harness_fail("%s was expected with status %d and \"%s\" in it, and is %d: %s", path, status,
			text, scrape->status, scrape->body);
}
