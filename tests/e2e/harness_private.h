/* harness_private.h - what the harness's own files share. */
#ifndef HARNESS_PRIVATE_H
#define HARNESS_PRIVATE_H

#include "harness.h"
#include "process.h"

/* A process of the case that must not end by itself while the test waits. */
struct harness_process {
	struct process process;
	const char *name;
	struct harness_process *next;
};

/* A block that lives as long as the case. */
struct harness_memory {
	struct harness_memory *next;
	max_align_t bytes[];
};

struct harness {
	char *folder;
	int inotify; /* wakes a wait when a file has grown in a watched folder */
	char *database_name;
	struct harness_part *parts; /* newest first */
	struct harness_process *processes;
	struct harness_memory *memory;
	struct database *database, *own_database;
	struct broker *broker;
	struct host *host;  /* the default one */
	struct host *hosts; /* newest first */
	bool passed;
};

/* Of the program, shared by its cases. */
extern const char *harness_group_folder;
const char *harness_certificates(void); /* folder with the files that examples/broker/certificates makes */

/* Memory and processes of the case, ended with it. The process is noticed by waits; its struct is the
 * caller's. */
void *harness_alloc(struct harness *h, size_t size) __attribute__((alloc_size(2), returns_nonnull));
void harness_add_process(struct harness *h, struct harness_process *process);

/* From now on, what is written in that folder wakes a wait. */
void harness_watch_folder(struct harness *h, const char *folder);

/* Stops the case's hosts: gently where the case has passed, and then they must exit with 0. */
void host_end_all(struct harness *h);

/* The shared database ends with the program. */
void database_end_shared(void);

/* Prints the end of a file to standard error. */
void harness_print_tail(const char *path);

/* Runs a program to its end, its output in the file; its exit code. */
int harness_execute(const char *folder, const char *output, const char *const *argv);

#endif
