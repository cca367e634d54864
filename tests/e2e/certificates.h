/*
 * certificates.h - a certificate authority and server certificates for tests, good ones and bad ones.
 *
 * Happy path: certificates_make() writes ca.crt, server.key, and certificates for it: good.crt (localhost,
 * 127.0.0.1), expired.crt, wrong-name.crt, and other-ca.crt, which another authority has signed.
 */
#ifndef CERTIFICATES_H
#define CERTIFICATES_H

/* 0, or -1 after a word on standard error. */
__attribute__((warn_unused_result)) int certificates_make(const char *folder);

#endif
