/*
 * fuzz_deny.c - the deny list of the broker's plugin (examples/broker/deny.c). Whoever stands in a list that was taken is denied; a list that holds
 * anything else is not taken, and the line is named.
 */
#include "deny.h"
#include "fuzz_folder.h"

enum { WORDS_MAX = 5 };

static unsigned told;

static void tell(enum keys_level level, const char *text)
{
	told++;
	FUZZ_NEED(level == KEYS_NOTICE || level == KEYS_ERROR);
	fuzz_need_reason(text, 512);
}

/* The words of a line, without its comment and its end, which may be that of Windows. Cuts it up. */
static size_t split(char *line, char *words[static WORDS_MAX])
{
	size_t count = 0;
	char *rest = NULL;
	for (char *word = strtok_r(line, " \t", &rest); word && word[0] != '#' && count < WORDS_MAX;
		word = strtok_r(NULL, " \t", &rest))
		words[count++] = word;
	for (; count > 0; count--) {
		char *last = words[count - 1];
		size_t size = strlen(last);
		while (size > 0 && last[size - 1] == '\r')
			last[--size] = '\0';
		if (size > 0)
			break;
	}
	return count;
}

static struct token_identity identity_of(const char *kind, const char *name)
{
	struct token_identity identity = {.issued = INT64_MIN};
	identity.is_handler = strcmp(kind, "handler") == 0;
	char *text = identity.is_handler	 ? identity.name
		     : strcmp(kind, "user") == 0 ? identity.user_id
						 : identity.id;
	const size_t room = text == identity.id ? sizeof(identity.id) : sizeof(identity.user_id);
	FUZZ_NEED(strlen(name) < room);
	memcpy(text, name, strlen(name) + 1);
	return identity;
}

/* That a line does what it says. */
static void check_line(const struct deny *deny, char *line)
{
	char *words[WORDS_MAX];
	const size_t count = split(line, words);
	if (count == 0)
		return;
	FUZZ_NEED(count == 2 || count == 4);
	struct token_identity identity = identity_of(words[0], words[1]);
	if (count == 4) {
		FUZZ_NEED(strcmp(words[2], "before") == 0);
		const int64_t before = strtoll(words[3], NULL, 10);
		identity.issued = before - 1;
	}
	FUZZ_NEED(deny_holds(deny, &identity));
	FUZZ_NEED(!deny_holds(NULL, &identity));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct token_identity nobody = {.user_id = "nobody.at.all", .issued = INT64_MAX};
	struct deny *deny = NULL;
	told = 0;
	const int error = deny_read(fuzz_folder_file("input", bytes, size), &deny, tell);
	FUZZ_NEED(told == 1 && (error == 0 || error == DENY_E_UNUSABLE) && (error == 0) == (deny != NULL));
	if (error != 0)
		return 0;
	if (size == 0 || !memmem(bytes, size, nobody.user_id, strlen(nobody.user_id)))
		FUZZ_NEED(!deny_holds(deny, &nobody));
	while (size > 0) {
		char *line = fuzz_line(&bytes, &size);
		check_line(deny, line);
		free(line);
	}
	deny_free(deny);
	return 0;
}
