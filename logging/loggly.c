/*
 * loggly.c - see loggly.h: lines in, opening and closing; what becomes of the lines is loggly_thread.c's.
 */
#include "clock.h"
#include "loggly_private.h"
#include "random.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LEAVE_BEHIND_MS = 2000 /* after the time to close is over */ };

uint64_t loggly_random(void)
{
	uint64_t number;
	random_bytes(&number, sizeof(number));
	return number;
}

unsigned loggly_pause_ms(unsigned failures, unsigned first_ms, unsigned max_ms, uint64_t random)
{
	const uint64_t limit = backoff_ms(failures > 0 ? failures - 1 : 0, first_ms, max_ms);
	return (unsigned)(random % (limit + 1));
}

/* ---- In: any thread ---- */

/* Appends a line; false: no room. The lock is held. */
static bool take_line(struct loggly *l, const char *line, size_t size)
{
	if (size + 1 > l->options.memory / 2 - l->incoming.size)
		return false;
	memcpy(l->incoming.bytes + l->incoming.size, line, size);
	l->incoming.size += size;
	l->incoming.bytes[l->incoming.size++] = '\n';
	return true;
}

void loggly_put(struct loggly *l, const char *lines, size_t size)
{
	pthread_mutex_lock(&l->lock);
	for (const char *at = lines, *const end = lines + size; at < end;) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		const size_t line = (size_t)((line_end ? line_end : end) - at);
		if (line > 0) {
			account_add(&l->account->emitted, 1);
			if (!take_line(l, at, line))
				account_add(&l->account->lost_memory, 1);
		}
		at += line + 1;
	}
	const bool wake = l->wake_at > 0 && l->incoming.size >= l->wake_at;
	if (wake)
		l->wake_at = 0;
	pthread_mutex_unlock(&l->lock);
	if (wake)
		loggly_http_wake(l->http);
}

static void read_account(struct log_account *account, struct loggly_figures *ret)
{
	struct loggly_figures figures = {
		.emitted = account_get(&account->emitted),
		.shipped = account_get(&account->shipped),
		.spooled = account_get(&account->spooled),
		.aside = account_get(&account->aside),
		.lost_memory = account_get(&account->lost_memory),
		.lost_spool = account_get(&account->lost_spool),
		.lost_disk = account_get(&account->lost_disk),
		.lost_killed = account_get(&account->lost_killed),
	};
	const uint64_t known = figures.shipped + figures.spooled + figures.aside + account_lost(account);
	figures.in_memory = figures.emitted > known ? figures.emitted - known : 0;
	*ret = figures;
}

void loggly_read(struct loggly *l, struct loggly_figures *ret)
{
	pthread_mutex_lock(&l->lock);
	read_account(l->account, ret);
	ret->spool_bytes = l->spool_bytes;
	pthread_mutex_unlock(&l->lock);
}

/* ---- Opening and closing ---- */

static void set_defaults(struct loggly_options *options)
{
	const struct {
		unsigned *value, otherwise;
	} defaults[] = {
		{&options->batch_ms, 1000},
		{&options->connect_ms, 3000},
		{&options->total_ms, 15000},
		{&options->retry_first_ms, 1000},
		{&options->retry_max_ms, 300000},
		{&options->pause_ms, 300000},
		{&options->disk_ms, 5000},
		{&options->tell_ms, 10000},
	};
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (*defaults[i].value == 0)
			*defaults[i].value = defaults[i].otherwise;
	if (options->memory == 0)
		options->memory = 4 * 1024 * 1024;
	if (options->batch_size == 0)
		options->batch_size = 1000 * 1000;
}

static void loggly_free(struct loggly *l)
{
	loggly_http_close(l->http);
	log_spool_close(l->spool);
	free(l->spool_folder);
	free(l->incoming.bytes);
	free(l->taken.bytes);
	free(l->building.bytes);
	free(l->sending.bytes);
	pthread_mutex_destroy(&l->lock);
	free(l);
	curl_global_cleanup();
}

static int prepare(struct loggly *l)
{
	const struct loggly_options *options = &l->options;
	char host_name[LOGGLY_HOST_MAX] = "";
	(void)gethostname(host_name, sizeof(host_name) - 1);
	loggly_source_init(&l->source, loggly_random(), options->host_name ? options->host_name : host_name);
	l->incoming.bytes = malloc(options->memory / 2);
	l->taken.bytes = malloc(options->memory / 2);
	if (!l->incoming.bytes || !l->taken.bytes)
		return -ENOMEM;
	if (options->spool_folder && options->spool_folder[0] != '\0') {
		l->spool_folder = strdup(options->spool_folder);
		if (!l->spool_folder)
			return -ENOMEM;
		l->spool_options = (struct log_spool_options){.folder = l->spool_folder,
			.limit = options->spool_max,
			.segment_size = options->batch_size};
	}
	return loggly_http_open(&(struct loggly_http_options){.url = options->url,
					.token = options->token,
					.tags = options->tags,
					.ca_file = options->ca_file,
					.connect_ms = options->connect_ms,
					.total_ms = options->total_ms},
		&l->http);
}

int loggly_open(const struct loggly_options *options, struct loggly **ret)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	struct loggly *l = calloc(1, sizeof(*l));
	if (!l) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	l->options = *options;
	set_defaults(&l->options);
	pthread_mutex_init(&l->lock, NULL);
	l->account = &l->own_account;
	l->part_max = l->options.batch_size;
	int error = prepare(l);
	if (error == 0) {
		/* Signals are for others; SIGPIPE stays with the thread, blocked. */
		sigset_t all, old;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		error = -pthread_create(&l->thread, NULL, loggly_thread, l);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (error != 0) {
		loggly_free(l);
		return error;
	}
	pthread_setname_np(l->thread, "cashewd-loggly");
	*ret = l;
	return 0;
}

void loggly_close(struct loggly *l, unsigned timeout_ms, struct loggly_figures *ret)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->closing = true;
	l->deadline_ms = clock_ms() + timeout_ms;
	pthread_mutex_unlock(&l->lock);
	loggly_http_wake(l->http);
	struct timespec until;
	/* By the wall clock: ThreadSanitizer does not know the join by another one. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (timeout_ms + LEAVE_BEHIND_MS) / 1000 + 1;
	const bool ended = pthread_timedjoin_np(l->thread, NULL, &until) == 0;
	if (ret)
		loggly_read(l, ret);
	if (ended)
		loggly_free(l);
	else
		/* One that hangs in the disk or in looking up a name is left behind: it holds nothing that the end of the process waits for. */
		pthread_detach(l->thread);
}
