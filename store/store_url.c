/*
 * store_url.c - the database's URL: checked, with the store's time-outs and concerns where it names none.
 *
 * The driver parses it, but quotes what it does not understand, and that may be a piece of a password which
 * was not percent-encoded. So it parses a copy with another user and password first, whose errors can be
 * shown, and then the real one in silence; what only goes wrong there is the user name or the password.
 */
#include "store_url.h"

#include "database_name.h"
#include "text_line.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Thread_local bool store_url_muted;

static void free_text(char **text)
{
	free(*text);
}

static void free_uri(mongoc_uri_t **uri)
{
	mongoc_uri_destroy(*uri);
}

/*
 * Whether what stands before the last @ can be a user name and a password. The driver takes the first @ for
 * the end of the password, and then what follows for a host's name, which it would show in its messages.
 */
static bool credentials_encoded(const char *after_scheme)
{
	const char *at = strrchr(after_scheme, '@');

	return !at || strcspn(after_scheme, "/?#[]@") == (size_t)(at - after_scheme);
}

static int refuse_credentials(char message[static STORE_MESSAGE_SIZE])
{
	snprintf(message, STORE_MESSAGE_SIZE,
		"the database URL's user name or password is not valid: expected user:password@ with each of "
		": / ? # [ ] @ %% inside them, and an @ further behind, percent-encoded (@ as %%40)");
	return STORE_E_PERMANENT;
}

/* The URL with "user:password" in place of what stands before the last @. NULL when out of memory. */
static char *without_credentials(const char *url, const char *after_scheme)
{
	const char *at = strrchr(after_scheme, '@');
	char *copy;

	if (!at)
		return strdup(url);
	if (asprintf(&copy, "%.*suser:password%s", (int)(after_scheme - url), url, at) < 0)
		return NULL;
	return copy;
}

/* ---- What the URL leaves open, and what of it has no effect ---- */

__attribute__((format(printf, 2, 3))) static void note(struct store_notes *notes, const char *format, ...)
{
	char line[STORE_MESSAGE_SIZE];
	const size_t used = strlen(notes->text), room = sizeof(notes->text) - used;
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if ((size_t)snprintf(notes->text + used, room, "MONGO_DB_URL: %s\n", line) >= room)
		notes->text[used] = '\0'; /* half a sentence is none */
}

static void default_int32(mongoc_uri_t *uri, const char *option, int32_t value)
{
	if (!mongoc_uri_has_option(uri, option))
		(void)mongoc_uri_set_option_as_int32(uri, option, value);
}

static void default_bool(mongoc_uri_t *uri, const char *option, bool value)
{
	if (!mongoc_uri_has_option(uri, option))
		(void)mongoc_uri_set_option_as_bool(uri, option, value);
}

enum { SOCKET_TIMEOUT_MS = 8000, WTIMEOUT_MS = 5000, OTHER_WORK_MS = 2000 };

/* Of the work's time, what one attempt at one operation may take: the operations before it need some as well. */
static int32_t socket_timeout_ms(unsigned work_ms, bool tried_twice)
{
	const unsigned ms = work_ms > 2 * OTHER_WORK_MS ? work_ms - OTHER_WORK_MS : work_ms / 2;
	const int32_t all = work_ms > 0 && ms < SOCKET_TIMEOUT_MS ? (int32_t)ms : SOCKET_TIMEOUT_MS;
	return tried_twice ? all / 2 : all;
}

/* Commands are repeated anyway. The driver's own second attempt on a replica set has a whole socketTimeoutMS again, by which a stalled
 * operation outlives its handler's deadline. Where the URL wants it all the same, both fit in. */
static bool set_attempts(mongoc_uri_t *uri)
{
	default_bool(uri, MONGOC_URI_RETRYWRITES, false);
	default_bool(uri, MONGOC_URI_RETRYREADS, false);
	return mongoc_uri_get_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false) ||
	       mongoc_uri_get_option_as_bool(uri, MONGOC_URI_RETRYREADS, false);
}

/*
 * Reads go to the primary, whatever the URL says: a secondary may not know yet what was acknowledged. A handler that
 * wants it otherwise can say so at its own read.
 */
