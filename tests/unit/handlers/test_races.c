/*
 * test_races.c - contact commands of two users at the same time, in every order in which their store
 * operations can follow each other.
 *
 * Each command runs in a thread of its own and waits before each store operation until it is let go; one goes
 * at a time. After a run the last choice that has another side left is turned over, until all orders have
 * been seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "contact_documents.h"
#include "fake_store.h"
#include "handler_run.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

extern const struct cashew_handler cashew_handler_request_contact, cashew_handler_accept_contact,
	cashew_handler_decline_contact;

enum { CHOICES_MAX = 64, NOBODY = -1 };

/* ---- One order ---- */

struct race;

struct runner {
	struct race *race;
	int number;
	struct cashew_test *t;
	pthread_t thread;
	enum call_end end;
	enum { RUNNING, WAITING, ENDED } is;
};

struct race {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct runner runners[2];
	int turn;
	/* which one went where both could, so far and in this order */
	unsigned char choices[CHOICES_MAX];
	size_t choices_count;
	struct store *store;
};

static _Thread_local struct runner *self;

/* Before each store operation, in the thread of its command; the main thread, which arranges and checks, goes
 * on. */
static void wait_for_turn(void *context)
{
	struct race *race = context;
	if (!self)
		return;
	pthread_mutex_lock(&race->lock);
	self->is = WAITING;
	pthread_cond_broadcast(&race->changed);
	while (race->turn != self->number)
		pthread_cond_wait(&race->changed, &race->lock);
	race->turn = NOBODY;
	self->is = RUNNING;
	pthread_mutex_unlock(&race->lock);
}

static void *run(void *context)
{
	self = context;
	self->end = cashew_test_run(self->t);
	pthread_mutex_lock(&self->race->lock);
	self->is = ENDED;
	pthread_cond_broadcast(&self->race->changed);
	pthread_mutex_unlock(&self->race->lock);
	return NULL;
}

/* Lets one of the two go at a time; choices[0 .. forced) are made as they stand, further ones let the first
 * go. */
static void schedule(struct race *race, size_t forced)
{
	struct runner *first = &race->runners[0], *second = &race->runners[1];
	race->choices_count = 0;
	pthread_mutex_lock(&race->lock);
	for (;;) {
		while (race->turn != NOBODY || first->is == RUNNING || second->is == RUNNING)
			pthread_cond_wait(&race->changed, &race->lock);
		if (first->is == ENDED && second->is == ENDED)
			break;
		int next = first->is == ENDED;
		if (first->is == WAITING && second->is == WAITING) {
			assert_true(race->choices_count < CHOICES_MAX);
			if (race->choices_count >= forced)
				race->choices[race->choices_count] = 0;
			next = race->choices[race->choices_count++];
		}
		race->turn = next;
		pthread_cond_broadcast(&race->changed);
	}
	pthread_mutex_unlock(&race->lock);
}

/* ---- All orders ---- */

struct race_case {
	const char *name;
	void (*arrange)(struct store_client *store);
	struct {
		const struct cashew_handler *handler;
		const char *topic, *payload;
	} commands[2];
	/* Returns what is wrong, or NULL. */
	const char *(*check)(const struct race *race);
};

static const char *run_once(const struct race_case *c, struct race *race, size_t forced)
{
	race->store = fake_store_new();
	race->turn = NOBODY;
	for (int i = 0; i < 2; i++) {
		struct runner *runner = &race->runners[i];
		*runner = (struct runner){.race = race, .number = i, .t = cashew_test_new_on(race->store)};
		cashew_test_prepare(runner->t, c->commands[i].handler, c->commands[i].topic,
			c->commands[i].payload, strlen(c->commands[i].payload));
	}
	if (c->arrange)
		c->arrange(cashew_test_store(race->runners[0].t));
	fake_store_before_operation(race->store, wait_for_turn, race);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&race->runners[i].thread, NULL, run, &race->runners[i]), 0);
	schedule(race, forced);
	for (int i = 0; i < 2; i++)
		pthread_join(race->runners[i].thread, NULL);
	const char *wrong = c->check(race);
	if (wrong)
		fake_store_dump(race->store, stderr);
	for (int i = 0; i < 2; i++)
		cashew_test_free(race->runners[i].t);
	store_close(race->store);
	return wrong;
}

static void run_all_orders(const struct race_case *c)
{
	struct race race = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	size_t forced = 0, orders = 0;
	do {
		const char *wrong = run_once(c, &race, forced);
		orders++;
		if (wrong) {
			char order[CHOICES_MAX + 1] = "";
			for (size_t i = 0; i < race.choices_count; i++)
				order[i] = (char)('1' + race.choices[i]);
			fail_msg("%s, order %s: %s", c->name, order, wrong);
		}
		/* turn over the last choice of the first command, and leave open what follows it */
		forced = race.choices_count;
		while (forced > 0 && race.choices[forced - 1] == 1)
			forced--;
		if (forced > 0)
			race.choices[forced - 1] = 1;
	} while (forced > 0);
	assert_true(orders > 2);
}

/* ---- The cases ---- */

