/*
 * test_dead_letters.c - `cashewd dead-letters` against a real database: what it shows and changes, and what it says of wrong words. What becomes of
 * letters that are replayed: test_dead_letters_replayed.c.
 */
#include "dead_letters_parts.h"
#include "harness.h"
#include "letter.h"
#include "process.h"
#include <errno.h>
#include <pty.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID_0 "650000000000000000000000" /* of none */

/* ---- Running the program ---- */

/* On a terminal of 110 columns, where somebody types those keys. Both outputs are one there. */
static struct answer run_on_terminal(
	struct harness *h, const char *setting, const char *keys, const char *const *arguments)
{
	const struct winsize size = {.ws_row = 24, .ws_col = 110};
	const char *argv[ARGUMENTS_MAX + 4] = {CASHEWD_PATH, "dead-letters"};
	const char *environment[ENVIRONMENT_MAX + 3] = {"TERM=xterm", setting};
	for (size_t i = 0; process_environment()[i] && i < ENVIRONMENT_MAX; i++)
		environment[i + 2] = process_environment()[i];
	char text[16384];
	size_t used = 0;
	int terminal, status;
	for (size_t i = 0; arguments[i]; i++)
		argv[i + 2] = arguments[i];
	const pid_t pid = forkpty(&terminal, NULL, NULL, &size);
	if (pid == 0) {
		if (chdir(harness_folder(h)) == 0)
			execve(argv[0], (char *const *)(uintptr_t)argv,
				(char *const *)(uintptr_t)environment);
		_exit(127);
	}
	if (pid < 0 || write(terminal, keys, strlen(keys)) != (ssize_t)strlen(keys))
		harness_fail("no terminal: %s", strerror(errno));
	/* It ends with EIO when the program has. */
	for (ssize_t got;
		used < sizeof(text) - 1 && (got = read(terminal, text + used, sizeof(text) - 1 - used)) > 0;)
		used += (size_t)got;
	text[used] = '\0';
	close(terminal);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		harness_fail("the program did not exit: %s", text);
	return (struct answer){.code = WEXITSTATUS(status),
		.out = harness_format(h, "%s", text),
		.error = harness_format(h, "%s", "")};
}

/* ---- List, show ---- */

HARNESS_CASE(list)
{
	static const struct {
		const char *title;
		const char *arguments[7];
		const char *ids; /* the last digits of those that are shown, in that order */
	} cases[] = {
		{"all", {"list"}, "54321"},
		{"all, in so many words", {"list", "--all"}, "54321"},
		{"of a handler", {"list", "--handler", "request_contact"}, "31"},
		{"of no handler", {"list", "--handler", ""}, "54"},
		{"of a user", {"list", "--user=2"}, "32"},
		{"of both", {"list", "--user", "1", "--handler", "request_contact"}, "1"},
		{"of the last hours", {"list", "--since", "12h"}, "543"},
		{"of the last days", {"list", "--since", "2d"}, "5432"},
		{"since a date", {"list", "--since", "2020-02-29"}, "54321"},
		{"since a time", {"list", "--since", "2020-02-29T23:59:59Z"}, "54321"},
		{"since a time to come", {"list", "--since", "2999-01-01T00:00:00.5Z"}, NULL},
		{"since a time to come, well said", {"list", "--since", "2999-01-01T00:00:00.500Z"}, ""},
		{"the newest two", {"list", "--limit", "2"}, "54"},
		{"without a limit", {"list", "--limit", "0"}, "54321"},
	};
	add_letters(h);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct answer answer = run_in(h, CASHEWD_PATH, cases[i].arguments);
		if (!cases[i].ids) {
			expect(answer, WRONG, "", "--since");
			continue;
		}
		const char *at = answer.out;
		if (answer.code != 0)
			harness_fail("%s: %s", cases[i].title, answer.error);
		for (const char *id = cases[i].ids; *id != '\0'; id++) {
			at = strchr(at, '\n');
			if (!at || strncmp(at + 1, ID_0, 23) != 0 || at[24] != *id)
				harness_fail("%s: %s", cases[i].title, answer.out);
			at++;
		}
		if (strchr(at, '\n') && strchr(at, '\n')[1] != '\0')
			harness_fail("%s: more than was asked for: %s", cases[i].title, answer.out);
	}
	/* its columns stand below each other, and what a handler said cannot steer a terminal */
	const struct answer answer = run(h, "list", "--user", "1");
	const char *line = strchr(answer.out, '\n') + 1;
	assert_int_equal(strstr(answer.out, "REASON") - answer.out, strstr(line, "it said") - line);
	assert_non_null(strstr(line, "it said \\x1b[31mso"));
	expect(run(h, "list", "--user", "nobody"), 0, "", "0 dead letters");
	expect(run(h, "list", "--limit", "2"), 0, "ID", "The newest 2 of 5 are shown");
}

