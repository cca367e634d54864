/*
 * doctor_host.c - whether the cashewd that runs on this machine, if one does, calls itself ready: asked over
 * METRICS_ADDR, which disturbs nothing. Nobody there is no fault: it may not have been started yet.
 */
#include "doctor.h"

#include "configuration.h"
#include "http_address.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_SIZE_MAX = 2048 };

struct page {
	char text[PAGE_SIZE_MAX + 1];
	size_t size;
	long status;
};

static size_t take_page(char *bytes, size_t one, size_t size, void *context)
{
	struct page *page = context;
	const size_t room = PAGE_SIZE_MAX - page->size, kept = size * one < room ? size * one : room;
	memcpy(page->text + page->size, bytes, kept);
	page->size += kept;
	page->text[page->size] = '\0';
	return size * one;
}

static CURLcode get(const char *url, unsigned timeout_ms, struct page *ret)
{
	CURL *easy = curl_easy_init();
	if (!easy)
		return CURLE_OUT_OF_MEMORY;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, url);
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{CURLOPT_NOSIGNAL, 1}, {CURLOPT_FOLLOWLOCATION, 0}, {CURLOPT_TIMEOUT_MS, (long)timeout_ms}};
	for (size_t i = 0; code == CURLE_OK && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_page);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, ret);
	if (code == CURLE_OK)
		code = curl_easy_perform(easy);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_easy_cleanup(easy);
	return code;
}

/* A reason a line. */
static void tell_why_not(struct doctor *doctor, char *reasons)
{
	reasons[strlen(reasons) - (reasons[strlen(reasons) - 1] == '\n')] = '\0';
	for (char *at = reasons; (at = strchr(at, '\n'));)
		*at = ';';
	doctor_fail(doctor, "the cashewd that runs here is not ready: %s", reasons);
	doctor_advise(doctor, "what else failed here may be the reason; its log says more");
}

static void tell_page(struct doctor *doctor, struct page *page, const char *address)
{
	if (page->status == 200 && strcmp(page->text, "ready\n") == 0) {
		doctor_ok(doctor,
			"the cashewd that runs here is ready: its sessions are connected, every filter is "
			"granted, the database takes writes");
	} else if (page->status == 503 && page->text[0] != '\0') {
		tell_why_not(doctor, page->text);
	} else {
		doctor_warn(doctor, "what answers at METRICS_ADDR=%s is no cashewd: HTTP %ld", address,
			page->status);
		doctor_advise(doctor, "another program has the port: choose another METRICS_ADDR, or off");
	}
}

void doctor_check_host(struct doctor *doctor)
{
	const char *text = doctor->configuration->settings.metrics_addr;
	char address[HTTP_ADDRESS_TEXT_SIZE], url[HTTP_ADDRESS_TEXT_SIZE + 32];
	struct http_address read;
	struct page page = {.size = 0};
	if (http_address_read(text, &read) != 0 || read.off) {
		doctor_skip(doctor,
			"METRICS_ADDR is off: the cashewd that runs here, if one does, cannot be asked");
		return;
	}
	http_address_write((const struct sockaddr *)&read.socket, address);
	/* Both kinds of address have it in the same place. */
	if (((const struct sockaddr_in *)&read.socket)->sin_port == 0) {
		doctor_skip(doctor,
			"METRICS_ADDR=%s is any free port: the cashewd that runs here, if one does, "
			"cannot be asked",
			address);
		return;
	}
	snprintf(url, sizeof(url), "http://%s/readyz", address);
	const CURLcode code = get(url, doctor->timeout_ms, &page);
	if (code == CURLE_COULDNT_CONNECT) {
		doctor_skip(doctor,
			"nobody listens at METRICS_ADDR=%s: no cashewd runs here with these settings",
			address);
	} else if (code != CURLE_OK) {
		doctor_warn(doctor, "METRICS_ADDR=%s: %s", address, curl_easy_strerror(code));
		doctor_advise(
			doctor, "another program may have the port, or cashewd hangs: its log says more");
	} else {
		tell_page(doctor, &page, address);
	}
}
