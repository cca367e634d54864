/*
 * collections.c - see collections.h. A descriptor's text is "contacts, apples:read": names, and behind each at most a colon and the word read.
 */
#include "collections.h"

#include "cashew.h"
#include <string.h>

static void add(struct collections *collections, const char *name, size_t size, bool writes)
{
	if (size == 0 || size >= COLLECTIONS_NAME_SIZE)
		return;
	for (size_t i = 0; i < collections->count; i++) {
		struct collections_need *need = &collections->needs[i];
		if (strlen(need->name) == size && memcmp(need->name, name, size) == 0) {
			need->writes = need->writes || writes;
			return;
		}
	}
	if (collections->count == COLLECTIONS_MAX)
		return;
	struct collections_need *need = &collections->needs[collections->count++];
	*need = (struct collections_need){.writes = writes};
	memcpy(need->name, name, size);
}

static void add_list(struct collections *collections, const char *list)
{
	static const char blanks[] = ", \t", end[] = ":, \t", only_read[] = ":read";
	for (const char *at = list + strspn(list, blanks); *at != '\0'; at += strspn(at, blanks)) {
		const size_t size = strcspn(at, end), suffix = strcspn(at + size, blanks);
		const bool reads = suffix == strlen(only_read) && memcmp(at + size, only_read, suffix) == 0;
		add(collections, at, size, !reads);
		at += size + suffix;
	}
}

void collections_of(const struct cashew_handler *const *handlers, struct collections *ret)
{
	*ret = (struct collections){.count = 0};
	add_list(ret, "hosts, dead_letters, parked_commands");
	for (size_t i = 0; handlers[i]; i++)
		if (handlers[i]->collections)
			add_list(ret, handlers[i]->collections);
}