static bool sent(const struct race *race, const char *topic)
{
	for (int error = 0; error < 2; error++) {
		const struct cashew_test *t = race->runners[error].t;
		for (size_t i = 0; i < cashew_test_event_count(t); i++)
			if (strcmp(cashew_test_event_topic(t, i), topic) == 0)
				return true;
	}
	return false;
}

static bool are_contacts(const struct race *race)
{
	return fake_store_has_contact(race->store, "1", "2") &&
	       fake_store_has_contact(race->store, "2", "1") && fake_store_contacts(race->store) == 2;
}

/* Both asked: one contact, nothing left over, both know. */
static const char *check_both_asked(const struct race *race)
{
	if (race->runners[0].end != CALL_DONE || race->runners[1].end != CALL_DONE)
		return "a command is not done";
	if (!are_contacts(race))
		return "they are no contacts";
	if (fake_store_requests(race->store) != 0)
		return "a request is left";
	if (!sent(race, "1/contact_approved") || !sent(race, "2/contact_approved"))
		return "a user was not told";
	return NULL;
}

/* 1 asks again what 2 accepts. */
static const char *check_accepted(const struct race *race)
{
	if (race->runners[0].end != CALL_DONE || race->runners[1].end != CALL_DONE)
		return "a command is not done";
	if (!are_contacts(race))
		return "they are no contacts";
	if (fake_store_requests(race->store) != 0)
		return "a request is left";
	return sent(race, "1/contact_approved") ? NULL : "1 was not told";
}

/* 2 accepts what 1 may not have asked yet: either that is rejected and the request stands, or they are
 * contacts. */
static const char *check_accepted_or_too_early(const struct race *race)
{
	if (race->runners[1].end == CALL_DONE)
		return check_accepted(race);
	if (race->runners[1].end != CALL_REJECTED)
		return "accept_contact neither done nor rejected";
	if (fake_store_contacts(race->store) != 0)
		return "rejected, but they are contacts";
	if (!fake_store_has_request(race->store, "1", "2") || fake_store_requests(race->store) != 1)
		return "rejected, and no request stands";
	return sent(race, "2/contact_requested") ? NULL : "2 was not told";
}

/* 1 asks again what 2 declines: the request is gone or stands, and they are no contacts. */
static const char *check_declined(const struct race *race)
{
	if (race->runners[0].end != CALL_DONE || race->runners[1].end != CALL_DONE)
		return "a command is not done";
	if (fake_store_contacts(race->store) != 0)
		return "they are contacts";
	if (!sent(race, "1/contact_declined") || !sent(race, "2/contact_requested"))
		return "a user was not told";
	return NULL;
}

static void one_asked(struct store_client *store)
{
	assert_int_equal(contact_request_add(store, "1", "2"), 0);
}

static void both_asked(struct store_client *store)
{
	assert_int_equal(contact_request_add(store, "1", "2"), 0);
	assert_int_equal(contact_request_add(store, "2", "1"), 0);
}

#define REQUEST_OF_1                                                                           \
	{                                                                                      \
		&cashew_handler_request_contact, "1/request_contact", "{\"contact_id\":\"2\"}" \
	}
#define REQUEST_OF_2                                                                           \
	{                                                                                      \
		&cashew_handler_request_contact, "2/request_contact", "{\"contact_id\":\"1\"}" \
	}
#define ACCEPT_BY_1                                                                          \
	{                                                                                    \
		&cashew_handler_accept_contact, "1/accept_contact", "{\"contact_id\":\"2\"}" \
	}
#define ACCEPT_BY_2                                                                          \
	{                                                                                    \
		&cashew_handler_accept_contact, "2/accept_contact", "{\"contact_id\":\"1\"}" \
	}
#define DECLINE_BY_2                                                                           \
	{                                                                                      \
		&cashew_handler_decline_contact, "2/decline_contact", "{\"contact_id\":\"1\"}" \
	}

static void all_orders(void **state)
{
	(void)state;
	static const struct race_case cases[] = {
		{"both ask", NULL, {REQUEST_OF_1, REQUEST_OF_2}, check_both_asked},
		{"both ask, one of them again", one_asked, {REQUEST_OF_1, REQUEST_OF_2}, check_both_asked},
		{"both ask again", both_asked, {REQUEST_OF_1, REQUEST_OF_2}, check_both_asked},
		{"asked again while accepted", one_asked, {REQUEST_OF_1, ACCEPT_BY_2}, check_accepted},
		{"asked while accepted", NULL, {REQUEST_OF_1, ACCEPT_BY_2}, check_accepted_or_too_early},
		{"both accept", both_asked, {ACCEPT_BY_1, ACCEPT_BY_2}, check_both_asked},
		{"one asks again while both asked and one accepts", both_asked, {REQUEST_OF_1, ACCEPT_BY_2},
			check_accepted},
		{"asked again while declined", one_asked, {REQUEST_OF_1, DECLINE_BY_2}, check_declined},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		run_all_orders(&cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_orders)};
	return cmocka_run_group_tests_name("handlers at the same time", tests, NULL, NULL);
}
