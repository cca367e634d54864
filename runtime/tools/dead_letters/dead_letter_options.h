/*
 * dead_letter_options.h - the command line of `cashewd dead-letters`, read and checked. Pure code.
 */
#ifndef DEAD_LETTER_OPTIONS_H
#define DEAD_LETTER_OPTIONS_H

#include "store.h"
#include "usage.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum dead_letter_action {
	DEAD_LETTER_LIST,
	DEAD_LETTER_SHOW,
	DEAD_LETTER_REPLAY,
	DEAD_LETTER_DROP,
	DEAD_LETTER_HELP,
};

enum { DEAD_LETTER_LIMIT = 50 };

struct dead_letter_options {
	enum dead_letter_action action;
	const char *env_file;
	bool env_file_given;
	/* which letters: by their ids, or by a query */
	struct store_id *ids;
	size_t id_count;
	const char *handler, *user; /* NULL: any */
	const char *since;	    /* dead_letter_since() takes it; NULL: any time */
	bool filtered;		    /* one of the three was given */
	bool all;
	unsigned limit; /* 0: none */
	bool json, yes;
	const char *payload_file; /* "-": standard input; NULL: none */
};

enum dead_letter_options_error { DEAD_LETTER_OPTIONS_E_WRONG = USAGE_E_WRONG };

/* values[0] is "dead-letters". 0 and *ret, whose texts are those of values, freed by
 * dead_letter_options_free(); DEAD_LETTER_OPTIONS_E_WRONG after one line on problems; -ENOMEM. Not
 * thread-safe: getopt(). */
__attribute__((warn_unused_result)) int dead_letter_options_read(
	int count, char **values, FILE *problems, struct dead_letter_options *ret);
void dead_letter_options_free(struct dead_letter_options *options);

/* A time given as "2h" (s, m, h, d or w before now), "2026-11-23" or "2026-11-23T10:00:00Z", in UTC. now_ms: the database's time, which letters are
 * dated by. False for anything else. */
__attribute__((warn_unused_result)) bool dead_letter_since(const char *text, int64_t now_ms, int64_t *ret_ms);

/* What --help says. */
void dead_letter_help(FILE *out);

#endif
