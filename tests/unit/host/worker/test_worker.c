/* test_worker.c - worker.c: what the handlers of a command come to together, their states, and the threads that run them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "fake_store.h"
#include "log.h"
#include "pool.h"
#include "settings.h"
#include "stored.h"
#include "worker.h"

/* ---- The handlers: three on one topic ---- */

/* How each ends, a letter for each run; what it saw at the last one. */
static struct plan {
	const char *steps;
	unsigned runs, attempt;
	size_t event_max;
	void *state;
} plans[3];

static cashew_result run(cashew_command *cmd, size_t i)
{
	struct plan *plan = &plans[i];
	const char step = plan->steps[plan->runs++];
	plan->attempt = cashew_attempt(cmd);
	plan->event_max = cmd->event_max;
	plan->state = cashew_state(cmd);
	char payload[8];
	snprintf(payload, sizeof(payload), "%zu", i);
	switch (step) {
	case '.': return CASHEW_DONE;
	case 'e': return cashew_event_text(cmd, NULL, "got", payload);
	case 'r': cashew_event_text(cmd, NULL, "got", payload); return CASHEW_RETRY;
	case 's': return stored_result(cmd, STORE_E_AWAY);
	case 'x': return cashew_reject(cmd, "rejected by %zu", i);
	case 'f': cashew_event_text(cmd, NULL, "got", payload); return cashew_fail(cmd, "failed by %zu", i);
	default: fail_msg("handler %zu is run once more", i);
	}
	return CASHEW_FAIL;
}

static cashew_result run_a(cashew_command *cmd)
{
	return run(cmd, 0);
}

static cashew_result run_b(cashew_command *cmd)
{
	return run(cmd, 1);
}

static cashew_result run_c(cashew_command *cmd)
{
	return run(cmd, 2);
}

static unsigned inits, finis, refused_init;
static int places[8];

static int init(cashew_setup *setup, void **ret_state)
{
	(void)setup;
	if (++inits == refused_init)
		return 3;
	*ret_state = &places[inits - 1];
	return 0;
}

static void fini(void *state)
{
	finis++;
	*(int *)state += 1;
}

#define ABC(handler, function, ...)                                     \
	static const struct cashew_handler handler = {.name = #handler, \
		.topic = "+/abc",                                       \
		.handle = function,                                     \
		.payload = CASHEW_BYTES,                                \
		##__VA_ARGS__}

/* Without init there is no state to end. */
ABC(a, run_a, .fini = fini);
ABC(b, run_b, .init = init, .fini = fini);
ABC(c, run_c, .init = init, .fini = fini);
static const struct cashew_handler *const handlers[] = {&a, &b, &c, NULL};
static const struct route route = {.filter = "+/abc", .handler_count = 3, .handlers = {0, 1, 2}};
static const struct routes routes = {.handlers = handlers, .handler_count = 3};
static const struct settings settings = {.handler_timeout_s = 10, .payload_max = 1024};
static _Atomic size_t event_max = 1024;

/* A command with its context. */
struct fixture {
	struct worker_context context;
	struct command command;
};

static void begin(struct fixture *fixture, const char *steps_a, const char *steps_b, const char *steps_c)
{
	plans[0] = (struct plan){.steps = steps_a};
	plans[1] = (struct plan){.steps = steps_b};
	plans[2] = (struct plan){.steps = steps_c};
	inits = finis = refused_init = 0;
	memset(places, 0, sizeof(places));
	*fixture = (struct fixture){.context = {.routes = &routes,
					    .settings = &settings,
					    .store = fake_store_new(),
					    .event_max = &event_max},
		.command = {.route = &route,
			.input = {.topic = "u/abc", .user = "u", .command = "abc", .payload = ""},
			.handler = ""}};
	fixture->command.events_end = &fixture->command.events;
	assert_int_equal(worker_states_new(&fixture->context), 0);
	arena_init(&fixture->command.arena, NULL, 0);
}

static void end(struct fixture *fixture)
{
	arena_free(&fixture->command.arena);
	worker_states_free(&fixture->context);
	store_close(fixture->context.store);
}

static void assert_events(const struct command *command, const char *expected)
{
	char found[128] = "";
	struct call_event *const *at = &command->events;
	for (; *at; at = &(*at)->next)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.*s",
			at != &command->events ? " " : "", (int)(*at)->payload_size,
			(const char *)(*at)->payload);
	assert_string_equal(found, expected);
	/* More can be put behind them. */
	assert_ptr_equal(command->events_end, at);
}

#define REJECTED_BY(i) "{\"command\":\"abc\",\"reason\":\"rejected by " #i "\"}"

