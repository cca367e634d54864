/*
 * own_certificate.h - certificates that sign themselves, with the end that a test wants. What cannot be made fails the test.
 *
 * Included by tests with and without the harness, after cmocka.
 */
#ifndef OWN_CERTIFICATE_H
#define OWN_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { OWN_CERTIFICATE_DAY_S = 24 * 60 * 60 };

static inline void own_certificate_extend(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* For localhost, valid until `ends_in_s` from now. Both paths may be the same: the key comes first then, as in many such files. mode: "w", or "a" to
 * add to what is there. */
static inline void own_certificate_write(const char *certificate_file, const char *key_file, const char *name,
	long ends_in_s, const char *mode)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	assert_non_null(key);
	assert_non_null(certificate);
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -100L * OWN_CERTIFICATE_DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(certificate), ends_in_s);
	X509_set_pubkey(certificate, key);
	X509_NAME *subject = X509_get_subject_name(certificate);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(certificate, subject);
	own_certificate_extend(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	if (key_file) {
		FILE *file = fopen(key_file, mode);
		assert_non_null(file);
		assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
		fclose(file);
	}
	FILE *file =
		fopen(certificate_file, key_file && strcmp(certificate_file, key_file) == 0 ? "a" : mode);
	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

#endif
