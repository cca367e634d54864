/*
 * settings_file.c - reads .env. The file is read into one block and cut up in place: names and values point
 * into it.
 *
 * Happy path: bytes in, line ends made LF, then line by line: blank, comment, or an assignment whose value
 * may go on over several lines if it is quoted. Failure: a line that is no assignment is told and skipped,
 * and reading goes on, so that all problems are told at once; out of memory leaves nothing behind.
 *
 * dotenv is one regular expression; what it does, in words: `export ` in front is dropped; a name is of A-Z
 * a-z 0-9 _ . -; then
 * `=` with blanks around it, or `: `. A value in ' " or ` ends at the last matching quote that only escaped
 * ones come before and only blanks or a comment follow; otherwise it ends at # or at the end of the line, is
 * trimmed, and loses a pair of quotes around it. Only in a value that began with " do \n and \r become line
 * ends; no other escape is undone.
 */
#include "settings_file.h"

#include "clock.h"
#include "file_trust.h"
#include "told_to_stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { LOOK_MS = 100 };

unsigned settings_file_wait_ms = 30000;

/* Where the parser is. text is followed by a NUL. */
struct parser {
	const char *path;
	FILE *problems, *warnings;
	char *at, *end;
	unsigned line;
	bool invalid;
	struct settings_entry *entries;
	size_t count, capacity;
};

/* The size of the blank at `at`: what \s means to dotenv, save the line end. 0 if there is none. */
static size_t blank_size(const char *at, const char *end)
{
	static const char *const wide[] = {"\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
		"\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029",
		"\u202f", "\u205f", "\u3000", "\ufeff"};
	if (at == end)
		return 0;
	if (*at == ' ' || *at == '\t' || *at == '\v' || *at == '\f')
		return 1;
	if ((unsigned char)*at < 0x80)
		return 0;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		const size_t size = strlen(wide[i]);
		if ((size_t)(end - at) >= size && memcmp(at, wide[i], size) == 0)
			return size;
	}
	return 0;
}

static char *skip_blanks(char *at, const char *end)
{
	for (size_t size; (size = blank_size(at, end)) > 0;)
		at += size;
	return at;
}

/* Where the blanks that end [begin, end) begin. */
static char *trim_end(char *begin, char *end)
{
	char *kept = begin;
	for (char *at = begin; at < end;) {
		const size_t size = blank_size(at, end);
		at += size > 0 ? size : 1;
		if (size == 0)
			kept = at;
	}
	return kept;
}

static char *line_end(char *at, char *end)
{
	char *found = memchr(at, '\n', (size_t)(end - at));
	return found ? found : end;
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '.' || c == '-';
}

/* The quote that closes the one at `open`, or NULL. Of several candidates the last one counts. */
static char *closing_quote(char *open, char *end)
{
	char *found = NULL;
	for (char *at = open + 1; (at = memchr(at, *open, (size_t)(end - at))); at++) {
		const char *next = skip_blanks(at + 1, end);
		if (next == end || *next == '\n' || *next == '#')
			found = at;
		if (at[-1] != '\\')
			break;
	}
	return found;
}

/* Makes \n and \r line ends, in place; returns the new end. */
static char *expand(char *begin, char *end)
{
	char *to = begin;
	for (const char *from = begin; from < end; from++) {
		if (*from == '\\' && from + 1 < end && (from[1] == 'n' || from[1] == 'r'))
			*to++ = *++from == 'n' ? '\n' : '\r';
		else
			*to++ = *from;
	}
	return to;
}

