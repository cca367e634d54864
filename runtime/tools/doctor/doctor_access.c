/*
 * doctor_access.c - who else gets in at the broker, and what an ordinary user may do: the first level of a
 * topic is who sent it only as long as the broker lets nobody publish below another user's.
 *
 * Happy path: a token signed with another secret is refused, an ordinary user's is accepted, subscribing and
 * publishing below another user is refused or comes to nothing, below its own works. Users have
 * random names, which no device has, and their command is one that no handler wants. Whether something came through is not left to what
 * the broker says: a message that is known to arrive is sent behind it. Failure modes: a broker that lets
 * them is a failure in large letters; one that ends the connection for it has refused it too.
 */
#include "clock.h"
#include "doctor_broker.h"

#include "configuration.h"
#include "doctor_ear.h"
#include "doctor_link.h"
#include "handler_token.h"
#include "token.h"
#include "topic.h"

#include <stdio.h>
#include <time.h>

enum {
	REFUSED_MIN = 0x80,
	TOKEN_S = 600,
	GRACE_MS = 300,
	EXPIRY_S = 10,
	HOPS = 3,
	/* Linux acknowledges after 40 ms at the earliest what it does not acknowledge at once. */
	HELD_BACK_MIN_US = 25000,
};

#define HOLE "SECURITY HOLE: "

/* A broker of several machines may bring what was sent first a little later. */
static bool came_through(struct doctor_ear *ear)
{
	return doctor_ear_wait(ear, GRACE_MS);
}

/* ---- Those who should not get in ---- */

enum publishing { PUBLISHES_NOTHING, PUBLISHES, PUBLISHES_UNKNOWN };

/* Whether what the link sends to {user}/{command} arrives there; the handler listens, and sends what must.
 * first: the handler has published there before, as it does in earnest; a broker that remembers rights by the user name, which is JWT for everybody,
 * then gives the handler's to the link. code: of the PUBACK. */
static enum publishing try_to_publish(
	struct doctor *doctor, struct doctor_link *link, const char *user, bool first, int *ret_code)
{
	struct doctor_ear before, sent, behind;
	enum publishing publishing = PUBLISHES_UNKNOWN;
	*ret_code = LINK_CLOSED;
	if (!doctor_link_again(&doctor->handler))
		return publishing;
	doctor_ear_new(&before, user, doctor->command);
	doctor_ear_new(&sent, user, doctor->command);
	doctor_ear_new(&behind, user, doctor->command);
	sent.next = &behind;
	if (doctor_link_subscribe(doctor->handler, sent.topic, 1, 0) != 1)
		return publishing;
	doctor_ear_put(doctor->handler, &sent);
	if (first && doctor_link_publish(doctor->handler, before.topic, before.payload, false, EXPIRY_S) < 0)
		return publishing;
	*ret_code = doctor_link_publish(link, sent.topic, sent.payload, false, EXPIRY_S);
	const bool listens =
		doctor_link_publish(doctor->handler, behind.topic, behind.payload, false, EXPIRY_S) >= 0 &&
		doctor_ear_wait(&behind, doctor->timeout_ms);
	if (came_through(&sent))
		publishing = PUBLISHES;
	else if (listens)
		publishing = PUBLISHES_NOTHING;
	doctor_ear_put(doctor->handler, NULL);
	(void)doctor_link_unsubscribe(doctor->handler, sent.topic);
	return publishing;
}

static void tell_stranger(struct doctor *doctor, struct doctor_link *stranger, const char *who)
{
	int code;
	switch (try_to_publish(doctor, stranger, doctor->other_user, true, &code)) {
	case PUBLISHES:
		doctor_fail(doctor, HOLE "%s is let in and may publish as a user", who);
		doctor_advise(doctor,
			"let the broker verify users' tokens with JWT_SECRET, handlers' with JWT_HANDLER_SECRET where that is set, "
			"and refuse all else (mosquitto: allow_anonymous false, and the plugin in examples/broker)");
		return;
	case PUBLISHES_NOTHING: doctor_warn(doctor, "%s is let in, but cannot publish as a user", who); break;
	case PUBLISHES_UNKNOWN:
		doctor_warn(
			doctor, "%s is let in; whether it can publish as a user could not be found out", who);
		break;
	}
	doctor_advise(doctor, "refuse it, unless others need that (mosquitto: allow_anonymous false)");
}

