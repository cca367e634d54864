/*
 * doctor_names.c - user ids and client ids that brokers take for something else: the letters that an identity provider's ids have, and the client id of
 * the host's own session, which is the name of a user as well.
 *
 * Happy path: a user whose id has . and | is let in, and is sent what is published to it; a user who is called like the host is not let in with a
 * client id like the host's. That client id is one that nobody has: the host's own would take its session over, and with it all commands that wait.
 * Failure modes: a broker that lets it in is a failure in large letters; one that is not there any more is told.
 */
#include "doctor_broker.h"

#include "configuration.h"
#include "doctor_ear.h"
#include "doctor_link.h"
#include "handler_token.h"
#include "token.h"
#include "topic.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { REFUSED_MIN = 0x80, TOKEN_S = 600, EXPIRY_S = 10 };

#define HOLE "SECURITY HOLE: "

/* A connection of a user's, which needs its token as long as it is there. */
struct guest {
	struct doctor_link *link;
	char *token;
};

static void guest_close(struct guest *guest)
{
	doctor_link_close(guest->link);
	handler_token_free(guest->token);
}

/* Whether the broker has answered; else that has been told. */
static bool guest_open(struct doctor *doctor, const char *user, const char *client_id, struct guest *guest)
{
	const char *secret = doctor->configuration->settings.jwt_secret;
	if (token_sign_user(secret, user, (int64_t)time(NULL), TOKEN_S, &guest->token) != 0 ||
		doctor_broker_open(doctor, client_id, guest->token, &guest->link) != 0) {
		doctor_fail(doctor, "out of memory");
		return false;
	}
	if (guest->link->reached)
		return true;
	doctor_fail(doctor, "the broker is not there any more: %s", guest->link->reason);
	return false;
}

/* ---- Letters ---- */

/* NULL: it is sent what is published to it; else what went wrong. */
static const char *try_topics(struct doctor *doctor, struct doctor_link *link, const char *user)
{
	struct doctor_ear ear;
	if (!doctor_link_again(&doctor->handler))
		return doctor->handler->reason;
	doctor_ear_new(&ear, user, doctor->command);
	const int granted = doctor_link_subscribe(link, ear.topic, 1, 0);
	if (granted != 1)
		return doctor_link_words(link, granted);
	doctor_ear_put(link, &ear);
	const int code = doctor_link_publish(doctor->handler, ear.topic, ear.payload, false, EXPIRY_S);
	const bool heard = code >= 0 && code < REFUSED_MIN && doctor_ear_wait(&ear, doctor->timeout_ms);
	doctor_ear_put(link, NULL);
	return heard				 ? NULL
	       : code < 0 || code >= REFUSED_MIN ? doctor_link_words(doctor->handler, code)
						 : "nothing came";
}

static void check_letters(struct doctor *doctor)
{
	char user[DOCTOR_USER_SIZE];
	__attribute__((cleanup(guest_close))) struct guest guest = {.link = NULL};
	doctor_random_name(user, "doctor.a|", 12);
	if (!guest_open(doctor, user, user, &guest))
		return;
	const char *wrong = guest.link->up ? try_topics(doctor, guest.link, user) : guest.link->reason;
	if (!wrong) {
		doctor_ok(doctor, "a user id may have . and | (%s)", user);
		return;
	}
	doctor_warn(doctor,
		"the broker does not serve a user whose id has . and |, as identity providers make them (%s): %s",
		user, wrong);
	doctor_advise(doctor,
		"let it take each of A-Z a-z 0-9 . _ | - in user ids, or see to it that no user has another one than it takes");
}

/* ---- The host's name ---- */

/* Whether the user is refused with a client id that begins like the host's. */
static bool is_kept(struct doctor *doctor, const char *user)
{
	const char *host = doctor->configuration->settings.client_id;
	char random[DOCTOR_USER_SIZE], client_id[DOCTOR_TEXT_SIZE];
	__attribute__((cleanup(guest_close))) struct guest guest = {.link = NULL};
	doctor_random_name(random, "doctor-", 8);
	snprintf(client_id, sizeof(client_id), "%s-%s", host, random);
	if (!guest_open(doctor, user, client_id, &guest))
		return false;
	if (guest.link->silent)
		doctor_warn(doctor, "a user named %s with the client id %s gets no answer to CONNECT in time",
			user, client_id);
	if (!guest.link->up)
		return !guest.link->silent;
	doctor_fail(doctor,
		HOLE
		"a user named %s is let in with the client id %s: with %s it takes the host's session over",
		user, client_id, host);
	doctor_advise(doctor,
		"let the broker keep client ids that begin with CLIENT_ID for handlers (examples/broker: plugin_opt_handler_client_ids %s)",
		host);
	return false;
}

static void check_host(struct doctor *doctor)
{
	const char *host = doctor->configuration->settings.client_id;
	/* Which has no letter that a user id has not. A broker may take what stands before the first - for the user's id. */
	char first[USER_ID_MAX + 1];
	const size_t size = strcspn(host, "-");
	snprintf(first, sizeof(first), "%.*s", (int)size, host);
	if (is_kept(doctor, host) && (size == 0 || host[size] == '\0' || is_kept(doctor, first)))
		doctor_ok(doctor,
			"a user named like CLIENT_ID, %s, does not get client ids that begin with it", host);
}

void doctor_check_names(struct doctor *doctor)
{
	if (doctor_broker_unwanted(doctor))
		check_letters(doctor);
	check_host(doctor);
}
