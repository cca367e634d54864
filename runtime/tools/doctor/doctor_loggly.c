/*
 * doctor_loggly.c - whether the log can be shipped. Without --send-loggly-event Loggly is only connected to,
 * and the token stays here: whether it is accepted shows only an event, which is then in the log for good.
 */
#include "clock.h"
#include "doctor.h"

#include "configuration.h"
#include "loggly_probe.h"

#include <inttypes.h>
#include <string.h>

static void away(struct doctor *doctor, const struct loggly_answer *answer)
{
	const struct settings *settings = &doctor->configuration->settings;
	doctor_fail(doctor, "%s cannot be reached: %s", settings->loggly_url, answer->reason);
	doctor_advise(doctor,
		"check LOGGLY_URL, %sthe way there (https_proxy); until then events wait in LOG_SPOOL_DIR",
		settings->loggly_ca_file[0] != '\0' ? "LOGGLY_CA_FILE, " : "");
}

static void tell_answer(struct doctor *doctor, const struct loggly_answer *answer, int64_t took_ms)
{
	const char *url = doctor->configuration->settings.loggly_url;
	if (answer->status == 0) {
		away(doctor, answer);
	} else if (!doctor->send_loggly_event) {
		doctor_ok(doctor,
			"%s answers over TLS in %" PRId64
			" ms; run with --send-loggly-event to see whether LOGGLY_TOKEN is accepted",
			url, took_ms);
	} else if (answer->kind == LOGGLY_TAKEN) {
		doctor_ok(doctor, "%s has taken an event (\"event\":\"doctor\") in %" PRId64 " ms", url,
			took_ms);
	} else if (answer->kind == LOGGLY_FORBIDDEN) {
		doctor_fail(doctor, "%s refuses the event: %s", url, answer->reason);
		doctor_advise(
			doctor, "is LOGGLY_TOKEN a customer token of your account, and LOGGLY_URL right?");
	} else {
		doctor_warn(doctor, "%s does not take an event now: %s", url, answer->reason);
		doctor_advise(doctor, "try again later; until then events wait in LOG_SPOOL_DIR");
	}
}

void doctor_check_loggly(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	struct loggly_answer answer;
	if (settings->loggly_token[0] == '\0') {
		doctor_skip(doctor, "LOGGLY_TOKEN is not set: the log is not shipped");
		return;
	}
	const int64_t start = clock_ms();
	const int r = loggly_probe(
		&(struct loggly_probe){.url = settings->loggly_url,
			.token = settings->loggly_token,
			.tags = settings->loggly_tags,
			.ca_file = settings->loggly_ca_file,
			.timeout_ms = doctor->timeout_ms,
			.message = doctor->send_loggly_event ? "cashewd doctor looked whether events arrive"
							     : NULL},
		&answer);
	if (r != 0)
		doctor_fail(doctor, "no request can be made: %s", strerror(-r));
	else
		tell_answer(doctor, &answer, clock_ms() - start);
}
