/*
 * plugin.c - a plugin for mosquitto (plugin API version 5): who connects with a JSON Web Token, as whom, and
 * what they may do.
 *
 * Happy path: a client connects with the user name "JWT" and its token as the password. The token is
 * verified (keys.h, token_verify.h), and the client's user name at the broker becomes its identity, "user:68946 until 1795000000" for one,
 * which is all that the access rules look at (access.h). A bare command of a device, "get_apples", is
 * rewritten to "68946/get_apples" before the broker looks for subscribers. Failure modes: no usable secret or
 * an unknown option keep the broker from starting; a client without a valid token or with a client id that is
 * not its own is refused with a line in the log (never the token); a publish or subscription that is not
 * allowed, or is over the user's quota (guard.h), is refused with the protocol's reason code; when a token
 * expires, nothing is taken any more from whoever had it, no last will either, and its connection is closed.
 *
 * Everything runs in mosquitto's one thread. Its options: plugin_options.c.
 */
#include "plugin.h"

#include "access.h"
#include "bare.h"
#include "mask.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/* Client ids and topics are the clients', who may have put a token there. mosquitto cuts its lines, too. */
void plugin_log(int level, const char *format, ...)
{
	char line[1024];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	mask_tokens(line);
	mosquitto_log_printf(level, "%s", line);
}

void plugin_tell(enum keys_level level, const char *text)
{
	plugin_log(level == KEYS_ERROR	   ? MOSQ_LOG_ERR
		   : level == KEYS_WARNING ? MOSQ_LOG_WARNING
					   : MOSQ_LOG_NOTICE,
		"cashew plugin: %s", text);
}

