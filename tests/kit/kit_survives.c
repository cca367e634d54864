/*
 * kit_survives.c - test_survives(): a command that is run once for each thing that can happen to it. See cashew_test.h.
 *
 * Each run is a process of its own, forked from the test's: a host that dies forgets all but the documents, and each begins with those that the test
 * has made. First one that nothing disturbs: its documents and events are what the others must come to. Then, for each of its operations on the
 * store, one in which that fails and one in which it is done without an answer, after which the command comes again. At last the test's own process
 * runs the command, undisturbed. A difference ends the test, with the documents that differ.
 */
#include "kit_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPERATIONS_MAX = 1000, RESULT_MAX = 64 * 1024 * 1024 };

/* ---- What a run came to ---- */

static json_t *events_of(const struct kit *t)
{
	json_t *events = kit_memory(json_array());
	for (const struct kit_event *event = t->events; event; event = event->next) {
		json_t *payload = kit_json_of(event->payload, event->size);
		json_array_append_new(events,
			json_pack("[s, o]", event->topic,
				payload ? payload : json_stringn_nocheck(event->payload, event->size)));
	}
	return events;
}

/* {"operations", "events", "documents"} */
static json_t *result_of(struct kit *t, unsigned operations)
{
	return kit_memory(json_pack("{s:i, s:o, s:o}", "operations", (int)operations, "events", events_of(t),
		"documents", kit_documents_all(t)));
}

/* Those members of `of` that are otherwise in `than`. */
static json_t *otherwise(json_t *of, const json_t *than)
{
	json_t *part = kit_memory(json_object()), *value;
	const char *name;
	json_object_foreach(of, name, value) if (!json_equal(value, json_object_get(than, name)))
		json_object_set(part, name, value);
	return part;
}

static void print_member(const char *title, json_t *part)
{
	char *text = part ? kit_json_dump(part) : kit_copy("none");
	fprintf(stderr, "    %s  %s\n", title, text);
	free(text);
	json_decref(part);
}

/* Where both are not the same: what differs. NULL: it is not there. */
static void print_document(const char *collection, const char *id, json_t *found, json_t *expected)
{
	if (json_equal(found, expected))
		return;
	const bool both = found && expected;
	json_t *of_found = both ? otherwise(found, expected) : json_incref(found);
	json_t *of_expected = both ? otherwise(expected, found) : json_incref(expected);
	char title[200];
	const int width = snprintf(title, sizeof(title), "%s %s", collection, id);
	print_member(title, of_found);
	snprintf(title, sizeof(title), "%-*s", width, "expected");
	print_member(title, of_expected);
}

static void print_documents(json_t *found, json_t *expected)
{
	const char *collection, *id;
	json_t *documents, *document;
	json_object_foreach(expected, collection, documents) json_object_foreach(documents, id, document)
		print_document(
			collection, id, json_object_get(json_object_get(found, collection), id), document);
	json_object_foreach(found, collection, documents) json_object_foreach(
		documents, id, document) if (!json_object_get(json_object_get(expected, collection), id))
		print_document(collection, id, document, NULL);
}

static void print_events(const char *title, const json_t *events)
{
	for (size_t i = 0; i < json_array_size(events); i++) {
		char *payload = kit_json_dump(json_array_get(json_array_get(events, i), 1));
		fprintf(stderr, "    %s  %s %s\n", title,
			json_string_value(json_array_get(json_array_get(events, i), 0)), payload);
		free(payload);
	}
	if (json_array_size(events) == 0)
		fprintf(stderr, "    %s  none\n", title);
}

/* ---- A run in a process of its own ---- */

/* Fails the test as the child has failed, which has said why or left a crash on the board. */
static void wait_for(pid_t child)
{
	int status = 0;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			abort();
	if (WIFSIGNALED(status))
		(void)raise(WTERMSIG(status)); /* as a crash of the test's */
	if (status != 0)
		_Exit(EXIT_FAILURE);
}

