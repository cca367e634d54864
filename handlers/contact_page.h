/*
 * contact_page.h - a page of users as an event, for get_contact_list and get_contact_requests.
 *
 * The command is {"after": user id, "limit": 1 to 500}, both optional. The event is {NAME: [{ID: user id, AT:
 * time}, ..], "next": null}. A page ends at its limit, or earlier where the event would grow too large to
 * send; then "next" is what to pass as "after" for the page behind it. The text is written straight into the
 * command's memory: a page of 100 users as a tree of JSON values would cost 500 allocations, and user ids
 * need no escapes.
 */
#ifndef CONTACT_PAGE_H
#define CONTACT_PAGE_H

#include <cashew.h>
#include <cashew_store.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	CONTACT_PAGE_DEFAULT = 100,
	CONTACT_PAGE_MAX = 500,
	CONTACT_PAGE_ENDS = 128, /* bytes for what stands around the items, "next" with a user id included */
	CONTACT_PAGE_ITEM = 160, /* bytes for one item */
};

struct contact_page {
	cashew_command *cmd;
	const char *id, *at; /* names of an item's fields */
	const char *after;   /* where the page starts; NULL: at the first user */
	unsigned limit, count;
	char *text;	       /* what is written so far */
	size_t size, size_max; /* of text, and what the event may have */
	char last[65];	       /* user id of the last item */
	bool more;	       /* there are users behind this page */
};

static inline cashew_result contact_page_begin(
	struct contact_page *page, cashew_command *cmd, const char *name, const char *id, const char *at)
{
	int64_t limit = CONTACT_PAGE_DEFAULT;
	*page = (struct contact_page){.cmd = cmd, .id = id, .at = at, .size_max = cashew_event_max(cmd)};
	CASHEW_TRY(cashew_user_id_optional(cmd, "after", &page->after));
	CASHEW_TRY(cashew_integer_optional(cmd, "limit", 1, CONTACT_PAGE_MAX, &limit));
	page->limit = (unsigned)limit;
	page->text = cashew_alloc(cmd, CONTACT_PAGE_ENDS + page->limit * CONTACT_PAGE_ITEM);
	if (!page->text)
		return CASHEW_RETRY;
	page->size = (size_t)sprintf(page->text, "{\"%.16s\":[", name);
	return CASHEW_DONE;
}

/* A store_contact_visitor. Ask the store for limit + 1: the one too many tells that there are more. */
static inline bool contact_page_add(const struct store_contact *item, void *context)
{
	struct contact_page *page = context;
	const int64_t at_ms = item->at_ms > 0 ? item->at_ms : 0;
	const time_t seconds = (time_t)(at_ms / 1000);
	struct tm utc = {.tm_mday = 1};
	char when[32] = "", text[CONTACT_PAGE_ITEM];
	gmtime_r(&seconds, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	const size_t size =
		(size_t)snprintf(text, sizeof(text), "%s{\"%.16s\":\"%.64s\",\"%.16s\":\"%s.%03dZ\"}",
			page->count ? "," : "", page->id, item->user_id, page->at, when, (int)(at_ms % 1000));

	/* the first one is taken in any case: a page of none could not be continued */
	const bool full = page->count > 0 && page->size + size + CONTACT_PAGE_ENDS > page->size_max;
	if (page->count == page->limit || full) {
		page->more = true;
		return false;
	}
	memcpy(page->text + page->size, text, size);
	page->size += size;
	page->count++;
	snprintf(page->last, sizeof(page->last), "%s", item->user_id);
	return true;
}

static inline cashew_result contact_page_reply(struct contact_page *page, const char *event)
{
	const char *quote = page->more ? "\"" : "";
	page->size += (size_t)sprintf(page->text + page->size, "],\"next\":%s%s%s}", quote,
		page->more ? page->last : "null", quote);
	return cashew_reply_bytes(page->cmd, event, page->text, page->size);
}

#endif
