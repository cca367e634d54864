/* scripted_welcome.c - how a scripted broker lets a host in, and settles its events. See scripted_broker.h. */
#include "scripted_broker.h"

#include <stdlib.h>
#include <string.h>

/* ---- A host's two connections ---- */

bool scripted_is_ingress(const struct scripted_link *link)
{
	return !strstr(link->connect->client_id, "-egress");
}

struct scripted_link *scripted_welcome_one_at(
	const char *file, int line, struct scripted_broker *broker, const struct scripted_welcome *welcome)
{
	static const struct scripted_welcome nothing;
	struct scripted_link *link = scripted_accept_at(file, line, broker);
	const bool ingress = scripted_is_ingress(link);
	if (!welcome)
		welcome = &nothing;
	struct mqtt_packet connack = {
		.type = MQTT_CONNACK, .session_present = ingress && welcome->session_present};
	if (welcome->receive_maximum > 0)
		mqtt_add_number(&connack, 0x21, welcome->receive_maximum);
	if (welcome->server_keep_alive > 0)
		mqtt_add_number(&connack, 0x13, welcome->server_keep_alive);
	if (welcome->maximum_packet_size > 0)
		mqtt_add_number(&connack, 0x27, welcome->maximum_packet_size);
	if (welcome->session_expiry_interval > 0)
		mqtt_add_number(&connack, 0x11, welcome->session_expiry_interval);
	link->grants = true;
	scripted_send(link, &connack);
	free(connack.properties);
	return link;
}

struct scripted_pair scripted_welcome_at(
	const char *file, int line, struct scripted_broker *broker, const struct scripted_welcome *welcome)
{
	struct scripted_pair pair = {0};
	while (!pair.ingress || !pair.egress) {
		struct scripted_link *link = scripted_welcome_one_at(file, line, broker, welcome);
		if (scripted_is_ingress(link))
			pair.ingress = link;
		else
			pair.egress = link;
	}
	return pair;
}

/* ---- Events ---- */

bool scripted_settles(const struct scripted_link *link, const struct mqtt_packet *event)
{
	const size_t size = link->withheld_user ? strlen(link->withheld_user) : 0;
	const bool withheld = size > 0 && strncmp(event->topic, link->withheld_user, size) == 0 &&
			      event->topic[size] == '/';
	return link->settles && event->type == MQTT_PUBLISH && event->qos > 0 && !withheld;
}

void scripted_settle(struct scripted_link *link, const char *withheld_user)
{
	link->settles = true;
	link->withheld_user = withheld_user;
	for (size_t i = link->taken_count; i < link->packet_count && link->fd >= 0; i++) {
		struct scripted_packet *packet = link->packets[i];
		if (packet->taken || !scripted_settles(link, &packet->packet))
			continue;
		packet->taken = true;
		scripted_puback(link, packet->packet.mid, 0);
	}
}