static pid_t start(void)
{
	fflush(stdout);
	fflush(stderr);
	const pid_t child = fork();
	if (child < 0)
		abort();
	if (child == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

static void expect_done(const struct kit *t, const char *when)
{
	if (t->end != CALL_DONE)
		kit_fail(t->place, "%s%s %s: %s", when, t->topic, kit_end_name(t->end), t->reason);
}

/* Runs undisturbed, and writes the result into the file. */
__attribute__((noreturn)) static void run_undisturbed(struct kit *t, int fd)
{
	kit_begin_host(t);
	const unsigned before = kit_operations();
	kit_deliver(t);
	const unsigned operations = kit_operations() - before;
	expect_done(t, "");
	json_t *result = result_of(t, operations);
	const int error = json_dumpfd(result, fd, JSON_COMPACT);
	json_decref(result);
	_Exit(error ? EXIT_FAILURE : EXIT_SUCCESS);
}

static json_t *undisturbed(struct kit *t)
{
	const int fd = memfd_create("cashew_test", MFD_CLOEXEC);
	if (fd < 0)
		abort();
	const pid_t child = start();
	if (child == 0)
		run_undisturbed(t, fd);
	wait_for(child);
	if (lseek(fd, 0, SEEK_SET) != 0)
		abort();
	json_t *result = kit_memory(json_loadfd(fd, 0, NULL));
	close(fd);
	return result;
}

/* ---- What can happen ---- */

struct way {
	unsigned operation, operations;
	bool done; /* and the answer is lost; else it fails */
};

static void compare(struct kit *t, const char *when, json_t *expected)
{
	json_t *result = result_of(t, 0);
	json_t *events = json_object_get(result, "events"),
	       *expected_events = json_object_get(expected, "events");
	char text[300];
	fflush(stdout);
	snprintf(text, sizeof(text), "%s:%d: %s, then the command comes again.", t->place.file, t->place.line,
		when);
	if (!json_equal(events, expected_events)) {
		fprintf(stderr, "%s Events:\n", text);
		print_events("found   ", events);
		print_events("expected", expected_events);
		_Exit(EXIT_FAILURE);
	}
	json_t *documents = json_object_get(result, "documents"),
	       *expected_documents = json_object_get(expected, "documents");
	if (!json_equal(documents, expected_documents)) {
		fprintf(stderr, "%s Documents:\n", text);
		print_documents(documents, expected_documents);
		fputs("    What this command writes depends on what it read. Count with (inc, ..), or set .needs_id.\n",
			stderr);
		_Exit(EXIT_FAILURE);
	}
	json_decref(result);
}

__attribute__((noreturn)) static void run_broken(
	struct kit *t, const struct way *way, const struct kit_copy *copies, json_t *expected)
{
	char when[120], again[160];
	snprintf(when, sizeof(when),
		way->done ? "the answer is lost at operation %u of %u" : "operation %u of %u fails",
		way->operation + 1, way->operations);
	kit_begin_host(t);
	kit_documents_bring_back(t, copies);
	kit_break(way->operation, way->done);
	kit_deliver(t);
	if (t->end == CALL_REJECTED || t->end == CALL_FAILED)
		kit_fail(t->place, "%s, and %s %s: %s. Expected that it is run again", when, t->topic,
			kit_end_name(t->end), t->reason);
	/* The next one. That before is left as it is, as by a host that was killed: its end would wait for the driver's threads. */
	kit_begin_host(t);
	kit_deliver(t);
	snprintf(again, sizeof(again), "%s, then the command comes again: ", when);
	expect_done(t, again);
	compare(t, when, expected);
	_Exit(EXIT_SUCCESS);
}

void cashew_test_survives_(cashew_test *t, const char *file, int line, const char *topic, const char *payload)
{
	kit_take_command(t, file, line, topic, payload);
	struct kit_copy *copies = kit_documents_keep(t);
	kit_end_host(t);
	json_t *expected = undisturbed(t);
	const unsigned operations = (unsigned)json_integer_value(json_object_get(expected, "operations"));
	if (operations > OPERATIONS_MAX)
		kit_fail(t->place, "%s makes %u operations on the store: expected %d at most", topic,
			operations, OPERATIONS_MAX);
	for (unsigned i = 0; i < 2 * operations; i++) {
		const struct way way = {.operation = i / 2, .operations = operations, .done = i % 2 == 1};
		const pid_t child = start();
		if (child == 0)
			run_broken(t, &way, copies, expected);
		wait_for(child);
		t->board->ways++;
	}
	kit_begin_host(t);
	kit_documents_bring_back(t, copies);
	kit_deliver(t);
	expect_done(t, "");
	t->events_may_stay = true;
	kit_documents_forget(copies);
	json_decref(expected);
}
