/*
 * secret_search.h - words that stand nowhere else, put where secrets and payloads are, and the search for them in files, folders and processes.
 *
 * Include it in one source file.
 */
#ifndef SECRET_SEARCH_H
#define SECRET_SEARCH_H

#include "harness.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOGGLY	 "k4n4ryloggly"
#define PASSWORD "k4n4rymongo"
#define PAYLOAD	 "k4n4rypayload"
#define PROXY	 "k4n4ryproxy"
#define BASIC	 "c3ZjOms0bjRyeXByb3h5" /* "svc:" PROXY in base64 */
#define BAD	 "k4n4rybad"		/* in settings that are refused */
#define FOREIGN	 "k4n4ryforeign, which the broker does not know"

enum { PIECE = 8, FILE_MAX = 16 * 1024 * 1024 };

static const struct secret {
	const char *title, *word;
} secrets[] = {
	{"JWT_SECRET", HARNESS_SECRET},
	{"the beginning of JWT_SECRET", "a secret of the"},
	/* {"alg" and {"typ", as every token begins. */
	{"a token", "eyJhbGci"},
	{"a token", "eyJ0eXAi"},
	{"LOGGLY_TOKEN", LOGGLY},
	{"the password in MONGO_DB_URL", PASSWORD},
	{"a secret in a bad setting", BAD},
	{"a JWT_SECRET that the broker does not know", "k4n4ryforeign"},
	{"a payload", PAYLOAD},
	{"the password of a proxy", PROXY},
	{"the login at a proxy", BASIC},
};
enum { SECRETS = sizeof(secrets) / sizeof(secrets[0]) };

/* ---- Searching ---- */

static size_t files_searched;

/* The word; of those that stand nowhere else, any PIECE characters of it. */
static const char *find_piece(const char *bytes, size_t size, const char *word)
{
	const bool is_nowhere_else = strncmp(word, "k4n4ry", 6) == 0 || strcmp(word, BASIC) == 0;
	const size_t word_size = strlen(word), piece = is_nowhere_else ? PIECE : word_size;
	const char *found = NULL;
	for (size_t i = 0; !found && i + piece <= word_size; i++)
		found = memmem(bytes, size, word + i, piece);
	return found;
}

static void search_bytes(const char *place, const char *bytes, size_t size)
{
	/* What was asked for by `dead-letters show` is no leak. */
	const bool shows_payload = strstr(place, "dead-letters show");
	for (size_t i = 0; i < SECRETS; i++) {
		if (shows_payload && strcmp(secrets[i].word, PAYLOAD) == 0)
			continue;
		const char *found = find_piece(bytes, size, secrets[i].word);
		if (!found)
			continue;
		const size_t before = (size_t)(found - bytes) < 200 ? (size_t)(found - bytes) : 200;
		harness_fail(
			"%s is in %s: ...%.*s...", secrets[i].title, place, (int)before + 40, found - before);
	}
}

/* Whether it could be read. */
static bool search_file(const char *path)
{
	static char bytes[FILE_MAX];
	const int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	size_t size = 0;
	for (ssize_t got; size < sizeof(bytes) && (got = read(file, bytes + size, sizeof(bytes) - size)) > 0;)
		size += (size_t)got;
	close(file);
	assert_in_range(size, 0, sizeof(bytes) - 1);
	search_bytes(path, bytes, size);
	files_searched++;
	return true;
}

/* Where the test itself has put secrets: what cashewd reads. */
static bool is_source(const char *name)
{
	return strcmp(name, ".env") == 0 || strcmp(name, "handler.token") == 0;
}

/* deep: what is below it as well. */
static void search_folder(struct harness *h, const char *path, bool deep)
{
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (const struct dirent *entry; (entry = readdir(folder));) {
		struct stat status;
		const char *name = harness_format(h, "%s/%s", path, entry->d_name);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			is_source(entry->d_name) || lstat(name, &status) != 0)
			continue;
		search_bytes("the name of a file", entry->d_name, strlen(entry->d_name));
		/* No crash leaves a core dump. */
		assert_int_not_equal(strncmp(entry->d_name, "core", 4), 0);
		if (S_ISDIR(status.st_mode) && deep)
			search_folder(h, name, true);
		else if (S_ISREG(status.st_mode))
			assert_true(search_file(name));
	}
	closedir(folder);
}

/* Its arguments, its environment, and that it leaves no core dump. */
static void search_process(struct harness *h, pid_t pid)
{
	static const char *const names[] = {"cmdline", "environ", "status"};
	assert_int_not_equal(pid, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *path = harness_format(h, "/proc/%d/%s", (int)pid, names[i]);
		/* Who may not look is told so; there is nothing else to see for anybody. */
		if (!search_file(path) && errno != EACCES && errno != EPERM)
			harness_fail("%s: %s", path, strerror(errno));
	}
	const char *limits = harness_read_file(h, harness_format(h, "/proc/%d/limits", (int)pid));
	assert_non_null(strstr(limits, "Max core file size        0                    0 "));
}

static void search_processes(struct harness *h, struct host *host)
{
	search_process(h, host_pid(host));
	search_process(h, host_child_pid(host));
}

#endif
