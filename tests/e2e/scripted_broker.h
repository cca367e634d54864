/*
 * scripted_broker.h - an MQTT broker that does exactly what a test says, when it says it, over plain TCP.
 *
 * It answers nothing by itself but PINGREQ, after scripted_welcome() SUBSCRIBE and UNSUBSCRIBE, and where a test says so events. The test
 * accepts a connection, reads what came in, in order, and sends what it likes: any packet identifier, DUP flag, reason code or property, at
 * any time. It runs in the test's thread and is served while the test waits. What came in stands in a table with the time when it came.
 *
 * A PUBACK that the host has written and the broker has never read is, for the host, one that was read and then ignored: a test that wants
 * PUBACKs lost waits for them, ends the link with scripted_reset(), and sends their commands again.
 *
 * Happy path of a host that connects:
 *	struct scripted_broker *broker = scripted_new(h);
 *	scripted_use(host, broker), host_start(host);
 *	struct scripted_pair links = scripted_welcome(broker, NULL); // both connections, CONNACK, SUBACK
 *	scripted_publish(links.ingress, &(struct scripted_publish){.mid = 7, .topic = "68946/get_apples",
 *.payload = "{}"}); const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
 *	scripted_puback(links.egress, event->mid, 0);
 *	scripted_expect(links.ingress, MQTT_PUBACK);
 */
#ifndef SCRIPTED_BROKER_H
#define SCRIPTED_BROKER_H

#include "harness.h"
#include "mqtt_packet.h"

/* One packet that came in. */
struct scripted_packet {
	struct mqtt_packet packet;
	int64_t at_ms;
	bool taken;
};

struct scripted_link {
	struct scripted_broker *broker;
	struct scripted_link *next;
	int fd;	       /* -1: closed, by either side */
	bool accepted; /* by scripted_accept() */
	bool grants;   /* answers SUBSCRIBE and UNSUBSCRIBE by itself */
	bool silent;   /* reads nothing and answers nothing, but the connection stays */
	bool settles;  /* PUBACKs by itself what the host publishes, but for what goes to that user */
	const char *withheld_user;
	uint8_t protocol;
	const struct mqtt_packet *connect;
	struct scripted_packet **packets;
	size_t packet_count, packet_capacity;
	size_t taken_count;	 /* of the first packets, all of which are taken */
	uint8_t *input, *output; /* what has come and is not decoded; what is still to be sent */
	size_t input_size, output_size;
};

struct scripted_broker;
struct scripted_broker *scripted_new(struct harness *h);
/* Another one on the same port of another address, at which nobody listens before scripted_open_port(). */
struct scripted_broker *scripted_new_beside(struct harness *h, const struct scripted_broker *other);
const char *scripted_host(const struct scripted_broker *broker); /* as text */
unsigned scripted_port(const struct scripted_broker *broker);

/* The host's settings: this broker, without TLS. */
void scripted_use(struct host *host, const struct scripted_broker *broker);

/* Waits for the next connection and its CONNECT, in the order of coming. */
#define scripted_accept(broker) scripted_accept_at(__FILE__, __LINE__, broker)
struct scripted_link *scripted_accept_at(const char *file, int line, struct scripted_broker *broker);

/* Connections from now on have buffers so small that what the host writes soon gets stuck while nobody reads. */
void scripted_small_buffers(struct scripted_broker *broker);

/* From now on it knows only MQTT 3.1.1: a CONNECT of MQTT 5 gets return code 1, "unacceptable protocol version", and the link is closed. */
void scripted_only_mqtt311(struct scripted_broker *broker);

/* From now on it is no broker: what comes is not looked at, but kept, link->input_size bytes at link->input. For each link, from the newest:
 * link->next. */
void scripted_raw(struct scripted_broker *broker);
const struct scripted_link *scripted_newest(const struct scripted_broker *broker);

/* How many connections were taken so far, whatever came of them. */
size_t scripted_connections(const struct scripted_broker *broker);

/* No longer takes connections: they are refused. Takes them again. */
void scripted_close_port(struct scripted_broker *broker);
void scripted_open_port(struct scripted_broker *broker);

/* ---- Sending. A packet leaves at once, or while the test waits if the peer is slow. ---- */

