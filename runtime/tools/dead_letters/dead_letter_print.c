/* dead_letter_print.c - see dead_letter_print.h. */
#include "dead_letter_print.h"

#include "clock.h"
#include "dead_letters.h"
#include "text_line.h"
#include <bson/bson.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DUMP_WIDTH = 16, REASON_MIN = 20 };

void dead_letter_id_text(const struct store_id *id, char ret_text[static DEAD_LETTER_ID_SIZE])
{
	for (size_t i = 0; i < sizeof(id->bytes); i++)
		snprintf(ret_text + 2 * i, 3, "%02x", id->bytes[i]);
}

/* ---- Texts ---- */

bool dead_letter_is_text(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	if (size > 0 && !bson_utf8_validate(bytes, size, false))
		return false;
	for (size_t i = 0; i < size; i++)
		if ((text_is_control(at[i]) && !strchr("\t\n\r", at[i])) || text_is_c1(at + i, size - i))
			return false;
	return true;
}

/* ---- A list ---- */

enum { COLUMN_ID, COLUMN_WHEN, COLUMN_TOPIC, COLUMN_HANDLER, COLUMN_ATTEMPTS, COLUMN_REASON, COLUMNS };

static const char *const headings[COLUMNS] = {"ID", "WHEN", "TOPIC", "HANDLER", "ATTEMPTS", "REASON"};

struct dead_letter_row {
	char *cells[COLUMNS];
};

static void row_free(struct dead_letter_row *row)
{
	for (size_t i = 0; i < COLUMNS; i++)
		free(row->cells[i]);
}