/* Each program has its own idea of the database's clock, so a letter may be dated after what another one takes for now. */
HARNESS_CASE(a_letter_that_is_younger_than_now)
{
	write_env(h, database_url(harness_database(h)));
	add_letter(h, ID_1, "1/no_such_command", "1", "", -1, "e30=", "");
	const struct answer listed = run_in(h, CASHEWD_PATH, (const char *const[]){"list", "--json", NULL});
	assert_int_equal(listed.code, 0);
	assert_non_null(strstr(listed.out, ID_1));
	/* It is replayed with the others; dropped is only what was there before the question. */
	const struct answer replayed =
		run_in(h, CASHEWD_PATH, (const char *const[]){"replay", "--all", NULL});
	assert_non_null(strstr(replayed.error, "no handler wants its topic"));
	assert_int_equal(count(h, "dead_letters"), 1);
}

HARNESS_CASE(json)
{
	add_letters(h);
	json_t *all = parsed(run(h, "list", "--json"));
	assert_int_equal(json_array_size(all), 5);
	assert_string_equal(text_of(json_array_get(all, 0), "id"), ID_5);
	const json_t *letter = json_array_get(all, 3);
	assert_string_equal(text_of(letter, "topic"), "2/get_apples");
	assert_string_equal(text_of(letter, "payload_base64"), "AAH/G1tt");
	assert_null(json_object_get(letter, "payload"));
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(all, 2), "payload_cut_from")), 5000);
	json_decref(all);

	json_t *none = parsed(run(h, "list", "--json", "--user", "nobody"));
	assert_int_equal(json_array_size(none), 0);
	json_decref(none);

	json_t *one = parsed(run(h, "show", ID_1, "--json"));
	assert_string_equal(text_of(one, "payload"), "{\"contact_id\":\"2\"}");
	assert_string_equal(text_of(one, "user_id"), "1");
	assert_string_equal(text_of(one, "handler"), "request_contact");
	assert_string_equal(text_of(one, "reason"), "it said \x1b[31mso");
	assert_string_equal(text_of(one, "host"), "cashewd");
	assert_string_equal(text_of(one, "response_topic"), "1/answers");
	assert_string_equal(text_of(one, "correlation_base64"), "AAE=");
	assert_string_equal(text_of(one, "expires"), "2999-01-01T00:00:00.000Z");
	assert_int_equal(json_integer_value(json_object_get(one, "attempts")), 3);
	assert_int_equal(json_integer_value(json_object_get(one, "crashes")), 1);
	json_decref(one);
}

HARNESS_CASE(show)
{
	add_letters(h);
	expect(run(h, "show", ID_1), 0, "18 bytes\n{\"contact_id\":\"2\"}\n", "");
	expect(run(h, "show", ID_1), 0, "it said \\x1b[31mso\n", "");
	expect(run(h, "show", ID_2), 0, "00000000  00 01 ff 1b 5b 6d", "");
	expect(run(h, "show", ID_2), 0, "|....[m|\n", "");
	expect(run(h, "show", ID_3), 0, "5000 bytes", "");
	expect(run(h, "show", ID_0), NO_INPUT, "", ID_0 ": there is none");
}

/* ---- Drop ---- */

