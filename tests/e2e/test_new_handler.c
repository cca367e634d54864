/*
 * test_new_handler.c - what the project promises to who writes handlers: drop a file into handlers/, build,
 * and the command is answered; nothing else is edited. And what it says to a file that cannot be a handler.
 *
 * The cases share a copy of the source tree, configured and built once, and take out again what they drop
 * into it.
 */
#include "harness_private.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A compiler on a busy machine, with a whole tree before it. */
enum { BUILD_MS = 400000 };

/* The file that the running case, or one that failed, has dropped into the copy; NULL: none. */
static char *dropped;

/* Runs of white space become one space: CMake wraps its messages. */
static void unwrap(char *text)
{
	char *end = text;
	for (const char *c = text; *c != '\0'; c++) {
		const bool space = strchr(" \n\t", *c);
		if (!space || (end > text && end[-1] != ' '))
			*end++ = space ? ' ' : *c;
	}
	*end = '\0';
}

/* Runs a program to its end; its exit code, and what it wrote. */
static int execute(struct harness *h, const char *folder, const char **ret_output, const char *const *argv)
{
	const char *output =
		harness_path(h, "%s.log", strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0]);
	struct process process;
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = folder,
		.output = output,
		.death_signal = SIGKILL};
	(void)unlink(output);
	if (process_start(&process, &options) != 0 || !process_reap(&process, BUILD_MS))
		harness_fail("%s did not run to its end", argv[0]);
	char *text = harness_read_file(h, output);
	unwrap(text);
	*ret_output = text;
	return process_exit_code(&process);
}

static void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		harness_fail("\"%s\" was expected in:\n%.1500s", part, text);
}

static int build(struct harness *h, const char *tree, const char **ret_output)
{
	return execute(h, tree, ret_output, (const char *[]){"ninja", "-C", "build", "cashewd", NULL});
}

static void assert_built(struct harness *h, const char *tree)
{
	const char *output;
	if (build(h, tree, &output) != 0)
		harness_fail("the tree does not build:\n%s", output);
}

static void drop_out(void)
{
	if (dropped)
		assert_int_equal(unlink(dropped), 0);
	free(dropped);
	dropped = NULL;
}

static void drop_in(struct harness *h, const char *tree, const char *file, const char *text)
{
	drop_out();
	dropped = strdup(harness_format(h, "%s/handlers/%s", tree, file));
	assert_non_null(dropped);
	harness_write_file(h, dropped, text);
}

static void make_copy(struct harness *h, const char *tree)
{
	/* What the program is built from. */
	static const char *const parts[] = {
		"CMakeLists.txt", "cmake", "logging", "store", "runtime", "handlers", "examples"};
	const char *output;
	assert_int_equal(mkdir(tree, 0700), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *source = harness_format(h, "%s/%s", SOURCE_DIR, parts[i]);
		assert_int_equal(
			execute(h, tree, &output, (const char *[]){"cp", "-r", source, tree, NULL}), 0);
	}
	const char *const configure[] = {"cmake", "-G", "Ninja", "-B", "build", "-DCASHEW_TESTS=OFF",
		"-DCASHEW_DEVELOPMENT=OFF", "-DCMAKE_BUILD_TYPE=Debug", NULL};
	if (execute(h, tree, &output, configure) != 0)
		harness_fail("the copied tree cannot be configured:\n%s", output);
	assert_built(h, tree);
}

/* The copy, made at the first call. */
static const char *tree_copy(struct harness *h)
{
	static bool made;
	const char *tree = harness_format(h, "%s/tree", harness_group_folder);
	if (!made)
		make_copy(h, tree);
	made = true;
	drop_out();
	return tree;
}

static const char *list_handlers(struct harness *h, const char *tree)
{
	const char *output;
	const char *program = harness_format(h, "%s/build/cashewd", tree);
	assert_int_equal(execute(h, tree, &output, (const char *[]){program, "--list-handlers", NULL}), 0);
	return output;
}

