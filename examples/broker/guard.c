/*
 * guard.c - see guard.h.
 */
#include "guard.h"

#include <mosquitto.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of a clock that costs no system call; its steps of some milliseconds do no harm. */
static int64_t now_ms(void)
{
	struct timespec now = {0};
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void log_line(const char *line, void *context)
{
	(void)context;
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "cashew plugin: %s", line);
}

/* The broker asks then whether each subscription of the session is still allowed, and removes what is refused: a session that has as many as it
 * may has no one too many. */
bool guard_kick(struct guard *guard, const char *client_id)
{
	guard->kicking = true;
	const bool exists = mosquitto_kick_client_by_clientid(client_id, true) == MOSQ_ERR_SUCCESS;
	guard->kicking = false;
	return exists;
}

/* mosquitto 2.0 offers no such question. To close the connection of a session that has none does nothing but to tell whether it is there. */
static bool session_exists(const char *client_id, void *context)
{
	return guard_kick(context, client_id);
}

void guard_begin(struct guard *guard)
{
	*guard = (struct guard){.kicking = false};
	quota_limits_init(&guard->limits);
}

int guard_option(struct guard *guard, const char *name, const char *value)
{
	char reason[QUOTA_REASON_SIZE];
	if (!quota_limits_option(&guard->limits, name, value, reason))
		return MOSQ_ERR_NOT_FOUND;
	if (reason[0] == '\0')
		return MOSQ_ERR_SUCCESS;
	mosquitto_log_printf(MOSQ_LOG_ERR, "cashew plugin: %s", reason);
	return MOSQ_ERR_INVAL;
}

int guard_init(struct guard *guard)
{
	const struct quota_callbacks callbacks = {
		.report = log_line, .session_exists = session_exists, .context = guard};
	int error =
		quota_init(&guard->quota, &guard->limits, &callbacks, QUOTA_USERS_MAX, QUOTA_ADDRESSES_MAX);
	return error == 0 ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
}

void guard_free(struct guard *guard)
{
	quota_free(&guard->quota);
}

/* ---- Connections ---- */

bool guard_login(struct guard *guard, const struct mosquitto *client)
{
	return quota_login(&guard->quota, mosquitto_client_address(client), now_ms());
}

bool guard_login_failed(struct guard *guard, const struct mosquitto *client)
{
	return quota_login_failed(&guard->quota, mosquitto_client_address(client), now_ms());
}

bool guard_connect(struct guard *guard, const char *user)
{
	return !user || quota_connect(&guard->quota, user, now_ms());
}

bool guard_session(struct guard *guard, const char *user, const struct mosquitto *client)
{
	if (!user)
		return true;
	enum quota_session_kind kind = QUOTA_SESSION_UNKNOWN;
	if (mosquitto_client_protocol_version(client) != 5)
		kind = mosquitto_client_clean_session(client) ? QUOTA_SESSION_ENDS : QUOTA_SESSION_STAYS;
	return quota_session_begin(&guard->quota, user, mosquitto_client_id(client), client, kind, now_ms());
}

void guard_disconnect(struct guard *guard, const char *user, const struct mosquitto *client)
{
	const char *client_id = mosquitto_client_id(client);
	if (user && client_id)
		quota_session_end(&guard->quota, user, client_id, client);
}

/* ---- Messages ---- */

static size_t size_of(const struct mosquitto_evt_acl_check *event)
{
	return strlen(event->topic) + event->payloadlen;
}

/*
 * mosquitto 2.0 reads one client over TLS for as long as something of it has come, and nobody else meanwhile: whoever sends at full speed is served
 * alone, whatever it is that is sent. So who goes on after many refusals is not read any more.
 */
int guard_refuse(struct guard *guard, const char *user, const struct mosquitto_evt_acl_check *event)
{
	if (user && quota_refused(&guard->quota, user, size_of(event), now_ms()))
		return MOSQ_ERR_UNKNOWN;
	return MOSQ_ERR_ACL_DENIED;
}

int guard_acl(struct guard *guard, const char *user, const struct mosquitto_evt_acl_check *event)
{
	bool passes = true;
	if (user && event->access == MOSQ_ACL_WRITE)
		passes = quota_publish(&guard->quota, user, size_of(event), event->retain, now_ms());
	else if (user && event->access == MOSQ_ACL_SUBSCRIBE && !guard->kicking)
		passes = quota_subscribe(
			&guard->quota, user, mosquitto_client_sub_count(event->client), now_ms());
	return passes ? MOSQ_ERR_SUCCESS : guard_refuse(guard, user, event);
}

static size_t property_size(const mosquitto_property *property)
{
	const int identifier = mosquitto_property_identifier(property);
	char *name = NULL, *text = NULL;
	void *bytes = NULL;
	uint16_t bytes_size = 0;
	size_t size = 0;
	switch (identifier) {
	case MQTT_PROP_CORRELATION_DATA:
		(void)mosquitto_property_read_binary(property, identifier, &bytes, &bytes_size, false);
		size = bytes_size;
		break;
	case MQTT_PROP_USER_PROPERTY:
		(void)mosquitto_property_read_string_pair(property, identifier, &name, &text, false);
		break;
	default: (void)mosquitto_property_read_string(property, identifier, &text, false);
	}
	size += (name ? strlen(name) : 0) + (text ? strlen(text) : 0) + 1;
	free(name);
	free(text);
	free(bytes);
	return size;
}

void guard_message(struct guard *guard, const char *user, const struct mosquitto_evt_message *event)
{
	size_t size = 0;
	if (!user || guard->limits.bytes_per_second == 0)
		return;
	for (const mosquitto_property *property = event->properties; property;
		property = mosquitto_property_next(property))
		size += property_size(property);
	if (size > 0)
		quota_properties(&guard->quota, user, size, now_ms());
}

/* ---- The log, and time ---- */

bool guard_may_log(struct guard *guard, const char *user)
{
	return !user || quota_may_log(&guard->quota, user, now_ms());
}

void guard_tick(struct guard *guard)
{
	quota_sweep(&guard->quota, now_ms());
}

void guard_reload(struct guard *guard)
{
	char total[QUOTA_LINE_SIZE];
	quota_total(&guard->quota, total);
	mosquitto_log_printf(
		MOSQ_LOG_NOTICE, "cashew plugin: over quotas were refused since the start: %s", total);
}
