/*
 * plugin.c - a plugin for mosquitto (plugin API version 5): who connects with a JSON Web Token, as whom, and
 * what they may do.
 *
 * Happy path: a client connects with the user name "JWT" and its token as the password. The token is
 * verified (keys.h, token_verify.h), and the client's user name at the broker becomes its identity, "user:68946" or "handler:cashewd",
 * which is all that the access rules look at (access.h). A bare command of a device, "get_apples", is
 * rewritten to "68946/get_apples" before the broker looks for subscribers. Failure modes: no usable secret or
 * an unknown option keep the broker from starting; a client without a valid token or with a client id that is
 * not its own is refused with a line in the log (never the token); a publish or subscription that is not
 * allowed, or is over the user's quota (guard.h), is refused with the protocol's reason code; when a token
 * expires, its connection is closed.
 *
 * Everything runs in mosquitto's one thread. Options, as plugin_opt_NAME in mosquitto.conf:
 *   secret_file PATH          a file that holds the secret; without it JWT_SECRET of the environment
 *   handler_secret_file PATH  the same for the secret of handlers' tokens; without it JWT_HANDLER_SECRET
 *   users_key_file, users_jwks_file   public keys for users' tokens: keys.h
 *   allow_short_secret on     accept a secret of less than 32 bytes; without it ALLOW_SHORT_SECRET of the environment
 *   allow_unexpiring_tokens, max_lifetime, handler_names, claim_user, issuer, audience   what else is asked of a token: rules.h
 *   deny_file PATH            users, handlers and tokens that are not let in: deny.h
 *   handler_client_ids A,B    client ids that only handlers may use, also with -... behind them; cashewd by default
 *   quota_...                 how much a user may do: README.md, quota_limits.h
 */
#include "access.h"
#include "connections.h"
#include "deny.h"
#include "guard.h"
#include "keys.h"
#include "rules.h"

#include <errno.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/*
 * A message's topic that was replaced in the message event is freed by the broker itself since mosquitto
 * 2.0.15, and freeing it here would do that twice; before 2.0.15 nobody else frees it. The plugin interface
 * tells no version at run time, so the headers decide, which come with the broker: a plugin built for an
 * older one than 2.0.15 must be built again before a newer one loads it.
 */
enum { BROKER_FREES_OLD_TOPIC = LIBMOSQUITTO_VERSION_NUMBER >= 2000015 };

struct plugin {
	mosquitto_plugin_id_t *id;
	struct keys_options keys_options;
	struct token_keys keys;
	struct token_rules rules;
	char *deny_file;	  /* NULL: none */
	struct deny *deny;	  /* NULL: none */
	char *handler_client_ids; /* names separated by commas */
	bool reloading;		  /* between SIGHUP and the next tick */
	struct connections connections;
	struct guard guard;
};

static void keys_log(enum keys_level level, const char *text)
{
	mosquitto_log_printf(level == KEYS_ERROR     ? MOSQ_LOG_ERR
			     : level == KEYS_WARNING ? MOSQ_LOG_WARNING
						     : MOSQ_LOG_NOTICE,
		"cashew plugin: %s", text);
}

/* On failure the keys stay those that they were. */
static int keys_load(struct plugin *plugin)
{
	struct token_keys keys;
	const int error = keys_read(&plugin->keys_options, &keys, keys_log);
	if (error != 0)
		return error;
	token_keys_clear(&plugin->keys);
	plugin->keys = keys;
	return 0;
}

/* On failure the list stays the one that it was. */
static int deny_load(struct plugin *plugin)
{
	struct deny *deny = NULL;
	const int error = plugin->deny_file ? deny_read(plugin->deny_file, &deny, keys_log) : 0;
	if (error != 0)
		return error;
	deny_free(plugin->deny);
	plugin->deny = deny;
	return 0;
}

/* ---- Connecting ---- */

static int connect_refuse(struct mosquitto_evt_basic_auth *event, const char *reason)
{
	const char *address = mosquitto_client_address(event->client),
		   *id = mosquitto_client_id(event->client);
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "cashew plugin: refused client %s from %s: %s", id ? id : "-",
		address ? address : "-", reason);
	return MOSQ_ERR_AUTH;
}

/*
 * At SIGHUP mosquitto asks again for each client and each session it has, by the user name that is now the
 * identity. A client that is connected was verified; of a session without a client nothing but the identity
 * is left. No CONNECT can come in between the reload and the next tick, except over WebSockets, which
 * mosquitto serves in between.
 */
