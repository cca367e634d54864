/*
 * fuzz_spool.c - the log's spool (logging/log_spool.c): a folder that was changed on disk. What is read from it is what can be written and read
 * again; what became of every event is in the account.
 *
 * Input: the bytes of a segment; or behind a first line "account" those of the account, beside a good segment; or behind "aside" what was set
 * aside.
 */
#include "fuzz_folder.h"
#include "log_spool.h"
#include "log_spool_lines.h"

#define SEGMENT "00000000000000000001.spool"
#define ASIDE	"00000000000000000001.aside"

enum { LIMIT = 1024 * 1024, SEGMENT_SIZE = 512 * 1024 };

static uint64_t get(_Atomic uint64_t *number)
{
	return atomic_load(number);
}

/* In whatever state the account was: modulo 2^64. */
static void check_account(struct log_spool *spool)
{
	struct log_account *account = log_spool_account(spool);
	FUZZ_NEED(get(&account->emitted) == get(&account->shipped) + get(&account->spooled) +
						    get(&account->aside) + get(&account->lost_memory) +
						    get(&account->lost_spool) + get(&account->lost_disk) +
						    get(&account->lost_killed));
}

static struct log_spool *spool_open(void)
{
	const struct log_spool_options options = {
		.folder = fuzz_folder(), .limit = LIMIT, .segment_size = SEGMENT_SIZE};
	struct log_spool *spool = NULL;
	FUZZ_NEED(log_spool_open(&options, &spool) == 0);
	return spool;
}

static void clear(void)
{
	static const char *const names[] = {"lock", "account", SEGMENT, ASIDE, "00000000000000000002.spool",
		"00000000000000000003.spool", NULL};
	fuzz_folder_clear(names);
}

/* CRC-32 (ITU-T V.42), bit by bit. */
static uint32_t crc(const uint8_t *bytes, size_t size)
{
	uint32_t value = UINT32_MAX;
	for (size_t i = 0; i < size; i++) {
		value ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			value = (value & 1) != 0 ? value >> 1 ^ 0xedb88320U : value >> 1;
	}
	return ~value;
}

/* The lines of a segment that are as they were written. */
static uint64_t whole_lines(const uint8_t *bytes, size_t size)
{
	uint64_t count = 0;
	while (size > 0) {
		const uint8_t *end = memchr(bytes, '\n', size);
		if (!end)
			break;
		const size_t line = (size_t)(end - bytes);
		char mark[10];
		snprintf(mark, sizeof(mark), "%08x ", line > 9 ? crc(bytes + 9, line - 9) : 0);
		count += line > 9 && memcmp(bytes, mark, 9) == 0;
		size -= line + 1;
		bytes = end + 1;
	}
	return count;
}

/* The lines go through the spool unchanged. */
static void check_again(const char *lines, size_t size)
{
	char *again = NULL;
	size_t again_size = 0;
	struct log_spool *spool = spool_open();
	FUZZ_NEED(log_spool_append(spool, lines, size) == 0);
	FUZZ_NEED(get(&log_spool_account(spool)->spooled) == log_spool_lines_count(lines, size));
	log_spool_close(spool);
	spool = spool_open();
	FUZZ_NEED(log_spool_load(spool, &again, &again_size) == 0);
	FUZZ_NEED(again_size == size && memcmp(again, lines, size) == 0);
	log_spool_remove(spool);
	FUZZ_NEED(log_spool_is_empty(spool) && log_spool_bytes(spool) == 0);
	log_spool_close(spool);
	free(again);
}

/* What the folder holds: the lines of its only segment, which is removed; NULL where there is none. */
static char *spool_read(size_t *ret_size, bool is_aside)
{
	char *lines = NULL;
	struct log_spool *spool = spool_open();
	struct log_account *account = log_spool_account(spool);
	const uint64_t there = get(&account->spooled);
	check_account(spool);
	FUZZ_NEED(log_spool_is_empty(spool) == (there == 0));
	FUZZ_NEED(!is_aside || (there == 0 && (get(&account->aside) > 0) == (log_spool_bytes(spool) > 0)));
	const int error = log_spool_load(spool, &lines, ret_size);
	FUZZ_NEED(error == 0 || error == LOG_SPOOL_E_EMPTY);
	FUZZ_NEED((error == 0) == (there > 0));
	if (error == 0) {
		FUZZ_NEED(log_spool_lines_count(lines, *ret_size) == there && lines[*ret_size - 1] == '\n');
		log_spool_remove(spool);
		atomic_fetch_add(&account->shipped, there);
	}
	FUZZ_NEED(log_spool_is_empty(spool) && get(&account->spooled) == 0);
	check_account(spool);
	log_spool_close(spool);
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char good[] = "e099b3b9 first event\n";
	const uint8_t *rest = bytes;
	size_t rest_size = size;
	char *kind = fuzz_line(&rest, &rest_size);
	const bool is_account = strcmp(kind, "account") == 0, is_aside = strcmp(kind, "aside") == 0;
	free(kind);
	clear();
	if (is_account)
		(void)fuzz_folder_file("account", rest, rest_size);
	if (is_aside)
		(void)fuzz_folder_file(ASIDE, rest, rest_size);
	else
		(void)fuzz_folder_file(SEGMENT, is_account ? (const uint8_t *)good : bytes,
			is_account ? sizeof(good) - 1 : size);
	const uint64_t expected = is_account ? 1 : is_aside ? 0 : whole_lines(bytes, size);
	char *lines = spool_read(&size, is_aside);
	FUZZ_NEED((lines ? log_spool_lines_count(lines, size) : 0) == expected);
	clear();
	if (lines && size < SEGMENT_SIZE / 10)
		check_again(lines, size);
	free(lines);
	clear();
	return 0;
}
