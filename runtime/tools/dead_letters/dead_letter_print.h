/*
 * dead_letter_print.h - dead letters for people and for programs. Pure code.
 *
 * What a phone or a handler put into a letter never reaches a terminal as it is: control characters and bytes
 * that are no UTF-8 are shown as \xNN, payloads that are no printable text as a hex dump.
 */
#ifndef DEAD_LETTER_PRINT_H
#define DEAD_LETTER_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct dead_letter;
struct store_id;

enum { DEAD_LETTER_ID_SIZE = 25, DEAD_LETTER_TIME_SIZE = 32 };

/* 24 hexadecimal digits, in lower case. */
void dead_letter_id_text(const struct store_id *id, char ret_text[static DEAD_LETTER_ID_SIZE]);

/* Whether the bytes are UTF-8 without control characters but tab, line feed and carriage return. */
bool dead_letter_is_text(const void *bytes, size_t size);

/* The rows of a list, collected first so that their columns can be aligned. Zeroes: none yet. */
struct dead_letter_table {
	struct dead_letter_row *rows;
	size_t count;
};

/* Copies what the row shows. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int dead_letter_table_add(
	struct dead_letter_table *table, const struct dead_letter *letter);

/* width: of the terminal, where the last column is cut; 0: nothing is cut. */
void dead_letter_table_print(const struct dead_letter_table *table, unsigned width, bool colours, FILE *out);
void dead_letter_table_free(struct dead_letter_table *table);

/* All of a letter, with its payload, for people. */
void dead_letter_show(const struct dead_letter *letter, FILE *out);

/* All of a letter for programs; a new reference, NULL when out of memory. */
json_t *dead_letter_json(const struct dead_letter *letter);

#endif
