/* doctor_broker.h - connections to the broker that the doctor's checks share. */
#ifndef DOCTOR_BROKER_H
#define DOCTOR_BROKER_H

#include "doctor.h"

/* As doctor_link_open(), with the version of MQTT that the broker speaks. client_id and password are kept by
 * whoever calls. */
__attribute__((warn_unused_result)) int doctor_broker_open(
	struct doctor *doctor, const char *client_id, const char *password, struct doctor_link **ret);

/* Opens a link anew that the broker has ended; whether it is up. It has no subscriptions then, and nobody
 * listens. */
bool doctor_broker_again(struct doctor *doctor, struct doctor_link **link);

/* Whether none of the handlers of these settings would be run by what the doctor sends to its own users. */
bool doctor_broker_unwanted(const struct doctor *doctor);

#endif
