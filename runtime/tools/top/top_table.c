/* top_table.c - see top_table.h. */
#include "top_table.h"

#include "text_line.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64, GAP = 2, CUT_MIN = 8 /* so much of a text is worth showing */ };

static bool is_mark(char byte)
{
	return byte >= TOP_BOLD[0] && byte <= TOP_PLAIN[0];
}

static bool is_begin(char byte)
{
	return ((unsigned char)byte & 0xc0) != 0x80;
}

size_t top_table_width(const char *cell)
{
	size_t width = text_width(cell);
	for (; *cell != '\0'; cell++)
		width -= is_mark(*cell);
	return width;
}

/* ---- Cells ---- */

static void add(struct top_table *table, char *cell)
{
	if (!cell)
		table->failed = true;
	if (table->count == table->room && !table->failed) {
		const size_t room = table->room > 0 ? 2 * table->room : ROOM_MIN;
		char **cells = reallocarray(table->cells, room, sizeof(*cells));
		table->failed = !cells;
		if (cells) {
			table->cells = cells;
			table->room = room;
		}
	}
	if (table->failed)
		free(cell);
	else
		table->cells[table->count++] = cell;
}

void top_table_add(struct top_table *table, const char *format, ...)
{
	va_list arguments;
	char *cell;
	va_start(arguments, format);
	if (vasprintf(&cell, format, arguments) < 0)
		cell = NULL;
	va_end(arguments);
	add(table, cell);
}

void top_table_add_cut(struct top_table *table, const char *line, size_t width)
{
	size_t size = 0, left = width - 1;
	if (text_width(line) <= width) {
		add(table, strdup(line));
		return;
	}
	for (; !is_begin(line[size]) || left > 0; size++)
		left -= is_begin(line[size]);
	top_table_add(table, "%.*s" TOP_ELLIPSIS, (int)size, line);
}

static size_t columns_of(const struct top_table *table)
{
	size_t columns = 0;
	while (table->headings[columns])
		columns++;
	return columns;
}

size_t top_table_rows(const struct top_table *table)
{
	return table->count / columns_of(table);
}

void top_table_free(struct top_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->count = table->room = 0;
}

/* ---- Rows ---- */

/* How many of the columns fit. */
static size_t columns_shown(const struct top_table *table, const size_t *widths, size_t width)
{
	const size_t columns = columns_of(table);
	size_t used = 0, shown = 0;
	for (; shown < columns; shown++) {
		const size_t needed = widths[shown] + (shown > 0 ? GAP : 0);
		const bool may_be_cut = shown + 1 == columns && (table->left >> shown & 1) != 0;
		if (width > 0 && used + (may_be_cut && needed > CUT_MIN ? CUT_MIN : needed) > width)
			break;
		used += needed;
	}
	/* The ellipsis needs room as well. */
	while (shown < columns && shown > 1 && used + 2 > width)
		used -= widths[--shown] + GAP;
	return shown > 0 ? shown : 1;
}

static void print_row(const struct top_table *table, const char *const *cells, const size_t *widths,
	size_t columns, const char *end, FILE *out)
{
	for (size_t i = 0; i < columns; i++) {
		const bool left = (table->left >> i & 1) != 0, last = i + 1 == columns;
		const int space = (int)(widths[i] - top_table_width(cells[i]));
		fprintf(out, "%*s%s%*s", left ? 0 : space, "", cells[i], last ? 0 : GAP + (left ? space : 0),
			"");
	}
	fputs(end, out);
}

int top_table_print(const struct top_table *table, size_t rows, unsigned width, FILE *out)
{
	const size_t columns = columns_of(table), all = top_table_rows(table);
	if (table->failed)
		return -ENOMEM;
	size_t *widths = calloc(columns, sizeof(*widths));
	if (!widths)
		return -ENOMEM;
	for (size_t i = 0; i < columns; i++)
		widths[i] = text_width(table->headings[i]);
	for (size_t i = 0; i < all * columns; i++) {
		const size_t cell = top_table_width(table->cells[i]);
		widths[i % columns] = cell > widths[i % columns] ? cell : widths[i % columns];
	}
	const size_t fitting = columns_shown(table, widths, width);
	fputs(TOP_BOLD, out);
	print_row(table, table->headings, widths, fitting, fitting < columns ? " " TOP_ELLIPSIS "\n" : "\n",
		out);
	fputs(TOP_PLAIN, out);
	const size_t shown = rows >= all ? all : (rows > 0 ? rows - 1 : 0);
	for (size_t row = 0; row < shown; row++)
		print_row(
			table, (const char *const *)table->cells + row * columns, widths, fitting, "\n", out);
	if (shown < all && rows > 0)
		fprintf(out, TOP_DIM "... and %zu more" TOP_PLAIN "\n", all - shown);
	free(widths);
	return 0;
}

/* ---- Lines ---- */

static const char *sequence(char mark)
{
	switch (mark) {
	case '\001': return "\033[1m";
	case '\002': return "\033[31m";
	case '\003': return "\033[33m";
	case '\004': return "\033[32m";
	case '\005': return "\033[2m";
	default: return "\033[0m";
	}
}

/* Of the line that begins there, without what stands at its end for nothing; returns where the next begins. */
static const char *cut_line(const char *line, unsigned width, bool colours, FILE *out)
{
	unsigned used = 0;
	bool coloured = false;
	const char *at = line;
	for (; *at != '\0' && *at != '\n'; at++) {
		if (is_mark(*at)) {
			if (colours && (coloured || *at != TOP_PLAIN[0]))
				fputs(sequence(*at), out);
			coloured = *at != TOP_PLAIN[0];
			continue;
		}
		used += is_begin(*at);
		if (width == 0 || used <= width)
			fputc(*at, out);
	}
	if (colours && coloured)
		fputs(sequence(TOP_PLAIN[0]), out);
	fputc('\n', out);
	return *at == '\n' ? at + 1 : at;
}

void top_table_cut(const char *text, unsigned width, unsigned height, bool colours, FILE *out)
{
	for (unsigned line = 0; *text != '\0' && (height == 0 || line < height); line++)
		text = cut_line(text, width, colours, out);
}