static void test_ends(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b, *c;
		unsigned runs;
		unsigned settled; /* after each run but the last; after that all are */
		enum command_end end;
		const char *handler, *reason, *events;
	} cases[] = {
		{".", ".", ".", 1, 0, COMMAND_DONE, "", NULL, ""},
		{"e", ".", "e", 1, 0, COMMAND_DONE, "", NULL, "0 2"},
		{"e", "x", ".", 1, 0, COMMAND_REJECTED, "b", "rejected by 1", "0 " REJECTED_BY(1)},
		{"x", ".", "x", 1, 0, COMMAND_REJECTED, "a", "rejected by 0",
			REJECTED_BY(0) " " REJECTED_BY(2)},
		{"x", "e", "f", 1, 0, COMMAND_DEAD, "c", "failed by 2", REJECTED_BY(0) " 1"},
		{"f", "x", "f", 1, 0, COMMAND_DEAD, "a", "failed by 0", REJECTED_BY(1)},
		{"e", "rre", "e", 3, 5, COMMAND_DONE, NULL, NULL, "0 2 1"},
		{"f", "r.", "e", 2, 5, COMMAND_DEAD, "a", "failed by 0", "2"},
		{"rf", "e", ".", 2, 6, COMMAND_DEAD, "a", "failed by 0", "1"},
		{"x", ".", "rf", 2, 3, COMMAND_DEAD, "c", "failed by 2", REJECTED_BY(0)},
		{"rx", "re", "re", 2, 0, COMMAND_REJECTED, "a", "rejected by 0", REJECTED_BY(0) " 1 2"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fixture;
		begin(&fixture, cases[i].a, cases[i].b, cases[i].c);
		struct command *command = &fixture.command;
		for (unsigned run_number = 1; run_number <= cases[i].runs; run_number++) {
			worker_run(&fixture.context, command);
			assert_int_equal(command->attempts, run_number);
			assert_int_equal(command->settled, run_number < cases[i].runs ? cases[i].settled : 7);
			assert_false(command->store_away);
		}
		assert_int_equal(command->end, cases[i].end);
		assert_events(command, cases[i].events);
		if (cases[i].handler) {
			assert_string_equal(command->handler, cases[i].handler);
			assert_int_equal(command->reason == NULL, cases[i].reason == NULL);
		}
		if (cases[i].reason)
			assert_string_equal(command->reason, cases[i].reason);
		assert_int_equal(plans[0].runs, strlen(cases[i].a));
		assert_int_equal(plans[1].runs, strlen(cases[i].b));
		assert_int_equal(plans[2].runs, strlen(cases[i].c));
		end(&fixture);
	}
}

/* What a retry leaves behind for the log, and for who decides what follows. */
static void test_retry(void **state)
{
	(void)state;
	struct fixture fixture;
	begin(&fixture, ".", "sr.", "rr.");
	struct command *command = &fixture.command;
	worker_run(&fixture.context, command);
	assert_true(command->store_away);
	assert_int_equal(command->end, COMMAND_DONE);
	assert_string_equal(command->handler, "c");
	assert_string_equal(command->reason, "handler c asked to be run again and gave no reason");
	/* The store's absence is of that run. */
	worker_run(&fixture.context, command);
	assert_false(command->store_away);
	worker_run(&fixture.context, command);
	assert_int_equal(command->settled, 7);
	assert_int_equal(plans[0].attempt, 1);
	assert_int_equal(plans[1].attempt, 3);
	assert_events(command, "");
	end(&fixture);

	/* Who dies is named, not who is run again. */
	begin(&fixture, "f", "r.", ".");
	worker_run(&fixture.context, command);
	assert_string_equal(command->handler, "a");
	assert_string_equal(command->reason, "failed by 0");
	end(&fixture);
}

/* Handlers see the attempt, what the broker takes, and the state that their init made for this thread. */
static void test_what_handlers_see(void **state)
{
	(void)state;
	struct fixture fixture, other;
	begin(&fixture, "r.", "..", ".");
	other.context = fixture.context;
	other.context.states = NULL;
	assert_int_equal(worker_states_new(&other.context), 0);
	assert_int_equal(inits, 4);
	event_max = 99;
	worker_run(&fixture.context, &fixture.command);
	assert_int_equal(plans[0].event_max, 99);
	event_max = 1024;
	assert_null(plans[0].state);
	assert_ptr_equal(plans[1].state, &places[0]);
	assert_ptr_equal(plans[2].state, &places[1]);
	worker_run(&fixture.context, &fixture.command);
	assert_int_equal(plans[0].attempt, 2);
	assert_int_equal(plans[0].event_max, 1024);

	arena_free(&fixture.command.arena);
	fixture.command = (struct command){
		.route = &route, .input = {.topic = "u/abc", .user = "u", .command = "abc", .payload = ""}};
	fixture.command.events_end = &fixture.command.events;
	arena_init(&fixture.command.arena, NULL, 0);
	plans[0].steps = plans[1].steps = plans[2].steps = "...";
	worker_run(&other.context, &fixture.command);
	assert_ptr_equal(plans[1].state, &places[2]);
	assert_ptr_equal(plans[2].state, &places[3]);
	worker_states_free(&other.context);
	assert_null(other.context.states);
	assert_int_equal(finis, 2);
	worker_states_free(&other.context);
	end(&fixture);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(places[i], 1);
}

