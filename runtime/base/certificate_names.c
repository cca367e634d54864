/* certificate_names.c - see certificate_names.h. */
#include "certificate_names.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

static bool has_name(const X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const int type = sk_GENERAL_NAME_value(names, i)->type;
		found = type == GEN_DNS || type == GEN_IPADD;
	}
	GENERAL_NAMES_free(names);
	return found;
}

static int on_verify(int good, X509_STORE_CTX *store)
{
	if (good != 1 || X509_STORE_CTX_get_error_depth(store) != 0 ||
		has_name(X509_STORE_CTX_get_current_cert(store)))
		return good;
	X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	return 0;
}

void certificate_names_demand(struct ssl_ctx_st *context)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
}
