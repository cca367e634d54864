/* doctor_broker.h - connections to the broker that the doctor's checks share. */
#ifndef DOCTOR_BROKER_H
#define DOCTOR_BROKER_H

#include "doctor.h"

/* Waits for CONNACK: another client than the handler. password: a token, with the user name BROKER_USER; NULL: neither. Both texts
 * are kept by whoever calls. 0 and *ret, which need not be up; -ENOMEM. */
__attribute__((warn_unused_result)) int doctor_broker_open(
	struct doctor *doctor, const char *client_id, const char *password, struct doctor_link **ret);

/* Whether none of the handlers of these settings would be run by what the doctor sends to its own users. */
bool doctor_broker_unwanted(const struct doctor *doctor);

#endif
