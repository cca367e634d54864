/* account.c - see account.h. */
#include "account.h"
#include <stdio.h>
#include <string.h>

static size_t field(const json_t *record, const char *name)
{
	return (size_t)json_integer_value(json_object_get(record, name));
}

struct account account_read_at(const char *file, int line, struct host *host)
{
	const json_t *record = host_expect_log_at(file, line, host, "stopped", "done", "*", NULL);
	return (struct account){.done = field(record, "done"),
		.rejected = field(record, "rejected"),
		.dead = field(record, "dead"),
		.parked = field(record, "parked"),
		.left_to_the_broker = field(record, "left_to_the_broker"),
		.joined = field(record, "joined"),
		.retained_ignored = field(record, "retained_ignored"),
		.qos0 = field(record, "qos0")};
}

void gate_open(struct harness *h, const struct host *host, const char *gate)
{
	harness_write_file(h, harness_format(h, "%s/%s.open", host_folder(host), gate), "");
}

struct gate_wait {
	const char *runs, *gate;
	size_t count;
};

static size_t count_runs(const struct gate_wait *wait)
{
	char line[128];
	size_t count = 0;
	FILE *runs = fopen(wait->runs, "re");
	while (runs && fgets(line, sizeof(line), runs)) {
		line[strcspn(line, " ")] = '\0';
		count += strcmp(line, wait->gate) == 0;
	}
	if (runs)
		fclose(runs);
	return count;
}

static bool enough_runs(void *context)
{
	const struct gate_wait *wait = context;
	return count_runs(wait) >= wait->count;
}

size_t gate_runs(struct harness *h, const struct host *host, const char *gate)
{
	return count_runs(
		&(struct gate_wait){.runs = harness_format(h, "%s/runs", host_folder(host)), .gate = gate});
}

void gate_wait_runs_at(const char *file, int line, struct harness *h, const struct host *host,
	const char *gate, size_t count)
{
	struct gate_wait wait = {
		.runs = harness_format(h, "%s/runs", host_folder(host)), .gate = gate, .count = count};
	harness_wait_at(
		file, line, h, enough_runs, &wait, HARNESS_TIMEOUT_MS, "%zu runs to gate %s", count, gate);
}

void gate_keeps_places(struct harness *h)
{
	database_command(h, harness_database(h),
		"{\"create\":\"parked_commands\",\"validator\":{\"never\":{\"$exists\":true}}}");
}