static bool verified_before(struct plugin *plugin, const struct mosquitto *client, const char *username)
{
	if (!access_user(username) && !access_is_handler(username))
		return false;
	return connections_find(&plugin->connections, client) ||
	       (plugin->reloading && mosquitto_client_protocol(client) != mp_websockets);
}

/* Of somebody whose token is not good, so that nothing but the address is known: that bounds the lines, too. */
static int login_refuse(struct plugin *plugin, struct mosquitto_evt_basic_auth *event, const char *reason)
{
	return guard_login_failed(&plugin->guard, event->client) ? connect_refuse(event, reason)
								 : MOSQ_ERR_AUTH;
}

static int client_id_check(struct plugin *plugin, struct mosquitto_evt_basic_auth *event, const char *user)
{
	const char *client_id = mosquitto_client_id(event->client);
	char reason[256];
	if (access_client_id_reserved(client_id, plugin->handler_client_ids)) {
		(void)snprintf(
			reason, sizeof(reason), "this client id is kept for handlers, not for user %s", user);
		return connect_refuse(event, reason);
	}
	if (!access_client_id_allowed(client_id, user)) {
		bool alone = access_client_id_allowed(user, user);
		(void)snprintf(reason, sizeof(reason),
			"the client id of user %s must %s%s%sbegin with \"%s/\"", user, alone ? "be \"" : "",
			alone ? user : "", alone ? "\" or " : "", user);
		return connect_refuse(event, reason);
	}
	return MOSQ_ERR_SUCCESS;
}

static int on_basic_auth(int event_number, void *event_data, void *context)
{
	(void)event_number;
	struct plugin *plugin = context;
	struct mosquitto_evt_basic_auth *event = event_data;
	if (verified_before(plugin, event->client, event->username))
		return MOSQ_ERR_SUCCESS;
	if (!guard_login(&plugin->guard, event->client))
		return MOSQ_ERR_AUTH;
	if (!event->username || strcmp(event->username, "JWT") != 0)
		return login_refuse(plugin, event, "the user name must be \"JWT\" and the password a token");
	if (!event->password)
		return login_refuse(plugin, event, "there is no password: it must be a token");
	char reason[TOKEN_REASON_SIZE];
	struct token_identity identity;
	int error = token_verify_with(&plugin->keys, &plugin->rules, event->password, strlen(event->password),
		time(NULL), &identity, reason);
	if (error != 0)
		return error == TOKEN_E_REFUSED ? login_refuse(plugin, event, reason) : MOSQ_ERR_NOMEM;
	if (deny_holds(plugin->deny, &identity))
		return login_refuse(plugin, event, "the deny list holds its user, its handler or its token");
	const char *user = identity.is_handler ? NULL : identity.user_id;
	if (!guard_connect(&plugin->guard, user))
		return MOSQ_ERR_AUTH;
	if (user) {
		error = client_id_check(plugin, event, user);
		if (error != MOSQ_ERR_SUCCESS)
			return error;
	}
	if (!guard_session(&plugin->guard, user, event->client))
		return MOSQ_ERR_AUTH;
	char text[ACCESS_IDENTITY_SIZE];
	(void)snprintf(text, sizeof(text), "%s%s", identity.is_handler ? ACCESS_HANDLER : ACCESS_USER,
		identity.is_handler ? identity.name : identity.user_id);
	if (connections_add(&plugin->connections, event->client, mosquitto_client_id(event->client),
		    identity.expires) != 0)
		return MOSQ_ERR_NOMEM;
	connections_find(&plugin->connections, event->client)->identity = identity;
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "cashew plugin: client %s of %s has connected from %s",
		mosquitto_client_id(event->client), text, mosquitto_client_address(event->client));
	return mosquitto_set_username(event->client, text);
}

static int on_disconnect(int event_number, void *event_data, void *context)
{
	(void)event_number;
	struct plugin *plugin = context;
	struct mosquitto_evt_disconnect *event = event_data;
	const struct connection *connection = connections_find(&plugin->connections, event->client);
	if (connection)
		mosquitto_log_printf(
			MOSQ_LOG_NOTICE, "cashew plugin: client %s has disconnected", connection->client_id);
	connections_remove(&plugin->connections, event->client);
	guard_disconnect(
		&plugin->guard, access_user(mosquitto_client_username(event->client)), event->client);
	return MOSQ_ERR_SUCCESS;
}

/* ---- What they may do ---- */

