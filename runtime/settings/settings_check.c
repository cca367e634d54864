/*
 * settings_check.c - what must be true between settings, and about the files, hosts and handlers that they name.
 *
 * Each check tells at most one problem, with what would be right. None shows a secret. Nothing is connected to.
 */
#include "settings.h"

#include "broker_names.h"
#include "broker_proxy.h"
#include "cashew.h"
#include "database_name.h"
#include "http_address.h"
#include "nearest.h"
#include "settings_private.h"
#include "small_file.h"
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MAX = 256, TOKEN_FILE_MAX = 65536 };

__attribute__((format(printf, 2, 3))) static void problem(
	struct settings_reader *reader, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vfprintf(reader->problems, format, arguments);
	va_end(arguments);
	fputc('\n', reader->problems);
	reader->count++;
}

bool settings_list_holds(const char *list, const char *name)
{
	const size_t size = strlen(name);
	for (const char *at = list; *at != '\0';) {
		at += strspn(at, ", \t");
		const size_t item = strcspn(at, ", \t");
		if (item == size && memcmp(at, name, size) == 0)
			return true;
		at += item;
	}
	return false;
}

static void check_secret_size(
	struct settings_reader *reader, const struct settings *settings, const char *name, const char *secret)
{
	const size_t size = strlen(secret);
	if (size > 0 && size < TOKEN_SECRET_MIN && !settings->allow_short_secret)
		problem(reader,
			"%s: it has %zu bytes: expected %d or more (openssl rand -base64 48 makes one); for trials ALLOW_SHORT_SECRET=on "
			"accepts it",
			name, size, (int)TOKEN_SECRET_MIN);
}

static void check_secret(struct settings_reader *reader, const struct settings *settings)
{
	const char *users = settings->jwt_secret, *handlers = settings->jwt_handler_secret;
	if (handlers[0] != '\0' && strcmp(handlers, users) == 0)
		problem(reader,
			"JWT_HANDLER_SECRET: it is the same as JWT_SECRET: expected another one, or none");
	if (settings->handler_token_file[0] != '\0')
		return;
	const bool unset = users[0] == '\0' && handlers[0] == '\0' && !reader->unread;
	reader->unset |= unset;
	if (unset)
		problem(reader,
			"JWT_SECRET: it is empty: expected the secret that the broker verifies tokens with, or a HANDLER_TOKEN_FILE");
	check_secret_size(reader, settings, "JWT_SECRET", users);
	check_secret_size(reader, settings, "JWT_HANDLER_SECRET", handlers);
}

const char *settings_handler_secret(const struct settings *settings, const char **ret_name)
{
	const bool own = settings->jwt_handler_secret && settings->jwt_handler_secret[0] != '\0';
	*ret_name = own ? "JWT_HANDLER_SECRET" : "JWT_SECRET";
	return own ? settings->jwt_handler_secret : settings->jwt_secret;
}

