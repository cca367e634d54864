/*
 * subscriptions.h - the filters of a lane at the broker: subscribed at QoS 1, checked, and stale ones
 * unsubscribed.
 *
 * A filter that is refused, granted at QoS 0, or cannot be asked for is told and tried again every SUBSCRIPTIONS_RETRY_MS; one that a limit of the
 * broker's forbids (MQTT 5: 0x83, 0x91, 0x97) after SUBSCRIPTIONS_SOON_MS, then twice as long, up to SUBSCRIPTIONS_LIMITED_MS. The others work on. I/O
 * thread only.
 *
 * One SUBSCRIBE asks for all of them. Where the broker refuses it as a whole, or two links in a row end over it, SUBSCRIPTIONS_SPLIT at most go into the
 * next ones, and one where those do no better; each code of a SUBACK is judged by itself.
 */
#ifndef SUBSCRIPTIONS_H
#define SUBSCRIPTIONS_H

#include "routes.h"
#include <stdbool.h>
#include <stdint.h>

struct mosquitto;
struct subscriptions;

enum {
	SUBSCRIPTIONS_RETRY_MS = 30000,
	SUBSCRIPTIONS_SOON_MS = 100,
	SUBSCRIPTIONS_LIMITED_MS = 10000,
	SUBSCRIPTIONS_SPLIT = 8,
};

/* A SUBACK that has another number of codes than its SUBSCRIBE had filters. */
enum { SUBSCRIPTIONS_E_COUNT = 1 };

/* NULL when out of memory. */
struct subscriptions *subscriptions_new(const struct route_lane *routes);
void subscriptions_free(struct subscriptions *subscriptions);

/* Queues a SUBSCRIBE for all filters; under MQTT 5 without retained messages. */
void subscriptions_start(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, bool mqtt5, int64_t now_ms);

/* The connection is gone. lost: not by our own will, so it may be about a SUBSCRIBE that has no answer. */
void subscriptions_reset(struct subscriptions *subscriptions, bool lost);

/* A SUBACK came. 0, or SUBSCRIPTIONS_E_COUNT, which is told: nobody knows what is granted, and the link has to end. */
__attribute__((warn_unused_result)) int subscriptions_granted(
	struct subscriptions *subscriptions, int mid, int count, const int *granted, int64_t now_ms);

/* Tries refused filters again when it is time; when that is. */
void subscriptions_retry(struct subscriptions *subscriptions, struct mosquitto *mosquitto, int64_t now_ms);
int64_t subscriptions_due_ms(const struct subscriptions *subscriptions);

/* Whether every filter is granted at QoS 1. */
bool subscriptions_ready(const struct subscriptions *subscriptions);

/* How many are. */
size_t subscriptions_granted_count(const struct subscriptions *subscriptions);

/* A command came that no handler wants: unsubscribes the filter "+/{command}" that an earlier run may have
 * left in the session. Whether it is another one than the last time. */
bool subscriptions_drop_stale(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, const char *topic);

/* An UNSUBACK came. */
void subscriptions_unsubscribed(const struct subscriptions *subscriptions);

#endif
