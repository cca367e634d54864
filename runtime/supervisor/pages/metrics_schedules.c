/*
 * metrics_schedules.c - see metrics_schedules.h. A schedule's name is a handler's, which has nothing in it that a label must not hold.
 */
#include "metrics_schedules.h"

#include "figures.h"
#include <stdbool.h>

static double age_s(int64_t since_ms, int64_t now_ms)
{
	return since_ms == 0 || now_ms < since_ms ? 0 : (double)(now_ms - since_ms) / 1000;
}

static double slot_s(const struct figures_schedule *schedule, int64_t now_ms)
{
	(void)now_ms;
	return (double)FIGURES_GET(schedule->slot_ms) / 1000;
}

static double next_s(const struct figures_schedule *schedule, int64_t now_ms)
{
	(void)now_ms;
	return (double)FIGURES_GET(schedule->next_ms) / 1000;
}

static double overdue_s(const struct figures_schedule *schedule, int64_t now_ms)
{
	return age_s(FIGURES_GET(schedule->overdue_ms), now_ms);
}

static double is_open(const struct figures_schedule *schedule, int64_t now_ms)
{
	(void)now_ms;
	return FIGURES_GET(schedule->open);
}

static double is_dead(const struct figures_schedule *schedule, int64_t now_ms)
{
	(void)now_ms;
	return FIGURES_GET(schedule->end) == FIGURES_RUN_DEAD;
}

static double begun(const struct figures_schedule *schedule, int64_t now_ms)
{
	(void)now_ms;
	return (double)FIGURES_GET(schedule->begun);
}

static double skipped(const struct figures_schedule *schedule, int64_t now_ms)
{
	(void)now_ms;
	return (double)FIGURES_GET(schedule->skipped);
}

static const struct {
	const char *name, *help;
	double (*read)(const struct figures_schedule *schedule, int64_t now_ms);
	bool counts; /* over all hosts, so it is told whichever is active */
} metrics[] = {
	{"cashewd_schedule_last_slot_seconds",
		"When the last run of a schedule was due, since the Unix epoch, by the database's clock.",
		slot_s, false},
	{"cashewd_schedule_next_slot_seconds", "When it is due next.", next_s, false},
	{"cashewd_schedule_overdue_seconds",
		"For how long a run has been due that has not ended; 0 where none is.", overdue_s, false},
	{"cashewd_schedule_running", "Whether its last run has not ended.", is_open, false},
	{"cashewd_schedule_last_run_dead", "Whether the last run that has ended was given up.", is_dead,
		false},
	{"cashewd_schedule_runs_begun_total", "Runs that hosts of this supervisor have begun.", begun, true},
	{"cashewd_schedule_slots_skipped_total",
		"Times at which it was due and left out, since it was late, as its handler declares.",
		skipped, true},
};

void metrics_schedules(FILE *out, const struct figures *figures, int64_t now_ms)
{
	const unsigned count = figures_schedule_count(figures);
	for (size_t k = 0; count > 0 && k < sizeof(metrics) / sizeof(metrics[0]); k++) {
		fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[k].name, metrics[k].help,
			metrics[k].name, metrics[k].counts ? "counter" : "gauge");
		for (unsigned i = 0; i < count; i++) {
			const struct figures_schedule *schedule = &figures->schedules[i];
			if (metrics[k].counts || FIGURES_GET(schedule->here))
				fprintf(out, "%s{schedule=\"%s\"} %.15g\n", metrics[k].name, schedule->name,
					metrics[k].read(schedule, now_ms));
		}
	}
}