static int add_entry(struct parser *p, const char *name, const char *value)
{
	if (p->count == p->capacity) {
		const size_t capacity = p->capacity > 0 ? p->capacity * 2 : 64;
		struct settings_entry *grown = reallocarray(p->entries, capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		p->entries = grown;
		p->capacity = capacity;
	}
	p->entries[p->count++] = (struct settings_entry){.name = name, .value = value, .line = p->line};
	return 0;
}

/* An unquoted value: [begin, *ret_end), trimmed; a pair of quotes around it, which then has others within, is
 * dropped. */
static char *unquoted_value(struct parser *p, char *begin, char *line, char **ret_end)
{
	char *stop = memchr(begin, '#', (size_t)(line - begin));
	char *end = trim_end(begin, stop ? stop : line);
	if (stop && stop == end && end > begin)
		fprintf(p->warnings,
			"%s:%u: the value ends before the #, which begins a comment: put quotes around a value that holds one\n",
			p->path, p->line);
	if (begin < end && strchr("'\"`", *begin)) {
		if (end - begin >= 2 && end[-1] == *begin) {
			begin++;
			end--;
		} else {
			fprintf(p->warnings,
				"%s:%u: the value begins with a quote and does not end with it: taken as it stands, with the quote\n",
				p->path, p->line);
		}
	}
	*ret_end = end;
	return begin;
}

/* Where the parts of an assignment are. */
struct assignment {
	char *name, *name_end;
	char *value, *value_end;
	char *next; /* the line after it */
	bool expands;
};

/* Finds the assignment that begins at p->at; false if there is none. */
static bool parse_assignment(struct parser *p, struct assignment *ret)
{
	struct assignment found = {.name = p->at};
	if (p->end - found.name > 6 && memcmp(found.name, "export", 6) == 0) {
		char *after = skip_blanks(found.name + 6, p->end);
		if (after > found.name + 6 && after < p->end && is_name(*after))
			found.name = after;
	}
	found.name_end = found.name;
	while (found.name_end < p->end && is_name(*found.name_end))
		found.name_end++;
	char *sign = skip_blanks(found.name_end, p->end);
	if (found.name_end == found.name || sign == p->end)
		return false;
	if (*sign != '=' && (*sign != ':' || sign != found.name_end || blank_size(sign + 1, p->end) == 0))
		return false;

	found.value = skip_blanks(sign + 1, p->end);
	const bool quoted = found.value != p->end && strchr("'\"`", *found.value);
	found.expands = quoted && *found.value == '"';
	char *close = quoted ? closing_quote(found.value, p->end) : NULL;
	char *line = line_end(close ? close : found.value, p->end);
	if (close) {
		found.value++;
		found.value_end = close;
	} else {
		found.value = unquoted_value(p, found.value, line, &found.value_end);
	}
	found.next = line < p->end ? line + 1 : line;
	*ret = found;
	return true;
}

static int parse_line(struct parser *p)
{
	p->at = skip_blanks(p->at, p->end);
	char *line = line_end(p->at, p->end);
	struct assignment found = {.next = line < p->end ? line + 1 : line};
	if (p->at < line && *p->at != '#') {
		if (!parse_assignment(p, &found)) {
			/* Not quoted: it may be the second line of a secret. */
			fprintf(p->problems, "%s:%u: this line is neither NAME=value nor a comment\n",
				p->path, p->line);
			p->invalid = true;
		}
	}
	unsigned lines = 0;
	for (const char *at = p->at; at < found.next; at++)
		lines += *at == '\n';
	if (found.name) {
		if (found.expands)
			found.value_end = expand(found.value, found.value_end);
		*found.name_end = '\0';
		*found.value_end = '\0';
		const int error = add_entry(p, found.name, found.value);
		if (error != 0)
			return error;
	}
	p->line += lines;
	p->at = found.next;
	return 0;
}

/* Makes \r\n and \r into \n; returns the new size. */
static size_t unify_line_ends(char *text, size_t size)
{
	size_t to = 0;
	for (size_t from = 0; from < size; from++) {
		const bool is_return = text[from] == '\r';
		if (is_return && from + 1 < size && text[from + 1] == '\n')
			from++;
		text[to++] = is_return ? '\n' : text[from];
	}
	return to;
}

/* Whether the text can be parsed at all. */
static bool check_bytes(const struct parser *p, const char *text, size_t size)
{
	const char *nul = memchr(text, '\0', size);
	if (!nul)
		return true;
	unsigned line = 1;
	for (const char *at = text; at < nul; at++)
		line += *at == '\n';
	fprintf(p->problems, "%s:%u: a NUL byte: expected a text file in UTF-8\n", p->path, line);
	return false;
}

/* Until there may be something to read. 0, -ETIMEDOUT, -ECANCELED where the program is told to stop. */
static int wait_for_input(int fd, int64_t until_ms)
{
	struct pollfd input = {.fd = fd, .events = POLLIN};
	while (poll(&input, 1, LOOK_MS) <= 0) {
		if (told_to_stop())
			return -ECANCELED;
		if (clock_ms() >= until_ms)
			return -ETIMEDOUT;
	}
	return 0;
}

/*
 * Reads until the end of the file into text, SETTINGS_FILE_SIZE_MAX + 1 bytes at most. A FIFO is at its end when it has none that writes, but before
 * the first byte there may not be one yet; it does not always say "hung up" for one that has gone before it was opened here.
 */
static int read_all(int fd, bool waits, char *text, size_t *ret_size)
{
	const int64_t until_ms = clock_ms() + settings_file_wait_ms;
	size_t size = 0;
	bool ready = false;
	while (size <= SETTINGS_FILE_SIZE_MAX) {
		const ssize_t got = read(fd, text + size, SETTINGS_FILE_SIZE_MAX + 1 - size);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (got == 0 && (!waits || ready || size > 0))
			break;
		if (got > 0) {
			size += (size_t)got;
			continue;
		}
		const int error = wait_for_input(fd, until_ms);
		if (error != 0)
			return error;
		ready = true;
	}
	*ret_size = size;
	return 0;
}

static void tell_unreadable(const struct parser *p, int error)
{
	if (error == -ETIMEDOUT)
		fprintf(p->problems,
			"%s: it is no regular file, and what is to write it has not come to its end within %u s\n",
			p->path, settings_file_wait_ms / 1000);
	else if (error == -ECANCELED)
		fprintf(p->problems, "%s: not waited for any longer: told to stop\n", p->path);
	else
		fprintf(p->problems, "%s: cannot be read: %s\n", p->path, strerror(-error));
}

/* Whoever can change the settings chooses which broker gets the token. */
static void tell_writers(const struct parser *p, const struct stat *status)
{
	char doubt[FILE_TRUST_SIZE];
	if (file_trust_doubt(status, doubt))
		fprintf(p->warnings, "%s: %s\n", p->path, doubt);
	if (file_trust_doubt_folder(p->path, doubt))
		fprintf(p->warnings, "%s: the folder that it is in: %s\n", p->path, doubt);
}

/* Reads the file's bytes into p and *ret_size. An error that a person can mend is told and becomes
 * SETTINGS_FILE_E_INVALID. */
static int load(struct parser *p, int fd, char *text, size_t *ret_size)
{
	struct stat status;
	const bool known = fstat(fd, &status) == 0;
	if (known && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0)
		fprintf(p->warnings,
			"%s: others can read it (mode %04o), and it may hold secrets: chmod 600 %s\n",
			p->path, (unsigned)(status.st_mode & 07777), p->path);
	if (known && S_ISREG(status.st_mode))
		tell_writers(p, &status);
	const int error = read_all(fd, known && S_ISFIFO(status.st_mode), text, ret_size);
	if (error != 0) {
		tell_unreadable(p, error);
		return SETTINGS_FILE_E_INVALID;
	}
	if (*ret_size > SETTINGS_FILE_SIZE_MAX) {
		fprintf(p->problems, "%s: larger than %d KiB: expected a file of NAME=value lines\n", p->path,
			SETTINGS_FILE_SIZE_MAX / 1024);
		return SETTINGS_FILE_E_INVALID;
	}
	return check_bytes(p, text, *ret_size) ? 0 : SETTINGS_FILE_E_INVALID;
}

int settings_file_read(const char *path, FILE *problems, FILE *warnings, struct settings_file *ret)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno != ENOENT) {
		fprintf(problems, "%s: cannot be opened: %s\n", path, strerror(errno));
		*ret = (struct settings_file){.text = NULL};
		return SETTINGS_FILE_E_INVALID;
	}
	if (fd < 0) {
		*ret = (struct settings_file){.text = NULL};
		return 0;
	}
	struct settings_file file = {.size = SETTINGS_FILE_SIZE_MAX + 1};
	file.text = malloc(file.size);
	if (!file.text) {
		close(fd);
		return -ENOMEM;
	}
	struct parser parser = {.path = path, .problems = problems, .warnings = warnings, .line = 1};
	size_t size = 0;
	int error = load(&parser, fd, file.text, &size);
	close(fd);
	if (error == 0) {
		size = unify_line_ends(file.text, size);
		file.text[size] = '\0';
		parser.at = file.text;
		parser.end = file.text + size;
		while (error == 0 && parser.at < parser.end)
			error = parse_line(&parser);
	}
	file.entries = parser.entries;
	file.count = parser.count;
	if (error < 0) {
		settings_file_free(&file);
		return error;
	}
	*ret = file;
	return error != 0 || parser.invalid ? SETTINGS_FILE_E_INVALID : 0;
}

