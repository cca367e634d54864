/*
 * doctor.h - `cashewd doctor`: what its checks share, and how they tell what they found.
 *
 * A check is a function that looks at one thing and says, by doctor_ok(), doctor_warn(), doctor_fail() and
 * doctor_skip(), one line or several; doctor_advise() adds to the last line what to do. The outcome of a
 * check is the worst of its lines. What one check learns and a later one uses is in struct doctor. Nothing
 * that is said holds a secret. One thread does it all, and no check takes much longer than timeout_ms.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "broker_names.h"
#include "routes.h"
#include "settings.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct configuration;
struct doctor_link;
struct handler_topics;
struct resolver;
struct store;
struct store_client;

enum {
	DOCTOR_LINES_MAX = 200,
	DOCTOR_TEXT_SIZE = 640,
	DOCTOR_ADDRESSES_MAX = 32,
	DOCTOR_USER_SIZE = 32,
	DOCTOR_DAYS_MIN = 21, /* a certificate that holds for less is worth a warning */
};

/* What the doctor's own users say: a command that no handler wants, and one whose answer it listens for. A handler's token that is locked to topics has to
 * allow "+/" with each of them behind it. */
#define DOCTOR_COMMAND "doctor_probe"
#define DOCTOR_ANSWER  "pong"

/* By weight. */
enum doctor_outcome { DOCTOR_OK, DOCTOR_SKIP, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_line {
	const char *check;
	enum doctor_outcome outcome;
	char seen[DOCTOR_TEXT_SIZE];
	char advice[DOCTOR_TEXT_SIZE]; /* "": none */
};

/* One of the broker's, of one of its names, or of the proxy. */
struct doctor_address {
	char host[BROKER_NAME_SIZE]; /* the name whose it is */
	struct sockaddr_storage address;
	socklen_t size;
	char text[INET6_ADDRSTRLEN + 16];
	bool answers; /* TCP */
};

struct doctor {
	/* Given. */
	const struct configuration *configuration;
	const char *env_file;
	const char *problems; /* of the settings, lines; "": none */
	unsigned timeout_ms;
	bool send_loggly_event;

	/* Found out on the way. */
	struct routes routes; /* shared in a group of the doctor's own, where the settings share them */
	char group[DOCTOR_TEXT_SIZE]; /* that group; "": none */
	char *user_token;
	struct doctor_address addresses[DOCTOR_ADDRESSES_MAX];
	size_t address_count;
	const struct doctor_address *
		address; /* the one that is used, of the proxy where there is one; with it `broker`: the settings, whose BROKER_HOST is one name */
	struct settings broker;
	char broker_name[BROKER_NAME_SIZE]; /* that name */
	struct resolver *resolver;	    /* of the links; NULL: none was opened */
	bool mqtt5;			    /* the broker speaks it */
	struct doctor_link *handler, *user; /* connections to the broker; NULL: none */
	char client_id[DOCTOR_TEXT_SIZE];   /* of the first */
	char user_id[DOCTOR_USER_SIZE];	    /* of an ordinary user that nobody else is */
	char other_user[DOCTOR_USER_SIZE];  /* of another */
	char command[DOCTOR_USER_SIZE];	    /* DOCTOR_COMMAND */
	unsigned retained;		    /* commands that the broker keeps */
	char retained_topics[DOCTOR_TEXT_SIZE], retained_first[DOCTOR_TEXT_SIZE];
	struct store *store;
	struct store_client *client;

	/* Said. */
	const char *check; /* the one that runs */
	enum doctor_outcome outcome;
	struct doctor_line lines[DOCTOR_LINES_MAX];
	size_t line_count;
};

/* Frees what was found out, and closes what was opened. */
void doctor_clear(struct doctor *doctor);

/* A line of the check that runs, with what was seen, formatted as by printf(); doctor_advise() says what to do about the last one. Cut where it is too long. */
#define DOCTOR_FORMAT __attribute__((format(printf, 2, 3)))
DOCTOR_FORMAT void doctor_ok(struct doctor *doctor, const char *format, ...);
DOCTOR_FORMAT void doctor_skip(struct doctor *doctor, const char *format, ...);
DOCTOR_FORMAT void doctor_warn(struct doctor *doctor, const char *format, ...);
DOCTOR_FORMAT void doctor_fail(struct doctor *doctor, const char *format, ...);
DOCTOR_FORMAT void doctor_advise(struct doctor *doctor, const char *format, ...);

/* So many random hexadecimal digits, fewer than DOCTOR_USER_SIZE, behind the text. */
void doctor_random_name(char ret[static DOCTOR_USER_SIZE], const char *text, unsigned digits);

/*
 * What the doctor's token is locked to: what the host's is, and the doctor's own. 0 and *ret_filters, freed with free(), whose texts are the handlers';
 * *ret_topics points into it. -ENOMEM.
 */
__attribute__((warn_unused_result)) int doctor_topics(
	const struct doctor *doctor, const char ***ret_filters, struct handler_topics *ret_topics);

/* ---- The checks, in the order in which they run ---- */

/* doctor_machine.c */
void doctor_check_settings(struct doctor *doctor);
void doctor_check_files(struct doctor *doctor);
void doctor_check_limits(struct doctor *doctor);
void doctor_check_spool(struct doctor *doctor);
void doctor_check_token(struct doctor *doctor);

/* doctor_network.c, doctor_proxy.c, doctor_tls.c. doctor_pass_proxy(): the end of doctor_check_tcp(), where BROKER_PROXY is set. */
void doctor_pass_proxy(struct doctor *doctor);
void doctor_check_name(struct doctor *doctor);
void doctor_check_tcp(struct doctor *doctor);
void doctor_check_tls(struct doctor *doctor);

/* No check, but of use to them: says so where a certificate of our own has ended, or is about to. setting: which setting names the file;
 * doctor_tls.c. */
void doctor_own_certificate(struct doctor *doctor, const char *setting, const char *path);

/* doctor_broker.c */
void doctor_check_login(struct doctor *doctor);
void doctor_check_subscriptions(struct doctor *doctor);
void doctor_check_retained(struct doctor *doctor);
void doctor_check_session(struct doctor *doctor);

/* doctor_access.c */
void doctor_check_strangers(struct doctor *doctor);
void doctor_check_user_login(struct doctor *doctor);
void doctor_check_access(struct doctor *doctor);
void doctor_check_round_trip(struct doctor *doctor);

/* doctor_names.c */
void doctor_check_names(struct doctor *doctor);

/* doctor_store.c. doctor_store_fails(): "what: the server's words", and what to do about a store error. */
void doctor_store_fails(struct doctor *doctor, const char *what, int error);
void doctor_check_database(struct doctor *doctor);
void doctor_check_writes(struct doctor *doctor);
void doctor_check_indexes(struct doctor *doctor);
void doctor_check_waiting(struct doctor *doctor);

/* doctor_collections.c */
void doctor_check_rights(struct doctor *doctor);
void doctor_check_collections(struct doctor *doctor);

/* doctor_schedules.c */
void doctor_check_schedules(struct doctor *doctor);

/* doctor_host.c */
void doctor_check_host(struct doctor *doctor);

/* doctor_loggly.c */
void doctor_check_loggly(struct doctor *doctor);

#endif
