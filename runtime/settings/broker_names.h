/*
 * broker_names.h - BROKER_HOST: a broker's name or address, or several of one cluster, separated by commas, of which each attempt to connect takes one.
 *
 * Happy path: broker_names_count(), then broker_names_at() of each. Nothing can fail in settings that were checked: broker_names_problem().
 */
#ifndef BROKER_NAMES_H
#define BROKER_NAMES_H

#include <stddef.h>

enum { BROKER_NAMES_MAX = 8, BROKER_NAME_SIZE = 256 };

/* How many there are: 1 at least. */
size_t broker_names_count(const char *names);

/* The one with that number, counted from 0 and on from the first again after the last. Cut where it is too long. */
void broker_names_at(const char *names, size_t number, char ret[static BROKER_NAME_SIZE]);

/* What is wrong with them, in words that follow "expected"; NULL: nothing. Static. */
const char *broker_names_problem(const char *names);

#endif
