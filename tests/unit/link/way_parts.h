/*
 * way_parts.h - what the tests of the way and of its TLS share: a folder with an authority, an owner that waits, and names.
 *
 * getaddrinfo() is stood in for (--wrap=getaddrinfo): every name in "example" is this machine, and HANGS hangs.
 */
#ifndef WAY_PARTS_H
#define WAY_PARTS_H

#include "settings.h"
#include "tls.h"
#include "tls_server.h"
#include "way.h"

#include <semaphore.h>

#define HANGS "hangs.example"

enum { PARTS_PATIENCE_MS = 20000 };

extern char parts_folder[];
extern struct certificate parts_authority;

/* Of HANGS: posted when a lookup has begun; waited for before it goes on; posted when it is over. */
extern sem_t parts_lookup_begun, parts_lookup_goes_on, parts_lookup_over;

/* The group's set-up and tear-down: the folder, its authority; what else is in the folder is removed at the end. */
int parts_set_up(void **state);
int parts_tear_down(void **state);

/* A broker at that place, and the authority. */
struct settings parts_settings(const char *host, unsigned port, bool tls);

struct way *parts_start(const struct settings *settings, struct resolver *resolver);

/* Waits as an owner does, and fails the test if that takes too long. */
short parts_await(struct way *way, bool read, bool write);

/* Goes on until it is open or has failed. */
enum way_state parts_open(struct way *way);

/* Opens a way of those settings with a resolver of its own, and says how that went: "" or the reason. */
void parts_try(const struct settings *settings, char ret_reason[static TLS_REASON_SIZE]);

/* expected: a part of the reason, or NULL for none at all. */
void parts_assert_reason(const char *name, const char *reason, const char *expected);

/* Sends `size` bytes and reads them again, `piece` at a time. */
void parts_echo(struct way *way, size_t size, size_t piece);

void parts_write(const char *path, const char *text);

#endif