/* Whether it was refused. */
static bool stranger_refused(struct doctor *doctor, const char *token, const char *who)
{
	struct doctor_link *link = NULL;
	if (doctor_broker_open(doctor, doctor->other_user, token, &link) != 0)
		return false;
	const bool in = link->up, answered = link->reached && !link->silent;
	if (in)
		tell_stranger(doctor, link, who);
	else if (!link->reached)
		doctor_warn(doctor, "whether %s is let in could not be found out: %s", who, link->reason);
	else if (!answered)
		doctor_warn(doctor, "%s gets no answer to CONNECT in time", who);
	doctor_link_close(link);
	return !in && answered;
}

/* Where handlers have a secret of their own, that of users must not make handlers. Whether it is refused; true where there is nothing to try. */
static bool users_secret_refused(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	char *token = NULL;
	if (settings->jwt_handler_secret[0] == '\0' || settings->jwt_secret[0] == '\0')
		return true;
	if (token_sign_handler(settings->jwt_secret, settings->handler_name, (int64_t)time(NULL), TOKEN_S,
		    &token) != 0) {
		doctor_fail(doctor, "no token can be signed");
		return false;
	}
	const bool refused = stranger_refused(doctor, token, "a handler's token signed with JWT_SECRET");
	handler_token_free(token);
	return refused;
}

void doctor_check_strangers(struct doctor *doctor)
{
	char secret[DOCTOR_USER_SIZE];
	char *token = NULL;
	doctor_random_name(secret, "", DOCTOR_USER_SIZE - 1);
	if (token_sign_user(secret, doctor->other_user, (int64_t)time(NULL), TOKEN_S, &token) != 0) {
		doctor_fail(doctor, "no token can be signed");
		return;
	}
	if (!doctor_broker_unwanted(doctor)) {
		doctor_skip(doctor, "a handler takes every topic, and would be run by what is tried here");
	} else {
		const bool forged = stranger_refused(doctor, token, "a token signed with another secret");
		const bool nobody = stranger_refused(doctor, NULL, "a client without a token");
		const bool users = users_secret_refused(doctor);
		if (forged && nobody && users)
			doctor_ok(doctor, "a token signed with another secret is refused, and so is a client "
					  "without one");
	}
	handler_token_free(token);
}

/* ---- An ordinary user ---- */

void doctor_check_user_login(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	if (settings->jwt_secret[0] == '\0') {
		doctor_skip(doctor,
			"JWT_SECRET is not set, so no ordinary user's token can be made: whether users "
			"are kept apart is not looked at");
		doctor->outcome = DOCTOR_FAIL; /* for what needs it; no line says so */
		return;
	}
	if (token_sign_user(settings->jwt_secret, doctor->user_id, (int64_t)time(NULL), TOKEN_S,
		    &doctor->user_token) != 0 ||
		doctor_broker_open(doctor, doctor->user_id, doctor->user_token, &doctor->user) != 0) {
		doctor_fail(doctor, "out of memory");
		return;
	}
	if (doctor->user->up) {
		doctor_ok(doctor,
			"an ordinary user's token is accepted (user %s; a user id is 1 to %d of A-Z a-z 0-9 . _ | -)",
			doctor->user_id, USER_ID_MAX);
		return;
	}
	if (!doctor->user->reached) {
		doctor_fail(doctor, "the broker is not there any more: %s", doctor->user->reason);
		return;
	}
	doctor_fail(doctor, "the broker refuses an ordinary user's token signed with JWT_SECRET: %s",
		doctor->user->reason);
	doctor_advise(
		doctor, "is JWT_SECRET the secret that it verifies devices' tokens with? Its log says why");
}

/* ---- What it may read ---- */

enum reading { READS_REFUSED, READS_NOTHING, READS_OTHERS, READS_UNKNOWN };

