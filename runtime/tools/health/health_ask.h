/*
 * health_ask.h - asks a running cashewd for one of its pages, once.
 *
 * Happy path: the page comes with 200. Failure modes, each in words: it comes with another status, nothing listens, or there is no answer in time.
 * Neither proxies nor redirects are followed: what is asked for is on this machine. One thread.
 */
#ifndef HEALTH_ASK_H
#define HEALTH_ASK_H

#include <stdbool.h>

struct http_address;

enum { HEALTH_MS = 3000, HEALTH_TEXT_SIZE = 2048 };

/*
 * Asks for the path, like "/healthz", at an address that is not off; one that stands for all addresses is asked by the loopback. Whether the page
 * came with 200. ret_text: the page without its last line end, cut; or what is wrong. Within HEALTH_MS.
 */
bool health_ask(const struct http_address *address, const char *path, char ret_text[static HEALTH_TEXT_SIZE]);

#endif