HARNESS_CASE(drop)
{
	add_letters(h);
	/* there is no terminal to ask on */
	expect(run(h, "drop", "--all"), WRONG, "", "--yes");
	expect(run(h, "drop", "--user", "1"), WRONG, "", "--yes");
	assert_int_equal(letter_count(h, harness_database(h)), 5);
	expect(run(h, "drop", ID_1), 0, "1 dead letter dropped\n", "");
	expect(run(h, "drop", ID_1, ID_2, ID_0), NO_INPUT, "1 dead letter dropped\n", ID_0 ": there is none");
	assert_int_equal(letter_count(h, harness_database(h)), 3);
	expect(run(h, "drop", "--yes", "--since", "5h", "--handler", ""), 0, "2 dead letters dropped\n", "");
	assert_int_equal(letter_count(h, harness_database(h)), 1);
	expect(run(h, "drop", "--yes", "--all"), 0, "1 dead letter dropped\n", "");
	expect(run(h, "drop", "--yes", "--all"), 0, "0 dead letters dropped\n", "");
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

#define on_terminal(h, setting, keys, ...) \
	run_on_terminal(h, setting, keys, (const char *const[]){__VA_ARGS__, NULL})

HARNESS_CASE(on_a_terminal)
{
	add_letters(h);
	const struct answer colourful = on_terminal(h, "A=b", "", "list");
	expect(colourful, 0, "\033[1mID ", "");
	expect(colourful, 0, "\r\n5 dead letters\r\n", "");
	assert_null(strchr(on_terminal(h, "NO_COLOR=1", "", "list").out, '\033'));

	expect(on_terminal(h, "A=b", "n\n", "drop", "--all"), 0, "Drop 5 dead letters for good? [y/N] ", "");
	expect(on_terminal(h, "A=b", "\n", "drop", ID_1), 0, "Nothing is dropped.", "");
	assert_int_equal(letter_count(h, harness_database(h)), 5);
	expect(on_terminal(h, "A=b", "y\n", "drop", ID_1), 0, "1 dead letter dropped", "");
	expect(on_terminal(h, "A=b", "yes\n", "drop", "--user", "2"), 0, "2 dead letters dropped", "");
	const struct answer unasked = on_terminal(h, "A=b", "", "drop", "--yes", "--all");
	expect(unasked, 0, "2 dead letters dropped", "");
	assert_null(strstr(unasked.out, "for good?"));
}

/* ---- Replay ---- */

static json_t *parked(struct harness *h, const char *topic)
{
	json_t *found = database_find(
		h, harness_database(h), "parked_commands", harness_format(h, "{\"topic\":\"%s\"}", topic));
	if (json_array_size(found) != 1)
		harness_fail("%zu parked commands of %s", json_array_size(found), topic);
	return found;
}

HARNESS_CASE(replay)
{
	add_letters(h);
	expect(run(h, "replay", ID_0), NO_INPUT, "0 dead letters replayed\n", ID_0 ": there is none");
	expect(run(h, "replay", ID_4), DATA, "0 dead letters replayed\n", "no handler wants its topic");
	expect(run(h, "replay", ID_5), DATA, "0 dead letters replayed\n", "no valid user id");
	expect(run(h, "replay", ID_3), DATA, "0 dead letters replayed\n", "5000 bytes was not kept");
	assert_int_equal(count(h, "parked_commands"), 0);
	assert_int_equal(letter_count(h, harness_database(h)), 5);

	expect(run(h, "replay", "--all"), DATA, "2 dead letters replayed\n", ID_4);
	assert_int_equal(letter_count(h, harness_database(h)), 3);
	assert_int_equal(count(h, "parked_commands"), 2);
	json_t *found = parked(h, "1/request_contact");
	const json_t *command = json_array_get(found, 0);
	assert_string_equal(text_of(command, "lane"), "cashewd");
	assert_string_equal(text_of(command, "user_id"), "1");
	assert_string_equal(text_of(command, "response_topic"), "1/answers");
	assert_string_equal(
		text_of(json_object_get(json_object_get(command, "payload"), "$binary"), "base64"),
		CONTACT_2);
	assert_int_equal(json_integer_value(json_object_get(command, "attempts")), 0);
	json_decref(found);
	expect(run(h, "replay", ID_1), NO_INPUT, "0 dead letters replayed\n", "there is none");
}

HARNESS_CASE(replay_with_another_payload)
{
	add_letters(h);
	harness_write_file(h, "good", "{\"contact_id\":\"3\"}");
	harness_write_file(h, "large", harness_format(h, "%65s", "{}"));
	expect(run(h, "replay", "--payload", "good", ID_1, ID_2), WRONG, "", "one id");
	expect(run(h, "replay", "--payload", "good", "--all"), WRONG, "", "one id");
	expect(run(h, "replay", "--payload", "missing", ID_3), NO_INPUT, "0 dead",
		"missing: cannot be opened");
	expect(run(h, "replay", "--payload", "large", ID_3), DATA, "0 dead", "PAYLOAD_MAX=64");
	assert_int_equal(letter_count(h, harness_database(h)), 5);
	expect(run(h, "replay", "--payload", "good", ID_3), 0, "1 dead letter replayed\n", "");
	json_t *found = parked(h, "2/request_contact");
	assert_string_equal(
		text_of(json_object_get(json_object_get(json_array_get(found, 0), "payload"), "$binary"),
			"base64"),
		"eyJjb250YWN0X2lkIjoiMyJ9");
	json_decref(found);
}

/* ---- Wrong words ---- */

HARNESS_CASE(wrong_words)
{
	static const struct {
		const char *arguments[6];
		const char *told;
	} cases[] = {
		{{"lst"}, "'lst': expected list, show, replay or drop"},
		{{"list", "x"}, "unexpected argument 'x'"},
		{{"list", "--colour"}, "unknown option --colour"},
		{{"list", "--yes"}, "list has no option --yes"},
		{{"list", "--limit", "-1"}, "--limit -1"},
		{{"list", "--limit", "many"}, "--limit many"},
		{{"list", "--limit"}, "--limit needs a value"},
		{{"list", "--since", "yesterday"}, "--since yesterday: expected an age like"},
		{{"list", "--since", "2h "}, "--since 2h "},
		{{"list", "--since", "-2h"}, "--since -2h"},
		{{"list", "--since", "2026-02-30"}, "--since 2026-02-30"},
		{{"list", "--since", "2026-13-01"}, "--since 2026-13-01"},
		{{"list", "--since", "2026-01-01T25:00:00Z"}, "--since 2026"},
		{{"list", "--since", "2026-01-01T10:00:00"}, "--since 2026"},
		{{"list", "--since", "2026-1-1"}, "--since 2026"},
		{{"list", "--since", ""}, "--since : expected"},
		{{"show"}, "expected one id"},
		{{"show", ID_1, ID_2}, "expected one id"},
		{{"show", "1"}, "'1' is no id"},
		{{"show", "65000000000000000000000g"}, "is no id"},
		{{"replay"}, "expected ids, a filter or --all"},
		{{"drop"}, "expected ids, a filter or --all"},
		{{"drop", "--yes", ID_1, "--user", "1"}, "cannot be combined"},
	};
	write_env(h, database_url(harness_database(h)));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(run_in(h, CASHEWD_PATH, cases[i].arguments), WRONG, "", cases[i].told);
	expect(run_in(h, CASHEWD_PATH, (const char *const[]){NULL}), WRONG, "", "expected list");
	expect(run(h, "--help"), 0, "Usage: cashewd dead-letters", "");
	expect(run(h, "list", "--help"), 0, "Usage: cashewd dead-letters", "");
}

/* ---- Settings ---- */

HARNESS_CASE(settings)
{
	static const char password[] = "correct-horse";
	expect(run(h, "list"), CONFIG, "", "MONGO_DB_URL: it is not set");
	expect(run(h, "list", "--env-file", "other"), CONFIG, "", "other: cannot be opened");
	write_env(h, "http://127.0.0.1");
	expect(run(h, "list"), CONFIG, "", "mongodb://");
	/* nobody listens there */
	write_env(
		h, harness_format(h,
			   "mongodb://user:%s@127.0.0.1:1/?serverSelectionTimeoutMS=100&connectTimeoutMS=100",
			   password));
	const struct answer away = run(h, "list");
	expect(away, UNAVAILABLE, "", "the database cannot be used");
	assert_null(strstr(away.error, password));
	expect(run(h, "drop", "--yes", "--all"), UNAVAILABLE, "", "the database cannot be used");
	expect(run(h, "replay", "--all"), UNAVAILABLE, "0 dead letters replayed\n", "the database cannot");
	add_letters(h);
	rename(harness_path(h, ".env"), harness_path(h, "other"));
	expect(run(h, "list", "--env-file", "other"), 0, ID_1, "");
}

HARNESS_MAIN(HARNESS_TEST(list), HARNESS_TEST(a_letter_that_is_younger_than_now), HARNESS_TEST(json),
	HARNESS_TEST(show), HARNESS_TEST(drop), HARNESS_TEST(on_a_terminal), HARNESS_TEST(replay),
	HARNESS_TEST(replay_with_another_payload), HARNESS_TEST(wrong_words), HARNESS_TEST(settings))
