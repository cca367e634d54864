/*
 * apples.h - the collection "apples": their colours, in the order of their positions.
 */
#ifndef APPLES_H
#define APPLES_H

#include <cashew.h>

CASHEW_COLLECTION(apple, "apples", (text, colour, .key = true), (integer, position, .index = CASHEW_ACROSS));

#endif
