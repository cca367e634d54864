/*
 * guard.h - the quotas of quota.h at mosquitto's events: what plugin.c asks before it lets something pass.
 *
 * Happy path: guard_init() with the options that plugin_options.c reads by guard_option(), then one call at each event. Each is given the user id of the
 * client; NULL is a handler, for whom nothing is limited. What is refused stands in the broker's log as quota.h says. No failure modes of its own.
 */
#ifndef GUARD_H
#define GUARD_H

#include "quota.h"

#include <mosquitto_broker.h>
#include <stdbool.h>

struct guard {
	struct quota_limits limits;
	struct quota quota;
	bool kicking; /* what the broker checks meanwhile is nothing that a client does */
};

/* The defaults; before guard_option(). guard_free() is fine from here on. */
void guard_begin(struct guard *guard);

/* MOSQ_ERR_NOT_FOUND: it is no option of these. MOSQ_ERR_INVAL: its value is wrong, which was logged. */
int guard_option(struct guard *guard, const char *name, const char *value);

/* After the options. The guard must stay where it is. MOSQ_ERR_NOMEM or MOSQ_ERR_SUCCESS. */
int guard_init(struct guard *guard);
void guard_free(struct guard *guard);

/* Whether the client may try to log in, and whether to log that it failed. */
bool guard_login(struct guard *guard, const struct mosquitto *client);
bool guard_login_failed(struct guard *guard, const struct mosquitto *client);

/* Whether a user whose token is good may connect now; then, whether it may have that session. */
bool guard_connect(struct guard *guard, const char *user);
bool guard_session(struct guard *guard, const char *user, const struct mosquitto *client);
void guard_disconnect(struct guard *guard, const char *user, const struct mosquitto *client);

/* Closes the connection of that client id; subscriptions that its session has stay. Whether there is such a session, connected or not. */
bool guard_kick(struct guard *guard, const char *client_id);

/*
 * What mosquitto is to be told of what the client wants to publish or subscribe to, which the access rules have allowed: MOSQ_ERR_SUCCESS where it is
 * within the user's quota, as anything else is; MOSQ_ERR_ACL_DENIED; or another error, upon which mosquitto closes the connection.
 */
int guard_acl(struct guard *guard, const char *user, const struct mosquitto_evt_acl_check *event);

/* The same of what the access rules have refused. */
int guard_refuse(struct guard *guard, const char *user, const struct mosquitto_evt_acl_check *event);

/* A message that was let through. */
void guard_message(struct guard *guard, const char *user, const struct mosquitto_evt_message *event);

/* Whether to log a line about something else that the user was refused. */
bool guard_may_log(struct guard *guard, const char *user);

/* Once a second; and at a reload, which logs what was refused since the start. */
void guard_tick(struct guard *guard);
void guard_reload(struct guard *guard);

#endif
