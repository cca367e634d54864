/*
 * shipping.c - see shipping.h.
 */
#include "shipping.h"

#include "log.h"
#include "loggly.h"
#include "settings.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { CLOSE_MS = 5000, LINK_SIZE = 128 };

static void put(void *context, const char *lines, size_t size)
{
	loggly_put(context, lines, size);
}

static void say_open(const struct settings *settings)
{
	char link[LINK_SIZE];
	snprintf(link, sizeof(link), "https://%s.loggly.com/search", settings->loggly_subdomain);
	log_info("loggly_on", "the log is shipped to Loggly", LOG_TEXT("url", settings->loggly_url),
		LOG_TEXT("tags", settings->loggly_tags),
		LOG_TEXT("logs", settings->loggly_subdomain[0] != '\0' ? link : NULL));
}

void shipping_open(struct shipping *self, const struct settings *settings)
{
	if (settings->loggly_token[0] == '\0') {
		log_info("loggly_off", "LOGGLY_TOKEN is not set: the log is not shipped");
		return;
	}
	const int error = loggly_open(&(struct loggly_options){.url = settings->loggly_url,
					      .token = settings->loggly_token,
					      .tags = settings->loggly_tags,
					      .ca_file = settings->loggly_ca_file,
					      .spool_folder = settings->log_spool_dir,
					      .spool_max = settings->log_spool_max},
		&self->loggly);
	if (error != 0) {
		self->loggly = NULL;
		log_error("loggly_failed", "the log cannot be shipped: this needs memory and a thread",
			LOG_TEXT("reason", strerror(-error)));
		return;
	}
	log_set_tap(put, self->loggly);
	say_open(settings);
}

static void close_within(struct shipping *self, unsigned timeout_ms)
{
	struct loggly_figures figures;
	if (!self->loggly)
		return;
	log_set_tap(NULL, NULL);
	loggly_close(self->loggly, timeout_ms, &figures);
	self->loggly = NULL;
	log_info("loggly_closed", "the account of what was to go to Loggly, since the spool was made",
		LOG_INT("emitted", figures.emitted), LOG_INT("shipped", figures.shipped),
		LOG_INT("spooled", figures.spooled), LOG_INT("aside", figures.aside),
		LOG_INT("lost", figures.lost_memory + figures.lost_spool + figures.lost_disk +
					figures.lost_killed + figures.in_memory));
}

void shipping_change(struct shipping *self, const struct settings *before, const struct settings *after)
{
	const bool same = strcmp(before->loggly_token, after->loggly_token) == 0 &&
			  strcmp(before->loggly_url, after->loggly_url) == 0 &&
			  strcmp(before->loggly_tags, after->loggly_tags) == 0 &&
			  strcmp(before->loggly_ca_file, after->loggly_ca_file) == 0 &&
			  strcmp(before->log_spool_dir, after->log_spool_dir) == 0 &&
			  before->log_spool_max == after->log_spool_max;
	if (same)
		return;
	close_within(self, 0);
	shipping_open(self, after);
}

void shipping_close(struct shipping *self)
{
	close_within(self, CLOSE_MS);
}
