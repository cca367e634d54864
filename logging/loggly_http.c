/* loggly_http.c - see loggly_http.h. */
#include "loggly_http.h"

#include "certificate_names.h"
#include "log_secret.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REPLY_MAX = 4096,
	REASON_REPLY_MAX = 190,
	/* Longer nobody waits for a server that may come back sooner. libcurl has the same limit since 8.14; older ones have none. */
	RETRY_AFTER_MAX_S = 6 * 60 * 60,
};

struct loggly_http {
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	bool under_way, only_looks;
	char error[CURL_ERROR_SIZE];
	char reply[REPLY_MAX + 1]; /* the beginning of what the server says */
	size_t reply_size;
};

enum loggly_answer_kind loggly_answer_kind(long status)
{
	if (status >= 200 && status < 300)
		return LOGGLY_TAKEN;
	if (status == 0 || status == 408 || status == 429 || status >= 500)
		return LOGGLY_LATER;
	if (status == 413)
		return LOGGLY_TOO_LARGE;
	return status == 400 ? LOGGLY_BAD : LOGGLY_FORBIDDEN;
}

static size_t take_reply(char *bytes, size_t one, size_t size, void *context)
{
	struct loggly_http *http = context;
	const size_t room = REPLY_MAX - http->reply_size, kept = size * one < room ? size * one : room;
	memcpy(http->reply + http->reply_size, bytes, kept);
	/* It is a text for people, searched as far as its end. */
	for (size_t i = http->reply_size; i < http->reply_size + kept; i++)
		if (http->reply[i] == '\0')
			http->reply[i] = '?';
	http->reply_size += kept;
	return size * one;
}

/* Whether it is what Loggly says of events that it has taken: {"response" : "ok"}. A captive portal and a proxy's page have the status 200, too. */
static bool says_ok(struct loggly_http *http)
{
	static const char expected[] = "{\"response\":\"ok\"}";
	size_t found = 0;
	for (size_t i = 0; i < http->reply_size; i++) {
		if (strchr(" \t\r\n", http->reply[i]))
			continue;
		if (found == sizeof(expected) - 1 || http->reply[i] != expected[found])
			return false;
		found++;
	}
	return found == sizeof(expected) - 1;
}

/* URL/bulk/TOKEN/tag/TAGS/, or URL/ to look at; NULL: out of memory. Freed by free_url(). */
static char *make_url(CURL *easy, const struct loggly_http_options *options)
{
	char *token = curl_easy_escape(easy, options->token, 0), *url = NULL;
	/* Commas separate tags and stay. */
	size_t size = strlen(options->url);
	while (size > 0 && options->url[size - 1] == '/')
		size--;
	int error = token ? 0 : -1;
	if (error == 0 && options->only_looks)
		error = asprintf(&url, "%.*s/", (int)size, options->url);
	else if (error == 0)
		error = asprintf(&url, "%.*s/bulk/%s/tag/%s/", (int)size, options->url, token, options->tags);
	if (error < 0)
		url = NULL;
	if (token)
		explicit_bzero(token, strlen(token));
	curl_free(token);
	return url;
}

static void free_url(char *url)
{
	if (url)
		explicit_bzero(url, strlen(url));
	free(url);
}

static CURLcode on_tls(CURL *easy, void *context, void *owner)
{
	(void)easy, (void)owner;
	certificate_names_demand(context);
	return CURLE_OK;
}

/* libcurl takes the common name where a certificate has no other; built with GnuTLS it offers no way to forbid that. */
static bool demand_names(CURL *easy)
{
	const char *library = curl_version_info(CURLVERSION_NOW)->ssl_version;
	return !library || strncmp(library, "OpenSSL/", 8) != 0 ||
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK;
}

static bool set_options(struct loggly_http *http, const struct loggly_http_options *options, const char *url)
{
	CURL *easy = http->easy;
	http->headers = curl_slist_append(NULL, "Content-Type: application/json");
	struct curl_slist *more = curl_slist_append(http->headers, "Expect:");
	if (!http->headers || !more)
		return false;
	bool good = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers) == CURLE_OK;
	good &= curl_easy_setopt(easy, options->only_looks ? CURLOPT_NOBODY : CURLOPT_POST, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "cashewd") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	good &= demand_names(easy);
	good &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)options->total_ms) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_reply) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, http) == CURLE_OK;
#if CURL_AT_LEAST_VERSION(7, 85, 0)
	good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK;
#else
	good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS) == CURLE_OK;