HARNESS_CASE(file_dropped_in_is_a_handler)
{
	const char *tree = tree_copy(h);
	assert_null(strstr(list_handlers(h, tree), "get_pears"));
	drop_in(h, tree, "get_pears.c",
		"/* get_pears - answers \"<user>/get_pears\" with as many pears as asked for. */\n"
		"#include <cashew.h>\n"
		"\n"
		"CASHEW_STRUCT(wish, (integer, count, .min = 1, .max = 9));\n"
		"CASHEW_STRUCT(got_pears, (integer, pears));\n"
		"\n"
		"static cashew_result get_pears(cashew_command *cmd)\n"
		"{\n"
		"	return cashew_reply(cmd, got_pears, .pears = cashew_input(cmd, wish)->count);\n"
		"}\n"
		"\n"
		"CASHEW_HANDLER(get_pears, .payload = CASHEW_PAYLOAD(wish), .events = CASHEW_EVENTS(got_pears));\n");
	assert_built(h, tree);
	assert_holds(list_handlers(h, tree), "get_pears");

	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_program(host, harness_format(h, "%s/build/cashewd", tree));
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "get_pears", "{\"count\":3}");
	device_expect_json(phone, "got_pears", "{\"pears\":3}");
	device_command(phone, "get_pears", "{\"count\":\"3\"}");
	device_expect(phone, "command_rejected");
	device_command(phone, "get_apples", "{}");
	device_expect(phone, "got_apples");
	host_stop(host);

	drop_out();
	assert_built(h, tree);
	assert_null(strstr(list_handlers(h, tree), "get_pears"));
}

HARNESS_CASE(file_whose_name_is_no_handlers_stops_the_build)
{
	static const char *const names[] = {"get-pears.c", "GetPears.c", "2pears.c", "_pears.c"};
	const char *tree = tree_copy(h), *output;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		drop_in(h, tree, names[i], "#include <cashew.h>\n");
		assert_int_not_equal(build(h, tree, &output), 0);
		assert_holds(output, "CMake Error");
		assert_holds(output, harness_format(h,
					     "handlers/%s: a handler's file name is its name: expected a-z, "
					     "then a-z 0-9 _",
					     names[i]));
		drop_out();
	}
	assert_built(h, tree);
}

HARNESS_CASE(file_without_a_descriptor_is_named)
{
	const char *tree = tree_copy(h), *output;
	drop_in(h, tree, "get_pears.c", "/* nothing yet */\n");
	assert_int_not_equal(build(h, tree, &output), 0);
	assert_holds(output, "cashew_handler_get_pears");
	drop_out();
	assert_built(h, tree);
}

HARNESS_CASE(descriptor_that_cannot_be_used_stops_the_build)
{
	const char *tree = tree_copy(h), *output;
	drop_in(h, tree, "get_pears.c",
		"/* get_pears - says its pears itself. */\n"
		"#include <cashew.h>\n"
		"\n"
		"CASHEW_COLLECTION(pear, \"pears\", (user, user_id), (integer, count));\n"
		"\n"
		"static cashew_result get_pears(cashew_command *cmd)\n"
		"{\n"
		"	return cashew_done(cmd);\n"
		"}\n"
		"\n"
		"CASHEW_HANDLER(get_pears, .collections = CASHEW_COLLECTIONS(pear));\n");
	assert_int_not_equal(build(h, tree, &output), 0);
	assert_holds(output, "handlers/get_pears.c:4: struct pear: no member is a key");
	drop_out();
	assert_built(h, tree);
}

HARNESS_CASE(filter_that_overlaps_another_does_not_start)
{
	const char *tree = tree_copy(h);
	drop_in(h, tree, "everything.c",
		"#include <cashew.h>\n"
		"static cashew_result everything(cashew_command *cmd)\n"
		"{\n"
		"	return cashew_event_text(cmd, NULL, \"something_came\", \"{}\");\n"
		"}\n"
		"CASHEW_HANDLER(everything, .topic = \"+/#\");\n");
	assert_built(h, tree);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_program(host, harness_format(h, "%s/build/cashewd", tree));
	host_start(host);
	assert_int_equal(host_wait_exit(host), 78);
	host_expect_text(host, "handlers accept_contact and everything: their filters \"+/accept_contact\" "
			       "and \"+/#\" overlap in lane main");
	drop_out();
}

HARNESS_MAIN(HARNESS_TEST(file_dropped_in_is_a_handler),
	HARNESS_TEST(file_whose_name_is_no_handlers_stops_the_build),
	HARNESS_TEST(file_without_a_descriptor_is_named),
	HARNESS_TEST(descriptor_that_cannot_be_used_stops_the_build),
	HARNESS_TEST(filter_that_overlaps_another_does_not_start))
