/* doctor_print.c - see doctor_print.h. */
#include "doctor_print.h"

#include <inttypes.h>
#include <string.h>

enum { WIDTH_MIN = 20 /* of what is said, however long the names */ };

static const struct {
	const char *name, *colour;
} outcomes[] = {
	[DOCTOR_OK] = {"ok", "\033[32m"},
	[DOCTOR_SKIP] = {"skip", "\033[2m"},
	[DOCTOR_WARN] = {"warn", "\033[33m"},
	[DOCTOR_FAIL] = {"fail", "\033[1;31m"},
};

const char *doctor_outcome_name(enum doctor_outcome outcome)
{
	return outcomes[outcome].name;
}

void doctor_span(char ret[static DOCTOR_SPAN_SIZE], int64_t seconds)
{
	enum { MINUTE_S = 60, HOUR_S = 60 * MINUTE_S, DAY_S = 24 * HOUR_S };
	if (seconds < 2 * MINUTE_S)
		snprintf(ret, DOCTOR_SPAN_SIZE, "%" PRId64 " s", seconds);
	else if (seconds < 2 * HOUR_S)
		snprintf(ret, DOCTOR_SPAN_SIZE, "%" PRId64 " minutes", seconds / MINUTE_S);
	else if (seconds < 2 * DAY_S)
		snprintf(ret, DOCTOR_SPAN_SIZE, "%" PRId64 " hours", seconds / HOUR_S);
	else
		snprintf(ret, DOCTOR_SPAN_SIZE, "%.1f days", (double)seconds / DAY_S);
}

struct doctor_totals doctor_totals(const struct doctor_line *lines, size_t count)
{
	struct doctor_totals totals = {.ok = 0};
	for (size_t i = 0; i < count; i++) {
		switch (lines[i].outcome) {
		case DOCTOR_OK: totals.ok++; break;
		case DOCTOR_SKIP: totals.skipped++; break;
		case DOCTOR_WARN: totals.warnings++; break;
		case DOCTOR_FAIL: totals.failed++; break;
		}
	}
	return totals;
}

/* So many bytes of the text as make `width` columns, but whole words where there is a blank. At least one character. */
static size_t fitting(const char *text, size_t width)
{
	size_t columns = 0, at = 0, blank = 0;
	for (; text[at] != '\0'; at++) {
		if (((unsigned char)text[at] & 0xc0) == 0x80)
			continue;
		if (text[at] == ' ')
			blank = at;
		if (++columns > width)
			return blank > 0 ? blank : at;
	}
	return at;
}

/* The text in lines that end at DOCTOR_PRINT_WIDTH, all but the first below where the first begins. A word that is too long is broken. */
static void print_wrapped(const char *text, size_t column, FILE *out)
{
	const size_t width =
		column + WIDTH_MIN < DOCTOR_PRINT_WIDTH ? DOCTOR_PRINT_WIDTH - column : WIDTH_MIN;
	for (bool first = true; first || *text != '\0'; first = false) {
		const size_t size = fitting(text, width);
		fprintf(out, "%*s%.*s\n", first ? 0 : (int)column, "", (int)size, text);
		text += size;
		text += strspn(text, " ");
	}
}

void doctor_print_line(const struct doctor_line *line, int name_width, bool colours, FILE *out)
{
	const char *colour = colours ? outcomes[line->outcome].colour : "", *end = colours ? "\033[0m" : "";
	const size_t column = strlen("ok    ") + (size_t)name_width + strlen("  ");
	fprintf(out, "%s%-4s%s  %-*s  ", colour, outcomes[line->outcome].name, end, name_width, line->check);
	print_wrapped(line->seen, column, out);
	if (line->advice[0] == '\0')
		return;
	fprintf(out, "%*s-> ", (int)column, "");
	print_wrapped(line->advice, column + strlen("-> "), out);
}

void doctor_print_totals(const struct doctor_totals *totals, FILE *out)
{
	fprintf(out, "\n%u ok, %u %s, %u failed, %u skipped\n", totals->ok, totals->warnings,
		totals->warnings == 1 ? "warning" : "warnings", totals->failed, totals->skipped);
}

/* What is no text cannot stand in JSON. */
static json_t *json_text(const char *text)
{
	json_t *json = json_string(text);
	return json ? json : json_string("(not a text)");
}

static json_t *line_json(const struct doctor_line *line)
{
	json_t *json = json_object();
	int r = !json;
	r |= json_object_set_new(json, "check", json_string(line->check));
	r |= json_object_set_new(json, "outcome", json_string(outcomes[line->outcome].name));
	r |= json_object_set_new(json, "seen", json_text(line->seen));
	if (line->advice[0] != '\0')
		r |= json_object_set_new(json, "advice", json_text(line->advice));
	if (r == 0)
		return json;
	json_decref(json);
	return NULL;
}

json_t *doctor_json(const struct doctor_line *lines, size_t count)
{
	const struct doctor_totals totals = doctor_totals(lines, count);
	json_t *array = json_array();
	int r = !array;
	for (size_t i = 0; r == 0 && i < count; i++)
		r |= json_array_append_new(array, line_json(&lines[i]));
	if (r != 0) {
		json_decref(array);
		return NULL;
	}
	return json_pack("{s:b, s:i, s:i, s:i, s:i, s:o}", "ok", totals.failed == 0, "passed", (int)totals.ok,
		"warnings", (int)totals.warnings, "failed", (int)totals.failed, "skipped",
		(int)totals.skipped, "checks", array);
}