/* On failure the keys stay those that they were. */
static int keys_load(struct plugin *plugin)
{
	struct token_keys keys;
	const int error = keys_read(&plugin->keys_options, &keys, plugin_tell);
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
	const int error = plugin->deny_file ? deny_read(plugin->deny_file, &deny, plugin_tell) : 0;
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
	plugin_log(MOSQ_LOG_NOTICE, "cashew plugin: refused client %s from %s: %s", id ? id : "-",
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
	struct access access;
	if (!access_read(username, &access))
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

/* A handler that is locked to sessions of its own takes over no other one's. */
static int session_check(struct mosquitto_evt_basic_auth *event, const struct token_identity *identity)
{
	const char *own = token_filters_of(identity->filters, TOKEN_FILTERS_CLIENT_IDS);
	if (!own || token_filters_hold_client_id(own, mosquitto_client_id(event->client)))
		return MOSQ_ERR_SUCCESS;
	char reason[256];
	(void)snprintf(reason, sizeof(reason),
		"the token of handler %s is for other client ids: its handler.client_ids", identity->name);
	return connect_refuse(event, reason);
}

/* Whose token is good: whether that client of it may come in. */
static int identity_check(
	struct plugin *plugin, struct mosquitto_evt_basic_auth *event, const struct token_identity *identity)
{
	const char *user = identity->is_handler ? NULL : identity->user_id;
	if (deny_holds(plugin->deny, identity))
		return login_refuse(plugin, event, "the deny list holds its user, its handler or its token");
	if (!guard_connect(&plugin->guard, user))
		return MOSQ_ERR_AUTH;
	const int error = user ? client_id_check(plugin, event, user) : session_check(event, identity);
	if (error != MOSQ_ERR_SUCCESS)
		return error;
	return guard_session(&plugin->guard, user, event->client) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}

/* Takes the identity over. */
static int client_begin(
	struct plugin *plugin, struct mosquitto_evt_basic_auth *event, struct token_identity *identity)
{
	char text[ACCESS_IDENTITY_SIZE];
	access_write(identity, text);
	token_identity_clear(identity);
	if (connections_add(&plugin->connections, event->client, mosquitto_client_id(event->client),
		    identity->expires) != 0)
		return MOSQ_ERR_NOMEM;
	connections_find(&plugin->connections, event->client)->identity = *identity;
	plugin_log(MOSQ_LOG_NOTICE, "cashew plugin: client %s of %.*s has connected from %s",
		mosquitto_client_id(event->client), (int)strcspn(text, " "), text,
		mosquitto_client_address(event->client));
	return mosquitto_set_username(event->client, text);
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
	/* mosquitto hands a password on as a text: what stands behind a NUL byte is not seen, and proves nothing. */
	int error = token_verify_with(&plugin->keys, &plugin->rules, event->password, strlen(event->password),
		time(NULL), &identity, reason);
	if (error != 0)
		return error == TOKEN_E_REFUSED ? login_refuse(plugin, event, reason) : MOSQ_ERR_NOMEM;
	error = identity_check(plugin, event, &identity);
	if (error == MOSQ_ERR_SUCCESS)
		return client_begin(plugin, event, &identity);
	token_identity_clear(&identity);
	return error;
}

static int on_disconnect(int event_number, void *event_data, void *context)
{
	(void)event_number;
	struct plugin *plugin = context;
	struct mosquitto_evt_disconnect *event = event_data;
	const struct connection *connection = connections_find(&plugin->connections, event->client);
	if (connection)
		plugin_log(
			MOSQ_LOG_NOTICE, "cashew plugin: client %s has disconnected", connection->client_id);
	connections_remove(&plugin->connections, event->client);
	struct access access;
	(void)access_read(mosquitto_client_username(event->client), &access);
	guard_disconnect(&plugin->guard, access_user(&access), event->client);
	return MOSQ_ERR_SUCCESS;
}

/* ---- What they may do ---- */

static int access_refuse(struct plugin *plugin, const struct mosquitto_evt_acl_check *event,
	const struct access *access, const char *why)
{
	/* Not being sent a message is no attempt at anything; and the last will of a client that is gone has no connection any more. */
	const struct connection *connection =
		event->access == MOSQ_ACL_READ ? NULL : connections_find(&plugin->connections, event->client);
	if (!connection)
		return MOSQ_ERR_ACL_DENIED;
	if (guard_may_log(&plugin->guard, access_user(access)))
		plugin_log(MOSQ_LOG_NOTICE, "cashew plugin: %s%s (client %s) may not %s %s%s",
			access->is_handler ? ACCESS_HANDLER : ACCESS_USER, access->name,
			connection->client_id,
			event->access == MOSQ_ACL_SUBSCRIBE ? "subscribe to" : "publish to", event->topic,
			why);
	return guard_refuse(&plugin->guard, access_user(access), event);
}

/*
 * Whether the token has ended with which it wants to do something. A message of somebody who is gone is its last will, which may come long after the
 * connection's end (MQTT 5.0 section 3.1.3.2.2). What subscriptions a session without a client may keep is asked when its connection is closed.
 */
static bool is_late(
	struct plugin *plugin, const struct mosquitto_evt_acl_check *event, const struct access *access)
{
	if (event->access != MOSQ_ACL_WRITE && event->access != MOSQ_ACL_SUBSCRIBE)
		return false;
	return access->until <= (int64_t)time(NULL) &&
	       (event->access == MOSQ_ACL_WRITE || connections_find(&plugin->connections, event->client));
}

static int on_acl_check(int event_number, void *event_data, void *context)
{
	(void)event_number;
	struct plugin *plugin = context;
	struct mosquitto_evt_acl_check *event = event_data;
	struct access access;
	bool allowed = false;
	(void)access_read(mosquitto_client_username(event->client), &access);
	switch (event->access) {
	case MOSQ_ACL_READ: allowed = access_receive(&access, event->topic); break;
	case MOSQ_ACL_WRITE: allowed = access_publish(&access, event->topic); break;
	case MOSQ_ACL_SUBSCRIBE: allowed = access_subscribe(&access, event->topic); break;
	case MOSQ_ACL_UNSUBSCRIBE: allowed = true; break;
	default: break;
	}
	if (!allowed)
		return access_refuse(plugin, event, &access, "");
	if (is_late(plugin, event, &access))
		return access_refuse(plugin, event, &access, " any more: its token has expired");
	return guard_acl(&plugin->guard, access_user(&access), event);
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
	struct access access;
	(void)access_read(mosquitto_client_username(event->client), &access);
	const char *user = access_user(&access);
	guard_message(&plugin->guard, user, event);
	return user && access_topic_bare(event->topic) ? bare_complete(event, user) : MOSQ_ERR_SUCCESS;
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
		plugin_log(MOSQ_LOG_NOTICE,
			"cashew plugin: the deny list holds client %s: closing its connection",
			denied->client_id);
		mosquitto_kick_client_by_clientid(denied->client_id, false);
		free(denied);
	}
}

/* The broker asks for a will of its own, and is_late() refuses it. */
static void expired_close(struct connection *expired, void *context)
{
	struct plugin *plugin = context;
	plugin_log(MOSQ_LOG_NOTICE,
		"cashew plugin: the token of client %s has expired: closing its connection",
		expired->client_id);
	guard_kick(&plugin->guard, expired->client_id);
}

/* Each time when the broker has been through all that has come, and ten times a second where nothing comes. */
static int on_tick(int event_number, void *event_data, void *context)
{
	(void)event_number;
	(void)event_data;
	struct plugin *plugin = context;
	if (plugin->reloading && plugin->deny)
		denied_close(plugin);
	plugin->reloading = false;
	guard_tick(&plugin->guard);
	(void)connections_close_expired(&plugin->connections, time(NULL), expired_close, plugin);
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
	plugin_log(read ? MOSQ_LOG_NOTICE : MOSQ_LOG_ERR, "cashew plugin: reloaded: %s",
		read ? "the keys were read again" : "the keys stay those that were read before");
	if (plugin->deny_file && deny_load(plugin) != 0)
		plugin_log(MOSQ_LOG_ERR,
			"cashew plugin: reloaded: the deny list stays the one that was read before");
	return MOSQ_ERR_SUCCESS;
}

/* ---- The plugin's life ---- */

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
			plugin_log(MOSQ_LOG_ERR,
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
	int error = plugin_options_read(plugin, options, option_count);
	if (error == MOSQ_ERR_SUCCESS && rules_check(&plugin->rules, &plugin->keys_options, plugin_tell) != 0)
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
