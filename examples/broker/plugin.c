/*
 * plugin.c - a plugin for mosquitto (plugin API version 5): who connects with a JSON Web Token, as whom, and
 * what they may do.
 *
 * Happy path: a client connects with the user name "JWT" and its token as the password. The token is
 * verified, and the client's user name at the broker becomes its identity, "user:68946" or "handler:cashewd",
 * which is all that the access rules look at (access.h). A bare command of a device, "get_apples", is
 * rewritten to "68946/get_apples" before the broker looks for subscribers. Failure modes: no usable secret or
 * an unknown option keep the broker from starting; a client without a valid token or with a client id that is
 * not its own is refused with a line in the log (never the token); a publish or subscription that is not
 * allowed, or is over the user's quota (guard.h), is refused with the protocol's reason code; when a token
 * expires, its connection is closed.
 *
 * Everything runs in mosquitto's one thread. Options, as plugin_opt_NAME in mosquitto.conf:
 *   secret_file PATH          a file that holds the secret; without it JWT_SECRET of the environment
 *   allow_short_secret on     accept a secret of less than 32 bytes; without it ALLOW_SHORT_SECRET of the environment
 *   allow_unexpiring_tokens on   accept tokens without exp
 *   handler_client_ids A,B    client ids that only handlers may use, also with -... behind them; cashewd by default
 *   quota_...                 how much a user may do: README.md, quota_limits.h
 */
#include "access.h"
#include "connections.h"
#include "guard.h"
#include "secret.h"
#include "token.h"

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
	char *secret;
	char *secret_file;	  /* NULL: JWT_SECRET of the environment */
	char *handler_client_ids; /* names separated by commas */
	bool allow_short_secret, allow_unexpiring_tokens;
	bool reloading; /* between SIGHUP and the next tick */
	struct connections connections;
	struct guard guard;
};

static int secret_load(struct plugin *plugin)
{
	char reason[SECRET_REASON_SIZE];
	char *secret = NULL;
	struct secret_notes notes = {.oddity = NULL};
	int error = secret_read(plugin->secret_file, plugin->allow_short_secret, &secret, &notes, reason);
	if (error == SECRET_E_UNUSABLE)
		mosquitto_log_printf(MOSQ_LOG_ERR, "cashew plugin: %s", reason);
	if (error != 0)
		return error;
	if (notes.readable_by_others)
		mosquitto_log_printf(MOSQ_LOG_WARNING,
			"cashew plugin: others can read secret_file %s: chmod 600 it", plugin->secret_file);
	if (notes.oddity)
		mosquitto_log_printf(MOSQ_LOG_WARNING,
			"cashew plugin: the secret of %s %s: it is taken as it stands, so whoever signs tokens needs it so too",
			plugin->secret_file ? plugin->secret_file : "JWT_SECRET", notes.oddity);
	secret_free(plugin->secret);
	plugin->secret = secret;
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
	int error = token_verify(plugin->secret, event->password, strlen(event->password), time(NULL),
		plugin->allow_unexpiring_tokens, &identity, reason);
	if (error != 0)
		return error == TOKEN_E_REFUSED ? login_refuse(plugin, event, reason) : MOSQ_ERR_NOMEM;
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

static int on_tick(int event_number, void *event_data, void *context)
{
	(void)event_number;
	(void)event_data;
	struct plugin *plugin = context;
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
	bool read = secret_load(plugin) == 0;
	mosquitto_log_printf(read ? MOSQ_LOG_NOTICE : MOSQ_LOG_ERR, "cashew plugin: reloaded: %s",
		read ? "the secret was read again" : "the secret stays the one that was read before");
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

static int options_read(struct plugin *plugin, const struct mosquitto_opt *options, int option_count)
{
	const char *environment = getenv("ALLOW_SHORT_SECRET");
	int error = environment ? switch_read("ALLOW_SHORT_SECRET", environment, &plugin->allow_short_secret)
				: MOSQ_ERR_SUCCESS;
	if (!text_replace(&plugin->handler_client_ids, "cashewd"))
		error = MOSQ_ERR_NOMEM;
	for (int i = 0; i < option_count && error == MOSQ_ERR_SUCCESS; i++) {
		const char *key = options[i].key, *value = options[i].value;
		if (strcmp(key, "secret_file") == 0) {
			error = text_replace(&plugin->secret_file, value) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
		} else if (strcmp(key, "handler_client_ids") == 0) {
			error = text_replace(&plugin->handler_client_ids, value) ? MOSQ_ERR_SUCCESS
										 : MOSQ_ERR_NOMEM;
		} else if (strcmp(key, "allow_short_secret") == 0) {
			error = switch_read(
				"plugin_opt_allow_short_secret", value, &plugin->allow_short_secret);
		} else if (strcmp(key, "allow_unexpiring_tokens") == 0) {
			error = switch_read("plugin_opt_allow_unexpiring_tokens", value,
				&plugin->allow_unexpiring_tokens);
		} else if ((error = guard_option(&plugin->guard, key, value)) == MOSQ_ERR_NOT_FOUND) {
			mosquitto_log_printf(MOSQ_LOG_ERR,
				"cashew plugin: plugin_opt_%s is unknown; known are secret_file, allow_short_secret, allow_unexpiring_tokens, "
				"handler_client_ids, %s",
				key, quota_limits_names());
			error = MOSQ_ERR_INVAL;
		}
	}
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
	secret_free(plugin->secret);
	free(plugin->secret_file);
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
	if (error == MOSQ_ERR_SUCCESS && secret_load(plugin) != 0)
		error = MOSQ_ERR_INVAL;
	if (error == MOSQ_ERR_SUCCESS)
		error = guard_init(&plugin->guard);
	if (error == MOSQ_ERR_SUCCESS && plugin->allow_unexpiring_tokens)
		mosquitto_log_printf(MOSQ_LOG_WARNING,
			"cashew plugin: tokens without exp are accepted: whoever gets hold of one is that user until the secret is changed");
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
