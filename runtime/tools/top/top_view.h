/*
 * top_view.h - what `cashewd top` shows: two status documents (status.h), one after the other,
 * become lines of text. Pure code.
 *
 * Rates are of the time between the two; so are durations, where anything ran in it, and else of all time
 * (dim). What is most urgent stands first, in a line, a table and a row. Without an earlier document, or with one of another supervisor, all of it is since the start. A
 * document is not trusted: what is missing counts as 0, and no control character of its texts is shown.
 */
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct top_view_options {
	const char *address;
	const char *keys; /* what they do, to be shown; NULL: nothing */
	unsigned width,
		height; /* of the terminal: what does not fit is left out, and never wrapped; 0: there is room for all */
	bool colours;
};

/* Whether it is a status document at all. */
bool top_view_is_status(const json_t *document);

/* before: NULL for none. 0 and *ret, lines that each end in \n, to be freed; -ENOMEM. */
__attribute__((warn_unused_result)) int top_view(
	const json_t *now, const json_t *before, const struct top_view_options *options, char **ret);

/* What is shown while nothing answers. */
struct top_away {
	const char *source; /* where the address is from: "METRICS_ADDR" */
	const char *reason;
	int64_t since_ms, now_ms; /* Unix time */
	unsigned interval_ms;
};
__attribute__((warn_unused_result)) int top_view_away(
	const struct top_away *away, const struct top_view_options *options, char **ret);

#endif
