/*
 * shared_rights.c - a plugin for mosquitto that remembers rights as a broker does whose cache goes by the user name, which is JWT for everybody: a topic
 * that a handler has published to is everybody's to publish to.
 *
 * Loaded before cashewd's plugin, which it leaves all else to. A client whose id begins with "cashewd" is a handler. Without room for more topics
 * it remembers no more of them. Nothing but a test uses it.
 */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <string.h>

enum { TOPICS_MAX = 256, TOPIC_SIZE = 256 };

static char topics[TOPICS_MAX][TOPIC_SIZE];
static size_t topic_count;

static int is_remembered(const char *topic)
{
	for (size_t i = 0; i < topic_count; i++)
		if (strcmp(topics[i], topic) == 0)
			return 1;
	return 0;
}

static int on_acl_check(int event, void *event_data, void *user_data)
{
	(void)event, (void)user_data;
	const struct mosquitto_evt_acl_check *check = event_data;
	if (check->access != MOSQ_ACL_WRITE)
		return MOSQ_ERR_PLUGIN_DEFER;
	if (is_remembered(check->topic))
		return MOSQ_ERR_SUCCESS;
	if (strncmp(mosquitto_client_id(check->client), "cashewd", strlen("cashewd")) == 0 &&
		topic_count < TOPICS_MAX)
		snprintf(topics[topic_count++], TOPIC_SIZE, "%s", check->topic);
	return MOSQ_ERR_PLUGIN_DEFER;
}

static mosquitto_plugin_id_t *plugin;

__attribute__((visibility("default"))) int mosquitto_plugin_version(int count, const int *versions)
{
	for (int i = 0; i < count; i++)
		if (versions[i] == 5)
			return 5;
	return -1;
}

__attribute__((visibility("default"))) int mosquitto_plugin_init(
	mosquitto_plugin_id_t *identifier, void **user_data, struct mosquitto_opt *options, int count)
{
	(void)user_data, (void)options, (void)count;
	plugin = identifier;
	return mosquitto_callback_register(plugin, MOSQ_EVT_ACL_CHECK, on_acl_check, NULL, NULL);
}

__attribute__((visibility("default"))) int mosquitto_plugin_cleanup(
	void *user_data, struct mosquitto_opt *options, int count)
{
	(void)user_data, (void)options, (void)count;
	return mosquitto_callback_unregister(plugin, MOSQ_EVT_ACL_CHECK, on_acl_check, NULL);
}
