/*
 * plugin_options.c - the plugin's options.
 *
 * Happy path: each goes to whoever knows it: keys.h, rules.h, guard.h, or the plugin itself. An unknown one, or a value
 * that cannot be used, is told in the log, and the broker does not start. They are plugin_opt_NAME in mosquitto.conf:
 *   secret_file PATH          a file that holds the secret; without it JWT_SECRET of the environment
 *   handler_secret_file PATH  the same for the secret of handlers' tokens; without it JWT_HANDLER_SECRET
 *   users_key_file, users_jwks_file   public keys for users' tokens: keys.h
 *   allow_short_secret on     accept a secret of less than 32 bytes; without it ALLOW_SHORT_SECRET of the environment
 *   allow_unexpiring_tokens, max_lifetime, handler_names, claim_user, issuer, audience,
 *   trust_audience, authorized_party   what else is asked of a token: rules.h
 *   deny_file PATH            users, handlers and tokens that are not let in: deny.h
 *   handler_client_ids A,B    client ids that only handlers may use, also with -... behind them; cashewd by default
 *   quota_...                 how much a user may do: README.md, quota_limits.h
 */
#include "plugin.h"

#include "quota_limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool text_replace(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
	return *text;
}

static int switch_read(const char *name, const char *value, bool *ret_on)
{
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
		plugin_log(MOSQ_LOG_ERR, "cashew plugin: %s must be on or off", name);
		return MOSQ_ERR_INVAL;
	}
	*ret_on = strcmp(value, "on") == 0;
	return MOSQ_ERR_SUCCESS;
}

static int option_read(struct plugin *plugin, const char *key, const char *value)
{
	int error = keys_option(&plugin->keys_options, key, value, plugin_tell);
	if (error == KEYS_E_UNKNOWN)
		error = rules_option(&plugin->rules, key, value, plugin_tell);
	if (error == RULES_E_UNKNOWN && strcmp(key, "handler_client_ids") == 0)
		error = rules_names(key, value, &plugin->handler_client_ids, plugin_tell);
	if (error != RULES_E_UNKNOWN)
		return error == 0 ? MOSQ_ERR_SUCCESS : error == -ENOMEM ? MOSQ_ERR_NOMEM : MOSQ_ERR_INVAL;
	if (strcmp(key, "deny_file") == 0)
		return text_replace(&plugin->deny_file, value) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
	if (strcmp(key, "allow_short_secret") == 0)
		return switch_read(
			"plugin_opt_allow_short_secret", value, &plugin->keys_options.allow_short_secret);
	error = guard_option(&plugin->guard, key, value);
	if (error != MOSQ_ERR_NOT_FOUND)
		return error;
	plugin_log(MOSQ_LOG_ERR,
		"cashew plugin: plugin_opt_%s is unknown; known are secret_file, handler_secret_file, users_key_file, users_jwks_file, "
		"allow_short_secret, allow_unexpiring_tokens, claim_user, issuer, audience, trust_audience, authorized_party, max_lifetime, handler_names, "
		"deny_file, handler_client_ids, %s",
		key, quota_limits_names());
	return MOSQ_ERR_INVAL;
}

int plugin_options_read(struct plugin *plugin, const struct mosquitto_opt *options, int option_count)
{
	const char *environment = getenv("ALLOW_SHORT_SECRET");
	bool *allow_short = &plugin->keys_options.allow_short_secret;
	int error =
		environment ? switch_read("ALLOW_SHORT_SECRET", environment, allow_short) : MOSQ_ERR_SUCCESS;
	if (!text_replace(&plugin->handler_client_ids, "cashewd"))
		error = MOSQ_ERR_NOMEM;
	for (int i = 0; i < option_count && error == MOSQ_ERR_SUCCESS; i++)
		error = option_read(plugin, options[i].key, options[i].value);
	return error;
}
