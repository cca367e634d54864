/*
 * metrics_schedules.h - the part of /metrics that is about schedules.
 */
#ifndef METRICS_SCHEDULES_H
#define METRICS_SCHEDULES_H

#include <stdint.h>
#include <stdio.h>

struct figures;

/* How they stand, of the host that is active; counters, of all hosts. Nothing where there are none. now_ms: clock_ms(). */
void metrics_schedules(FILE *out, const struct figures *figures, int64_t now_ms);

#endif
