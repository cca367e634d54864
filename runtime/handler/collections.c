/* collections.c - see collections.h. */
#include "collections.h"

#include "cashew.h"
#include <string.h>

static void add(struct collections *collections, const char *name, bool writes)
{
	const size_t size = strlen(name);
	if (size == 0 || size >= COLLECTIONS_NAME_SIZE)
		return;
	for (size_t i = 0; i < collections->count; i++) {
		struct collections_need *need = &collections->needs[i];
		if (strcmp(need->name, name) == 0) {
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

/* declared: ended by NULL, or NULL. */
static void add_declared(
	struct collections *collections, const struct cashew_collection *const *declared, bool writes)
{
	for (; declared && *declared; declared++)
		add(collections, (*declared)->name, writes);
}

void collections_of(const struct cashew_handler *const *handlers, struct collections *ret)
{
	*ret = (struct collections){.count = 0};
	static const char *const own[] = {"hosts", "dead_letters", "parked_commands"};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		add(ret, own[i], true);
	for (size_t i = 0; handlers[i]; i++) {
		if (handlers[i]->scheduled)
			add(ret, "schedules", true);
		add_declared(ret, handlers[i]->collections, true);
		add_declared(ret, handlers[i]->reads, false);
	}
}
