/*
 * kit_private.h - what the test kit's files share: the state of one test, which is a process of its own.
 *
 * kit_main.c starts a process for each test and says how it went; kit.c delivers commands and looks at what they left, by handler_run.h; kit_survives.c
 * breaks operations; kit_documents.c knows the store, kit_service.c is the HTTP server, kit_json.c reads what a test writes.
 */
#ifndef KIT_PRIVATE_H
#define KIT_PRIVATE_H

#include "cashew_test.h"
#include "handler_run.h"

#include <bson/bson.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cashew_handler;
struct store;
struct kit_service;

/* Where in a test something was asked for. */
struct kit_place {
	const char *file;
	int line;
};

struct kit_event {
	struct kit_event *next;
	char *topic, *payload;
	size_t size;
	bool expected; /* a test_event() has taken it */
};

/* The value of a handler's own setting. */
struct kit_setting {
	struct kit_setting *next;
	char *name, *value;
};

/* How far a schedule is. */
struct kit_slot {
	struct kit_slot *next;
	const struct cashew_handler *schedule;
	int64_t slot_ms, since_ms;
};

/* What is seen of the test's process from outside, also after a crash: in memory that both share. */
enum { KIT_FRAMES_MAX = 32, KIT_TOPIC_SIZE = 200 };
struct kit_board {
	unsigned ways;		    /* in which test_survives() broke something */
	char topic[KIT_TOPIC_SIZE]; /* the command that a handler is running; "": none */
	struct kit_place place;	    /* of what is under way */
	int signal;		    /* of a crash; 0: none */
	void *address;
	void *frames[KIT_FRAMES_MAX];
	int frame_count;
};

struct kit {
	struct kit_board *board;
	struct store *store;
	struct cashew_test *run; /* of handler_run.h */
	/* the last command */
	char *topic, *payload;
	struct kit_slot *slot; /* of a schedule's run; NULL: a command of somebody's */
	struct kit_place place;
	bool ended_as_expected; /* a test_rejected() or the like has looked */
	bool events_may_stay;	/* of test_survives(), which has compared them */
	enum call_end end;
	char *reason; /* why it ended so; NULL: done */
	struct kit_event *events;
	struct kit_setting *settings;
	struct kit_service *services;
	struct kit_slot *slots;
};

/* Prints FILE:LINE and the text, and ends the test's process as failed. */
__attribute__((noreturn, format(printf, 2, 3))) void kit_fail(
	struct kit_place place, const char *format, ...);

/* ---- kit_main.c ---- */

/* Called in the test's process: what a crash leaves goes to the board. */
void kit_catch_crashes(struct kit_board *board);

/* ---- kit.c ---- */

struct kit *kit_new(struct kit_board *board);
/* Fails where something is left that nobody has expected, and frees it. */
void kit_end(struct kit *t);
/* It is the last command from now on. Fails where the one before has left something that nobody has expected. */
void kit_take_command(struct kit *t, const char *file, int line, const char *topic, const char *payload);
/* The same for a run of a schedule. */
void kit_take_run(struct kit *t, struct kit_place place, struct kit_slot *slot);
/* Runs the last command, and takes what it left. */
void kit_deliver(struct kit *t);
/* A host begins: opens the store. */
void kit_begin_host(struct kit *t);
/* It ends: the documents stay, nothing else. To be called before a process is forked: a thread of the driver's may hold the lock of the allocator at
 * that moment, which nobody lets go of in the new process. */
void kit_end_host(struct kit *t);
/* "is rejected" and so on. */
const char *kit_end_name(enum call_end end);
void kit_forget_events(struct kit *t);
/* To be freed; ends the process where there is no memory. */
char *kit_copy(const char *text);
void *kit_memory(void *memory);

/* ---- kit_schedule.c ---- */

void kit_slots_free(struct kit *t);

/* ---- kit_json.c ---- */

/* The text with " in place of the ' around strings; to be freed. */
char *kit_json_text(const char *text);
/* The value of a JSON text in which ' may stand for "; fails with the place where it is none. */
json_t *kit_json(struct kit_place place, const char *text);
/* On one line, members in the order of their names; to be freed. */
char *kit_json_dump(const json_t *json);
/* The value where `bytes` are JSON, else NULL. */
json_t *kit_json_of(const char *bytes, size_t size);
/* "2026-01-31T12:00:00.000Z", also without milliseconds; false where it is no time. */
bool kit_json_time(const char *text, int64_t *ret_ms);

/* ---- kit_bson.c ---- */

/* A new reference. */
json_t *kit_bson_json(bson_iter_t *at);
void kit_bson_append(
	struct kit_place place, bson_t *bson, const struct cashew_member *member, const json_t *value);

/* ---- kit_documents.c ---- */

void kit_documents_put(struct kit *t, const char *collection, const json_t *document);
/* A new reference; NULL: there is none. */
json_t *kit_documents_find(struct kit *t, const char *collection, const char *id);
/* {"collection": {"id": {..}, ..}, ..} of all that handlers declare; a new reference. */
json_t *kit_documents_all(struct kit *t);

/* All of them as they are, to be forgotten; and the store made to hold these alone. */
struct kit_copy {
	struct kit_copy *next;
	const char *collection;
	bson_t *document;
};
struct kit_copy *kit_documents_keep(struct kit *t);
void kit_documents_forget(struct kit_copy *copies);
void kit_documents_bring_back(struct kit *t, const struct kit_copy *copies);

/* ---- kit_break.c ---- */

void kit_set_clock(int64_t now_ms);
int64_t kit_clock(void);
/* How many operations on documents there were. */
unsigned kit_operations(void);
/* What becomes of the one after `skip` more: it fails, or is done without an answer. */
void kit_break(unsigned skip, bool done);
/* Whether the next operations are the kit's own, which do not count. */
void kit_break_aside(bool aside);

/* ---- kit_store_fake.c, kit_store_real.c: one of them is linked ---- */

/* A store without documents. */
struct store *kit_store_new(void);
/* Closes the store and leaves the documents; has what is to be opened again, also in a forked process. */
struct store *kit_store_close(struct store *store);
struct store *kit_store_open(struct store *closed);
/* The end of the documents, too. */
void kit_store_remove(struct store *store);

/* ---- kit_service.c ---- */

void kit_services_free(struct kit *t);

#endif
