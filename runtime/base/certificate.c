/* certificate.c - see certificate.h. */
#include "certificate.h"

#include "clock.h"
#include "small_file.h"
#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

enum { DAY_S = 24 * 60 * 60 };

/* There is nobody to ask. */
static int no_password(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

int64_t certificate_end_of(const X509 *certificate)
{
	struct tm tm;
	return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Everything that is no certificate is passed over. */
static int first_end(BIO *bytes, int64_t *ret_ends_s)
{
	int64_t ends_s = INT64_MAX;
	for (X509 *certificate; (certificate = PEM_read_bio_X509_AUX(bytes, NULL, no_password, NULL));) {
		const int64_t end_s = certificate_end_of(certificate);
		X509_free(certificate);
		ends_s = end_s < ends_s ? end_s : ends_s;
	}
	ERR_clear_error();
	if (ends_s == INT64_MAX)
		return CERTIFICATE_E_NONE;
	*ret_ends_s = ends_s;
	return 0;
}

int certificate_ends(const char *path, int64_t *ret_ends_s)
{
	char *bytes = NULL;
	size_t size = 0;
	int error = small_file_read(path, CERTIFICATE_FILE_MAX, &bytes, &size);
	if (error != 0)
		return error;
	BIO *bio = BIO_new_mem_buf(bytes, (int)size);
	error = bio ? first_end(bio, ret_ends_s) : -ENOMEM;
	BIO_free(bio);
	small_file_free(bytes, size);
	return error;
}

enum certificate_state certificate_tell(
	int64_t ends_s, int64_t now_s, char ret_words[static CERTIFICATE_WORDS_SIZE])
{
	char when[CLOCK_ISO_SIZE];
	const int64_t left_s = ends_s - now_s, days = left_s / DAY_S;
	ret_words[0] = '\0';
	clock_iso(ends_s * 1000, when);
	if (left_s <= 0) {
		snprintf(ret_words, CERTIFICATE_WORDS_SIZE, "ended on %s", when);
		return CERTIFICATE_ENDED;
	}
	if (left_s >= (int64_t)CERTIFICATE_DAYS_MIN * DAY_S)
		return CERTIFICATE_GOOD;
	if (days > 0)
		snprintf(ret_words, CERTIFICATE_WORDS_SIZE, "ends on %s, in %" PRId64 " day%s", when, days,
			days == 1 ? "" : "s");
	else
		snprintf(ret_words, CERTIFICATE_WORDS_SIZE, "ends on %s, in less than a day", when);
	return CERTIFICATE_ENDS_SOON;
}
