/* certificates.c - see certificates.h. */
#include "certificates.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

enum { DAY_S = 24 * 60 * 60 };

struct certificate {
	const char *file;	       /* name in the folder */
	const char *name;	       /* common name */
	const char *alternative;       /* subjectAltName; NULL: it is an authority */
	long valid_from_s, valid_to_s; /* from now */
};

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	const bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static bool fill(X509 *x509, const struct certificate *what, EVP_PKEY *key, X509 *issuer)
{
	static long serial = 1;
	X509_NAME *name = X509_get_subject_name(x509);
	return X509_set_version(x509, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(x509), what->valid_from_s) != NULL &&
	       X509_gmtime_adj(X509_getm_notAfter(x509), what->valid_to_s) != NULL &&
	       X509_set_pubkey(x509, key) == 1 &&
	       X509_NAME_add_entry_by_txt(
		       name, "CN", MBSTRING_ASC, (const unsigned char *)what->name, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x509, X509_get_subject_name(issuer)) == 1 &&
	       add_extension(x509, issuer, NID_basic_constraints,
		       what->alternative ? "critical,CA:FALSE" : "critical,CA:TRUE") &&
	       (what->alternative == NULL ||
		       add_extension(x509, issuer, NID_subject_alt_name, what->alternative));
}

/* NULL: failed; OpenSSL's error queue says why. issuer NULL: signed by itself. */
static X509 *make(const struct certificate *what, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *x509 = X509_new();
	if (x509 != NULL && fill(x509, what, key, issuer ? issuer : x509) &&
		X509_sign(x509, issuer ? issuer_key : key, EVP_sha256()) > 0)
		return x509;
	X509_free(x509);
	return NULL;
}

static FILE *create(const char *folder, const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return fopen(path, "we");
}

static bool write_certificate(const char *folder, const char *name, X509 *x509)
{
	FILE *file = create(folder, name);
	const bool written = file != NULL && x509 != NULL && PEM_write_X509(file, x509) == 1;
	return file != NULL && fclose(file) == 0 && written;
}

static bool write_key(const char *folder, const char *name, EVP_PKEY *key)
{
	FILE *file = create(folder, name);
	const bool written = file != NULL && key != NULL &&
			     PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
	return file != NULL && fclose(file) == 0 && written;
}

int certificates_make(const char *folder)
{
	static const char here[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
	static const struct certificate authority = {"ca.crt", "Test authority", NULL, -DAY_S, DAY_S};
	static const struct certificate other = {"other.crt", "Another authority", NULL, -DAY_S, DAY_S};
	static const struct certificate good = {"good.crt", "localhost", here, -DAY_S, DAY_S};
	static const struct certificate expired = {"expired.crt", "localhost", here, -2 * DAY_S, -DAY_S};
	static const struct certificate wrong_name = {
		"wrong-name.crt", "elsewhere.example", "DNS:elsewhere.example", -DAY_S, DAY_S};
	static const struct certificate other_ca = {"other-ca.crt", "localhost", here, -DAY_S, DAY_S};
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *other_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = make(&authority, ca_key, NULL, NULL), *second = make(&other, other_key, NULL, NULL);
	const struct {
		const struct certificate *what;
		X509 *issuer;
		EVP_PKEY *issuer_key;
	} servers[] = {{&good, ca, ca_key}, {&expired, ca, ca_key}, {&wrong_name, ca, ca_key},
		{&other_ca, second, other_key}};
	bool made = ca != NULL && second != NULL && write_certificate(folder, authority.file, ca) &&
		    write_certificate(folder, other.file, second) && write_key(folder, "server.key", key);
	for (size_t i = 0; made && i < sizeof(servers) / sizeof(servers[0]); i++) {
		X509 *x509 = make(servers[i].what, key, servers[i].issuer, servers[i].issuer_key);
		made = write_certificate(folder, servers[i].what->file, x509);
		X509_free(x509);
	}
	X509_free(ca);
	X509_free(second);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(other_key);
	EVP_PKEY_free(key);
	if (!made)
		ERR_print_errors_fp(stderr);
	return made ? 0 : -1;
}
