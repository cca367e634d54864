/*
 * cashew_documents.c - what a handler calls to read and write documents: see cashew.h. What it does is in documents/.
 *
 * Happy path: the first call makes the run's documents, in its own memory, and takes a client. What waits to be written is written by ends_flush().
 * Failure: the first one ends the run as what it means: a mistake and a document that is not as declared are dead letters, what another command
 * changed meanwhile is run again, what a phone made up is rejected, and what the store says is as with stored_result().
 */
#include "cashew.h"

#include "call.h"
#include "documents.h"
#include "ends.h"
#include "id.h"
#include "settings.h"
#include "shape.h"
#include "stored.h"

#include <errno.h>
#include <string.h>

/* Where a handler calls. */
struct place {
	cashew_command *cmd;
	const char *file;
	int line;
};

static void failed(const struct place *place, const struct documents *d, int error)
{
	cashew_command *cmd = place->cmd;
	cashew_result ended;
	switch (error) {
	case -ENOMEM: (void)ends_out_of_memory(cmd); break;
	case DOCUMENTS_E_MISTAKE: (void)ends_mistake(cmd, place->file, place->line, "%s", d->reason); break;
	case DOCUMENTS_E_STORED: (void)ends_as(cmd, CASHEW_FAIL, "%s", d->reason); break;
	case DOCUMENTS_E_CHANGED: (void)ends_as(cmd, CASHEW_RETRY, "%s", d->reason); break;
	case DOCUMENTS_E_TOKEN: (void)ends_as(cmd, CASHEW_REJECT, "%s", d->reason); break;
	default:
		ended = stored_result(cmd, error);
		(void)ended;
		break;
	}
}

static void flush(cashew_command *cmd)
{
	const struct place nowhere = {cmd, "", 0};
	const int error = documents_flush(cmd->documents);
	if (error)
		failed(&nowhere, cmd->documents, error);
}

/* A collection may be declared in a header, and so be there once for each file that includes it: the name tells. */
static bool has(const struct cashew_collection *const *list, const char *name)
{
	for (; list && *list; list++)
		if (strcmp((*list)->name, name) == 0)
			return true;
	return false;
}

static bool declared(const struct place *place, const struct cashew_collection *collection, bool writes)
{
	const struct cashew_handler *handler = place->cmd->handler;
	if (has(handler->collections, collection->name) || (!writes && has(handler->reads, collection->name)))
		return true;
	(void)ends_mistake(place->cmd, place->file, place->line,
		"collection %s is not among those that handler %s says it %s: expected .collections = CASHEW_COLLECTIONS(%s)",
		collection->name, handler->name, writes ? "writes" : "uses", collection->shape->name);
	return false;
}

/* NULL: the run has failed. */
static struct documents *documents_of(
	const struct place *place, const struct cashew_collection *collection, bool writes)
{
	cashew_command *cmd = place->cmd;
	if (ends_failed(cmd) || !declared(place, collection, writes))
		return NULL;
	if (!cmd->documents) {
		struct documents *d = arena_alloc(&cmd->scratch, sizeof(*d));
		if (!d) {
			(void)ends_out_of_memory(cmd);
			return NULL;
		}
		documents_begin(d, &cmd->scratch, NULL, cmd->settings->user_window);
		cmd->documents = d;
		cmd->flush = flush;
	}
	cmd->documents->client = stored_client(cmd);
	return cmd->documents;
}

/* With what a write is noted that counts once. A schedule's run has an id, too. False: the run has failed. */
static bool noted(const struct place *place, struct documents *d)
{
	cashew_command *cmd = place->cmd;
	if (d->note || !(cmd->handler->needs_id || cmd->handler->scheduled))
		return true;
	d->note = arena_format(&cmd->scratch, "%s/%s/%s", cmd->handler->name, cmd->input->user, id_of(cmd));
	if (!d->note)
		(void)ends_out_of_memory(cmd);
	return !ends_failed(cmd);
}

/* What a call answers that never answers NULL. */
static const void *nothing(cashew_command *cmd, const struct cashew_collection *collection)
{
	return shape_nothing(collection->shape, &cmd->scratch);
}

