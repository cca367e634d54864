/*
 * story.h - what the demo's devices do: commands that are sent, events that have to come, all of it shown.
 *
 * Happy path: fill a struct story, open its devices with story_event() as their on_event, play a story. A
 * command whose event does not come is repeated; a story ends well only when everything it awaits has come.
 * Failure modes, told on standard error: the deadline passes, the broker refuses something, a command is
 * rejected.
 */
#ifndef STORY_H
#define STORY_H

#include "device.h"
#include <stddef.h>
#include <stdio.h>

enum { STORY_DEVICES_MAX = 2, STORY_NAME_SIZE = 66, STORY_COLOURS_MAX = 64 };

/* What a command is to bring about: an event at a device. */
struct expectation {
	const struct device *at;
	const char *event;   /* NULL: any */
	const char *contact; /* the payload names this user; NULL: it need not */
	size_t kinds;	     /* the basket holds so many colours by then */
};

struct story {
	/* set by the caller; everything else begins as zero */
	struct device *devices[STORY_DEVICES_MAX];
	size_t count;
	long pause_ms;	  /* for show, before each command */
	long deadline_at; /* on device_clock_ms() */
	FILE *log;	  /* gets what is printed, without colours; NULL: none */
	bool colours, utf8;
	bool once;     /* a command is not repeated */
	bool by_topic; /* for one device: shows topics as they are, "-> 68946/get_apples  {}" */
	/* A basket takes each colour once, so that an event that comes twice changes nothing. */
	char colours_seen[STORY_COLOURS_MAX][STORY_NAME_SIZE];
	size_t apples, kinds;
	struct expectation expectation;
	bool came, rejected;
	long sent_at_us;
};

/* The devices' on_event; its context is the story. */
void story_event(void *context, struct device *device, const char *event, json_t *payload);

/* Each waits until its devices are connected, and returns whether all that it awaited has come. */
bool story_apples(struct story *story);		       /* one device */
bool story_contacts(struct story *story, bool afresh); /* two devices; afresh: they may be contacts already */
bool story_listen(struct story *story); /* one device; returns only when the broker refuses it */
bool story_send(struct story *story, const char *command, /* one device; event NULL: any. Sets by_topic */
	const char *payload, const char *event);

#endif
