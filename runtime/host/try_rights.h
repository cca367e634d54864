/*
 * try_rights.h - what the token of new settings may do at the broker, found out by the client that tries these settings out: see try.c.
 *
 * Happy path: try_rights_new(); for each link try_rights_begin(), then try_rights_ask() whenever its answers have been read: the client asks for each
 * filter of the handlers, and publishes each event that they say they send, and the host's own, to a user whom nobody has. Nothing of the host that runs
 * is touched: the client has a session of its own, which ends with the link, and drops the copies of commands that come meanwhile. Failure modes: what
 * the broker refuses is told in words; what a link has not answered at its end is asked again on the next. MQTT 3.1.1 has no word for a publish that is
 * refused: none is made.
 */
#ifndef TRY_RIGHTS_H
#define TRY_RIGHTS_H

#include "routes.h"
#include "tls.h"

#include <stdbool.h>

struct connection_terms;
struct mosquitto;
struct try_rights;

enum try_rights_state { TRY_RIGHTS_ASKED, TRY_RIGHTS_GRANTED, TRY_RIGHTS_REFUSED };

/* The routes' handlers outlive it. group: of its own, in which filters are shared for the trial, so that no host misses a command; "": they are not; copied. 0 and *ret, freed by try_rights_free(), or -ENOMEM. The thread of the trial's loop, as all below. */
__attribute__((warn_unused_result)) int try_rights_new(
	const struct routes *routes, const char *group, struct try_rights **ret);
void try_rights_free(struct try_rights *rights);

/* A link is up: everything is to be asked, on that link. */
void try_rights_begin(struct try_rights *rights, const struct connection_terms *terms);

/* Queues what is still to be asked, a few questions at a time. mosquitto: of the link, which is up. */
void try_rights_ask(struct try_rights *rights, struct mosquitto *mosquitto);

/* The answers, as libmosquitto's callbacks tell them. */
void try_rights_subscribed(struct try_rights *rights, int mid, int granted_count, const int *granted);
void try_rights_published(struct try_rights *rights, int mid, int reason_code);

/* The link was lost. Whether questions were open, and then *ret_reason says which was the first: some brokers refuse so. */
bool try_rights_lost(struct try_rights *rights, char ret_reason[static TLS_REASON_SIZE]);

/* How far it is; of TRY_RIGHTS_REFUSED *ret_reason says what is. It is kept until the next begin. */
enum try_rights_state try_rights_state(const struct try_rights *rights, const char **ret_reason);

#endif
