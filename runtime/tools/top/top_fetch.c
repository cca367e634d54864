/* top_fetch.c - see top_fetch.h. */
#include "top_fetch.h"

#include "top_options.h"
#include "top_view.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 16 << 20, WAITS_MAX = 4 };

struct fetch {
	CURLM *multi;
	CURL *easy;
	bool under_way, too_large;
	CURLcode result;
	char error[CURL_ERROR_SIZE];
	char *answer;
	size_t size, room;
};

static size_t take_answer(char *bytes, size_t one, size_t count, void *context)
{
	struct fetch *fetch = context;
	const size_t size = one * count;
	fetch->too_large = fetch->size + size > ANSWER_MAX;
	if (fetch->too_large)
		return 0;
	if (fetch->size + size > fetch->room) {
		const size_t room = 2 * (fetch->size + size);
		char *answer = realloc(fetch->answer, room);
		if (!answer)
			return 0;
		fetch->answer = answer;
		fetch->room = room;
	}
	memcpy(fetch->answer + fetch->size, bytes, size);
	fetch->size += size;
	return size;
}

static bool set_options(struct fetch *fetch, const char *url)
{
	CURL *easy = fetch->easy;
	bool good = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "cashewd top") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)FETCH_MS) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK;
	return good;
}

int fetch_open(const char *address, struct fetch **ret)
{
	char url[TOP_ADDRESS_SIZE + 32];
	snprintf(url, sizeof(url), "http://%s/status", address);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	struct fetch *fetch = calloc(1, sizeof(*fetch));
	if (fetch) {
		fetch->multi = curl_multi_init();
		fetch->easy = curl_easy_init();
	}
	if (!fetch || !fetch->multi || !fetch->easy || !set_options(fetch, url)) {
		fetch_close(fetch);
		return -ENOMEM;
	}
	*ret = fetch;
	return 0;
}

void fetch_close(struct fetch *fetch)
{
	if (fetch) {
		if (fetch->under_way)
			(void)curl_multi_remove_handle(fetch->multi, fetch->easy);
		curl_easy_cleanup(fetch->easy);
		(void)curl_multi_cleanup(fetch->multi);
		free(fetch->answer);
		free(fetch);
	}
	curl_global_cleanup();
}

int fetch_start(struct fetch *fetch)
{
	int running;
	fetch->size = 0;
	fetch->error[0] = '\0';
	fetch->too_large = false;
	if (curl_multi_add_handle(fetch->multi, fetch->easy) != CURLM_OK)
		return -ENOMEM;
	fetch->under_way = true;
	return curl_multi_perform(fetch->multi, &running) == CURLM_OK ? 0 : -EIO;
}

bool fetch_wait(struct fetch *fetch, struct pollfd *others, unsigned count, int64_t timeout_ms)
{
	struct curl_waitfd waits[WAITS_MAX];
	int left, ready;
	if (count > WAITS_MAX)
		abort();
	for (unsigned i = 0; i < count; i++)
		waits[i] = (struct curl_waitfd){.fd = others[i].fd, .events = CURL_WAIT_POLLIN};
	(void)curl_multi_poll(fetch->multi, waits, count, timeout_ms > 0 ? (int)timeout_ms : 0, &ready);
	for (unsigned i = 0; i < count; i++)
		others[i].revents = waits[i].revents;
	(void)curl_multi_perform(fetch->multi, &ready);
	const CURLMsg *message = fetch->under_way ? curl_multi_info_read(fetch->multi, &left) : NULL;
	if (!message || message->msg != CURLMSG_DONE)
		return false;
	fetch->result = message->data.result;
	(void)curl_multi_remove_handle(fetch->multi, fetch->easy);
	fetch->under_way = false;
	return true;
}

json_t *fetch_take(struct fetch *fetch, char ret_reason[static FETCH_REASON_SIZE])
{
	long status = 0;
	if (fetch->result != CURLE_OK) {
		const char *why = fetch->error[0] != '\0' ? fetch->error : curl_easy_strerror(fetch->result);
		snprintf(ret_reason, FETCH_REASON_SIZE, "%s",
			fetch->too_large ? "its answer is too long" : why);
		return NULL;
	}
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 403) {
		snprintf(ret_reason, FETCH_REASON_SIZE,
			"it answers 403: it tells its status only to its own machine, asked by address or as localhost");
		return NULL;
	}
	if (status != 200) {
		snprintf(ret_reason, FETCH_REASON_SIZE, "it answers %ld: is it a cashewd of this version?",
			status);
		return NULL;
	}
	json_t *document = json_loadb(fetch->answer ? fetch->answer : "", fetch->size, 0, NULL);
	if (top_view_is_status(document))
		return document;
	json_decref(document);
	snprintf(ret_reason, FETCH_REASON_SIZE, "its answer is no status: is it a cashewd?");
	return NULL;
}
