/* doctor_ear.c - see doctor_ear.h. */
#include "doctor_ear.h"

#include "clock.h"
#include "doctor.h"
#include "doctor_link.h"

#include <mosquitto.h>
#include <stdio.h>
#include <string.h>

void doctor_ear_new(struct doctor_ear *ear, const char *user, const char *name)
{
	char random[DOCTOR_USER_SIZE];
	*ear = (struct doctor_ear){.heard = false};
	doctor_random_name(random, "", 16);
	snprintf(ear->topic, sizeof(ear->topic), "%s/%s", user, name);
	snprintf(ear->payload, sizeof(ear->payload), "{\"cashewd_doctor\":\"%s\"}", random);
}

static void hear(void *context, const struct mosquitto_message *message)
{
	for (struct doctor_ear *ear = context; ear; ear = ear->next) {
		const size_t size = strlen(ear->payload);
		if (ear->heard || strcmp(message->topic, ear->topic) != 0 || message->payloadlen < 0 ||
			(size_t)message->payloadlen != size ||
			memcmp(message->payload, ear->payload, size) != 0)
			continue;
		ear->heard = true;
		ear->heard_us = clock_us();
	}
}

void doctor_ear_put(struct doctor_link *link, struct doctor_ear *ears)
{
	link->context = ears;
	link->message = ears ? hear : NULL;
}

static bool heard(void *context)
{
	const struct doctor_ear *ear = context;
	return ear->heard;
}

bool doctor_ear_wait(struct doctor_ear *ear, unsigned timeout_ms)
{
	return doctor_link_wait(heard, ear, timeout_ms);
}