/* An init that refuses: what the others made is undone. */
static void test_init_refuses(void **state)
{
	(void)state;
	static const struct cashew_handler *const four[] = {&b, &a, &c, &b, NULL};
	static const struct routes four_routes = {.handlers = four, .handler_count = 4};
	for (unsigned n = 1; n <= 4; n++) {
		inits = finis = 0;
		refused_init = n;
		memset(places, 0, sizeof(places));
		struct worker_context context = {.routes = &four_routes, .settings = &settings};
		const int rc = worker_states_new(&context);
		if (n <= 3) {
			assert_int_equal(rc, -ECANCELED);
			assert_null(context.states);
		} else {
			assert_int_equal(rc, 0);
			worker_states_free(&context);
		}
		assert_int_equal(finis, n - 1);
		for (unsigned i = 0; i < n - 1; i++)
			assert_int_equal(places[i], 1);
	}
}

/* ---- Threads ---- */

/* Each thread has states of its own, and runs commands with them. */
static void test_pool(void **state)
{
	(void)state;
	struct fixture fixture;
	begin(&fixture, "e", ".", "x");
	worker_states_free(&fixture.context);
	inits = finis = 0;
	struct pool *pool = NULL;
	assert_int_equal(worker_pool_new(&fixture.context, 2, &pool), 0);
	assert_int_equal(inits, 4);
	fixture.command.job.run = worker_job;
	pool_submit(pool, &fixture.command.job);
	pool_kick(pool);
	struct job *job = NULL;
	while (!(job = pool_collect(pool))) {
		struct pollfd ready = {.fd = pool_fd(pool), .events = POLLIN};
		const bool asleep = pool_sleep(pool);
		assert_return_code(poll(&ready, 1, asleep ? 60000 : 0), errno);
		pool_awake(pool, (ready.revents & POLLIN) != 0);
	}
	assert_ptr_equal(job, &fixture.command.job);
	assert_int_equal(fixture.command.settled, 7);
	assert_int_equal(fixture.command.end, COMMAND_REJECTED);
	/* What the thread's own init has made. */
	assert_in_range((uintptr_t)plans[1].state, (uintptr_t)&places[0], (uintptr_t)&places[3]);
	assert_ptr_equal((int *)plans[2].state, (int *)plans[1].state + 1);
	pool_free(pool);
	assert_int_equal(finis, 4);
	end(&fixture);
}

static void test_pool_without_init(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 4; n++) {
		struct fixture fixture;
		begin(&fixture, "", "", "");
		worker_states_free(&fixture.context);
		inits = finis = 0;
		refused_init = n;
		struct pool *pool = NULL;
		assert_int_equal(worker_pool_new(&fixture.context, 2, &pool), -ECANCELED);
		assert_null(pool);
		assert_int_equal(finis, n - 1);
		end(&fixture);
	}
}

/* ---- A missed deadline ---- */

static cashew_result last_3_ms(cashew_command *cmd)
{
	(void)cmd;
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 3000000);
	return CASHEW_DONE;
}

ABC(patient, last_3_ms);
ABC(hasty, last_3_ms, .deadline_ms = 2);

static void test_deadline(void **state)
{
	(void)state;
	static const struct cashew_handler *const two[] = {&patient, &hasty, NULL};
	static const struct routes two_routes = {.handlers = two, .handler_count = 2};
	static const struct route two_route = {.filter = "+/abc", .handler_count = 2, .handlers = {0, 1}};
	int pipe_fds[2];
	assert_return_code(pipe(pipe_fds), errno);
	assert_int_equal(log_open(&(const struct log_options){
				 .fd = pipe_fds[1], .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO}),
		0);
	struct fixture fixture;
	begin(&fixture, "", "", "");
	worker_states_free(&fixture.context);
	fixture.context.routes = &two_routes;
	fixture.command.route = &two_route;
	assert_int_equal(worker_states_new(&fixture.context), 0);
	worker_run(&fixture.context, &fixture.command);
	assert_int_equal(fixture.command.settled, 3);
	assert_int_equal(fixture.command.end, COMMAND_DONE);
	end(&fixture);
	log_close(10000);
	close(pipe_fds[1]);
	char lines[4096];
	const ssize_t size = read(pipe_fds[0], lines, sizeof(lines) - 1);
	close(pipe_fds[0]);
	assert_return_code(size, errno);
	lines[size] = '\0';
	assert_non_null(strstr(lines, "\"deadline_missed\""));
	assert_non_null(strstr(lines, "\"handler\":\"hasty\""));
	assert_non_null(strstr(lines, "\"deadline_ms\":2"));
	assert_null(strstr(lines, "patient"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_what_handlers_see),
		cmocka_unit_test(test_init_refuses),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_without_init),
		cmocka_unit_test(test_deadline),
	};
	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
