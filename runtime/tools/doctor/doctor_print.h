/* doctor_print.h - what `cashewd doctor` found, for people and for programs. Pure code. */
#ifndef DOCTOR_PRINT_H
#define DOCTOR_PRINT_H

#include "doctor.h"
#include <jansson.h>
#include <stdio.h>

enum { DOCTOR_PRINT_WIDTH = 80 };

struct doctor_totals {
	unsigned ok, skipped, warnings, failed; /* lines */
};

/* How many lines of each outcome there are. */
struct doctor_totals doctor_totals(const struct doctor_line *lines, size_t count);

/* "ok", "skip", "warn" or "fail". */
const char *doctor_outcome_name(enum doctor_outcome outcome);

/* A time in the unit that a person would choose: "45 s", "12 minutes", "30 hours", "12.3 days". Not negative. */
enum { DOCTOR_SPAN_SIZE = 32 };
void doctor_span(char ret[static DOCTOR_SPAN_SIZE], int64_t seconds);

/* Wrapped to DOCTOR_PRINT_WIDTH columns, between words. name_width: of the longest check's name. */
void doctor_print_line(const struct doctor_line *line, int name_width, bool colours, FILE *out);
void doctor_print_totals(const struct doctor_totals *totals, FILE *out);

/* All of it; a new reference, NULL when out of memory. */
json_t *doctor_json(const struct doctor_line *lines, size_t count);

#endif
