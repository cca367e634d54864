/*
 * ask - hands the payload to the service at ASK_URL, and answers asked {"status", "body"}.
 *
 * Link: libcurl
 */
#include <cashew.h>
#include <curl/curl.h>
#include <string.h>

static const struct cashew_setting settings[] = {{.name = "ASK_URL", .help = "Who is asked."}, {0}};

struct answer {
	char text[200];
	size_t size;
};

static size_t take(char *data, size_t one, size_t size, void *context)
{
	struct answer *answer = context;
	const size_t room = sizeof(answer->text) - 1 - answer->size, taken = size < room ? size : room;
	memcpy(answer->text + answer->size, data, taken);
	answer->size += taken;
	return one * size;
}

static cashew_result ask(cashew_command *cmd)
{
	struct answer answer = {.size = 0};
	long status = 0;
	CURL *curl = curl_easy_init();
	if (!curl)
		return cashew_fail(cmd, "no curl");
	curl_easy_setopt(curl, CURLOPT_URL, cashew_setting(cmd, "ASK_URL"));
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)cashew_payload(cmd, &(size_t){0}));
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	const CURLcode sent = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (sent != CURLE_OK)
		return cashew_fail(cmd, "%s", curl_easy_strerror(sent));
	return cashew_event_json(
		cmd, NULL, "asked", json_pack("{s:i, s:s}", "status", (int)status, "body", answer.text));
}

CASHEW_HANDLER(ask, .settings = settings);
