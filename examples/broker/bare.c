/* bare.c - see bare.h. */
#include "bare.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <string.h>

/*
 * A message's topic that was replaced in the message event is freed by the broker itself since mosquitto
 * 2.0.15, and freeing it here would do that twice; before 2.0.15 nobody else frees it. The plugin interface
 * tells no version at run time, so the headers decide, which come with the broker: a plugin built for an
 * older one than 2.0.15 must be built again before a newer one loads it.
 */
enum { BROKER_FREES_OLD_TOPIC = LIBMOSQUITTO_VERSION_NUMBER >= 2000015 };

int bare_complete(struct mosquitto_evt_message *event, const char *user)
{
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
