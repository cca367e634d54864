/* rules.c - what the plugin asks of a token beside its signature: see rules.h. */
#include "rules.h"

#include "topic.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLAIM_MAX = 128, TEXT_MAX = 1024, LIFETIME_MAX_S = 10 * 366 * 24 * 3600 };

static int refuse(keys_tell tell, const char *name, const char *expected)
{
	char text[512];
	(void)snprintf(text, sizeof(text), "plugin_opt_%s: expected %s", name, expected);
	tell(KEYS_ERROR, text);
	return RULES_E_UNUSABLE;
}

static int text_set(const char **text, const char *value)
{
	free((char *)(uintptr_t)*text);
	*text = strdup(value);
	return *text ? 0 : -ENOMEM;
}

/* One more of those that may be given several times. */
static int text_add(struct token_texts *texts, const char *name, const char *value, keys_tell tell)
{
	if (texts->count == TOKEN_TEXTS_MAX)
		return refuse(tell, name, "no more than 16 of it");
	const char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	texts->texts[texts->count++] = copy;
	return 0;
}

/* The texts that an option of that name adds to; NULL: it is none of those. */
static struct token_texts *texts_find(struct token_rules *rules, const char *name)
{
	return strcmp(name, "audience") == 0	       ? &rules->audiences
	       : strcmp(name, "trust_audience") == 0   ? &rules->trusted
	       : strcmp(name, "authorized_party") == 0 ? &rules->parties
						       : NULL;
}

/* What a token says of other things is no user id. */
static bool claim_usable(const char *name)
{
	static const char *const taken[] = {"iss", "aud", "azp", "exp", "nbf", "iat", "jti", "handler"};
	bool usable = name[0] != '\0' && strlen(name) <= CLAIM_MAX;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		usable = usable && strcmp(name, taken[i]) != 0;
	return usable;
}

static int lifetime_set(struct token_rules *rules, const char *name, const char *value, keys_tell tell)
{
	const size_t digits = strspn(value, "0123456789");
	const long long seconds =
		digits > 0 && digits <= 10 && value[digits] == '\0' ? strtoll(value, NULL, 10) : 0;
	if (seconds < 1 || seconds > LIFETIME_MAX_S)
		return refuse(tell, name, "a number of seconds, ten years at most");
	rules->lifetime_max_s = seconds;
	return 0;
}

int rules_names(const char *name, const char *value, char **names, keys_tell tell)
{
	char *copy = calloc(1, strlen(value) + 1);
	if (!copy)
		return -ENOMEM;
	size_t used = 0;
	for (const char *at = value;; at++) {
		at += strspn(at, " \t");
		const size_t field = strcspn(at, ",");
		size_t size = field;
		while (size > 0 && strchr(" \t", at[size - 1]))
			size--;
		if (!topic_user_valid(at, size)) {
			free(copy);
			return refuse(
				tell, name, "names of 1 to 64 of A-Z a-z 0-9 . _ | -, separated by commas");
		}
		if (used > 0)
			copy[used++] = ',';
		memcpy(copy + used, at, size);
		used += size;
		at += field;
		if (*at == '\0')
			break;
	}
	free(*names);
	*names = copy;
	return 0;
}

static int names_set(struct token_rules *rules, const char *name, const char *value, keys_tell tell)
{
	char *names = (char *)(uintptr_t)rules->handler_names;
	const int error = rules_names(name, value, &names, tell);
	rules->handler_names = names;
	return error;
}

int rules_option(struct token_rules *rules, const char *name, const char *value, keys_tell tell)
{
	if (strcmp(name, "allow_unexpiring_tokens") == 0) {
		if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
			return refuse(tell, name, "one word: it must be on or off");
		rules->allow_unexpiring = strcmp(value, "on") == 0;
		return 0;
	}
	if (strcmp(name, "max_lifetime") == 0)
		return lifetime_set(rules, name, value, tell);
	if (strcmp(name, "handler_names") == 0)
		return names_set(rules, name, value, tell);
	const bool is_claim = strcmp(name, "claim_user") == 0, is_issuer = strcmp(name, "issuer") == 0;
	struct token_texts *texts = texts_find(rules, name);
	if (!is_claim && !is_issuer && !texts)
		return RULES_E_UNKNOWN;
	if (is_claim && !claim_usable(value))
		return refuse(tell, name, "the name of a claim that says who the user is, like sub");
	if (value[0] == '\0' || strlen(value) > TEXT_MAX)
		return refuse(tell, name, "a text as the tokens have it");
	return texts ? text_add(texts, name, value, tell)
		     : text_set(is_claim ? &rules->claim_user : &rules->issuer, value);
}

int rules_check(const struct token_rules *rules, const struct keys_options *keys, keys_tell tell)
{
	if (rules->allow_unexpiring && rules->lifetime_max_s > 0) {
		tell(KEYS_ERROR,
			"plugin_opt_allow_unexpiring_tokens on and plugin_opt_max_lifetime contradict each other");
		return RULES_E_UNUSABLE;
	}
	if (rules->audiences.count == 0 && (rules->trusted.count > 0 || rules->parties.count > 0)) {
		tell(KEYS_ERROR,
			"plugin_opt_trust_audience and plugin_opt_authorized_party say who may be named beside plugin_opt_audience, which is missing");
		return RULES_E_UNUSABLE;
	}
	if (keys->file_count > 0 && (!rules->issuer || rules->audiences.count == 0)) {
		tell(KEYS_ERROR,
			"plugin_opt_issuer and plugin_opt_audience are needed with public keys of users: whoever has these keys signs tokens for others too");
		return RULES_E_UNUSABLE;
	}
	if (rules->allow_unexpiring)
		tell(KEYS_WARNING,
			"tokens without exp are accepted: whoever gets hold of one is that user until the secret is changed");
	return 0;
}

void rules_free(struct token_rules *rules)
{
	const char *const texts[] = {rules->claim_user, rules->issuer, rules->handler_names};
	const struct token_texts *const lists[] = {&rules->audiences, &rules->trusted, &rules->parties};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free((char *)(uintptr_t)texts[i]);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (size_t j = 0; j < lists[i]->count; j++)
			free((char *)(uintptr_t)lists[i]->texts[j]);
	*rules = (struct token_rules){.allow_unexpiring = false};
}