static int access_refuse(
	struct plugin *plugin, const struct mosquitto_evt_acl_check *event, const char *identity)
{
	/* Not being sent a message is no attempt at anything; and the last will of a client that is gone has no connection any more. */
	const struct connection *connection =
		event->access == MOSQ_ACL_READ ? NULL : connections_find(&plugin->connections, event->client);
	if (!connection)
		return MOSQ_ERR_ACL_DENIED;
	if (guard_may_log(&plugin->guard, access_user(identity)))
		mosquitto_log_printf(MOSQ_LOG_NOTICE, "cashew plugin: %s (client %s) may not %s %s", identity,
			connection->client_id,
			event->access == MOSQ_ACL_SUBSCRIBE ? "subscribe to" : "publish to", event->topic);
	return guard_refuse(&plugin->guard, access_user(identity), event);
}

static int on_acl_check(int event_number, void *event_data, void *context)
{
	(void)event_number;
	struct plugin *plugin = context;
	struct mosquitto_evt_acl_check *event = event_data;
	const char *identity = mosquitto_client_username(event->client);
	bool allowed = false;
	switch (event->access) {
	case MOSQ_ACL_READ: allowed = access_receive(identity, event->topic); break;
	case MOSQ_ACL_WRITE: allowed = access_publish(identity, event->topic); break;
	case MOSQ_ACL_SUBSCRIBE: allowed = access_subscribe(identity, event->topic); break;
	case MOSQ_ACL_UNSUBSCRIBE: allowed = true; break;
	default: break;
	}
	if (!allowed)
		return access_refuse(plugin, event, identity ? identity : "nobody");
	return guard_acl(&plugin->guard, access_user(identity), event);
}

/*
 * The access check has seen the bare topic, and the rewritten one is not checked again: it needs none, being
 * made of the verified user id and of one level of letters. Last wills do not come here: a will on a bare
 * topic stays there, where nobody is sent it.
 */
static int on_message(int event_number, void *event_data, void *context)
{
	(void)event_number;
	struct plugin *plugin = context;
	struct mosquitto_evt_message *event = event_data;
	const char *user = access_user(mosquitto_client_username(event->client));
	guard_message(&plugin->guard, user, event);
	if (!user || !access_topic_bare(event->topic))
		return MOSQ_ERR_SUCCESS;
	size_t user_size = strlen(user), command_size = strlen(event->topic);
	char *topic = mosquitto_malloc(user_size + 1 + command_size + 1);
	if (!topic)
		return MOSQ_ERR_NOMEM;
	memcpy(topic, user, user_size);
	topic[user_size] = '/';
	memcpy(topic + user_size + 1, event->topic, command_size + 1);
	if (!BROKER_FREES_OLD_TOPIC)
		mosquitto_free(event->topic);
	event->topic = topic;
	return MOSQ_ERR_SUCCESS;
}

/* ---- Time and reload ---- */

static bool is_denied(const struct connection *connection, const void *deny)
{
	return deny_holds(deny, &connection->identity);
}

/* Those who are connected already. A last will of one of them would be a message that it may not send any more. */
static void denied_close(struct plugin *plugin)
{
	struct connection *next = connections_take_wanted(&plugin->connections, is_denied, plugin->deny);
	while (next) {
		struct connection *denied = next;
		next = denied->next;
		mosquitto_log_printf(MOSQ_LOG_NOTICE,
			"cashew plugin: the deny list holds client %s: closing its connection",
			denied->client_id);
		mosquitto_kick_client_by_clientid(denied->client_id, false);
		free(denied);
	}
}

static int on_tick(int event_number, void *event_data, void *context)
{
	(void)event_number;
	(void)event_data;
	struct plugin *plugin = context;
	if (plugin->reloading && plugin->deny)
		denied_close(plugin);
	plugin->reloading = false;
	guard_tick(&plugin->guard);
	struct connection *expired;
	while ((expired = connections_take_expired(&plugin->connections, time(NULL))) != NULL) {
		mosquitto_log_printf(MOSQ_LOG_NOTICE,
			"cashew plugin: the token of client %s has expired: closing its connection",
			expired->client_id);
		guard_kick(&plugin->guard, expired->client_id);
		free(expired);
	}
	return MOSQ_ERR_SUCCESS;
}

static int on_reload(int event_number, void *event_data, void *context)
{
	(void)event_number;
	(void)event_data;
	struct plugin *plugin = context;
	plugin->reloading = true;
	guard_reload(&plugin->guard);
	bool read = keys_load(plugin) == 0;
	mosquitto_log_printf(read ? MOSQ_LOG_NOTICE : MOSQ_LOG_ERR, "cashew plugin: reloaded: %s",
		read ? "the keys were read again" : "the keys stay those that were read before");
	if (plugin->deny_file && deny_load(plugin) != 0)
		mosquitto_log_printf(MOSQ_LOG_ERR,
			"cashew plugin: reloaded: the deny list stays the one that was read before");
	return MOSQ_ERR_SUCCESS;
}

