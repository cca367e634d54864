/* provider_keys.c - see provider_keys.h. */
#include "provider_keys.h"

#include "json_memory.h"
#include "provider_address.h"
#include "provider_fetch.h"
#include "provider_file.h"
#include "small_file.h"
#include "token_form.h"
#include "token_jwks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)PROVIDER_BODY_MAX == (int)TOKEN_KEY_FILE_MAX, "what is fetched can be read again");

static void text_cleanup(char **text)
{
	free(*text);
}

#define AUTO_TEXT __attribute__((cleanup(text_cleanup)))

/* Puts the address in front of the reason. Hands the error on. */
static int name(const char *address, int error, const char *words, char *reason)
{
	if (error > 0)
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "%.300s: %.330s", address, words);
	return error;
}

/* ---- The discovery document ---- */

/* Byte for byte (Discovery 1.0, section 4.3): whoever answers for another issuer is not the one that was asked for. */
static int document_judge(const json_t *document, const char *issuer, char *reason)
{
	const json_t *said = json_object_get(document, "issuer"),
		     *keys = json_object_get(document, "jwks_uri");
	if (!json_is_string(said)) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "it is no discovery document: it has no issuer");
		return PROVIDER_E_ANSWER;
	}
	if (!token_form_equal(said, issuer)) {
		const bool printable = !provider_address_oddity(json_string_value(said));
		(void)snprintf(reason, PROVIDER_REASON_SIZE,
			"its issuer is %s%.200s%s, not the %.200s that was asked for: they have to be equal byte for byte, also a / at the end",
			printable ? "\"" : "", printable ? json_string_value(said) : "another one",
			printable ? "\"" : "", issuer);
		return PROVIDER_E_ANSWER;
	}
	const char *oddity =
		json_is_string(keys) ? provider_address_oddity(json_string_value(keys)) : "is not there";
	if (oddity) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "its jwks_uri %s", oddity);
		return PROVIDER_E_ANSWER;
	}
	return 0;
}

static int document_read(const char *text, size_t size, const char *issuer, char **ret_address, char *reason)
{
	json_error_t where;
	json_memory_begin();
	json_auto_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	if (json_memory_end())
		return -ENOMEM;
	if (!json_is_object(document)) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE,
			"it is no JSON object, or only a part of one: is this the issuer?");
		return PROVIDER_E_ANSWER;
	}
	const int error = document_judge(document, issuer, reason);
	if (error != 0)
		return error;
	char *address = strdup(json_string_value(json_object_get(document, "jwks_uri")));
	if (address)
		*ret_address = address;
	return address ? 0 : -ENOMEM;
}

/* Where its keys are. */
static int discover(const struct provider_source *source, char **ret_address, char *reason)
{
	char address[PROVIDER_ADDRESS_DISCOVERY_SIZE], words[PROVIDER_REASON_SIZE] = "";
	AUTO_TEXT char *text = NULL;
	size_t size = 0;
	provider_address_discovery(source->issuer, address);
	int error = provider_fetch(source, address, &text, &size, words);
	if (error == 0)
		error = document_read(text, size, source->issuer, ret_address, words);
	return name(address, error, words, reason);
}

/* ---- The keys ---- */

static int keys_judge(const char *text, size_t size, struct provider_keys_news *ret_news, char *reason)
{
	char words[TOKEN_REASON_SIZE] = "";
	struct token_keys keys = {.count = 0};
	size_t passed_over = 0;
	const int error = token_jwks_read(text, size, &keys, &passed_over, words);
	const size_t count = keys.count;
	token_keys_clear(&keys);
	if (error == TOKEN_E_REFUSED) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "what it answers %s", words);
		return PROVIDER_E_ANSWER;
	}
	if (error == 0)
		*ret_news = (struct provider_keys_news){.key_count = count, .passed_over = passed_over};
	return error;
}

int provider_keys_ask(const struct provider_source *source, char **ret_text, size_t *ret_size,
	struct provider_keys_news *ret_news, char reason[static PROVIDER_REASON_SIZE])
{
	char words[PROVIDER_REASON_SIZE] = "";
	AUTO_TEXT char *address = NULL;
	AUTO_TEXT char *text = NULL;
	size_t size = 0;
	int error = discover(source, &address, reason);
	if (error != 0)
		return error;
	error = provider_fetch(source, address, &text, &size, words);
	if (error == 0)
		error = keys_judge(text, size, ret_news, words);
	if (error != 0)
		return name(address, error, words, reason);
	*ret_text = text;
	*ret_size = size;
	text = NULL;
	return 0;
}

int provider_keys_renew(const struct provider_source *source, const char *path,
	struct provider_keys_news *ret_news, char reason[static PROVIDER_REASON_SIZE])
{
	AUTO_TEXT char *text = NULL;
	size_t size = 0;
	struct provider_keys_news news;
	int error = provider_keys_ask(source, &text, &size, &news, reason);
	if (error == 0)
		error = provider_file_replace(path, text, size, &news.changed, reason);
	if (error == 0)
		*ret_news = news;
	return error;
}

int provider_keys_read(
	const char *path, struct token_keys *ret_keys, char reason[static PROVIDER_REASON_SIZE])
{
	char *text = NULL, words[TOKEN_REASON_SIZE] = "";
	size_t size = 0, passed_over;
	ret_keys->count = 0;
	int error = small_file_read(path, TOKEN_KEY_FILE_MAX, &text, &size);
	if (error == -ENOMEM)
		return error;
	if (error != 0) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "%.300s cannot be read: %s", path,
			small_file_explain(error));
		return PROVIDER_E_FILE;
	}
	error = token_jwks_read(text, size, ret_keys, &passed_over, words);
	small_file_free(text, size);
	if (error != 0)
		token_keys_clear(ret_keys);
	if (error != TOKEN_E_REFUSED)
		return error;
	(void)snprintf(reason, PROVIDER_REASON_SIZE, "%.300s cannot be used: it %s", path, words);
	return PROVIDER_E_FILE;
}
