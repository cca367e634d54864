/*
 * doctor_shared.c - whether the broker delivers to shared subscriptions: see doctor_shared.h.
 *
 * Happy path: subscribe to a command that no handler wants through a group that nobody else is in, publish it for a user whom nobody is, and hear it.
 * Failure modes: a token that may not do that is no fault, and said so; a subscription that is granted and brings nothing is one.
 */
#include "doctor_shared.h"

#include "doctor.h"
#include "doctor_broker.h"
#include "doctor_ear.h"
#include "doctor_link.h"

#include <stdio.h>
#include <stdlib.h>

enum { REFUSED_MIN = 0x80, EXPIRY_S = 10 };

static const char filter_of_doctor[] = "+/" DOCTOR_COMMAND;

static void try_to_hear(struct doctor *doctor, struct doctor_ear *ear, const char *filter)
{
	const int granted = doctor_link_subscribe(doctor->handler, filter, 1, 0);
	if (granted != 1) {
		doctor_warn(doctor,
			"whether a shared subscription brings anything cannot be tried: %s is refused: %s",
			filter, doctor_link_words(doctor->handler, granted));
		doctor_advise(doctor, "let the handler's token subscribe to %s, too", filter_of_doctor);
		return;
	}
	const int code = doctor_link_publish(doctor->handler, ear->topic, ear->payload, false, EXPIRY_S);
	if (code < 0 || code >= REFUSED_MIN) {
		doctor_fail(doctor, "a handler may not publish to %s: %s", ear->topic,
			doctor_link_words(doctor->handler, code));
		doctor_advise(doctor, "let a handler's token publish below every user");
	} else if (doctor_ear_wait(ear, doctor->timeout_ms)) {
		doctor_ok(doctor, "a command arrives by a shared subscription");
	} else {
		doctor_fail(doctor,
			"the broker grants a shared subscription, and no command arrives by it: with SHARED_GROUP every command would be lost");
		doctor_advise(doctor,
			"leave SHARED_GROUP empty, or take a broker that does shared subscriptions: docs/scaling.md");
	}
	(void)doctor_link_unsubscribe(doctor->handler, filter);
}

void doctor_shared_delivery(struct doctor *doctor)
{
	struct doctor_ear ear;
	if (!doctor_broker_unwanted(doctor)) {
		doctor_skip(doctor,
			"a handler wants %s: whether a shared subscription brings anything is not tried with its commands",
			filter_of_doctor);
		return;
	}
	char *filter = routes_shared_filter(&doctor->routes.lanes[0], doctor->group, filter_of_doctor);
	if (!filter) {
		doctor_fail(doctor, "out of memory");
		return;
	}
	doctor_ear_new(&ear, doctor->user_id, doctor->command);
	if (doctor_link_again(&doctor->handler)) {
		doctor_ear_put(doctor->handler, &ear);
		try_to_hear(doctor, &ear, filter);
		doctor_ear_put(doctor->handler, NULL);
	} else {
		doctor_fail(doctor, "the broker is not there any more: %s", doctor->handler->reason);
	}
	free(filter);
}
