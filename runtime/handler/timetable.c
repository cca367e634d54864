/*
 * timetable.c - see timetable.h.
 */
#include "timetable.h"

#include "cashew.h"
#include "clock.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- Descriptors ---- */

int timetable_of(const struct cashew_handler *handler, struct timetable *ret,
	char ret_reason[static TIMETABLE_REASON_SIZE])
{
	static const char expected[] = "expected .every_s = 3600 or .cron = \"30 4 * * *\"";
	struct timetable timetable = {.every_s = handler->every_s};
	char reason[CRON_REASON_SIZE];
	int size = 0;
	if (!handler->cron && handler->every_s == 0)
		size = snprintf(ret_reason, TIMETABLE_REASON_SIZE, "when it runs is not said: %s", expected);
	else if (handler->cron && handler->every_s != 0)
		size = snprintf(
			ret_reason, TIMETABLE_REASON_SIZE, "it has both .every_s and .cron: %s", expected);
	else if (handler->every_s > TIMETABLE_EVERY_MAX_S)
		size = snprintf(ret_reason, TIMETABLE_REASON_SIZE,
			".every_s = %u: expected %d or less, a year", handler->every_s,
			TIMETABLE_EVERY_MAX_S);
	else if (handler->cron && cron_parse(handler->cron, &timetable.cron, reason) != 0)
		size = snprintf(
			ret_reason, TIMETABLE_REASON_SIZE, ".cron = \"%.80s\": %s", handler->cron, reason);
	else if (strlen(handler->name) > TIMETABLE_NAME_MAX)
		size = snprintf(ret_reason, TIMETABLE_REASON_SIZE,
			"its name, which is the file's, has %zu bytes: expected %d at most, for its runs' ids",
			strlen(handler->name), TIMETABLE_NAME_MAX);
	if (size > 0)
		return TIMETABLE_E_BAD;
	*ret = timetable;
	return 0;
}

/* ---- Slots ---- */

int64_t timetable_latest(const struct timetable *timetable, int64_t at_ms)
{
	const int64_t every_ms = (int64_t)timetable->every_s * 1000;
	if (every_ms == 0)
		return cron_latest(&timetable->cron, at_ms);
	return (at_ms / every_ms - (at_ms % every_ms < 0)) * every_ms;
}

int64_t timetable_after(const struct timetable *timetable, int64_t at_ms)
{
	if (timetable->every_s == 0)
		return cron_after(&timetable->cron, at_ms);
	return timetable_latest(timetable, at_ms) + (int64_t)timetable->every_s * 1000;
}

/* ---- A run as a command ---- */

const char *timetable_name_of(const char *topic)
{
	const size_t size = strlen(TIMETABLE_TOPIC);
	return strncmp(topic, TIMETABLE_TOPIC, size) == 0 ? topic + size : NULL;
}

void timetable_topic(const char *name, char ret_topic[static TIMETABLE_TOPIC_SIZE])
{
	snprintf(ret_topic, TIMETABLE_TOPIC_SIZE, "%s%s", TIMETABLE_TOPIC, name);
}

void timetable_payload(int64_t slot_ms, int64_t since_ms, char ret_payload[static TIMETABLE_PAYLOAD_SIZE])
{
	char slot[CLOCK_ISO_SIZE], since[CLOCK_ISO_SIZE];
	clock_iso_ms(slot_ms, slot);
	clock_iso_ms(since_ms, since);
	snprintf(ret_payload, TIMETABLE_PAYLOAD_SIZE, "{\"since\":\"%s\",\"slot\":\"%s\"}", since, slot);
}

/* Of the form that clock_iso_ms() gives it: whether it is just that shows when it is written again. */
static int64_t read_time(const char *text)
{
	struct tm date = {0};
	int ms = 0;
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &date.tm_year, &date.tm_mon, &date.tm_mday,
		    &date.tm_hour, &date.tm_min, &date.tm_sec, &ms) != 7)
		return 0;
	date.tm_year -= 1900;
	date.tm_mon--;
	return (int64_t)timegm(&date) * 1000 + ms;
}

bool timetable_payload_read(const void *payload, size_t size, int64_t *ret_slot_ms, int64_t *ret_since_ms)
{
	char text[TIMETABLE_PAYLOAD_SIZE], again[TIMETABLE_PAYLOAD_SIZE];
	if (size >= sizeof(text))
		return false;
	memcpy(text, payload, size);
	text[size] = '\0';
	const char *since = strstr(text, "\"since\":\""), *slot = strstr(text, "\"slot\":\"");
	if (strlen(text) != size || !since || !slot)
		return false;
	const int64_t since_ms = read_time(since + strlen("\"since\":\""));
	const int64_t slot_ms = read_time(slot + strlen("\"slot\":\""));
	timetable_payload(slot_ms, since_ms, again);
	if (strcmp(text, again) != 0)
		return false;
	*ret_slot_ms = slot_ms;
	*ret_since_ms = since_ms;
	return true;
}

void timetable_id(const char *name, int64_t slot_ms, char ret_id[static TIMETABLE_ID_SIZE])
{
	char slot[CLOCK_ISO_SIZE];
	clock_iso_ms(slot_ms, slot);
	snprintf(ret_id, TIMETABLE_ID_SIZE, "%s/%s", name, slot);
}
