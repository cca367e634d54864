/* watch.c - see watch.h. */
#include "watch.h"
#include "nanoseconds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool watch_parse(const char *text, struct watches *watches)
{
	const char *const equals = strchr(text, '=');

	if (!equals || equals == text || watches->count == WATCH_MAX)
		return false;
	struct watch *const watch = &watches->each[watches->count];
	if ((size_t)(equals - text) >= sizeof(watch->name))
		return false;
	memcpy(watch->name, text, (size_t)(equals - text));
	for (const char *at = equals; *at != '\0';) {
		char *end;
		const long pid = strtol(at + 1, &end, 10);
		if (end == at + 1 || pid <= 0 || (*end != '+' && *end != '\0') ||
			watch->pid_count == WATCH_PIDS)
			return false;
		watch->pids[watch->pid_count++] = (pid_t)pid;
		at = end;
	}
	watches->count++;
	return true;
}

static double cpu_seconds(const struct watch *watch)
{
	double sum = 0;

	for (unsigned at = 0; at < watch->pid_count; at++) {
		clockid_t clock;
		if (clock_getcpuclockid(watch->pids[at], &clock) == 0)
			sum += (double)nanoseconds(clock) / 1e9;
	}
	return sum;
}

/* What the processors did but wait, since the start of the machine (proc(5), /proc/stat); what a hypervisor took of them counts. */
static double machine_seconds(void)
{
	unsigned long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0, steal = 0;
	FILE *const file = fopen("/proc/stat", "re");

	if (!file)
		return 0;
	if (fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu %llu", &user, &nice, &system, &irq, &softirq,
		    &steal) < 3)
		user = nice = system = 0;
	(void)fclose(file);
	return (double)(user + nice + system + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK);
}

void watch_begin(struct watches *watches)
{
	watches->machine_begin_s = machine_seconds();
	for (unsigned at = 0; at < watches->count; at++)
		watches->each[at].begin_s = cpu_seconds(&watches->each[at]);
}

void watch_end(struct watches *watches)
{
	for (unsigned at = 0; at < watches->count; at++)
		watches->each[at].used_s = cpu_seconds(&watches->each[at]) - watches->each[at].begin_s;
	watches->machine_s = machine_seconds() - watches->machine_begin_s;
}

void watch_print(const struct watches *watches)
{
	printf("{");
	for (unsigned at = 0; at < watches->count; at++)
		printf("%s\"%s\":%.6f", at > 0 ? "," : "", watches->each[at].name, watches->each[at].used_s);
	printf("}");
}
