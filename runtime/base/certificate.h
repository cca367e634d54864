/*
 * certificate.h - when a certificate ends that this machine shows to others, so that somebody renews it in time.
 *
 * Happy path: certificate_ends() reads a PEM file, certificate_tell() says whether its end is near enough to be told, and in which words.
 * Failure modes: a file that cannot be read, or holds no certificate.
 */
#ifndef CERTIFICATE_H
#define CERTIFICATE_H

#include <stdint.h>

struct x509_st;

enum {
	CERTIFICATE_DAYS_MIN = 14, /* one that holds for less is worth a warning */
	CERTIFICATE_FILE_MAX = 4194304,
	CERTIFICATE_WORDS_SIZE = 64,
};

enum certificate_error {
	CERTIFICATE_E_NONE = 32 /* behind those of small_file.h: no certificate is in it */
};

enum certificate_state { CERTIFICATE_GOOD, CERTIFICATE_ENDS_SOON, CERTIFICATE_ENDED };

/*
 * When the first of the certificates in the PEM file ends, which may hold keys as well: the chain is good until then. 0 and *ret_ends_s, seconds
 * since 1970; an error of small_file_read(); CERTIFICATE_E_NONE. Any thread that may wait for a disk.
 */
__attribute__((warn_unused_result)) int certificate_ends(const char *path, int64_t *ret_ends_s);

/* The same of one that has been read; 0: its end cannot be understood. */
int64_t certificate_end_of(const struct x509_st *certificate);

/* What is to be told at the time now_s: "ended on 2026-11-23T07:04:06Z", "ends on 2026-11-23T07:04:06Z, in 3 days". Good: "". */
enum certificate_state certificate_tell(
	int64_t ends_s, int64_t now_s, char ret_words[static CERTIFICATE_WORDS_SIZE]);

#endif
