/* cashew_token_exchange.c - see cashew_token_exchange.h. */
#include "cashew_token_exchange.h"

#include "cashew_token_jwks.h"
#include "exit_codes.h"
#include "output.h"
#include "provider_asked.h"
#include "provider_id_token.h"
#include "provider_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Asks the provider, if it is time to. */
static int renew(const struct provider_options *options, char *reason)
{
	int lock;
	struct provider_keys_news news;
	int error = provider_asked_begin(options->file, &lock, reason);
	if (error != 0)
		return error;
	error = provider_keys_renew(&options->source, options->file, &news, reason);
	provider_asked_end(lock);
	return error;
}

/*
 * Reads the keys, again where the ID token names one that they lack and the provider may be asked, or another process has just asked it. 0: there are
 * keys, and *ret_lacks says whether that one is still lacking, and *ret_asked what came of asking.
 */
static int keys_get(const struct provider_options *options, const char *token, size_t size,
	struct token_keys *ret_keys, bool *ret_lacks, int *ret_asked, char *reason)
{
	char words[PROVIDER_REASON_SIZE] = "";
	const int unusable = provider_keys_read(options->file, ret_keys, words);
	if (unusable < 0)
		return unusable;
	int error = provider_id_token_lacks_key(ret_keys, token, size, ret_lacks);
	if (error == 0 && *ret_lacks)
		*ret_asked = renew(options, reason);
	if (unusable != 0 && (error != 0 || !*ret_lacks || *ret_asked != 0))
		(void)fprintf(stderr, "cashew-token exchange: %s\n", words);
	if (error != 0 || !*ret_lacks || *ret_asked < 0)
		return error != 0 ? error : *ret_asked;
	struct token_keys fresh;
	error = provider_keys_read(options->file, &fresh, words);
	if (error < 0)
		return error;
	if (error == 0) {
		token_keys_clear(ret_keys);
		*ret_keys = fresh;
	}
	return provider_id_token_lacks_key(ret_keys, token, size, ret_lacks);
}

/* Where the key is lacking, that is what is wrong, unless the provider has just said all its keys. */
static int lack_judge(
	const struct provider_options *options, const struct token_keys *keys, int asked, char *reason)
{
	char words[PROVIDER_REASON_SIZE];
	(void)snprintf(
		words, sizeof(words), "the token's key is not in %.150s, and %.400s", options->file, reason);
	(void)snprintf(reason, PROVIDER_REASON_SIZE, "%s", words);
	/* With keys to be had by others, whoever may not write the file only cannot accept this token. */
	return asked == PROVIDER_E_FILE && keys->count > 0 ? PROVIDER_E_TOKEN : asked;
}

/* *ret_now: the moment at which it was good. */
static int verify(const struct provider_options *options, const char *token, size_t size,
	struct token_identity *ret_identity, int64_t *ret_now, char *reason)
{
	const struct provider_id_token_rules rules = {
		.issuer = options->source.issuer,
		.client_ids = options->client_ids,
		.trusted = options->trusted,
		.claim_user = options->claim_user,
		.nonce = options->nonce,
	};
	struct token_keys keys = {.count = 0};
	bool lacks = false;
	int asked = 0;
	int error = keys_get(options, token, size, &keys, &lacks, &asked, reason);
	/* The provider may have been slow. */
	*ret_now = time(NULL);
	if (error == 0 && lacks && asked != 0)
		error = lack_judge(options, &keys, asked, reason);
	else if (error == 0)
		error = provider_id_token_verify(&keys, &rules, token, size, *ret_now, ret_identity, reason);
	token_keys_clear(&keys);
	return error;
}

int cashew_token_exchange(
	const struct provider_options *options, const char *secret, const char *token, size_t size)
{
	char reason[PROVIDER_REASON_SIZE] = "", *made = NULL;
	struct token_identity identity;
	int64_t now;
	int error = verify(options, token, size, &identity, &now, reason);
	if (error == 0) {
		const int64_t left_s = identity.expires - now;
		error = token_sign_user(secret, identity.user_id, now,
			left_s < options->lifetime_s ? left_s : options->lifetime_s, &made);
	}
	if (error != 0)
		return cashew_token_jwks_failed("exchange", error, reason);
	puts(made);
	free(made);
	return output_flush("cashew-token", EXIT_OK);
}
