/*
 * certificate_names.h - servers that are named by the common name of their certificate alone, which RFC 9525 section 2 and 6.3 rule out.
 *
 * For libraries that verify names themselves, and take the common name where there is nothing else: libcurl with OpenSSL. Happy path: the certificate
 * has a name or an address among its alternative names, and nothing changes. Failure: it has none, and is refused as one for another host.
 */
#ifndef CERTIFICATE_NAMES_H
#define CERTIFICATE_NAMES_H

struct ssl_ctx_st;

/* Connections of the context refuse such servers from now on; replaces its callback of SSL_CTX_set_verify(), and verifies. Any thread. */
void certificate_names_demand(struct ssl_ctx_st *context);

#endif
