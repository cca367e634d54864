/*
 * health_ask.c - see health_ask.h.
 */
#include "health_ask.h"

#include "http_address.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { URL_SIZE = HTTP_ADDRESS_TEXT_SIZE + 32, STATUS_OK = 200 };

struct page {
	char *text; /* HEALTH_TEXT_SIZE bytes */
	size_t size;
};

/* What is more than there is room for is left out. */
static size_t take(char *bytes, size_t one, size_t count, void *context)
{
	struct page *page = context;
	const size_t size = one * count, room = HEALTH_TEXT_SIZE - 1 - page->size;
	const size_t taken = size < room ? size : room;
	memcpy(page->text + page->size, bytes, taken);
	page->size += taken;
	page->text[page->size] = '\0';
	return size;
}

static bool set_options(CURL *easy, const char *url, struct page *page, char error[static CURL_ERROR_SIZE])
{
	bool good = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "cashewd healthcheck") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)HEALTH_MS) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, page) == CURLE_OK;
	return good;
}

/* HOST:PORT; the loopback in the place of "all addresses". */
static void write_address(const struct http_address *address, char ret[static HTTP_ADDRESS_TEXT_SIZE])
{
	struct sockaddr_storage socket = address->socket;
	struct sockaddr_in *four = (struct sockaddr_in *)&socket;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&socket;
	if (socket.ss_family == AF_INET && four->sin_addr.s_addr == htonl(INADDR_ANY))
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (socket.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
		six->sin6_addr = in6addr_loopback;
	http_address_write((const struct sockaddr *)&socket, ret);
}

static bool is_good(CURL *easy, const char *url, struct page *page)
{
	char error[CURL_ERROR_SIZE] = "", body[HEALTH_TEXT_SIZE];
	long status = 0;
	if (!set_options(easy, url, page, error)) {
		snprintf(page->text, HEALTH_TEXT_SIZE, "out of memory");
		return false;
	}
	const CURLcode result = curl_easy_perform(easy);
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (result != CURLE_OK) {
		snprintf(page->text, HEALTH_TEXT_SIZE, "%s: %s", url,
			error[0] != '\0' ? error : curl_easy_strerror(result));
		return false;
	}
	while (page->size > 0 && page->text[page->size - 1] == '\n')
		page->text[--page->size] = '\0';
	if (status == STATUS_OK)
		return true;
	memcpy(body, page->text, page->size + 1);
	snprintf(page->text, HEALTH_TEXT_SIZE, "%s answers %ld: %.*s", url, status,
		HEALTH_TEXT_SIZE - URL_SIZE - 32, body);
	return false;
}

bool health_ask(const struct http_address *address, const char *path, char ret_text[static HEALTH_TEXT_SIZE])
{
	char host[HTTP_ADDRESS_TEXT_SIZE], url[URL_SIZE];
	struct page page = {.text = ret_text};
	write_address(address, host);
	snprintf(url, sizeof(url), "http://%s%s", host, path);
	snprintf(ret_text, HEALTH_TEXT_SIZE, "out of memory");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	CURL *easy = curl_easy_init();
	if (easy)
		ret_text[0] = '\0';
	const bool good = easy && is_good(easy, url, &page);
	curl_easy_cleanup(easy);
	curl_global_cleanup();
	return good;
}