static int set_reads(mongoc_uri_t *uri, struct store_notes *notes)
{
	mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);

	if (!primary)
		return -ENOMEM;
	if (mongoc_read_prefs_get_mode(mongoc_uri_get_read_prefs_t(uri)) != MONGOC_READ_PRIMARY)
		note(notes,
			"readPreference has no effect: what cashewd and its handlers read comes from the primary, unless a handler "
			"says otherwise at a read of its own");
	mongoc_uri_set_read_prefs_t(uri, primary);
	mongoc_read_prefs_destroy(primary);
	return 0;
}

/* With one host and neither this option nor replicaSet the driver stays with that host, and stays there when another one becomes primary. */
static void set_discovery(mongoc_uri_t *uri)
{
	if (!mongoc_uri_get_srv_hostname(uri))
		default_bool(uri, MONGOC_URI_DIRECTCONNECTION, false);
}

static void note_pool(const mongoc_uri_t *uri, struct store_notes *notes)
{
	static const char *const options[] = {
		MONGOC_URI_MAXPOOLSIZE, MONGOC_URI_MINPOOLSIZE, MONGOC_URI_WAITQUEUEMULTIPLE};
	static const char *const names[] = {"maxPoolSize", "minPoolSize", "waitQueueMultiple"};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (mongoc_uri_has_option(uri, options[i]))
			note(notes,
				"%s has no effect: there is a connection for each thread that needs one (WORKERS)",
				names[i]);
}

/* Without an end to it, a server that is frozen would be waited for in silence. */
static void set_socket_timeout(
	mongoc_uri_t *uri, int32_t operation_ms, unsigned work_ms, struct store_notes *notes)
{
	default_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, operation_ms);
	const int32_t said_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0);

	if (said_ms > 0 && work_ms > 0 && (unsigned)said_ms >= work_ms)
		note(notes,
			"socketTimeoutMS=%d is not less than the %u ms of HANDLER_TIMEOUT: where the database stalls, handlers count as hung",
			said_ms, work_ms);
	if (said_ms > 0)
		return;
	note(notes, "socketTimeoutMS=0 has no effect: an operation may take %d ms", operation_ms);
	(void)mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, operation_ms);
}

static int set_defaults(mongoc_uri_t *uri, unsigned work_ms, struct store_notes *notes,
	char message[static STORE_MESSAGE_SIZE])
{
	mongoc_write_concern_t *concern;
	int32_t w;
	const int32_t operation_ms = socket_timeout_ms(work_ms, set_attempts(uri));

	default_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 3000);
	default_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 2000);
	set_socket_timeout(uri, operation_ms, work_ms, notes);
	default_int32(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, 2000);

	concern = mongoc_write_concern_copy(mongoc_uri_get_write_concern(uri));
	if (!concern)
		return -ENOMEM;
	w = mongoc_write_concern_get_w(concern);
	if (w == MONGOC_WRITE_CONCERN_W_UNACKNOWLEDGED || w == MONGOC_WRITE_CONCERN_W_ERRORS_IGNORED) {
		mongoc_write_concern_destroy(concern);
		snprintf(message, STORE_MESSAGE_SIZE,
			"the database URL says w=%d, which leaves writes unacknowledged: expected "
			"w=majority, a "
			"number from 1, or nothing",
			(int)w);
		return STORE_E_PERMANENT;
	}
	if (w == MONGOC_WRITE_CONCERN_W_DEFAULT)
		mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY);
	if (!mongoc_write_concern_journal_is_set(concern))
		mongoc_write_concern_set_journal(concern, true);
	/* Below socketTimeoutMS, so that the server gives up waiting for its members before the connection
	 * does. */
	if (mongoc_write_concern_get_wtimeout_int64(concern) <= 0)
		mongoc_write_concern_set_wtimeout_int64(
			concern, (int64_t)WTIMEOUT_MS * operation_ms / SOCKET_TIMEOUT_MS);
	mongoc_uri_set_write_concern(uri, concern);
	mongoc_write_concern_destroy(concern);
	return 0;
}

/* The driver reads them only when it connects, and then says little. */
static int check_files(const mongoc_uri_t *uri, char message[static STORE_MESSAGE_SIZE])
{
	static const char *const options[] = {MONGOC_URI_TLSCAFILE, MONGOC_URI_TLSCERTIFICATEKEYFILE};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *path = mongoc_uri_get_option_as_utf8(uri, options[i], NULL);

		if (path && access(path, R_OK) < 0) {
			snprintf(message, STORE_MESSAGE_SIZE, "the database URL's %s, %s, cannot be read: %s",
				options[i], path, strerror(errno));
			return STORE_E_PERMANENT;
		}
	}
	return 0;
}

