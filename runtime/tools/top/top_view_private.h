/* top_view_private.h - what the files top_view.c and top_head.c share and nobody else sees. */
#ifndef TOP_VIEW_PRIVATE_H
#define TOP_VIEW_PRIVATE_H

#include "top_text.h"
#include "top_view.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct view {
	const json_t *now, *before; /* before: of the same supervisor, or NULL */
	double seconds;		    /* between them, or since the start */
	bool bounds_known;
	const struct top_view_options *options;
	FILE *out;
};

/* The number of that name; 0 where there is none, or a negative one. */
int64_t view_number(const json_t *object, const char *key);

/* Whether that is true. */
bool view_is(const json_t *object, const char *key);

/* What was added since; a counter that fell says nothing. */
int64_t view_more(const json_t *now, const json_t *before, const char *key);

/* A text of the document as a part of a line; to be freed, NULL when out of memory. */
char *view_text(const json_t *object, const char *key);

/* Two cells: the median, and what one in a hundred exceeds. */
void view_quantiles(
	const struct view *view, const json_t *now, const json_t *before, struct top_text ret[static 2]);

/* The mark, or none. */
const char *view_mark(bool bad, const char *mark);

/* A connection's state, and for how long it is up. */
void view_connection(const json_t *connection, FILE *out);

/* The lines above the tables, TOP_HEAD_LINES of them. */
enum { TOP_HEAD_LINES = 5 };
void top_head(const struct view *view);

#endif
