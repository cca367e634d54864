/*
 * rules.h - what the plugin asks of a token beside its signature, as options of mosquitto.conf say it (token_verify.h has what each rule means).
 *
 * Happy path: rules_option() for each option, rules_check() once all are known. Failure modes, told in words: a value that cannot be right, options that
 * contradict each other, public keys of users without an issuer and an audience: a provider signs tokens for others with the same keys.
 */
#ifndef RULES_H
#define RULES_H

#include "keys.h"
#include "token_verify.h"

enum rules_error { RULES_E_UNKNOWN = 1, RULES_E_UNUSABLE };

/*
 * Takes an option by its name behind plugin_opt_: allow_unexpiring_tokens, claim_user, issuer, audience, trust_audience, authorized_party, max_lifetime,
 * handler_names. The three of whom a token is for may come several times, and add up. 0; RULES_E_UNKNOWN: it is none of these; RULES_E_UNUSABLE, told;
 * -ENOMEM. The rules own their texts.
 */
__attribute__((warn_unused_result)) int rules_option(
	struct token_rules *rules, const char *name, const char *value, keys_tell tell);

/* Whether the rules and the users' keys fit each other. 0 or RULES_E_UNUSABLE, told. */
__attribute__((warn_unused_result)) int rules_check(
	const struct token_rules *rules, const struct keys_options *keys, keys_tell tell);

/*
 * Takes a list of names, separated by commas, without the blanks around them, in the place of *names, which is freed. 0; RULES_E_UNUSABLE, told: a name
 * is empty or has other characters than a user id; -ENOMEM.
 */
__attribute__((warn_unused_result)) int rules_names(
	const char *name, const char *value, char **names, keys_tell tell);

void rules_free(struct token_rules *rules);

#endif