int store_url_parse(const char *url, unsigned work_ms, mongoc_uri_t **ret_uri, struct store_notes *notes,
	char message[static STORE_MESSAGE_SIZE])
{
	__attribute__((cleanup(free_text))) char *shown = NULL;
	__attribute__((cleanup(free_uri))) mongoc_uri_t *uri = NULL, *copy = NULL;
	const char *after_scheme;
	bson_error_t error;
	int r;

	if (strncmp(url, "mongodb://", 10) == 0) {
		after_scheme = url + 10;
	} else if (strncmp(url, "mongodb+srv://", 14) == 0) {
		after_scheme = url + 14;
	} else {
		snprintf(message, STORE_MESSAGE_SIZE,
			"the database URL begins neither with mongodb:// nor with mongodb+srv://: expected "
			"something like "
			"mongodb://127.0.0.1:27017");
		return STORE_E_PERMANENT;
	}
	if (!credentials_encoded(after_scheme))
		return refuse_credentials(message);
	shown = without_credentials(url, after_scheme);
	if (!shown)
		return -ENOMEM;
	copy = mongoc_uri_new_with_error(shown, &error);
	if (!copy) {
		snprintf(message, STORE_MESSAGE_SIZE, "the database URL is not valid: %s", error.message);
		return STORE_E_PERMANENT;
	}
	store_url_muted = true;
	uri = mongoc_uri_new_with_error(url, &error);
	store_url_muted = false;
	if (!uri)
		return refuse_credentials(message);
	r = set_reads(uri, notes);
	if (r != 0)
		return r;
	set_discovery(uri);
	note_pool(uri, notes);
	r = set_defaults(uri, work_ms, notes, message);
	if (r != 0)
		return r;
	r = check_files(uri, message);
	if (r != 0)
		return r;
	*ret_uri = uri;
	uri = NULL;
	return 0;
}

/* ---- Which database ---- */

static int check_database(const char *name, char message[static STORE_MESSAGE_SIZE])
{
	__attribute__((cleanup(free_text))) char *shown = text_line(name);
	const size_t size = strlen(name);

	if (!shown)
		return -ENOMEM;
	if (size == 0 || size > DATABASE_NAME_MAX || !database_name_plain(name)) {
		snprintf(message, STORE_MESSAGE_SIZE,
			"the database name \"%.64s\" is not valid: expected 1 to 63 bytes of UTF-8 without space and "
			"without any of "
			"/ \\ . \" $ * < > : | ?",
			shown);
		return STORE_E_PERMANENT;
	}
	if (database_name_reserved(name)) {
		snprintf(message, STORE_MESSAGE_SIZE,
			"the database name \"%s\" is one of MongoDB's own: expected another one", name);
		return STORE_E_PERMANENT;
	}
	return 0;
}

/* Whether the URL's database is also where the server looks the user up. */
static bool authenticates_there(const mongoc_uri_t *uri)
{
	const bson_t *credentials = mongoc_uri_get_credentials(uri);

	return mongoc_uri_get_username(uri) &&
	       !(credentials && bson_has_field(credentials, MONGOC_URI_AUTHSOURCE));
}

int store_url_database(const mongoc_uri_t *uri, const char *wanted, const char **ret_name,
	struct store_notes *notes, char message[static STORE_MESSAGE_SIZE])
{
	const char *named = mongoc_uri_get_database(uri), *name = wanted;

	if (wanted[0] != '\0') {
		if (named && strcmp(named, wanted) != 0 && !authenticates_there(uri))
			note(notes, "its database %s has no effect: MONGO_DB_NAME=%s is set", named, wanted);
	} else if (!named || named[0] == '\0') {
		name = STORE_DATABASE;
	} else if (database_name_reserved(named)) {
		name = STORE_DATABASE;
		if (!authenticates_there(uri))
			note(notes, "its database %s is MongoDB's own: documents are in %s", named, name);
	} else {
		name = named;
		if (authenticates_there(uri))
			note(notes,
				"its database %s is where the user is looked up, and documents are there, too: set "
				"MONGO_DB_NAME to say where they are to be",
				named);
	}
	const int error = check_database(name, message);
	if (error == 0)
		*ret_name = name;
	return error;
}
