/* effects.c - see effects.h. */
#include "effects.h"

#include "order.h"
#include <string.h>

enum { EFFECTS_MAX = 2000, LINE_SIZE = 256 };

struct effects_wait {
	struct harness *harness;
	const struct host *host;
	const char *user;
	size_t count;
};

static size_t count_words(const char *text)
{
	size_t count = *text != '\0';
	while ((text = strchr(text, ' '))) {
		count++;
		text++;
	}
	return count;
}

const char *effects_of(struct harness *h, const struct host *host, const char *user)
{
	static char text[EFFECTS_MAX * 8];
	char line[LINE_SIZE], *end = text;
	const size_t size = strlen(user);
	FILE *effects = fopen(harness_format(h, "%s/effects", host_folder(host)), "re");
	*text = '\0';
	while (effects && fgets(line, sizeof(line), effects)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, user, size) == 0 && line[size] == ' ' &&
			end + LINE_SIZE < text + sizeof(text))
			end = stpcpy(stpcpy(end, end == text ? "" : " "), line + size + 1);
	}
	if (effects)
		fclose(effects);
	return harness_format(h, "%s", text);
}

static bool enough_effects(void *context)
{
	const struct effects_wait *wait = context;
	return count_words(effects_of(wait->harness, wait->host, wait->user)) >= wait->count;
}

void effects_wait_at(const char *file, int line, struct harness *h, const struct host *host, const char *user,
	size_t count)
{
	struct effects_wait wait = {.harness = h, .host = host, .user = user, .count = count};
	if (harness_wait_for(h, enough_effects, &wait, HARNESS_TIMEOUT_MS))
		return;
	harness_fail_at(file, line, "waited for %zu effects of user %s in vain; there are \"%s\"", count,
		user, effects_of(h, host, user));
}

void effects_expect_at(const char *file, int line, struct harness *h, const struct host *host,
	const char *user, const char *expected)
{
	struct effects_wait wait = {.harness = h, .host = host, .user = user, .count = count_words(expected)};
	(void)harness_wait_for(h, enough_effects, &wait, HARNESS_TIMEOUT_MS);
	const char *effects = effects_of(h, host, user);
	if (strcmp(effects, expected) != 0)
		harness_fail_at(file, line, "the effects of user %s are \"%s\", and were to be \"%s\"", user,
			effects, expected);
}

/* Its place in the text, from 1; 0: it is not there. */
static unsigned place_of(const char *text, const char *word, size_t size)
{
	unsigned place = 1;
	for (; strcspn(text, " ") != size || strncmp(text, word, size) != 0; place++) {
		text += strcspn(text, " ");
		if (*text++ == '\0')
			return 0;
	}
	return place;
}

void effects_check_at(const char *file, int line, struct harness *h, const struct host *host,
	const char *user, const char *sent, bool without_kill)
{
	unsigned numbers[EFFECTS_MAX];
	char reason[ORDER_REASON_SIZE];
	size_t count = 0;
	const char *effects = effects_of(h, host, user);
	for (const char *word = effects; *word != '\0' && count < EFFECTS_MAX; word += *word == ' ') {
		const size_t size = strcspn(word, " ");
		numbers[count++] = place_of(sent, word, size);
		word += size;
	}
	if (!order_holds(numbers, count, (unsigned)count_words(sent), without_kill ? ORDER_STEPS : 0, reason))
		harness_fail_at(file, line, "the effects of user %s, who has sent \"%s\", are \"%s\": %s",
			user, sent, effects, reason);
}