/* ---- one document ---- */

const void *cashew_find_(cashew_command *cmd, const char *file, int line,
	const struct cashew_collection *collection, const void *keys)
{
	const struct place place = {cmd, file, line};
	const void *found = NULL;
	struct documents *d = documents_of(&place, collection, false);
	const int error = d ? documents_find(d, collection, keys, &found) : 0;
	if (!error)
		return found;
	failed(&place, d, error);
	return NULL;
}

void cashew_add_(cashew_command *cmd, const char *file, int line, const struct cashew_collection *collection,
	const void *document)
{
	const struct place place = {cmd, file, line};
	struct documents *d = documents_of(&place, collection, true);
	const int error = d ? documents_add(d, collection, document) : 0;
	if (error)
		failed(&place, d, error);
}

void cashew_remove_(cashew_command *cmd, const char *file, int line,
	const struct cashew_collection *collection, const void *keys)
{
	const struct place place = {cmd, file, line};
	struct documents *d = documents_of(&place, collection, true);
	const int error = d ? documents_remove(d, collection, keys) : 0;
	if (error)
		failed(&place, d, error);
}

const void *cashew_put_(cashew_command *cmd, const char *file, int line,
	const struct cashew_collection *collection, const void *document)
{
	const struct place place = {cmd, file, line};
	const void *put = NULL;
	struct documents *d = documents_of(&place, collection, true);
	if (!d || !noted(&place, d))
		return nothing(cmd, collection);
	const int error = documents_put(d, collection, document, cmd->handler->needs_id, &put);
	if (!error)
		return put;
	failed(&place, d, error);
	return nothing(cmd, collection);
}

static bool is_guarded(size_t count, const struct cashew_change *changes)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].verb == CASHEW_V_if_equal || changes[i].verb == CASHEW_V_if_least)
			return true;
	return false;
}

const void *cashew_update_(cashew_command *cmd, const char *file, int line,
	const struct cashew_collection *collection, size_t count, const struct cashew_change *changes)
{
	const struct place place = {cmd, file, line};
	const void *updated = NULL;
	struct documents *d = documents_of(&place, collection, true);
	if (d && noted(&place, d)) {
		const int error = documents_update(d, collection, count, changes, &updated);
		if (error)
			failed(&place, d, error);
	}
	return updated || is_guarded(count, changes) ? updated : nothing(cmd, collection);
}

/* ---- lists ---- */

const void *cashew_list_(cashew_command *cmd, const char *file, int line,
	const struct cashew_collection *collection, unsigned limit, size_t *ret_count, size_t count,
	const struct cashew_change *changes)
{
	const struct place place = {cmd, file, line};
	const void *list = NULL;
	struct documents *d = documents_of(&place, collection, false);
	*ret_count = 0;
	const int error = d ? documents_list(d, collection, limit, count, changes, &list, ret_count) : 0;
	if (!error)
		return list;
	failed(&place, d, error);
	*ret_count = 0;
	return NULL;
}

/* ---- pages ---- */

CASHEW_STRUCT(page_end, (text, next, .max = INT32_MAX));

enum { PAGE_LIMIT = 100, NEXT_IS_NULL = sizeof("],\"next\":null}") };

struct page_text {
	const struct place *place;
	struct documents *d;
	struct documents_page page;
	struct shape_text text;
	uint32_t without; /* members that are given, and so not in an item */
	size_t count;
	void *last; /* the last struct that was taken */
};

static void add(struct shape_text *text, const char *part)
{
	shape_text_add(text, part, strlen(part));
}

/* How many bytes the page ends in when this is its last document: its token may have to be escaped, each byte as six. */
static size_t end_size(struct page_text *p, const void *document)
{
	const char *token = documents_page_token(p->d, &p->page, document);
	return NEXT_IS_NULL + (token ? 6 * strlen(token) : 0);
}