void scripted_send(struct scripted_link *link, const struct mqtt_packet *packet);
void scripted_send_bytes(struct scripted_link *link, const void *bytes, size_t size);
void scripted_connack(struct scripted_link *link, bool session_present, uint8_t reason);
/* The same code for every filter that `subscribe` asks for: 1 grants QoS 1. */
void scripted_suback(struct scripted_link *link, const struct mqtt_packet *subscribe, uint8_t code);
/* So many codes, for one filter after the other. */
void scripted_suback_codes(
	struct scripted_link *link, const struct mqtt_packet *subscribe, const uint8_t *codes, size_t count);

struct scripted_publish {
	uint16_t mid;
	int qos; /* -1: QoS 0; 2: QoS 2; else 1 */
	bool duplicate, retain;
	const char *topic, *payload;
	size_t payload_size; /* 0: that of the text */
	const char *response_topic, *correlation;
};
void scripted_publish(struct scripted_link *link, const struct scripted_publish *publish);
void scripted_puback(struct scripted_link *link, uint16_t mid, uint8_t reason);

/* The link PUBACKs all events from now on, and those that came and were not taken, but those to `withheld_user` (NULL: nobody), which the
 * test may take; called again it PUBACKs what was withheld, and was not taken. */
void scripted_settle(struct scripted_link *link, const char *withheld_user);
void scripted_disconnect(struct scripted_link *link, uint8_t reason); /* and closes */
void scripted_close(struct scripted_link *link);		      /* TCP only */
void scripted_reset(struct scripted_link *link);		      /* RST */

/* ---- What came in ---- */

/* Waits for the next packet of that type that was not taken, and takes it. Lives as long as the case. */
#define scripted_expect(link, type) scripted_expect_at(__FILE__, __LINE__, link, type)
const struct mqtt_packet *scripted_expect_at(
	const char *file, int line, struct scripted_link *link, enum mqtt_type type);

/* The same for the PUBACK of that packet identifier. */
#define scripted_expect_puback(link, mid) scripted_expect_puback_at(__FILE__, __LINE__, link, mid)
const struct scripted_packet *scripted_expect_puback_at(
	const char *file, int line, struct scripted_link *link, uint16_t mid);

/* How many have come so far, after reading what is there; waits until there are so many or more. */
size_t scripted_count(struct scripted_link *link, enum mqtt_type type);
#define scripted_wait_count(link, type, count) scripted_wait_count_at(__FILE__, __LINE__, link, type, count)
void scripted_wait_count_at(
	const char *file, int line, struct scripted_link *link, enum mqtt_type type, size_t count);

/* Waits until the peer has closed. */
#define scripted_expect_close(link) scripted_expect_close_at(__FILE__, __LINE__, link)
void scripted_expect_close_at(const char *file, int line, struct scripted_link *link);

/* ---- A host's two connections ---- */

struct scripted_pair {
	struct scripted_link *ingress; /* the one with the host's client id: commands */
	struct scripted_link *egress;  /* events */
};

/* What a CONNACK says besides; zero: nothing. */
struct scripted_welcome {
	bool session_present;
	uint16_t receive_maximum;
	uint16_t server_keep_alive;
	uint32_t maximum_packet_size;
	uint32_t session_expiry_interval;
};

/* Accepts both, whichever comes first, and answers CONNECT, then SUBSCRIBE as it comes. welcome may be NULL. */
#define scripted_welcome(broker, welcome) scripted_welcome_at(__FILE__, __LINE__, broker, welcome)
struct scripted_pair scripted_welcome_at(
	const char *file, int line, struct scripted_broker *broker, const struct scripted_welcome *welcome);

/* The same for one connection. */
#define scripted_welcome_one(broker, welcome) scripted_welcome_one_at(__FILE__, __LINE__, broker, welcome)
struct scripted_link *scripted_welcome_one_at(
	const char *file, int line, struct scripted_broker *broker, const struct scripted_welcome *welcome);

bool scripted_is_ingress(const struct scripted_link *link);

/* For the broker's own use: whether the link PUBACKs that event by itself. */
bool scripted_settles(const struct scripted_link *link, const struct mqtt_packet *event);

#endif
