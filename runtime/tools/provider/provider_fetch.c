/* provider_fetch.c - see provider_fetch.h. */
#include "provider_fetch.h"

#include "certificate_names.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct body {
	char *bytes; /* room for PROVIDER_BODY_MAX and a NUL */
	size_t size;
	bool too_large;
};

static size_t take(char *bytes, size_t one, size_t count, void *context)
{
	struct body *body = context;
	const size_t size = one * count;
	body->too_large = size > PROVIDER_BODY_MAX - body->size;
	if (body->too_large)
		return 0;
	memcpy(body->bytes + body->size, bytes, size);
	body->size += size;
	return size;
}

static CURLcode on_tls(CURL *easy, void *context, void *argument)
{
	(void)easy;
	(void)argument;
	certificate_names_demand(context);
	return CURLE_OK;
}

static bool set_trust(CURL *easy, const char *ca_file)
{
	bool good = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
#if CURL_AT_LEAST_VERSION(7, 85, 0)
	good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK;
#else
	good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS) == CURLE_OK;
#endif
	/* With another TLS library there is no such function, and the name is judged as that library does. */
	const CURLcode demanded = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls);
	good &= demanded == CURLE_OK || demanded == CURLE_NOT_BUILT_IN || demanded == CURLE_UNKNOWN_OPTION;
	if (!ca_file)
		return good;
	/* Beside a file libcurl would go on trusting the system's folder. */
	good &= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
	return good && curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file) == CURLE_OK;
}

static bool set_options(
	CURL *easy, const struct provider_source *source, const char *address, struct body *body, char *words)
{
	bool good = set_trust(easy, source->ca_file);
	good &= curl_easy_setopt(easy, CURLOPT_URL, address) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "cashew-token") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
#if CURL_AT_LEAST_VERSION(7, 87, 0)
	/* A name that does not resolve must not hold up the end. */
	good &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#endif
	good &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)source->timeout_ms) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)PROVIDER_BODY_MAX) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, words) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, body) == CURLE_OK;
	return good;
}

/* 0: it ended with a status. */
static int transfer_judge(CURLcode code, const struct body *body, const char *words, char *reason)
{
	if (code == CURLE_OK)
		return 0;
	if (code == CURLE_OUT_OF_MEMORY)
		return -ENOMEM;
	if (body->too_large || code == CURLE_FILESIZE_EXCEEDED) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "its answer is larger than %d bytes",
			PROVIDER_BODY_MAX);
		return PROVIDER_E_ANSWER;
	}
	(void)snprintf(reason, PROVIDER_REASON_SIZE, "%.*s", CURL_ERROR_SIZE,
		words[0] != '\0' ? words : curl_easy_strerror(code));
	for (char *at = reason; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = ' ';
	return PROVIDER_E_AWAY;
}

static int status_judge(long status, char *reason)
{
	if (status == 200)
		return 0;
	if (status >= 300 && status <= 399) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE,
			"it answers %ld, and redirects are not followed: is the issuer written as the provider itself writes it?",
			status);
		return PROVIDER_E_ANSWER;
	}
	(void)snprintf(reason, PROVIDER_REASON_SIZE, "it answers %ld: expected 200", status);
	return PROVIDER_E_AWAY;
}

static int fetch(CURL *easy, const struct provider_source *source, const char *address, struct body *body,
	char *reason)
{
	char words[CURL_ERROR_SIZE] = "";
	if (!set_options(easy, source, address, body, words)) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "libcurl cannot be set up to ask it");
		return PROVIDER_E_AWAY;
	}
	long status = 0;
	const CURLcode code = curl_easy_perform(easy);
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	/* What a redirect has to say beside its status is nobody's concern, however large it is. */
	const int error = status >= 300 ? 0 : transfer_judge(code, body, words, reason);
	return error != 0 ? error : status_judge(status, reason);
}

int provider_fetch(const struct provider_source *source, const char *address, char **ret_body,
	size_t *ret_size, char reason[static PROVIDER_REASON_SIZE])
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	struct body body = {.bytes = malloc(PROVIDER_BODY_MAX + 1)};
	CURL *easy = body.bytes ? curl_easy_init() : NULL;
	const int error = easy ? fetch(easy, source, address, &body, reason) : -ENOMEM;
	curl_easy_cleanup(easy);
	curl_global_cleanup();
	if (error != 0) {
		free(body.bytes);
		return error;
	}
	body.bytes[body.size] = '\0';
	*ret_body = body.bytes;
	*ret_size = body.size;
	return 0;
}