/* Appends the document, unless the event would grow too large then. The first one is taken in any case: a page of none could not be continued. */
static bool add_item(void *context, const void *document)
{
	struct page_text *p = context;
	cashew_command *cmd = p->place->cmd;
	char reason[SHAPE_REASON_SIZE];
	const size_t before = p->text.size;
	if (p->count > 0)
		add(&p->text, ",");
	if (!shape_write(&p->text, p->page.collection->shape, document, p->without, reason)) {
		(void)ends_as(cmd, CASHEW_FAIL, "%s: %s", p->page.collection->name, reason);
		return false;
	}
	/* most are far from it, and need no token for that */
	const bool near = p->text.size + 1024 > cmd->event_max;
	if (p->count > 0 && near && p->text.size + end_size(p, document) > cmd->event_max) {
		p->text.size = before;
		return false;
	}
	memcpy(p->last, document, p->page.collection->shape->size);
	p->count++;
	return true;
}

static void add_end(struct page_text *p, bool more)
{
	struct shape_text end = {.arena = p->text.arena};
	char reason[SHAPE_REASON_SIZE] = "";
	if (!more || p->count == 0) {
		add(&p->text, "],\"next\":null}");
		return;
	}
	const struct page_end next = {.next = documents_page_token(p->d, &p->page, p->last)};
	if (!next.next || !shape_write(&end, &page_end_shape, &next, 0, reason) || end.size < 2) {
		(void)ends_out_of_memory(p->place->cmd);
		return;
	}
	add(&p->text, "],");
	shape_text_add(&p->text, end.bytes + 1, end.size - 1); /* without its { */
}

static uint32_t given_members(const struct documents_page *page)
{
	const struct cashew_shape *shape = page->collection->shape;
	uint32_t without = 0;
	for (size_t i = 0; i < shape->count; i++)
		for (size_t k = 0; k < page->count; k++)
			if (shape->members[i].offset == page->changes[k].offset)
				without |= UINT32_C(1) << i;
	return without;
}

/* What the payload asks for, where it is a cashew_page: each file has its own, so the name tells. */
static void read_request(const cashew_command *cmd, struct documents_page *page)
{
	const struct cashew_shape *payload = cmd->handler->payload;
	page->limit = PAGE_LIMIT;
	if (!cmd->given || !payload || strcmp(payload->name, cashew_page_shape.name) != 0)
		return;
	const struct cashew_page *asked = cmd->given;
	page->after = asked->after;
	page->limit = (unsigned)asked->limit;
}

static bool says_it_sends(const struct cashew_handler *handler, const char *event)
{
	for (const struct cashew_shape *const *at = handler->events; at && *at; at++)
		if (strcmp((*at)->name, event) == 0)
			return true;
	return false;
}

static cashew_result send_page(struct page_text *p, const char *event)
{
	cashew_command *cmd = p->place->cmd;
	bool more = false;
	add(&p->text, "{\"");
	add(&p->text, p->page.collection->name);
	add(&p->text, "\":[");
	p->last = arena_alloc(&cmd->scratch, p->page.collection->shape->size);
	const int error = p->last ? documents_page(p->d, &p->page, &more) : -ENOMEM;
	if (error)
		failed(p->place, p->d, error);
	if (ends_failed(cmd))
		return ends_result(cmd);
	add_end(p, more);
	const char *text = shape_text_end(&p->text);
	if (ends_failed(cmd) || !text)
		return ends_out_of_memory(cmd);
	return cashew_event_bytes(cmd, NULL, event, text, p->text.size);
}

cashew_result cashew_page_(cashew_command *cmd, const char *file, int line, const struct cashew_shape *event,
	const struct cashew_collection *collection, size_t count, const struct cashew_change *changes)
{
	const struct place place = {cmd, file, line};
	struct page_text p = {.place = &place, .text = {.arena = &cmd->scratch}};
	p.d = documents_of(&place, collection, false);
	if (!p.d)
		return ends_result(cmd);
	if (!says_it_sends(cmd->handler, event->name))
		return ends_mistake(cmd, file, line,
			"event %s is not among those that handler %s says it sends: expected .events = CASHEW_EVENTS(%s)",
			event->name, cmd->handler->name, event->name);
	p.page = (struct documents_page){.collection = collection,
		.count = count,
		.changes = changes,
		.visit = add_item,
		.context = &p};
	p.without = given_members(&p.page);
	read_request(cmd, &p.page);
	return send_page(&p, event->name);
}
