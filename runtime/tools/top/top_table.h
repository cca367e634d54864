/*
 * top_table.h - tables and lines of `cashewd top`: columns that stand below each other, lines that are cut to
 * a terminal. Pure code.
 *
 * What is to be shown in a colour is put between marks, control characters, which take no room and which
 * text_line() leaves in no text of others. top_table_cut() makes colours of them, or removes them.
 */
#ifndef TOP_TABLE_H
#define TOP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TOP_BOLD   "\001"
#define TOP_RED	   "\002"
#define TOP_YELLOW "\003"
#define TOP_GREEN  "\004"
#define TOP_DIM	   "\005"
#define TOP_PLAIN  "\006"

#define TOP_ELLIPSIS "\xe2\x80\xa6"

struct top_table {
	const char *const *headings; /* ended by NULL */
	unsigned left;		     /* bit n: column n is aligned to the left */
	char **cells;		     /* row by row */
	size_t count, room;
	bool failed; /* out of memory */
};

/* The next cell; the texts in it went through text_line(). */
void top_table_add(struct top_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a text that may take so many columns and is cut beyond them. */
void top_table_add_cut(struct top_table *table, const char *line, size_t width);

/* How many columns a text takes, without its marks. */
size_t top_table_width(const char *text);

/* Whole rows. */
size_t top_table_rows(const struct top_table *table);

/*
 * The headings, and so many rows; where there are more, the last of them says how many. width: of the terminal, 0 for any. The last columns that do not fit
 * are left out, and an ellipsis stands behind the headings; but a last one that is aligned to the left may be cut. 0 or -ENOMEM.
 */
__attribute__((warn_unused_result)) int top_table_print(
	const struct top_table *table, size_t rows, unsigned width, FILE *out);
void top_table_free(struct top_table *table);

/* Writes a text's lines, each cut to the width and no more than the height (0: all of it). */
void top_table_cut(const char *text, unsigned width, unsigned height, bool colours, FILE *out);

#endif
