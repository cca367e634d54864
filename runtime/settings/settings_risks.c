/*
 * settings_risks.c - settings that can be used and should not be: each is a warning, which --check, doctor and the log have alike.
 *
 * Happy path: nothing to say. Told are a secret of one repeated character, files whose content is believed and that others can change, and ways to
 * another machine on which somebody can listen or answer in the other's place. Only what the settings themselves say is looked at: no name is looked
 * up, and MongoDB's driver is not asked. No failure modes. Nothing said holds a secret.
 */
#include "settings.h"

#include "broker_names.h"
#include "broker_proxy.h"
#include "cashew.h"
#include "file_trust.h"
#include "settings_private.h"
#include "value_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { HOST_SIZE = 256 };

/* ---- Secrets and files ---- */

static void look_at_secret(struct settings_reader *reader, const char *name, const char *secret)
{
	const size_t size = strlen(secret);
	if (size > 0 && value_text_repeats(secret, size))
		fprintf(reader->warnings,
			"%s: it is one character, %zu times, which is quickly guessed: make one with openssl rand -base64 48\n",
			name, size);
}

/* Only of regular files: /dev/null may be written by all. */
static void look_at_file(struct settings_reader *reader, const char *name, const char *path)
{
	struct stat status;
	char doubt[FILE_TRUST_SIZE];
	if (path[0] != '\0' && stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
		file_trust_doubt(&status, doubt))
		fprintf(reader->warnings, "%s=%s: %s\n", name, path, doubt);
}

/* What is not the spool's alone it does not use: see log_spool.h. */
static void look_at_spool(struct settings_reader *reader, const struct settings *settings)
{
	struct stat status;
	char doubt[FILE_TRUST_SIZE] = "it is a link: name the folder itself";
	const char *path = settings->log_spool_dir;
	if (settings->loggly_token[0] == '\0' || path[0] == '\0' || lstat(path, &status) != 0)
		return;
	if (S_ISLNK(status.st_mode) || (S_ISDIR(status.st_mode) && file_trust_doubt(&status, doubt)))
		fprintf(reader->warnings,
			"LOG_SPOOL_DIR=%s: %s; until then what cannot be shipped stays in memory\n", path,
			doubt);
}

/* ---- Ways ---- */

/* Whether what is sent to that host stays on this machine. */
static bool is_here(const char *host)
{
	struct in_addr four;
	struct in6_addr six;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(host, "localhost") == 0;
}

static bool are_here(const char *names)
{
	char name[BROKER_NAME_SIZE];
	for (size_t i = 0; i < broker_names_count(names); i++) {
		broker_names_at(names, i, name);
		if (!is_here(name))
			return false;
	}
	return true;
}

/* Behind a proxy a name is what it is there. */
static bool is_proxy_here(const char *url)
{
	struct broker_proxy proxy;
	if (url[0] == '\0')
		return true;
	const bool here = !broker_proxy_read(url, &proxy) && is_here(proxy.host);
	broker_proxy_clear(&proxy);
	return here;
}

static void look_at_broker(struct settings_reader *reader, const struct settings *settings)
{
	const bool here = are_here(settings->broker_host) && is_proxy_here(settings->broker_proxy);
	if (!settings->broker_tls && settings->broker_host[0] != '\0' && !here)
		fprintf(reader->warnings,
			"BROKER_TLS=off: this host's token and all commands can be read on the way to %s: set up TLS at the broker\n",
			settings->broker_host);
}

/* A host of a connection string: HOST, HOST:PORT, [ADDRESS]:PORT, or the name of a socket, whose slashes are percent-encoded. */
static bool is_member_here(const char *at, size_t size)
{
	char host[HOST_SIZE];
	const bool bracketed = size > 0 && *at == '[';
	if (size >= sizeof(host) || (size > 3 && strncasecmp(at, "%2f", 3) == 0))
		return size < sizeof(host);
	memcpy(host, at + bracketed, size - bracketed);
	host[size - bracketed] = '\0';
	host[strcspn(host, bracketed ? "]" : ":")] = '\0';
	return is_here(host);
}

