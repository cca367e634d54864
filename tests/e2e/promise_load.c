/* promise_load.c - see promise_load.h. */
#include "promise_load.h"

#include "harness_private.h"
#include "panic.h"
#include "promise_phone.h"
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	TICK_MS = 5,
	OPEN_MAX = 40,	  /* commands of a phone that are not complete: more are not sent */
	BURST_MAX = 50,	  /* commands at one tick */
	REPEAT_MS = 3000, /* a command that the broker may have lost waits so long for its event */
	TROUBLE_MS = 1500,
	APPEND_PERCENT = 25,
	COUNT_PERCENT = 12,
	TODO_PERCENT = 60, /* of a phone's commands, as long as it has something to do */
};

/* What a phone will send, once a command of another has arrived. */
struct todo {
	enum ledger_kind kind;
	unsigned other, stage;		    /* not before that stage */
	const struct ledger_command *after; /* NULL: at once */
};

struct caller {
	struct load *load;
	unsigned user;
	struct phone *phone;
	struct todo *todos;
	size_t todo_count, todo_capacity;
};

struct load {
	struct harness *harness;
	struct ledger *ledger;
	struct dice *dice;
	struct harness_part part;
	struct caller callers[LEDGER_USERS];
	struct phone *observer;
	unsigned rate_per_s, next, unsteady_percent;
	bool running;
	int timer;
	int64_t last_ms;
	double due; /* commands */
};

unsigned dice_roll(struct dice *dice, unsigned sides)
{
	/* xorshift64*: Marsaglia, Vigna. */
	dice->state ^= dice->state >> 12;
	dice->state ^= dice->state << 25;
	dice->state ^= dice->state >> 27;
	return (unsigned)((dice->state * UINT64_C(2685821657736338717)) >> 33) % sides;
}

/* ---- What comes back ---- */

static void on_phone_event(
	void *context, const char *topic, const char *payload, size_t size, const char *correlation)
{
	const struct caller *caller = context;
	ledger_event(caller->load->ledger, false, topic, payload, size, correlation);
}

static void on_observed(
	void *context, const char *topic, const char *payload, size_t size, const char *correlation)
{
	const struct load *load = context;
	ledger_event(load->ledger, true, topic, payload, size, correlation);
}

static void on_puback(void *context, int mid, int reason)
{
	const struct caller *caller = context;
	ledger_puback(caller->load->ledger, caller->user, mid, reason);
}

/* ---- Sending ---- */

static void publish(struct caller *caller, struct ledger_command *command)
{
	struct ledger *ledger = caller->load->ledger;
	const char *user = ledger->users[caller->user].name;
	char topic[2 * LEDGER_NAME_SIZE], payload[LEDGER_PAYLOAD_SIZE], correlation[LEDGER_NAME_SIZE];
	snprintf(topic, sizeof(topic), "%s/%s", user, ledger_command_name(command));
	snprintf(correlation, sizeof(correlation), "p%02u:%u", caller->user, command->number);
	ledger_write_payload(ledger, command, payload);
	ledger_sent(ledger, command, phone_publish(caller->phone, topic, payload, correlation));
}

static struct ledger_command *send_new(struct caller *caller, enum ledger_kind kind, unsigned other)
{
	struct ledger_command *command = ledger_enter(caller->load->ledger, caller->user, kind, other);
	publish(caller, command);
	return command;
}

static void add_todo(struct load *load, unsigned user, struct todo todo)
{
	struct caller *caller = &load->callers[user];
	if (caller->todo_count == caller->todo_capacity) {
		caller->todo_capacity = caller->todo_capacity ? 2 * caller->todo_capacity : 16;
		caller->todos = panic_if_null(
			reallocarray(caller->todos, caller->todo_capacity, sizeof(caller->todos[0])));
	}
	caller->todos[caller->todo_count++] = todo;
}

