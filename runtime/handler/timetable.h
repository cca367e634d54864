/*
 * timetable.h - when a schedule is due, and what its runs are as commands.
 *
 * Happy path: timetable_of() checks what a handler says of its time; timetable_latest() and timetable_after() tell its slots, in UTC. A run goes through
 * the host as a command from the store: its user and topic are "$schedule/NAME", which no device can publish or have (MQTT 5.0, 4.7.2), and its
 * payload says from when to when it goes. Failure: a time table that is none, with words; a payload that somebody has changed. Pure, any thread.
 *
 * .every_s counts from 1970 on: 3600 is each full hour, 86400 each midnight, 604800 each Thursday's.
 */
#ifndef TIMETABLE_H
#define TIMETABLE_H

#include "cron.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cashew_handler;

#define TIMETABLE_TOPIC "$schedule/"

enum {
	TIMETABLE_E_BAD = 511,
	TIMETABLE_REASON_SIZE = 320,
	TIMETABLE_EVERY_MAX_S = 366 * 24 * 3600,
	TIMETABLE_TOPIC_SIZE = 80,
	TIMETABLE_PAYLOAD_SIZE = 96,
	TIMETABLE_ID_SIZE = 96,
	TIMETABLE_NAME_MAX = 39, /* an id has 64 bytes at most */
};

struct timetable {
	unsigned every_s; /* 0: by the cron line */
	struct cron cron;
};

/* Of a handler that is scheduled. 0; or TIMETABLE_E_BAD with a reason that says what of it is wrong, and what was expected. check.h looks at all else. */
__attribute__((warn_unused_result)) int timetable_of(const struct cashew_handler *handler,
	struct timetable *ret, char ret_reason[static TIMETABLE_REASON_SIZE]);

/* The last slot that is not after that time, and the first one after it. Milliseconds since 1970. */
int64_t timetable_latest(const struct timetable *timetable, int64_t at_ms);
int64_t timetable_after(const struct timetable *timetable, int64_t at_ms);

/* ---- A run as a command ---- */

/* The schedule's name in a topic of the store, or in a user of it; NULL: it is none. Points into the text. */
const char *timetable_name_of(const char *topic);

/* The topic of that schedule's runs. */
void timetable_topic(const char *name, char ret_topic[static TIMETABLE_TOPIC_SIZE]);

/* {"since":"2026-01-31T11:00:00.000Z","slot":"2026-01-31T12:00:00.000Z"}, and back. False: it is not of that form. */
void timetable_payload(int64_t slot_ms, int64_t since_ms, char ret_payload[static TIMETABLE_PAYLOAD_SIZE]);
bool timetable_payload_read(const void *payload, size_t size, int64_t *ret_slot_ms, int64_t *ret_since_ms);

/* "name/2026-01-31T12:00:00.000Z": what cashew_id() says. */
void timetable_id(const char *name, int64_t slot_ms, char ret_id[static TIMETABLE_ID_SIZE]);

#endif