static bool all_here(const char *hosts, size_t size)
{
	for (const char *at = hosts, *const end = hosts + size; at < end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *member_end = comma ? comma : end;
		if (!is_member_here(at, (size_t)(member_end - at)))
			return false;
		at = comma ? comma + 1 : end;
	}
	return true;
}

/* What a connection string says of TLS. */
struct url_tls {
	bool on;
	const char *unverified; /* the option that switches verification off; NULL: none */
};

static bool is_word(const char *at, size_t size, const char *word)
{
	return size == strlen(word) && strncasecmp(at, word, size) == 0;
}

/* The options that switch verification off. */
static const char *unverified_option(const char *name, size_t size)
{
	static const char *const names[] = {"tlsInsecure", "tlsAllowInvalidCertificates",
		"tlsAllowInvalidHostnames", "sslAllowInvalidCertificates", "sslAllowInvalidHostnames"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_word(name, size, names[i]))
			return names[i];
	return NULL;
}

/* The driver's rules: an option about TLS switches it on, unless tls itself says otherwise. */
static struct url_tls read_options(const char *options, bool is_srv)
{
	struct url_tls found = {.on = is_srv};
	bool off = false;
	while (*options != '\0') {
		const size_t size = strcspn(options, "&;"), name = strcspn(options, "=&;");
		const bool is_true = name < size && is_word(options + name + 1, size - name - 1, "true");
		if (strncasecmp(options, "tls", 3) == 0 || strncasecmp(options, "ssl", 3) == 0)
			found.on = true;
		if (is_word(options, name, "tls") || is_word(options, name, "ssl"))
			off = !is_true;
		if (is_true && unverified_option(options, name))
			found.unverified = unverified_option(options, name);
		options += size + (options[size] != '\0');
	}
	found.on &= !off;
	return found;
}

static void look_at_database(struct settings_reader *reader, const struct settings *settings)
{
	const char *url = settings->mongo_db_url;
	const char *scheme_end = strstr(url, "://");
	if (!scheme_end || strncmp(url, "mongodb", 7) != 0)
		return;
	const char *begin = scheme_end + 3, *at = strrchr(begin, '@');
	const char *hosts = at ? at + 1 : begin;
	const size_t size = strcspn(hosts, "/?");
	const char *question = strchr(hosts + size, '?');
	const bool is_srv = strncmp(url, "mongodb+srv://", 14) == 0;
	const struct url_tls tls = read_options(question ? question + 1 : "", is_srv);
	if (!is_srv && all_here(hosts, size))
		return;
	if (tls.on && tls.unverified)
		fprintf(reader->warnings,
			"MONGO_DB_URL: %s=true: whoever is on the way can answer in the database's place, and learn what is in it: name the "
			"server's authority by tlsCAFile instead\n",
			tls.unverified);
	if (!tls.on && at && memchr(begin, ':', (size_t)(at - begin)))
		fputs("MONGO_DB_URL: the password and all data go to another machine without TLS: add tls=true to its options\n",
			reader->warnings);
}

void settings_risks(struct settings_reader *reader, const struct settings *settings)
{
	look_at_secret(reader, "JWT_SECRET", settings->jwt_secret);
	look_at_secret(reader, "JWT_HANDLER_SECRET", settings->jwt_handler_secret);
	look_at_file(reader, "HANDLER_TOKEN_FILE", settings->handler_token_file);
	look_at_file(reader, "BROKER_CA_FILE", settings->broker_ca_file);
	look_at_file(reader, "BROKER_KEY_FILE", settings->broker_key_file);
	look_at_file(reader, "LOGGLY_CA_FILE", settings->loggly_ca_file);
	look_at_spool(reader, settings);
	look_at_broker(reader, settings);
	look_at_database(reader, settings);
}