static bool send_todo(struct caller *caller)
{
	struct load *load = caller->load;
	size_t i = 0;
	while (i < caller->todo_count &&
		(caller->todos[i].stage > load->ledger->stage ||
			(caller->todos[i].after && !caller->todos[i].after->received)))
		i++;
	if (i == caller->todo_count)
		return false;
	const struct todo todo = caller->todos[i];
	caller->todo_count--;
	memmove(&caller->todos[i], &caller->todos[i + 1],
		(caller->todo_count - i) * sizeof(caller->todos[0]));
	const struct ledger_command *command = send_new(caller, todo.kind, todo.other);
	const struct ledger_pair *pair = ledger_pair_of(load->ledger, caller->user, todo.other);
	/* Sooner or later, so that there are always some to ask. */
	if (pair->contacts) {
		const bool by_other = dice_roll(load->dice, 2) == 0;
		add_todo(load, by_other ? todo.other : caller->user,
			(struct todo){.kind = LEDGER_REMOVE,
				.other = by_other ? caller->user : todo.other,
				.stage = load->ledger->stage + 1 + dice_roll(load->dice, 3),
				.after = command});
	}
	return true;
}

/* Asks another user, and plans what becomes of it. */
static bool send_request(struct caller *caller)
{
	struct load *load = caller->load;
	const unsigned other = dice_roll(load->dice, LEDGER_USERS), plan = dice_roll(load->dice, 10);
	const struct ledger_pair *pair = ledger_pair_of(load->ledger, caller->user, other);
	if (other == caller->user || pair->contacts || pair->asked[0] || pair->asked[1] ||
		pair->stage == load->ledger->stage)
		return false;
	struct todo todo = {.kind = LEDGER_ACCEPT, .other = caller->user, .stage = load->ledger->stage};
	todo.after = send_new(caller, LEDGER_REQUEST, other);
	if (plan < 2) {
		todo.kind = LEDGER_DECLINE;
		todo.stage++;
	} else if (plan < 4) {
		todo.kind = LEDGER_REQUEST; /* at once: both ask */
		todo.after = NULL;
	}
	add_todo(load, other, todo);
	return true;
}

static void send_unsteady(struct caller *caller, unsigned for_ms, unsigned crashes, bool hangs)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	const struct ledger_trouble trouble = {
		.until_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + for_ms,
		.early = dice_roll(caller->load->dice, 2) == 0 && crashes < LEDGER_CRASH_LIMIT,
		.crashes = crashes,
		.hangs = hangs};
	publish(caller, ledger_enter_unsteady(caller->load->ledger, caller->user, &trouble));
}

static void send_something(struct caller *caller)
{
	struct dice *dice = caller->load->dice;
	if (dice_roll(dice, 100) < caller->load->unsteady_percent) {
		send_unsteady(caller, dice_roll(dice, TROUBLE_MS), 0, false);
		return;
	}
	if (dice_roll(dice, 100) < TODO_PERCENT && send_todo(caller))
		return;
	if (dice_roll(dice, 100) < APPEND_PERCENT) {
		send_new(caller, LEDGER_APPEND, caller->user);
		return;
	}
	if (dice_roll(dice, 100) < COUNT_PERCENT) {
		send_new(caller, dice_roll(dice, 2) == 0 ? LEDGER_COUNT : LEDGER_TRANSFER, caller->user);
		return;
	}
	const unsigned choice = dice_roll(dice, 100);
	if (choice < 20 && send_request(caller))
		return;
	if (choice < 65)
		send_new(caller, LEDGER_ASK, 0);
	else if (choice < 78)
		send_new(caller, LEDGER_LIST, caller->user);
	else if (choice < 88)
		send_new(caller, LEDGER_REQUESTS, caller->user);
	else if (choice < 94)
		send_new(caller, LEDGER_PING, caller->user);
	else
		send_new(caller, LEDGER_REFUSED, dice_roll(dice, 1000));
}

static void send_due(struct load *load)
{
	unsigned busy = 0;
	for (; load->due >= 1 && busy < LEDGER_USERS; load->next = (load->next + 1) % LEDGER_USERS) {
		struct caller *caller = &load->callers[load->next];
		const struct ledger_user *user = &load->ledger->users[load->next];
		if (!phone_ready(caller->phone) || user->count - user->first_open >= OPEN_MAX) {
			busy++;
			continue;
		}
		busy = 0;
		load->due--;
		send_something(caller);
	}
}

