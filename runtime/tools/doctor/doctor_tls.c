/*
 * doctor_tls.c - TLS to the broker: the host's handshake (tls.h), with its trust and its rules for names.
 *
 * Happy path: the handshake goes through, the chain is verified, each of its certificates holds for three
 * weeks more. Failure: the handshake goes on past what is wrong with a certificate, so that all of it can be
 * told, and is then given up; one that breaks off is followed by a plain CONNECT, which tells whether the
 * broker speaks MQTT without TLS on that port. No token is sent here.
 */
#include "certificate.h"
#include "clock.h"
#include "doctor.h"

#include "configuration.h"
#include "doctor_print.h"
#include "doctor_socket.h"
#include "proxy.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SIZE = 256, PROBLEMS_MAX = 8, DAY_S = 24 * 60 * 60 };

struct problem {
	int error; /* X509_V_ERR_... */
	char subject[NAME_SIZE], issuer[NAME_SIZE], ends[32];
};

struct handshake {
	struct problem problems[PROBLEMS_MAX];
	size_t problem_count;
	bool asked_for_certificate; /* of ours */
};

static void free_tls(struct tls **tls)
{
	tls_free(*tls);
}

static void free_context(SSL_CTX **context)
{
	tls_context_free(*context);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* ---- What a certificate says ---- */

static void name_text(X509_NAME *name, char ret[static NAME_SIZE])
{
	BIO *memory = BIO_new(BIO_s_mem());
	int size = 0;
	if (memory && X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		size = BIO_read(memory, ret, NAME_SIZE - 1);
	ret[size > 0 ? size : 0] = '\0';
	BIO_free(memory);
}

static bool time_of(const ASN1_TIME *time, struct tm *ret)
{
	return time && ASN1_TIME_to_tm(time, ret) == 1;
}

static void date_text(const ASN1_TIME *time, char ret[static 32])
{
	struct tm tm;
	if (!time_of(time, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(ret, 32, "an unknown time");
}

static int64_t seconds_left(const X509 *certificate)
{
	struct tm tm;
	return time_of(X509_get0_notAfter(certificate), &tm) ? (int64_t)(timegm(&tm) - time(NULL)) : 0;
}

/* The names that a certificate is for, as far as there is room. */
static void names_text(const X509 *certificate, char ret[static NAME_SIZE])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t size = 0;
	ret[0] = '\0';
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && size < NAME_SIZE; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		char address[INET6_ADDRSTRLEN] = "";
		if (name->type == GEN_DNS)
			size += (size_t)snprintf(ret + size, NAME_SIZE - size, "%s%.*s", size > 0 ? ", " : "",
				ASN1_STRING_length(name->d.dNSName),
				(const char *)ASN1_STRING_get0_data(name->d.dNSName));
		else if (name->type == GEN_IPADD &&
			 inet_ntop(ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6,
				 ASN1_STRING_get0_data(name->d.iPAddress), address, sizeof(address)))
			size += (size_t)snprintf(
				ret + size, NAME_SIZE - size, "%s%s", size > 0 ? ", " : "", address);
	}
	GENERAL_NAMES_free(names);
}

/* ---- The handshake ---- */

/* Notes what is wrong and goes on: nothing is sent over this connection. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct handshake *handshake = SSL_get_app_data(ssl);
	X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	const int error = X509_STORE_CTX_get_error(store);
	for (size_t i = 0; i < handshake->problem_count; i++)
		ok |= handshake->problems[i].error == error;
	if (ok || handshake->problem_count == PROBLEMS_MAX)
		return 1;
	struct problem *problem = &handshake->problems[handshake->problem_count++];
	*problem = (struct problem){.error = error};
	if (certificate) {
		name_text(X509_get_subject_name(certificate), problem->subject);
		name_text(X509_get_issuer_name(certificate), problem->issuer);
		date_text(error == X509_V_ERR_CERT_NOT_YET_VALID ? X509_get0_notBefore(certificate)
								 : X509_get0_notAfter(certificate),
			problem->ends);
	}
	return 1;
}

static int on_certificate_wanted(SSL *ssl, void *context)
{
	(void)ssl;
	struct handshake *handshake = context;
	handshake->asked_for_certificate = true;
	return 1;
}

/* The host's TLS, but for what is made of a certificate that is wrong. */
static int new_tls(const struct settings *settings, SSL_CTX *context, int fd, struct handshake *handshake,
	struct tls **ret)
{
	const int error = tls_new(context, settings, fd, ret);
	if (error != 0)
		return error;
	SSL *ssl = tls_ssl(*ret);
	SSL_set_app_data(ssl, handshake);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
	SSL_set_cert_cb(ssl, on_certificate_wanted, handshake);
	return 0;
}

/* 0, -ETIMEDOUT, or what tls_shake() returned where the other side breaks it off or says what is not TLS. */
static int shake_hands(struct tls *tls, int fd, int64_t until_ms)
{
	for (;;) {
		const int error = tls_shake(tls);
		if (error != -EAGAIN)
			return error;
		if (!doctor_wait_fd(fd, tls_events(tls, false, false), until_ms))
			return -ETIMEDOUT;
	}
}

/* Whether a CONNECT without TLS is answered by a CONNACK, whatever it says. */
static bool speaks_plain_mqtt(const struct doctor *doctor)
{
	/* MQTT 3.1.1, clean session, no client id, no user; then DISCONNECT. */
	static const unsigned char connect[] = {
		0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 10, 0, 0, 0xe0, 0};
	__attribute__((cleanup(close_fd))) int fd = -1;
	unsigned char answer = 0;
	char reason[DOCTOR_TEXT_SIZE];
	if (doctor_reach(doctor, &fd, reason) != 0 ||
		send(fd, connect, sizeof(connect), MSG_NOSIGNAL) != (ssize_t)sizeof(connect) ||
		!doctor_wait_fd(fd, POLLIN, clock_ms() + doctor->timeout_ms))
		return false;
	return recv(fd, &answer, 1, 0) == 1 && answer == 0x20;
}

/* ---- What it tells ---- */

static void handshake_fails(struct doctor *doctor, int error)
{
	const unsigned port = doctor->configuration->settings.broker_port;
	/* tls_reason() would give advice, too; what OpenSSL told it is still there. */
	const unsigned long code = ERR_peek_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	char words[128];
	snprintf(words, sizeof(words), "%s",
		error == -ETIMEDOUT ? "no answer in time"
		: reason	    ? reason
				    : "the connection was closed");
	if (speaks_plain_mqtt(doctor)) {
		doctor_fail(doctor, "the broker speaks MQTT without TLS on port %u", port);
		doctor_advise(doctor,
			"set BROKER_PORT to its port with TLS (8883 with most), or set up TLS there; "
			"BROKER_TLS=off only where nobody can listen on the way");
	} else {
		doctor_fail(doctor, "the TLS handshake on port %u fails: %s", port, words);
		doctor_advise(doctor, "does the broker speak TLS 1.2 or later there? Its log may say more");
	}
}

static void tell_untrusted(struct doctor *doctor, const struct problem *problem)
{
	const char *file = doctor->configuration->settings.broker_ca_file;
	doctor_fail(doctor, "the certificate of %s is signed by %s, which %s%s not vouch for",
		problem->subject, problem->issuer,
		file[0] != '\0' ? file : "the system's certificate authorities",
		file[0] != '\0' ? " does" : " do");
	doctor_advise(doctor, "set BROKER_CA_FILE to a PEM file with that authority's certificate; where an "
			      "intermediate authority signed it, the broker must send that one's as well");
}

static void tell_problem(struct doctor *doctor, const struct problem *problem, const X509 *certificate)
{
	const char *host = doctor->broker.broker_host;
	char names[NAME_SIZE] = "";
	switch (problem->error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		doctor_fail(doctor, "the certificate of %s ended on %s", problem->subject, problem->ends);
		doctor_advise(doctor, "renew it at the broker; is this machine's clock right?");
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		doctor_fail(doctor, "the certificate of %s begins on %s", problem->subject, problem->ends);
		doctor_advise(
			doctor, "set the clock of this machine, or of the one that made the certificate");
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		if (certificate)
			names_text(certificate, names);
		doctor_fail(doctor, "the broker's certificate is for %s, not for %s",
			names[0] != '\0' ? names : problem->subject, host);
		doctor_advise(doctor,
			"set BROKER_HOST to a name that is in it, or give the broker a certificate for %s",
			host);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_CERT_UNTRUSTED:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: tell_untrusted(doctor, problem); break;
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: break; /* follows from one of the above */
	default:
		doctor_fail(doctor, "the certificate of %s is refused: %s", problem->subject,
			X509_verify_cert_error_string(problem->error));
		doctor_advise(doctor, "give the broker another certificate");
	}
}

static void tell_days(struct doctor *doctor, const X509 *certificate, const char *whose)
{
	const int64_t left = seconds_left(certificate);
	char subject[NAME_SIZE], ends[32];
	if (left >= (int64_t)DOCTOR_DAYS_MIN * DAY_S)
		return;
	name_text(X509_get_subject_name(certificate), subject);
	date_text(X509_get0_notAfter(certificate), ends);
	char span[DOCTOR_SPAN_SIZE];
	doctor_span(span, left > 0 ? left : 0);
	doctor_warn(doctor, "%s certificate of %s ends in %s, on %s", whose, subject, span, ends);
	doctor_advise(doctor, "renew it before that: no connection is made from then on");
}

static void tell_good(struct doctor *doctor, const SSL *ssl, int64_t took_ms)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	char subject[NAME_SIZE] = "", last[NAME_SIZE] = "";
	int64_t left = INT64_MAX;
	const int count = chain ? sk_X509_num(chain) : 0;
	for (int i = 0; i < count; i++) {
		const int64_t of_this = seconds_left(sk_X509_value(chain, i));
		left = of_this < left ? of_this : left;
	}
	if (count > 0) {
		name_text(X509_get_subject_name(sk_X509_value(chain, 0)), subject);
		name_text(X509_get_subject_name(sk_X509_value(chain, count - 1)), last);
	}
	doctor_ok(doctor,
		"%s with %s in %" PRId64 " ms; %s, vouched for by %s, chain of %d, good for %" PRId64
		" days more",
		SSL_get_version(ssl), SSL_get_cipher_name(ssl), took_ms, subject, last, count, left / DAY_S);
	for (int i = 0; i < count; i++)
		tell_days(doctor, sk_X509_value(chain, i), i == 0 ? "the broker's" : "the authority's");
}

void doctor_own_certificate(struct doctor *doctor, const char *setting, const char *path)
{
	char words[CERTIFICATE_WORDS_SIZE];
	int64_t ends_s = 0;
	/* That it cannot be read is told by who uses it. */
	if (certificate_ends(path, &ends_s) != 0)
		return;
	const enum certificate_state state = certificate_tell(ends_s, time(NULL), words);
	if (state == CERTIFICATE_GOOD)
		return;
	if (state == CERTIFICATE_ENDED)
		doctor_fail(doctor, "this host's own certificate, %s=%s, %s", setting, path, words);
	else
		doctor_warn(doctor, "this host's own certificate, %s=%s, %s", setting, path, words);
	doctor_advise(doctor, "put a new one, and its key, there: cashewd reads them by itself");
}

static void tell_own_certificate(struct doctor *doctor, const SSL *ssl, const struct handshake *handshake)
{
	if (!SSL_get_certificate(ssl) && handshake->asked_for_certificate) {
		doctor_warn(doctor, "the broker asks for a certificate of this host's, and there is none");
		doctor_advise(doctor, "where it insists (see broker_login), set BROKER_CERT_FILE and "
				      "BROKER_KEY_FILE");
	}
}

static bool is_loopback(const struct doctor_address *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
	return address->address.ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
						     : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void without_tls(struct doctor *doctor)
{
	const bool proxied = proxy_is_set(&doctor->broker);
	if (!proxied && is_loopback(doctor->address)) {
		doctor_ok(doctor, "BROKER_TLS=off, and the broker is on this machine");
		return;
	}
	doctor_warn(doctor, "BROKER_TLS=off: tokens and commands can be read on the way to %s",
		proxied ? doctor->broker_name : doctor->address->text);
	doctor_advise(doctor, "set up TLS at the broker and take BROKER_TLS=off out of the settings");
}

void doctor_check_tls(struct doctor *doctor)
{
	const struct settings *settings = &doctor->broker;
	__attribute__((cleanup(close_fd))) int fd = -1;
	__attribute__((cleanup(free_context))) SSL_CTX *context = NULL;
	__attribute__((cleanup(free_tls))) struct tls *tls = NULL;
	struct handshake handshake = {.problem_count = 0};
	char reason[TLS_REASON_SIZE] = "out of memory", why[DOCTOR_TEXT_SIZE];
	if (!settings->broker_tls) {
		without_tls(doctor);
		return;
	}
	if (tls_context_new(settings, &context, reason) != 0) {
		doctor_fail(doctor, "%s", reason);
		doctor_advise(doctor, "put certificates in PEM format there");
		return;
	}
	/* First: it may be why there is no handshake. */
	if (settings->broker_cert_file[0] != '\0')
		doctor_own_certificate(doctor, "BROKER_CERT_FILE", settings->broker_cert_file);
	const int64_t start = clock_ms();
	int r = doctor_reach(doctor, &fd, why);
	if (r == 0 && (r = new_tls(settings, context, fd, &handshake, &tls)) != 0)
		snprintf(why, sizeof(why), "%s", strerror(-r));
	if (r != 0) {
		doctor_fail(doctor, "%s", why);
		return;
	}
	r = shake_hands(tls, fd, start + doctor->timeout_ms);
	if (r != 0) {
		handshake_fails(doctor, r);
		return;
	}
	const SSL *ssl = tls_ssl(tls);
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	for (size_t i = 0; i < handshake.problem_count; i++)
		tell_problem(doctor, &handshake.problems[i], certificate);
	if (handshake.problem_count == 0)
		tell_good(doctor, ssl, clock_ms() - start);
	tell_own_certificate(doctor, ssl, &handshake);
	tls_shutdown(tls);
}