/* ---- The plugin's life ---- */

static bool text_replace(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
	return *text;
}

static int switch_read(const char *name, const char *value, bool *ret_on)
{
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "cashew plugin: %s must be on or off", name);
		return MOSQ_ERR_INVAL;
	}
	*ret_on = strcmp(value, "on") == 0;
	return MOSQ_ERR_SUCCESS;
}

static int option_read(struct plugin *plugin, const char *key, const char *value)
{
	int error = keys_option(&plugin->keys_options, key, value, keys_log);
	if (error == KEYS_E_UNKNOWN)
		error = rules_option(&plugin->rules, key, value, keys_log);
	if (error == RULES_E_UNKNOWN && strcmp(key, "handler_client_ids") == 0)
		error = rules_names(key, value, &plugin->handler_client_ids, keys_log);
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
	mosquitto_log_printf(MOSQ_LOG_ERR,
		"cashew plugin: plugin_opt_%s is unknown; known are secret_file, handler_secret_file, users_key_file, users_jwks_file, "
		"allow_short_secret, allow_unexpiring_tokens, claim_user, issuer, audience, max_lifetime, handler_names, deny_file, handler_client_ids, %s",
		key, quota_limits_names());
	return MOSQ_ERR_INVAL;
}

static int options_read(struct plugin *plugin, const struct mosquitto_opt *options, int option_count)
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

static const struct {
	int event;
	MOSQ_FUNC_generic_callback callback;
} events[] = {
	{MOSQ_EVT_BASIC_AUTH, on_basic_auth},
	{MOSQ_EVT_ACL_CHECK, on_acl_check},
	{MOSQ_EVT_MESSAGE, on_message},
	{MOSQ_EVT_DISCONNECT, on_disconnect},
	{MOSQ_EVT_TICK, on_tick},
	{MOSQ_EVT_RELOAD, on_reload},
};

enum { EVENT_COUNT = sizeof(events) / sizeof(events[0]) };

static void events_unregister(struct plugin *plugin, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)mosquitto_callback_unregister(plugin->id, events[i].event, events[i].callback, NULL);
}

static int events_register(struct plugin *plugin)
{
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		int error = mosquitto_callback_register(
			plugin->id, events[i].event, events[i].callback, NULL, plugin);
		if (error != MOSQ_ERR_SUCCESS) {
			mosquitto_log_printf(MOSQ_LOG_ERR,
				"cashew plugin: the broker does not offer event %d: error %d",
				events[i].event, error);
			events_unregister(plugin, i);
			return error;
		}
	}
	return MOSQ_ERR_SUCCESS;
}

static void plugin_free(struct plugin *plugin)
{
	guard_free(&plugin->guard);
	connections_free(&plugin->connections);
	token_keys_clear(&plugin->keys);
	keys_options_free(&plugin->keys_options);
	rules_free(&plugin->rules);
	deny_free(plugin->deny);
	free(plugin->deny_file);
	free(plugin->handler_client_ids);
	free(plugin);
}

EXPORT int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
	for (int i = 0; i < supported_version_count; i++)
		if (supported_versions[i] == MOSQ_PLUGIN_VERSION)
			return MOSQ_PLUGIN_VERSION;
	return -1;
}

EXPORT int mosquitto_plugin_init(
	mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options, int option_count)
{
	struct plugin *plugin = calloc(1, sizeof(*plugin));
	if (!plugin)
		return MOSQ_ERR_NOMEM;
	plugin->id = identifier;
	connections_init(&plugin->connections);
	guard_begin(&plugin->guard);
	int error = options_read(plugin, options, option_count);
	if (error == MOSQ_ERR_SUCCESS && rules_check(&plugin->rules, &plugin->keys_options, keys_log) != 0)
		error = MOSQ_ERR_INVAL;
	if (error == MOSQ_ERR_SUCCESS && (keys_load(plugin) != 0 || deny_load(plugin) != 0))
		error = MOSQ_ERR_INVAL;
	if (error == MOSQ_ERR_SUCCESS)
		error = guard_init(&plugin->guard);
	if (error == MOSQ_ERR_SUCCESS)
		error = events_register(plugin);
	if (error != MOSQ_ERR_SUCCESS) {
		plugin_free(plugin);
		return error;
	}
	*userdata = plugin;
	return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	(void)options;
	(void)option_count;
	events_unregister(userdata, EVENT_COUNT);
	plugin_free(userdata);
	return MOSQ_ERR_SUCCESS;
}
