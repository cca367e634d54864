/*
 * select.c - see select.h. Each check tells every problem that it finds; overlaps are looked for only among filters that are good.
 */
#include "select.h"

#include "check.h"
#include "exit_codes.h"
#include "routes.h"
#include "settings.h"
#include "topic.h"
#include <stdlib.h>
#include <string.h>

/* Within a lane each command must come once: equal filters share a subscription, overlapping ones would bring it twice. */
static unsigned check_overlaps(const struct cashew_handler *const *selected, FILE *problems)
{
	unsigned found = 0;
	for (size_t i = 0; selected[i]; i++) {
		unsigned same = 0;
		for (size_t j = 0; selected[j]; j++) {
			const struct cashew_handler *a = selected[i], *b = selected[j];
			if (a->scheduled || b->scheduled ||
				strcmp(routes_lane_name(a), routes_lane_name(b)) != 0)
				continue;
			if (strcmp(a->topic, b->topic) == 0) {
				same++;
			} else if (j > i && topic_filters_overlap(a->topic, b->topic)) {
				fprintf(problems,
					"handlers %s and %s: their filters \"%s\" and \"%s\" overlap in lane %s, so a command would "
					"arrive twice: use the same filter, or a .lane of its own for one of them\n",
					a->name, b->name, a->topic, b->topic, routes_lane_name(a));
				found++;
			}
		}
		if (same > ROUTE_HANDLERS_MAX) {
			fprintf(problems, "topic \"%s\" has %u handlers: %d at most\n", selected[i]->topic,
				same, ROUTE_HANDLERS_MAX);
			found++;
		}
	}
	return found;
}

int select_handlers(const struct settings *settings, const struct cashew_handler *const *handlers,
	FILE *problems, const struct cashew_handler ***ret_selected)
{
	size_t count = 0, chosen = 0;
	unsigned found = 0;
	while (handlers[count])
		count++;
	const struct cashew_handler **selected = calloc(count + 1, sizeof(*selected));
	if (!selected) {
		fputs("out of memory\n", problems);
		return EXIT_SOFTWARE;
	}
	for (size_t i = 0; i < count; i++)
		if (settings->handlers[0] == '\0' ||
			settings_list_holds(settings->handlers, handlers[i]->name))
			selected[chosen++] = handlers[i];
	if (chosen == 0) {
		fprintf(problems, "HANDLERS=%s selects no handler: --list-handlers shows their names\n",
			settings->handlers);
		found++;
	}
	for (size_t i = 0; i < chosen; i++)
		found += check_handler(selected[i], problems);
	if (found == 0)
		found = check_overlaps(selected, problems);
	if (found != 0) {
		free(selected);
		return EXIT_CONFIG;
	}
	*ret_selected = selected;
	return 0;
}