int dead_letter_table_add(struct dead_letter_table *table, const struct dead_letter *letter)
{
	char id[DEAD_LETTER_ID_SIZE], when[CLOCK_ISO_SIZE], attempts[16];
	/* Room grows with the powers of two. */
	if ((table->count & (table->count - 1)) == 0) {
		const size_t room = table->count > 0 ? 2 * table->count : 1;
		struct dead_letter_row *rows = realloc(table->rows, room * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		table->rows = rows;
	}
	dead_letter_id_text(&letter->id, id);
	clock_iso_ms(letter->when_ms, when);
	snprintf(attempts, sizeof(attempts), "%u", letter->attempts);
	struct dead_letter_row row = {{text_line(id), text_line(when), text_line(letter->topic),
		text_line(letter->handler[0] != '\0' ? letter->handler : "-"), text_line(attempts),
		text_line(letter->reason)}};
	for (size_t i = 0; i < COLUMNS; i++) {
		if (!row.cells[i]) {
			row_free(&row);
			return -ENOMEM;
		}
	}
	/* People need no milliseconds. */
	if (strlen(row.cells[COLUMN_WHEN]) == 24)
		strcpy(row.cells[COLUMN_WHEN] + 19, "Z");
	table->rows[table->count++] = row;
	return 0;
}

void dead_letter_table_free(struct dead_letter_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		row_free(&table->rows[i]);
	free(table->rows);
	*table = (struct dead_letter_table){.rows = NULL};
}

/* Writes at most so many characters of the line. */
static void print_cut(const char *line, size_t width, FILE *out)
{
	const bool cut = text_width(line) > width;
	size_t left = cut ? width - 1 : width;
	for (const char *at = line; *at != '\0'; at++) {
		if (((unsigned char)*at & 0xc0) != 0x80 && left-- == 0)
			break;
		fputc(*at, out);
	}
	if (cut)
		fputs("\xe2\x80\xa6" /* an ellipsis */, out);
}

static void print_row(
	const char *const *cells, const size_t widths[static COLUMNS], size_t reason_width, FILE *out)
{
	for (size_t i = 0; i < COLUMN_REASON; i++) {
		const int gap = (int)(widths[i] - text_width(cells[i])) + 2;
		fprintf(out, "%s%*s", cells[i], gap, "");
	}
	print_cut(cells[COLUMN_REASON], reason_width, out);
	fputc('\n', out);
}

void dead_letter_table_print(const struct dead_letter_table *table, unsigned width, bool colours, FILE *out)
{
	size_t widths[COLUMNS], before_reason = 0, reason_width = SIZE_MAX;
	for (size_t i = 0; i < COLUMNS; i++) {
		widths[i] = strlen(headings[i]);
		for (size_t n = 0; n < table->count; n++) {
			const size_t cell = text_width(table->rows[n].cells[i]);
			widths[i] = cell > widths[i] ? cell : widths[i];
		}
		before_reason += i < COLUMN_REASON ? widths[i] + 2 : 0;
	}
	if (width > 0)
		reason_width = width > before_reason + REASON_MIN ? width - before_reason : REASON_MIN;
	if (colours)
		fputs("\033[1m", out);
	print_row(headings, widths, reason_width, out);
	if (colours)
		fputs("\033[0m", out);
	for (size_t i = 0; i < table->count; i++)
		print_row((const char *const *)table->rows[i].cells, widths, reason_width, out);
}

/* ---- One letter ---- */

static void show_text(const char *name, const char *text, FILE *out)
{
	char *line = text_line(text);
	fprintf(out, "%-15s %s\n", name, line ? line : "(out of memory)");
	free(line);
}

static void dump(const unsigned char *bytes, size_t size, FILE *out)
{
	for (size_t line = 0; line < size; line += DUMP_WIDTH) {
		fprintf(out, "%08zx ", line);
		for (size_t i = line; i < line + DUMP_WIDTH; i++)
			if (i < size)
				fprintf(out, " %02x", bytes[i]);
			else
				fputs("   ", out);
		fputs("  |", out);
		for (size_t i = line; i < size && i < line + DUMP_WIDTH; i++)
			fputc(text_is_control(bytes[i]) || bytes[i] >= 0x80 ? '.' : bytes[i], out);
		fputs("|\n", out);
	}
}

static void show_bytes(const char *name, const void *bytes, size_t size, FILE *out)
{
	const unsigned char *at = bytes;
	fprintf(out, "%-15s %zu bytes\n", name, size);
	if (size == 0)
		return;
	if (!dead_letter_is_text(bytes, size)) {
		dump(at, size, out);
		return;
	}
	fwrite(bytes, 1, size, out);
	if (at[size - 1] != '\n')
		fputc('\n', out);
}

void dead_letter_show(const struct dead_letter *letter, FILE *out)
{
	char id[DEAD_LETTER_ID_SIZE], when[CLOCK_ISO_SIZE];
	dead_letter_id_text(&letter->id, id);
	show_text("id", id, out);
	clock_iso_ms(letter->when_ms, when);
	show_text("when", when, out);
	if (letter->expires_ms != 0) {
		clock_iso_ms(letter->expires_ms, when);
		show_text("expires", when, out);
	}
	show_text("topic", letter->topic, out);
	show_text("user", letter->user, out);
	show_text("handler", letter->handler, out);
	show_text("reason", letter->reason, out);
	fprintf(out, "%-15s %u\n%-15s %u\n", "attempts", letter->attempts, "crashes", letter->crashes);
	show_text("host", letter->host, out);
	if (letter->response_topic)
		show_text("response topic", letter->response_topic, out);
	if (letter->correlation)
		show_bytes("correlation", letter->correlation, letter->correlation_size, out);
	if (letter->payload_cut_from > 0)
		fprintf(out, "%-15s %zu bytes, of which those below were kept\n", "payload was",
			letter->payload_cut_from);
	show_bytes("payload", letter->payload, letter->payload_size, out);
}

/* ---- JSON ---- */

/* NULL when out of memory, which the caller notices once at the end. */
static json_t *json_line(const char *text)
{
	if (bson_utf8_validate(text, strlen(text), false))
		return json_string(text);
	char *line = text_line(text);
	json_t *json = line ? json_string(line) : NULL;
	free(line);
	return json;
}

static json_t *json_time(int64_t ms)
{
	char text[CLOCK_ISO_SIZE];
	clock_iso_ms(ms, text);
	return json_string(text);
}

static json_t *json_base64(const void *bytes, size_t size)
{
	char *text = malloc(4 * (size / 3 + 1) + 1);
	if (!text)
		return NULL;
	text[0] = '\0';
	if (size > 0)
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
	json_t *json = json_string(text);
	free(text);
	return json;
}

json_t *dead_letter_json(const struct dead_letter *letter)
{
	char id[DEAD_LETTER_ID_SIZE];
	json_t *json = json_object();
	int error = !json;
	dead_letter_id_text(&letter->id, id);
	error |= json_object_set_new(json, "id", json_string(id));
	error |= json_object_set_new(json, "when", json_time(letter->when_ms));
	if (letter->expires_ms != 0)
		error |= json_object_set_new(json, "expires", json_time(letter->expires_ms));
	error |= json_object_set_new(json, "topic", json_line(letter->topic));
	error |= json_object_set_new(json, "user_id", json_line(letter->user));
	error |= json_object_set_new(json, "handler", json_line(letter->handler));
	error |= json_object_set_new(json, "reason", json_line(letter->reason));
	error |= json_object_set_new(json, "attempts", json_integer(letter->attempts));
	error |= json_object_set_new(json, "crashes", json_integer(letter->crashes));
	error |= json_object_set_new(json, "host", json_line(letter->host));
	if (letter->response_topic)
		error |= json_object_set_new(json, "response_topic", json_line(letter->response_topic));
	if (letter->correlation)
		error |= json_object_set_new(json, "correlation_base64",
			json_base64(letter->correlation, letter->correlation_size));
	if (letter->payload_cut_from > 0)
		error |= json_object_set_new(
			json, "payload_cut_from", json_integer((json_int_t)letter->payload_cut_from));
	error |= json_object_set_new(json, "payload_bytes", json_integer((json_int_t)letter->payload_size));
	if (dead_letter_is_text(letter->payload, letter->payload_size))
		error |= json_object_set_new(json, "payload",
			json_stringn(letter->payload_size > 0 ? letter->payload : "", letter->payload_size));
	else
		error |= json_object_set_new(
			json, "payload_base64", json_base64(letter->payload, letter->payload_size));
	if (error == 0)
		return json;
	json_decref(json);
	return NULL;
}
