/*
 * replay.c - feeds files to a fuzz target, as libFuzzer would, in a program that any compiler makes: fuzz_NAME FILE_OR_FOLDER...
 *
 * Happy path: every file is given to the target once, in a copy of its size; exit 0 and how many there were. Failure modes: the target ends the
 * program; a file that cannot be read, or no file at all: 1.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static size_t replayed;

static int replay_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rbe");
	uint8_t *bytes = malloc(size > 0 ? size : 1);
	const bool read = file && bytes && fread(bytes, 1, size, file) == size;
	if (file)
		(void)fclose(file);
	if (read) {
		/* Said before, so that whoever sees it end knows where. */
		fprintf(stderr, "%s\n", path);
		(void)LLVMFuzzerTestOneInput(bytes, size);
		replayed++;
	} else {
		fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
	}
	free(bytes);
	return read ? 0 : 1;
}

/* Files, and folders of files. */
static int replay(const char *path)
{
	struct stat status;
	if (stat(path, &status) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	if (!S_ISDIR(status.st_mode))
		return replay_file(path, (size_t)status.st_size);
	struct dirent **entries = NULL;
	const int count = scandir(path, &entries, NULL, alphasort);
	int error = count < 0;
	for (int i = 0; i < count; i++) {
		char *inner = NULL;
		if (entries[i]->d_name[0] != '.' && asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0)
			error |= replay(inner);
		free(inner);
		free(entries[i]);
	}
	free(entries);
	return error;
}

int main(int count, char **arguments)
{
	int error = 0;
	for (int i = 1; i < count; i++)
		error |= replay(arguments[i]);
	printf("%zu inputs\n", replayed);
	return error != 0 || replayed == 0 ? 1 : 0;
}