static void repeat_lost(struct load *load, int64_t now_ms)
{
	for (unsigned n = 0; n < LEDGER_USERS; n++) {
		struct ledger_user *user = &load->ledger->users[n];
		struct caller *caller = &load->callers[n];
		if (!phone_ready(caller->phone) || now_ms - phone_ready_since_ms(caller->phone) < REPEAT_MS)
			continue;
		for (size_t i = user->first_open; i < user->count; i++) {
			struct ledger_command *command = user->commands[i];
			if (!command->broker_killed || command->complete || !command->acknowledged ||
				now_ms - command->sent_ms < REPEAT_MS)
				continue;
			load->ledger->figures.repeats++;
			publish(caller, command);
		}
	}
}

/* ---- As a part of the harness: a timer ---- */

static size_t load_prepare(void *self, struct pollfd *polls, size_t room)
{
	const struct load *load = self;
	if (room == 0)
		return 0;
	polls[0] = (struct pollfd){.fd = load->timer, .events = POLLIN};
	return 1;
}

static void load_serve(void *self, const struct pollfd *polls, size_t count)
{
	struct load *load = self;
	uint64_t ticks;
	if (count == 0 || read(polls[0].fd, &ticks, sizeof(ticks)) != (ssize_t)sizeof(ticks))
		return;
	const int64_t now_ms = harness_now_ms();
	load->due += (double)(now_ms - load->last_ms) * load->rate_per_s / 1000;
	load->due = load->due > BURST_MAX ? BURST_MAX : load->due;
	load->last_ms = now_ms;
	if (load->running)
		send_due(load);
	repeat_lost(load, now_ms);
}

static void load_free(void *self)
{
	struct load *load = self;
	for (size_t i = 0; i < LEDGER_USERS; i++)
		free(load->callers[i].todos);
	close(load->timer);
}

struct load *load_new(struct harness *h, struct ledger *ledger, struct dice *dice, unsigned rate_per_s)
{
	static const char *const observed[] = {"+/contact_requested", "+/contact_approved",
		"+/contact_declined", "+/contact_removed", "+/contact_list", "+/contact_requests", "+/pong",
		"+/appended", "+/counted", "+/transferred", "+/command_rejected", "+/command_failed", NULL};
	const struct itimerspec tick = {
		.it_value.tv_nsec = TICK_MS * 1000000, .it_interval.tv_nsec = TICK_MS * 1000000};
	struct load *load = harness_alloc(h, sizeof(*load));
	*load = (struct load){.harness = h,
		.ledger = ledger,
		.dice = dice,
		.rate_per_s = rate_per_s,
		.last_ms = harness_now_ms(),
		.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.part = {.self = load, .prepare = load_prepare, .serve = load_serve, .free = load_free}};
	if (load->timer < 0 || timerfd_settime(load->timer, 0, &tick, NULL) != 0)
		harness_fail("no timer");
	for (unsigned user = 0; user < LEDGER_USERS; user++) {
		struct caller *caller = &load->callers[user];
		const char **filters = harness_alloc(h, 2 * sizeof(*filters));
		filters[0] = harness_format(h, "%s/#", ledger->users[user].name);
		const struct phone_options options = {.user = ledger->users[user].name,
			.filters = filters,
			.event = on_phone_event,
			.puback = on_puback,
			.context = caller};
		*caller = (struct caller){.load = load, .user = user, .phone = phone_new(h, &options)};
	}
	const struct phone_options options = {.filters = observed, .event = on_observed, .context = load};
	load->observer = phone_new(h, &options);
	harness_add(h, &load->part);
	return load;
}

bool load_ready(const struct load *load)
{
	for (size_t i = 0; i < LEDGER_USERS; i++)
		if (!phone_ready(load->callers[i].phone))
			return false;
	return phone_ready(load->observer);
}

void load_run(struct load *load, bool run)
{
	load->running = run;
	load->due = 0;
}

void load_rate(struct load *load, unsigned rate_per_s)
{
	load->rate_per_s = rate_per_s;
	load->due = 0;
}

void load_unsteady(struct load *load, unsigned percent)
{
	load->unsteady_percent = percent;
}

void load_crash(struct load *load, unsigned crashes)
{
	send_unsteady(&load->callers[dice_roll(load->dice, LEDGER_USERS)], 0, crashes, false);
}

void load_hang(struct load *load, unsigned hangs)
{
	send_unsteady(&load->callers[dice_roll(load->dice, LEDGER_USERS)], 0, hangs, true);
}

void load_ping(struct load *load)
{
	send_new(&load->callers[0], LEDGER_PING, 0);
}
