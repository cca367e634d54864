/* own_certificates.c - see own_certificates.h. */
#include "own_certificates.h"

#include "certificate.h"
#include "log.h"

static void tell(struct own_certificate *own, enum certificate_state state, const char *words)
{
	if (state == CERTIFICATE_GOOD)
		log_info("own_certificate_renewed", "this host's own certificate is good again",
			LOG_TEXT("setting", own->setting), LOG_TEXT("file", own->path));
	else if (state == CERTIFICATE_ENDED)
		log_error("own_certificate_ended",
			"this host's own certificate is past its end: no new connection is made with it; a new one in the same file is read by itself",
			LOG_TEXT("setting", own->setting), LOG_TEXT("file", own->path),
			LOG_TEXT("end", words));
	else
		log_warn("own_certificate_ends",
			"this host's own certificate is about to end: put a new one into the same file, which is read by itself",
			LOG_TEXT("setting", own->setting), LOG_TEXT("file", own->path),
			LOG_TEXT("end", words));
}

static void look(struct own_certificate *own, int64_t now_ms, int64_t now_s)
{
	char words[CERTIFICATE_WORDS_SIZE];
	int64_t ends_s;
	if (!own->path || own->path[0] == '\0' || certificate_ends(own->path, &ends_s) != 0)
		return;
	const enum certificate_state state = certificate_tell(ends_s, now_s, words);
	const bool changed =
		(int)state != own->told || (state != CERTIFICATE_GOOD && ends_s != own->told_ends_s);
	if (!changed && (state == CERTIFICATE_GOOD || now_ms < own->again_at_ms))
		return;
	tell(own, state, words);
	own->told = (int)state;
	own->told_ends_s = ends_s;
	own->again_at_ms = now_ms + OWN_CERTIFICATES_AGAIN_MS;
}

void own_certificates_look(struct own_certificates *own, int64_t now_ms, int64_t now_s)
{
	if (now_ms < own->look_at_ms)
		return;
	own->look_at_ms = now_ms + OWN_CERTIFICATES_EVERY_MS;
	for (unsigned i = 0; i < OWN_CERTIFICATES; i++)
		look(&own->of[i], now_ms, now_s);
}
