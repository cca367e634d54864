/*
 * bare.h - a device's bare command, "get_apples", becomes "68946/get_apples" before the broker looks for subscribers.
 *
 * Happy path: bare_complete() in the message event. Failure mode: no memory, then the message is not taken.
 */
#ifndef BARE_H
#define BARE_H

struct mosquitto_evt_message;

/* Puts the user id, of a verified token, in front of the message's topic. MOSQ_ERR_SUCCESS or MOSQ_ERR_NOMEM. */
int bare_complete(struct mosquitto_evt_message *event, const char *user);

#endif
