/*
 * scrape.h - what a monitoring system does: asks a running program for a page, reads the metrics in it, and
 * holds each against what it said before. For end-to-end tests.
 */
#ifndef SCRAPE_H
#define SCRAPE_H

#include "harness.h"

struct scrape {
	struct harness *harness;
	unsigned port;
	const char *asked_as; /* the name in the Host header; NULL: the address */
	int status;	      /* of the last answer */
	char *head;	      /* of the last answer */
	char *body;	      /* its body */
	char *before;	      /* the metrics before that */
	unsigned taken;	      /* metrics so far */
};

/* Where the host said that it serves metrics; waits until it has. */
struct scrape *scrape_new(struct harness *h, struct host *host);

/* Asks once; the program under test is given a minute to answer. False where nobody listens. */
bool scrape_page(struct scrape *scrape, const char *path);

/* Takes the metrics, and fails where a counter has fallen or is gone. */
void scrape_metrics(struct scrape *scrape);

/* The value of a series in the metrics taken last, which must be there. */
double scrape_value(const struct scrape *scrape, const char *series);

/* Takes the metrics until the series has that value. */
void scrape_wait_value(struct scrape *scrape, const char *series, double value);

/* Asks until the page comes with that status, and `text` in it. */
void scrape_wait_page(struct scrape *scrape, const char *path, int status, const char *text);

#endif
