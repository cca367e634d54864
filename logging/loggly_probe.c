/* loggly_probe.c - see loggly_probe.h. */
#include "loggly_probe.h"

#include "clock.h"
#include "loggly_event.h"
#include "random.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 1000 };

/* The event in *ret, to be freed; its size, or 0 when out of memory. The message can stand in JSON as it is. */
static size_t make_event(const char *message, char **ret)
{
	struct loggly_source source;
	char host[LOGGLY_HOST_MAX] = "", when[CLOCK_ISO_SIZE], line[512];
	uint64_t run;
	char *event = malloc(LOGGLY_EVENT_MAX);
	if (!event)
		return 0;
	(void)gethostname(host, sizeof(host) - 1);
	random_bytes(&run, sizeof(run));
	clock_iso_ms(clock_unix_ms(), when);
	loggly_source_init(&source, run, host);
	const int size = snprintf(line, sizeof(line),
		"{\"timestamp\":\"%s\",\"level\":\"info\",\"event\":\"doctor\",\"message\":\"%s\"}", when,
		message);
	if (size <= 0 || (size_t)size >= sizeof(line))
		abort();
	*ret = event;
	return loggly_event_make(&source, 0, line, (size_t)size, event);
}

int loggly_probe(const struct loggly_probe *probe, struct loggly_answer *ret)
{
	struct loggly_http *http = NULL;
	char *event = NULL;
	size_t size = 0;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	int error = loggly_http_open(&(struct loggly_http_options){.url = probe->url,
					     .token = probe->token,
					     .tags = probe->tags,
					     .ca_file = probe->ca_file,
					     .connect_ms = probe->timeout_ms,
					     .total_ms = probe->timeout_ms,
					     .only_looks = !probe->message},
		&http);
	if (error == 0 && probe->message && (size = make_event(probe->message, &event)) == 0)
		error = -ENOMEM;
	if (error == 0)
		error = loggly_http_start(http, event, size);
	/* The request ends by itself when its time is up. */
	while (error == 0 && !loggly_http_answer(http, ret))
		loggly_http_wait(http, WAIT_MS);
	loggly_http_close(http);
	free(event);
	curl_global_cleanup();
	return error;
}
