/* doctor_print.c - see doctor_print.h. */
#include "doctor_print.h"

#include <string.h>

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

void doctor_print_line(const struct doctor_line *line, int name_width, bool colours, FILE *out)
{
	const char *colour = colours ? outcomes[line->outcome].colour : "", *end = colours ? "\033[0m" : "";
	fprintf(out, "%s%-4s%s  %-*s  %s\n", colour, outcomes[line->outcome].name, end, name_width,
		line->check, line->seen);
	if (line->advice[0] != '\0')
		fprintf(out, "      %-*s  -> %s\n", name_width, "", line->advice);
}

void doctor_print_totals(const struct doctor_totals *totals, FILE *out)
{
	fprintf(out, "\n%u ok, %u %s, %u failed, %u skipped\n", totals->ok, totals->warnings,
		totals->warnings == 1 ? "warning" : "warnings", totals->failed, totals->skipped);
}

json_t *doctor_json(const struct doctor_line *lines, size_t count)
{
	const struct doctor_totals totals = doctor_totals(lines, count);
	json_t *array = json_array();
	int r = array == NULL;
	for (size_t i = 0; r == 0 && i < count; i++) {
		json_t *line = json_pack("{s:s, s:s, s:s}", "check", lines[i].check, "outcome",
			outcomes[lines[i].outcome].name, "seen", lines[i].seen);
		/* A text that is no UTF-8, which a server said, cannot be shown. */
		if (line == NULL)
			line = json_pack("{s:s, s:s, s:s}", "check", lines[i].check, "outcome",
				outcomes[lines[i].outcome].name, "seen", "(not a text)");
		if (line != NULL && lines[i].advice[0] != '\0')
			r |= json_object_set_new(line, "advice",
				json_stringn_nocheck(lines[i].advice, strlen(lines[i].advice)));
		r |= json_array_append_new(array, line);
	}
	if (r != 0) {
		json_decref(array);
		return NULL;
	}
	return json_pack("{s:b, s:i, s:i, s:i, s:i, s:o}", "ok", totals.failed == 0, "passed", (int)totals.ok,
		"warnings", (int)totals.warnings, "failed", (int)totals.failed, "skipped",
		(int)totals.skipped, "checks", array);
}
