/*
 * store_pages.h - for the contract suites of the store: what a list has visited, on a page.
 *
 * Include it in one source file, behind cmocka.h and opened.h.
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include "contact_documents.h"
#include <stdio.h>
#include <string.h>

enum { PAGE_MAX = 600 };

struct page {
	char users[PAGE_MAX][65];
	int64_t at_ms[PAGE_MAX];
	size_t count;
	size_t stop_after; /* 0: never */
};

static bool note(const struct store_contact *item, void *context)
{
	struct page *page = context;

	assert_true(page->count < PAGE_MAX);
	assert_true(strlen(item->user_id) <= 64);
	strcpy(page->users[page->count], item->user_id);
	page->at_ms[page->count] = item->at_ms;
	page->count++;
	return page->count != page->stop_after;
}

typedef int list_function(
	struct store_client *, const char *, const char *, unsigned, store_contact_visitor, void *);

/* The page, in memory that lives until the next call. */
static struct page *list_page(
	list_function *list, const char *user, const char *after, unsigned limit, size_t stop_after)
{
	static struct page page;

	memset(&page, 0, sizeof(page));
	page.stop_after = stop_after;
	assert_int_equal(list(client, user, after, limit, note, &page), 0);
	return &page;
}

#endif