/* A file that is named must be there now, not only at the first connect. */
static void check_file(struct settings_reader *reader, const char *name, const char *path)
{
	if (path[0] == '\0')
		return;
	/* Not blocking: it may be a FIFO. That can be written once, and a file is read at each connect. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	if (fd < 0)
		problem(reader, "%s=%s: cannot be opened: %s", name, path, strerror(errno));
	else if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
		problem(reader, "%s=%s: it is a directory: expected a file", name, path);
	else if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode))
		problem(reader, "%s=%s: it is a FIFO: expected a file, since it is read again and again",
			name, path);
	if (fd >= 0)
		close(fd);
}

/* What can never get in is a problem. An empty file may be one that is just being written. What cannot be read, check_file() tells. */
static void check_token(struct settings_reader *reader, const char *path)
{
	char *bytes = NULL;
	size_t size = 0;
	if (path[0] == '\0' || small_file_read(path, TOKEN_FILE_MAX, &bytes, &size) != 0)
		return;
	const size_t line = strcspn(bytes, "\r\n");
	const char *oddity = token_oddity(bytes, line);
	small_file_free(bytes, size);
	if (oddity && line == 0)
		fprintf(reader->warnings,
			"HANDLER_TOKEN_FILE=%s: it is empty: expected a token in its first line\n", path);
	else if (oddity)
		problem(reader, "HANDLER_TOKEN_FILE=%s: it %s: expected the token alone in its first line",
			path, oddity);
}

/* The token itself, put there by mistake, is not to be told. */
static void check_token_file(struct settings_reader *reader, const char *path)
{
	check_token(reader, path);
	if (strncmp(path, "eyJ", 3) == 0 && strchr(path, '.') && access(path, F_OK) != 0)
		problem(reader,
			"HANDLER_TOKEN_FILE: it is a token (not shown): expected the name of a file that holds it");
	else
		check_file(reader, "HANDLER_TOKEN_FILE", path);
}

static void check_broker(struct settings_reader *reader, const struct settings *settings)
{
	/* That it is not set has been told. */
	const char *expected =
		settings->broker_host[0] != '\0' ? broker_names_problem(settings->broker_host) : NULL;
	if (expected)
		problem(reader, "BROKER_HOST=%s: expected %s", settings->broker_host, expected);
	if ((settings->broker_cert_file[0] != '\0') != (settings->broker_key_file[0] != '\0'))
		problem(reader, "%s is set without %s: a client certificate needs both",
			settings->broker_cert_file[0] != '\0' ? "BROKER_CERT_FILE" : "BROKER_KEY_FILE",
			settings->broker_cert_file[0] != '\0' ? "BROKER_KEY_FILE" : "BROKER_CERT_FILE");
	check_file(reader, "BROKER_CA_FILE", settings->broker_ca_file);
	check_file(reader, "BROKER_CERT_FILE", settings->broker_cert_file);
	check_file(reader, "BROKER_KEY_FILE", settings->broker_key_file);
	check_token_file(reader, settings->handler_token_file);
	const bool has_files = settings->broker_ca_file[0] != '\0' || settings->broker_cert_file[0] != '\0' ||
			       settings->broker_key_file[0] != '\0';
	if (!settings->broker_tls && has_files)
		fputs("BROKER_TLS=off: BROKER_CA_FILE, BROKER_CERT_FILE and BROKER_KEY_FILE are not used\n",
			reader->warnings);
}

static void check_proxy(struct settings_reader *reader, const char *url)
{
	struct broker_proxy proxy;
	if (url[0] == '\0')
		return;
	const char *expected = broker_proxy_read(url, &proxy);
	if (expected)
		problem(reader, "BROKER_PROXY: expected %s", expected);
	broker_proxy_clear(&proxy);
}

static void check_path(struct settings_reader *reader, const char *path)
{
	bool plain = path[0] == '/';
	for (const char *at = path; *at != '\0'; at++)
		plain &= *at > ' ' && *at < 0x7f && *at != '#' && *at != '\\';
	if (!plain)
		problem(reader,
			"BROKER_PATH: expected a path that begins with / and has no blanks, control characters, #, \\ or letters beyond ASCII in it (they are "
			"written as %%20 and the like)");
}

static void check_database(struct settings_reader *reader, const struct settings *settings)
{
	const char *url = settings->mongo_db_url;
	if (url[0] != '\0' && strncmp(url, "mongodb://", 10) != 0 && strncmp(url, "mongodb+srv://", 14) != 0)
		problem(reader, "MONGO_DB_URL: expected it to begin with mongodb:// or mongodb+srv://");
	const char *name = settings->mongo_db_name;
	if (!database_name_plain(name))
		problem(reader,
			"MONGO_DB_NAME=%s: expected a name in UTF-8 without / \\ . \" $ * < > : | ? and blanks",
			name);
	else if (database_name_reserved(name))
		problem(reader, "MONGO_DB_NAME=%s: that is one of MongoDB's own: expected another name",
			name);
}

static void check_loggly(struct settings_reader *reader, const struct settings *settings)
{
	static const char tag_characters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-,";
	const char *url = settings->loggly_url, *tags = settings->loggly_tags;
	if (strncmp(url, "https://", 8) != 0 || url[8] == '\0' ||
		url[8 + strcspn(url + 8, " @?#\"\\")] != '\0')
		problem(reader, "LOGGLY_URL: expected https://, a host, and at most a port and a path");
	if (strspn(tags, tag_characters) != strlen(tags) || tags[strspn(tags, ",")] == '\0')
		problem(reader, "LOGGLY_TAGS=%s: expected names of A-Z a-z 0-9 . _ - separated by commas",
			tags);
	check_file(reader, "LOGGLY_CA_FILE", settings->loggly_ca_file);
}

static void check_metrics(struct settings_reader *reader, const struct settings *settings)
{
	struct http_address address;
	if (http_address_read(settings->metrics_addr, &address) != 0)
		problem(reader,
			"METRICS_ADDR=%s: expected an address of this machine and a port, like 127.0.0.1:9883 or [::1]:9883, or off",
			settings->metrics_addr);
	if (!http_address_names_plain(settings->metrics_hosts))
		problem(reader,
			"METRICS_HOSTS=%s: expected host names without ports, like host1.example.com, separated by commas",
			settings->metrics_hosts);
}

static void check_handlers(struct settings_reader *reader, const struct settings *settings)
{
	const char *names[NAMES_MAX + 1] = {NULL};
	size_t count = 0;
	for (; reader->handlers[count] && count < NAMES_MAX; count++)
		names[count] = reader->handlers[count]->name;
	bool any = false;
	for (const char *at = settings->handlers; *at != '\0';) {
		at += strspn(at, ", \t");
		const size_t size = strcspn(at, ", \t");
		char name[65];
		snprintf(
			name, sizeof(name), "%.*s", (int)(size < sizeof(name) ? size : sizeof(name) - 1), at);
		at += size;
		if (size == 0)
			continue;
		any = true;
		bool known = false;
		for (size_t i = 0; reader->handlers[i]; i++)
			known |= strlen(reader->handlers[i]->name) == size &&
				 strcmp(reader->handlers[i]->name, name) == 0;
		const char *nearest = known ? NULL : nearest_name(name, names);
		if (!known)
			problem(reader, "HANDLERS: there is no handler %s%s%s%s", name,
				nearest ? "; did you mean " : " (--list-handlers shows them)",
				nearest ? nearest : "", nearest ? "?" : "");
	}
	if (!any && settings->handlers[0] != '\0')
		problem(reader, "HANDLERS=%s: expected names separated by commas, or nothing for all",
			settings->handlers);
}

void settings_check(struct settings_reader *reader, const struct settings *settings)
{
	check_secret(reader, settings);
	check_broker(reader, settings);
	check_path(reader, settings->broker_path);
	check_proxy(reader, settings->broker_proxy);
	check_database(reader, settings);
	check_loggly(reader, settings);
	check_metrics(reader, settings);
	check_handlers(reader, settings);
	settings_risks(reader, settings);
}