bool settings_file_exists(const char *path, FILE *problems)
{
	if (access(path, F_OK) == 0)
		return true;
	fprintf(problems, "%s: cannot be opened: %s\n", path, strerror(errno));
	return false;
}

bool settings_file_rereadable(const char *path, FILE *problems)
{
	struct stat status;
	/* What it cannot say anything of, reading does. */
	if (stat(path, &status) != 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ||
		(S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)))
		return true;
	fprintf(problems,
		"%s: it is no regular file (a FIFO, <(...), a device): it is read at start only, and not again; restart cashewd for new settings\n",
		path);
	return false;
}

void settings_file_tell_missing(const char *path, FILE *out)
{
	if (path[0] == '\0' || access(path, F_OK) == 0)
		return;
	char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0);
	fprintf(out, "there is no %s%s%s: cashewd --settings-env > %s makes one to start from\n", path,
		folder ? " in " : "", folder ? folder : "", path);
	free(folder);
}

const struct settings_entry *settings_file_find(const struct settings_file *file, const char *name)
{
	for (size_t i = file->count; i > 0; i--) {
		if (strcmp(file->entries[i - 1].name, name) == 0)
			return &file->entries[i - 1];
	}
	return NULL;
}

void settings_file_free(struct settings_file *file)
{
	if (file->text)
		explicit_bzero(file->text, file->size);
	free(file->text);
	free(file->entries);
	*file = (struct settings_file){.text = NULL};
}