/* What a subscription that another user's topics match comes to. */
static enum reading try_to_read(struct doctor *doctor, const char *filter)
{
	struct doctor_ear others, own;
	if (!doctor_link_again(&doctor->user) || !doctor_link_again(&doctor->handler))
		return READS_UNKNOWN;
	const int code = doctor_link_subscribe(doctor->user, filter, 1, 0);
	if (code == LINK_SILENT)
		return READS_UNKNOWN;
	if (code == LINK_CLOSED || code >= REFUSED_MIN)
		return READS_REFUSED;
	doctor_ear_new(&others, doctor->other_user, doctor->command);
	doctor_ear_new(&own, doctor->user_id, doctor->command);
	others.next = &own;
	doctor_ear_put(doctor->user, &others);
	enum reading reading = READS_UNKNOWN;
	if (doctor_link_subscribe(doctor->user, own.topic, 1, 0) == 1 &&
		doctor_link_publish(doctor->handler, others.topic, others.payload, false, EXPIRY_S) >= 0 &&
		doctor_link_publish(doctor->handler, own.topic, own.payload, false, EXPIRY_S) >= 0 &&
		doctor_ear_wait(&own, doctor->timeout_ms))
		reading = came_through(&others) ? READS_OTHERS : READS_NOTHING;
	doctor_ear_put(doctor->user, NULL);
	(void)doctor_link_unsubscribe(doctor->user, own.topic);
	(void)doctor_link_unsubscribe(doctor->user, filter);
	return reading;
}

static bool reads_nothing(struct doctor *doctor)
{
	char filters[3][EAR_TOPIC_SIZE] = {"", "", "#"};
	bool good = true;
	snprintf(filters[0], sizeof(filters[0]), "%s/#", doctor->other_user);
	snprintf(filters[1], sizeof(filters[1]), "+/%s", doctor->command);
	for (size_t i = 0; i < 3; i++) {
		const enum reading reading = try_to_read(doctor, filters[i]);
		good = good && (reading == READS_REFUSED || reading == READS_NOTHING);
		if (reading == READS_OTHERS) {
			doctor_fail(doctor,
				HOLE "a user may subscribe to %s and is sent what is another user's",
				filters[i]);
			doctor_advise(doctor,
				"let the broker grant a user only what is below its own user id "
				"(examples/broker/README.md)");
		} else if (reading == READS_UNKNOWN) {
			doctor_fail(doctor, "whether a user can read by %s could not be found out: %s",
				filters[i],
				doctor->user->over ? doctor->user->reason
						   : "what was sent to itself did not come");
			doctor_advise(doctor,
				"let a user subscribe to what is below its own user id, and look into "
				"the broker's log");
		}
	}
	return good;
}

/* ---- What it may write ---- */

static bool writes_nothing(struct doctor *doctor, char ret_how[static EAR_TOPIC_SIZE])
{
	int code = LINK_CLOSED;
	const enum publishing publishing =
		doctor_link_again(&doctor->user)
			? try_to_publish(doctor, doctor->user, doctor->other_user, true, &code)
			: PUBLISHES_UNKNOWN;
	switch (publishing) {
	case PUBLISHES:
		doctor_fail(doctor,
			HOLE "a user may publish to another user's topics: anybody can send commands "
			     "as anybody");
		doctor_advise(doctor,
			"let the broker refuse a user all but what is below its own user id (examples/broker/README.md), and remember no rights by the "
			"user name, which is the same for everybody (docs/brokers.md)");
		break;
	case PUBLISHES_UNKNOWN:
		doctor_fail(doctor,
			"whether a user can write to another user's topics could not be found out: %s",
			doctor->handler->over ? doctor->handler->reason
					      : "what the handler sent did not come");
		doctor_advise(doctor,
			"let a handler's token publish and subscribe below every user, and look into "
			"the broker's log");
		break;
	case PUBLISHES_NOTHING:
		snprintf(ret_how, EAR_TOPIC_SIZE, "%s",
			code >= REFUSED_MIN   ? doctor_link_words(doctor->user, code)
			: code == LINK_CLOSED ? "the connection is closed"
					      : "dropped without a word");
		return true;
	}
	return false;
}

static bool writes_own(struct doctor *doctor)
{
	int code = LINK_CLOSED;
	if (doctor_link_again(&doctor->user) &&
		try_to_publish(doctor, doctor->user, doctor->user_id, false, &code) == PUBLISHES)
		return true;
	doctor_fail(doctor, "a user's commands do not arrive: publishing to %s/%s: %s", doctor->user_id,
		doctor->command,
		code != 0 ? doctor_link_words(doctor->user, code) : "the handler is not sent it");
	doctor_advise(doctor, "let a user publish below its own user id, and a handler be sent it");
	return false;
}