#endif
#if CURL_AT_LEAST_VERSION(7, 87, 0)
	/* A name that does not resolve must not hold up the end of the process. */
	good &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#endif
#if CURL_AT_LEAST_VERSION(7, 87, 0)
	/* Where it is built without a folder of authorities, libcurl would go on for a day with those that it has read, whatever is in the file by then. */
	good &= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L) == CURLE_OK;
#endif
	/* And a session that is resumed has been vouched for by those of then. */
	good &= curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK;
	if (options->ca_file && options->ca_file[0] != '\0')
		good &= curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file) == CURLE_OK;
	return good;
}

int loggly_http_open(const struct loggly_http_options *options, struct loggly_http **ret)
{
	/* The answers of servers, and libcurl's words, may hold it. */
	const int error = log_secret_add(options->token);
	struct loggly_http *http = error == 0 ? calloc(1, sizeof(*http)) : NULL;
	if (!http)
		return -ENOMEM;
	http->multi = curl_multi_init();
	http->easy = curl_easy_init();
	http->only_looks = options->only_looks;
	char *url = http->easy ? make_url(http->easy, options) : NULL;
	const bool good = http->multi && http->easy && url && set_options(http, options, url);
	free_url(url);
	if (!good) {
		loggly_http_close(http);
		return -ENOMEM;
	}
	*ret = http;
	return 0;
}

void loggly_http_close(struct loggly_http *http)
{
	if (!http)
		return;
	loggly_http_drop(http);
	curl_easy_cleanup(http->easy);
	(void)curl_multi_cleanup(http->multi);
	curl_slist_free_all(http->headers);
	free(http);
}

int loggly_http_start(struct loggly_http *http, const char *lines, size_t size)
{
	http->reply_size = 0;
	http->error[0] = '\0';
	if ((!http->only_looks && (curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, lines) != CURLE_OK ||
					  curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE,
						  (curl_off_t)size) != CURLE_OK)) ||
		curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
		return -ENOMEM;
	http->under_way = true;
	return 0;
}

void loggly_http_wait(struct loggly_http *http, unsigned timeout_ms)
{
	int running = 0, ready = 0;
	(void)curl_multi_perform(http->multi, &running);
	/* Ended already: nothing would end the wait. */
	if (http->under_way && running == 0)
		return;
	(void)curl_multi_poll(http->multi, NULL, 0, (int)timeout_ms, &ready);
	(void)curl_multi_perform(http->multi, &running);
}

/* What there is to say about it: the server's words, or libcurl's. Secrets go before it is cut. */
static void explain(struct loggly_http *http, CURLcode code, bool strange, struct loggly_answer *answer)
{
	http->reply[http->reply_size] = '\0';
	log_secret_hide(http->reply);
	log_secret_hide(http->error);
	if (answer->status != 0)
		snprintf(answer->reason, sizeof(answer->reason), "HTTP %ld%s%s%.*s", answer->status,
			strange ? ", which is not Loggly's answer" : "", http->reply_size > 0 ? ": " : "",
			REASON_REPLY_MAX, http->reply);
	else
		snprintf(answer->reason, sizeof(answer->reason), "%s",
			http->error[0] != '\0' ? http->error : curl_easy_strerror(code));
}

bool loggly_http_answer(struct loggly_http *http, struct loggly_answer *ret)
{
	int left;
	const CURLMsg *message = curl_multi_info_read(http->multi, &left);
	if (!message || message->msg != CURLMSG_DONE)
		return false;
	const CURLcode code = message->data.result;
	struct loggly_answer answer = {.status = 0};
	/* An answer that broke off is none, whatever it began with. */
	if (code == CURLE_OK) {
		curl_off_t retry_after_s = 0;
		(void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &answer.status);
		(void)curl_easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
		if (retry_after_s > 0)
			answer.retry_after_ms =
				1000 * (int64_t)(retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s
										   : RETRY_AFTER_MAX_S);
	}
	answer.kind = loggly_answer_kind(answer.status);
	const bool strange = answer.kind == LOGGLY_TAKEN && !http->only_looks && !says_ok(http);
	if (strange)
		answer.kind = LOGGLY_LATER;
	explain(http, code, strange, &answer);
	loggly_http_drop(http);
	*ret = answer;
	return true;
}

void loggly_http_drop(struct loggly_http *http)
{
	if (http->under_way)
		(void)curl_multi_remove_handle(http->multi, http->easy);
	http->under_way = false;
}

void loggly_http_wake(struct loggly_http *http)
{
	(void)curl_multi_wakeup(http->multi);
}
