/*
 * settings_secrets.c - which secrets there are in the settings and in the environment, for those who keep them out of texts.
 *
 * Happy path: each secret is copied out of where it stands and handed on. Failure: no memory for the copy, or what the caller's function returns, ends it.
 */
#include "settings.h"

#include "broker_proxy.h"
#include "cashew.h"
#include "settings_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TOKEN_LIKE = 8 };

bool settings_option_is_secret(const char *name, size_t size)
{
	static const char *const words[] = {"password", "authmechanismproperties"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const size_t length = strlen(words[i]);
		for (size_t at = 0; at + length <= size; at++) {
			if (strncasecmp(name + at, words[i], length) == 0)
				return true;
		}
	}
	return false;
}

static int visit_bytes(const char *bytes, size_t size, int (*visit)(const char *secret))
{
	char *secret = strndup(bytes, size);
	if (!secret)
		return -ENOMEM;
	const int error = visit(secret);
	explicit_bzero(secret, size);
	free(secret);
	return error;
}

/* What stands between :// and the last @, which is more than it should be where a password holds an unescaped / or #. NULL: nothing. */
static const char *userinfo(const char *url, size_t *ret_size)
{
	const char *scheme_end = strstr(url, "://");
	const char *user = scheme_end ? scheme_end + 3 : url;
	const char *at = strrchr(user, '@');
	*ret_size = at ? (size_t)(at - user) : 0;
	return at ? user : NULL;
}

/* authMechanismProperties: a list of NAME:value, of which only some are secrets; any other option is one as a whole. */
static int visit_option(const char *value, size_t size, bool is_list, int (*visit)(const char *secret))
{
	int error = 0;
	if (!is_list)
		return visit_bytes(value, size, visit);
	for (const char *at = value, *const end = value + size; at < end && error == 0;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *part_end = comma ? comma : end;
		const char *colon = memchr(at, ':', (size_t)(part_end - at));
		if (colon && strncasecmp(at, "AWS_SESSION_TOKEN", 17) == 0)
			error = visit_bytes(colon + 1, (size_t)(part_end - colon - 1), visit);
		at = part_end + 1;
	}
	return error;
}

static int visit_database_url(const char *url, int (*visit)(const char *secret))
{
	size_t size;
	int error = 0;
	const char *user = userinfo(url, &size);
	const char *colon = user ? memchr(user, ':', size) : NULL;
	if (colon)
		error = visit_bytes(colon + 1, (size_t)(user + size - colon - 1), visit);
	const char *option = strchr(user ? user + size : url, '?');
	while (option && error == 0) {
		option++;
		const char *end = option + strcspn(option, "&");
		const char *sign = memchr(option, '=', (size_t)(end - option));
		if (sign && settings_option_is_secret(option, (size_t)(sign - option)))
			error = visit_option(sign + 1, (size_t)(end - sign - 1),
				strncasecmp(option, "authmechanismproperties=", 24) == 0, visit);
		option = *end == '&' ? end : NULL;
	}
	return error;
}

/* As they are, and as the proxy gets them: a proxy may send back what it was sent. */
static int visit_proxy(const char *url, int (*visit)(const char *secret))
{
	struct broker_proxy proxy;
	int error = 0;
	if (url[0] == '\0')
		return 0;
	if (!broker_proxy_read(url, &proxy) && proxy.basic[0] != '\0') {
		error = visit(proxy.password);
		if (error == 0)
			error = visit(proxy.basic);
	}
	broker_proxy_clear(&proxy);
	return error;
}

int settings_secrets(const struct settings *settings, int (*visit)(const char *secret))
{
	int error = 0;
	for (size_t i = 0; i < settings_count && error == 0; i++)
		if (settings_table[i].secret)
			error = visit(
				*(const char *const *)((const char *)settings + settings_table[i].offset));
	for (size_t i = 0; settings->block && i < settings->block->count && error == 0; i++)
		if (settings->block->values[i].setting->secret)
			error = visit(settings->block->values[i].value);
	if (error == 0)
		error = visit_database_url(settings->mongo_db_url, visit);
	return error == 0 ? visit_proxy(settings->broker_proxy, visit) : error;
}

bool settings_is_proxy(const char *name)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* As any library's may be called. BROKER_PROXY is a setting. */
static bool ends_in_proxy(const char *name)
{
	if (strcmp(name, "BROKER_PROXY") == 0)
		return false;
	static const char ending[] = "_proxy";
	const size_t size = strlen(name);
	return size >= sizeof(ending) && strcasecmp(name + size - (sizeof(ending) - 1), ending) == 0;
}

int settings_proxy_secrets(char *const *environment, int (*visit)(const char *secret))
{
	int error = 0;
	for (char *const *at = environment; at && *at && error == 0; at++) {
		const size_t name_size = strcspn(*at, "=");
		char name[32];
		if (name_size >= sizeof(name) || (*at)[name_size] != '=')
			continue;
		memcpy(name, *at, name_size);
		name[name_size] = '\0';
		size_t size;
		const char *user = ends_in_proxy(name) ? userinfo(*at + name_size + 1, &size) : NULL;
		if (!user)
			continue;
		const char *colon = memchr(user, ':', size);
		/* A short name without a password is no token, and a word that half of all lines have. */
		if (colon || size >= TOKEN_LIKE)
			error = visit_bytes(user, size, visit);
		/* By itself too: short words are looked for as a whole. */
		if (error == 0 && colon)
			error = visit_bytes(colon + 1, (size_t)(user + size - colon - 1), visit);
	}
	return error;
}