void doctor_check_access(struct doctor *doctor)
{
	char how[EAR_TOPIC_SIZE] = "";
	if (!doctor_broker_unwanted(doctor)) {
		doctor_skip(doctor,
			"a handler takes every topic, and would be run by what is tried here: whether "
			"users are kept apart is not looked at");
		return;
	}
	const bool reads = reads_nothing(doctor), writes = writes_nothing(doctor, how);
	if (reads && writes)
		doctor_ok(doctor,
			"another user's topics are refused to a user: to subscribe (its own, + and #), "
			"and to publish (%s)",
			how);
	if (writes_own(doctor))
		doctor_ok(doctor, "a user's commands arrive at a handler's");
}

/* ---- Round trip ---- */

/*
 * An event from the handler to the user, right behind something else that the broker sends to that user: the SUBACK, which this machine
 * acknowledges at once or late. Whether it arrives; if not, *ret_code is what the broker said.
 */
static bool hop(struct doctor *doctor, bool at_once, int64_t *ret_us, int *ret_code)
{
	struct doctor_ear event;
	doctor_ear_new(&event, doctor->user_id, doctor->command);
	doctor_ear_put(doctor->user, &event);
	doctor_link_acknowledge(doctor->user, false);
	int code = doctor_link_subscribe(doctor->user, event.topic, 1, 0);
	if (at_once)
		doctor_link_acknowledge(doctor->user, true);
	const int64_t start = clock_us();
	if (code == 1)
		code = doctor_link_publish(doctor->handler, event.topic, event.payload, false, EXPIRY_S);
	const bool arrived = code >= 0 && code < REFUSED_MIN && doctor_ear_wait(&event, doctor->timeout_ms);
	doctor_ear_put(doctor->user, NULL);
	*ret_us = event.heard_us - start;
	*ret_code = code;
	return arrived;
}

/* The fastest of some, as this machine may be busy. */
static bool fastest_hop(struct doctor *doctor, bool at_once, int64_t *ret_us, int *ret_code)
{
	int64_t fastest_us = INT64_MAX;
	for (int i = 0; i < HOPS; i++) {
		int64_t took_us;
		if (!hop(doctor, at_once, &took_us, ret_code))
			return false;
		fastest_us = took_us < fastest_us ? took_us : fastest_us;
	}
	*ret_us = fastest_us;
	return true;
}

static void tell_hops(struct doctor *doctor, int64_t late_us, int64_t at_once_us)
{
	const double late_ms = (double)late_us / 1000, at_once_ms = (double)at_once_us / 1000;
	if (late_us - at_once_us < HELD_BACK_MIN_US) {
		doctor_ok(doctor, "an event published with the handler's token reaches a user in %.1f ms",
			late_ms);
		return;
	}
	doctor_warn(doctor,
		"an event published with the handler's token reaches a user in %.1f ms, and in %.1f ms where TCP acknowledges at once: the "
		"broker holds a small packet back until the one before is acknowledged, which costs every hop as much",
		late_ms, at_once_ms);
	doctor_advise(
		doctor, "let the broker send at once, with TCP_NODELAY (mosquitto: set_tcp_nodelay true)");
}

void doctor_check_round_trip(struct doctor *doctor)
{
	int64_t late_us, at_once_us;
	int code;
	if (!doctor_broker_unwanted(doctor)) {
		doctor_skip(doctor, "a handler takes every topic, and would be run by what is tried here");
		return;
	}
	if (!doctor_link_again(&doctor->user) || !doctor_link_again(&doctor->handler)) {
		doctor_fail(doctor, "the broker is not there any more: %s%s", doctor->user->reason,
			doctor->handler->reason);
		return;
	}
	if (fastest_hop(doctor, false, &late_us, &code) && fastest_hop(doctor, true, &at_once_us, &code)) {
		tell_hops(doctor, late_us, at_once_us);
		return;
	}
	doctor_fail(doctor, "an event published with the handler's token does not reach a user: %s",
		code < 0 || code >= REFUSED_MIN ? doctor_link_words(doctor->handler, code)
						: "it was not sent to it in time");
	doctor_advise(doctor,
		"let a handler publish below every user, and a user be sent what is below its own user id");
}
