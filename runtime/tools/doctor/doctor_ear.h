/* doctor_ear.h - listens on a link for one message of the doctor's own, whatever else comes. */
#ifndef DOCTOR_EAR_H
#define DOCTOR_EAR_H

#include <stdbool.h>
#include <stdint.h>

struct doctor_link;

enum { EAR_TOPIC_SIZE = 80, EAR_PAYLOAD_SIZE = 64 };

struct doctor_ear {
	char topic[EAR_TOPIC_SIZE];
	char payload[EAR_PAYLOAD_SIZE]; /* JSON, and nobody else's */
	bool heard;
	int64_t heard_us; /* clock_us() */
	struct doctor_ear *next;
};

/* An ear for what will be sent to "{user}/{name}" with the payload that it makes. */
void doctor_ear_new(struct doctor_ear *ear, const char *user, const char *name);

/* Listens, instead of those before, and those behind it in their list; NULL: no more. */
void doctor_ear_put(struct doctor_link *link, struct doctor_ear *ears);

/* Whether it heard its message by now, or hears it within that time. */
bool doctor_ear_wait(struct doctor_ear *ear, unsigned timeout_ms);

#endif
