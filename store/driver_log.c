/* driver_log.c - see driver_log.h. */
#include "driver_log.h"

#include "clock.h"
#include "fingerprint.h"
#include "log.h"
#include "store_url.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <string.h>

enum { SIMPLE_SIZE = 256 };

static struct driver_log said;
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;

/* The same for texts that differ in numbers: ports, identifiers, milliseconds. Never 0. */
static uint64_t fingerprint_of(const char *message)
{
	char simple[SIMPLE_SIZE];
	size_t size = 0;
	for (; *message != '\0' && size < sizeof(simple); message++) {
		const bool digit = *message >= '0' && *message <= '9';
		if (!digit)
			simple[size++] = *message;
		else if (size == 0 || simple[size - 1] != '0')
			simple[size++] = '0';
	}
	return fingerprint_text(simple, size) | 1;
}

/* The place of that text, or the one that may be forgotten first. */
static struct driver_log_text *find(struct driver_log *self, uint64_t fingerprint)
{
	struct driver_log_text *oldest = &self->texts[0];
	for (size_t i = 0; i < DRIVER_LOG_TEXTS; i++) {
		struct driver_log_text *text = &self->texts[i];
		if (text->fingerprint == fingerprint)
			return text;
		if (text->fingerprint == 0 || (oldest->fingerprint != 0 && text->said_ms < oldest->said_ms))
			oldest = text;
	}
	return oldest;
}

bool driver_log_may(struct driver_log *self, const char *message, int64_t now_ms, uint64_t *ret_held_back)
{
	const uint64_t fingerprint = fingerprint_of(message);
	struct driver_log_text *text = find(self, fingerprint);
	const bool known = text->fingerprint == fingerprint;
	if (known && now_ms - text->said_ms < DRIVER_LOG_PAUSE_MS) {
		text->held_back++;
		return false;
	}
	*ret_held_back = known ? text->held_back : 0;
	*text = (struct driver_log_text){.fingerprint = fingerprint, .said_ms = now_ms};
	return true;
}

static void log_limited(enum log_level level, const char *domain, const char *message)
{
	uint64_t held_back = 0;
	if (!log_enabled(level))
		return;
	pthread_mutex_lock(&said_lock);
	const bool may = driver_log_may(&said, message, clock_ms(), &held_back);
	pthread_mutex_unlock(&said_lock);
	if (may && held_back > 0)
		LOG_EVENT(level, "mongodb_driver", message, LOG_TEXT("domain", domain),
			LOG_INT("repeated", held_back));
	else if (may)
		LOG_EVENT(level, "mongodb_driver", message, LOG_TEXT("domain", domain));
}

static void driver_logged(mongoc_log_level_t level, const char *domain, const char *message, void *context)
{
	(void)context;
	if (store_url_muted)
		return;
	/* What it says of a connection that breaks, each operation on it also answers to its caller. */
	if (strcmp(domain, "stream") == 0 && level >= MONGOC_LOG_LEVEL_WARNING)
		level = MONGOC_LOG_LEVEL_DEBUG;
	/* The same of one that is refused, while a server is away or starts. */
	if (strncmp(message, "Failed connection to ", 21) == 0)
		level = MONGOC_LOG_LEVEL_DEBUG;
	/* Its goodbye, for which it opens no connection anew where one broke: the server forgets sessions by
	 * itself. */
	if (strncmp(message, "Couldn't send \"endSessions\"", 27) == 0)
		level = MONGOC_LOG_LEVEL_DEBUG;
	if (level == MONGOC_LOG_LEVEL_ERROR || level == MONGOC_LOG_LEVEL_CRITICAL)
		log_limited(LOG_LEVEL_ERROR, domain, message);
	else if (level == MONGOC_LOG_LEVEL_WARNING)
		log_limited(LOG_LEVEL_WARN, domain, message);
	else
		log_limited(LOG_LEVEL_DEBUG, domain, message);
}

void driver_log_begin(void)
{
	mongoc_log_set_handler(driver_logged, NULL);
}

/* ---- Before main() ---- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static void say_nothing(mongoc_log_level_t level, const char *domain, const char *message, void *context)
{
	(void)level;
	(void)domain;
	(void)message;
	(void)context;
}

/*
 * libmongoc makes its counters when it is loaded, and where /dev/shm cannot be written it says so, in plain text, before any line of ours could run: but
 * for the functions in this section, which the program's loader calls before those of the libraries. Nobody misses those counters.
 */
static void before_libraries(void)
{
	mongoc_log_set_handler(say_nothing, NULL);
}

__attribute__((section(".preinit_array"), used)) static void (*const first_of_all)(void) = before_libraries;

#endif
