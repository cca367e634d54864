/* Tests of tls.c by a whole way: whose certificate is taken, and what is said of those who are refused. A real TLS server. */
#include "tls.h"

#include "resolver.h"
#include "tls_server.h"
#include "way_parts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- Names in certificates ---- */

static void test_names(void **state)
{
	(void)state;
	static const char not_for[] = "the broker's certificate is not for ";
	static const struct {
		const char *name, *common_name, *san, *host, *expected;
		bool self_signed;
		const char *server_name; /* SNI */
	} cases[] = {
		{"address", "x", "IP:127.0.0.1", "127.0.0.1", NULL, false, ""},
		{"name", "x", "DNS:broker.example", "broker.example", NULL, false, "broker.example"},
		{"another case", "x", "DNS:broker.example", "Broker.example", NULL, false, "Broker.example"},
		{"root's dot", "x", "DNS:broker.example", "broker.example.", NULL, false, "broker.example"},
		{"wildcard", "x", "DNS:*.test.example", "broker.test.example", NULL, false,
			"broker.test.example"},
		{"partial wildcard", "x", "DNS:b*.test.example", "broker.test.example", not_for, false, NULL},
		{"wildcard of two labels", "x", "DNS:*.test.example", "a.b.test.example", not_for, false,
			NULL},
		{"wrong name", "x", "DNS:other.example", "broker.example", not_for, false, NULL},
		{"wrong address", "x", "IP:127.0.0.2", "127.0.0.1", not_for, false, NULL},
		{"address as a name", "x", "DNS:127.0.0.1", "127.0.0.1", not_for, false, NULL},
		{"common name only", "broker.example", NULL, "broker.example", not_for, false, NULL},
		{"common name that is a wildcard", "*.test.example", NULL, "broker.test.example", not_for,
			false, NULL},
		{"common name beside an address", "broker.example", "IP:127.0.0.1", "broker.example", not_for,
			false, NULL},
		{"partial wildcard behind", "x", "DNS:*r.test.example", "broker.test.example", not_for, false,
			NULL},
		{"common name besides", "broker.example", "email:a@b.example", "broker.example", not_for,
			false, NULL},
		{"self-signed", "x", "DNS:broker.example", "broker.example",
			"the broker's certificate is refused: self-signed certificate (checked against /",
			true, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct certificate certificate =
			certificate_new(parts_folder, "named", cases[i].common_name, cases[i].san,
				cases[i].self_signed ? NULL : &parts_authority, NULL);
		struct server *server = server_start(SERVER_TLS, &certificate, NULL);
		const struct settings settings = parts_settings(cases[i].host, server_port(server), true);
		char reason[TLS_REASON_SIZE], server_name[256];
		parts_try(&settings, reason);
		server_stop_name(server, server_name);
		parts_assert_reason(cases[i].name, reason, cases[i].expected);
		if (cases[i].server_name)
			assert_string_equal(server_name, cases[i].server_name);
	}
}

/* ---- Peers that do not speak TLS ---- */

static void test_no_tls(void **state)
{
	(void)state;
	static const struct {
		const char *name, *expected;
		enum server_kind kind;
	} cases[] = {
		{"greets",
			"does not speak TLS; if it speaks plain MQTT there, use its TLS port or set BROKER_TLS=off",
			SERVER_GREETS},
		{"closes", "does the broker speak TLS 1.2 or later on port", SERVER_CLOSES},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server *server = server_start(cases[i].kind, NULL, NULL);
		const struct settings settings = parts_settings("127.0.0.1", server_port(server), true);
		char reason[TLS_REASON_SIZE];
		parts_try(&settings, reason);
		server_stop(server);
		parts_assert_reason(cases[i].name, reason, cases[i].expected);
	}
}

/* ---- Protocols ---- */

/* The server answers a WebSocket's request with that request, so that one gets no further than past TLS. */
static void test_protocols(void **state)
{
	(void)state;
	static const char past[] = "what answered the WebSocket upgrade at /mqtt is no HTTP";
	static const struct {
		const char *name;
		enum broker_transport transport;
		const char *chosen, *offered, *expected;
	} cases[] = {
		{"MQTT", BROKER_TRANSPORT_TCP, NULL, "", NULL},
		{"MQTT, a server with an opinion", BROKER_TRANSPORT_TCP, "h2", "", NULL},
		{"WebSocket", BROKER_TRANSPORT_WEBSOCKET, NULL, "http/1.1", past},
		{"WebSocket, a server that chooses", BROKER_TRANSPORT_WEBSOCKET, "http/1.1", "http/1.1",
			past},
		{"WebSocket, HTTP/2 all the same", BROKER_TRANSPORT_WEBSOCKET, "h2", "http/1.1",
			"does not choose http/1.1, all that it was offered (ALPN: "},
		{"WebSocket, no HTTP/1.1", BROKER_TRANSPORT_WEBSOCKET, "", "http/1.1",
			"does not choose http/1.1, all that it was offered (ALPN: "},
	};
	const struct certificate certificate =
		certificate_new(parts_folder, "chooses", "x", "IP:127.0.0.1", &parts_authority, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server *server = cases[i].chosen ? server_start_choosing(&certificate, cases[i].chosen)
							: server_start(SERVER_TLS, &certificate, NULL);
		struct settings settings = parts_settings("127.0.0.1", server_port(server), true);
		settings.broker_transport = cases[i].transport;
		char reason[TLS_REASON_SIZE], offered[256];
		parts_try(&settings, reason);
		server_stop_offered(server, offered);
		parts_assert_reason(cases[i].name, reason, cases[i].expected);
		assert_string_equal(offered, cases[i].offered);
	}
}

/* ---- Certificates of clients ---- */

static void test_client_certificate(void **state)
{
	(void)state;
	const struct certificate certificate =
		certificate_new(parts_folder, "strict", "x", "IP:127.0.0.1", &parts_authority, NULL);
	const struct certificate client =
		certificate_new(parts_folder, "client", "client", NULL, &parts_authority, NULL);
	for (int with = 0; with <= 1; with++) {
		struct server *server = server_start(SERVER_TLS_CLIENTS, &certificate, &parts_authority);
		struct settings settings = parts_settings("127.0.0.1", server_port(server), true);
		settings.broker_cert_file = with ? client.certificate_file : "";
		settings.broker_key_file = with ? client.key_file : "";
		struct resolver *resolver = NULL;
		assert_int_equal(resolver_new(&settings, &resolver), 0);
		struct way *way = parts_start(&settings, resolver);
		/* With TLS 1.3 the client has shaken hands before the server looks at its certificate. */
		assert_int_equal(parts_open(way), WAY_OPEN);
		if (with)
			parts_echo(way, 1000, 1000);
		else {
			char byte;
			ssize_t count;
			while ((count = way_read(way, &byte, 1)) == -EAGAIN)
				(void)parts_await(way, true, false);
			assert_int_equal(count, -EPROTO);
			assert_int_equal(way_state(way), WAY_FAILED);
			assert_int_equal(way_write(way, "x", 1), -ENOTCONN);
			parts_assert_reason("none", way_reason(way),
				"the broker wants a certificate of its clients: set BROKER_CERT_FILE");
		}
		way_free(way);
		resolver_free(resolver);
		server_stop(server);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_client_certificate),
	};
	return cmocka_run_group_tests(tests, parts_set_up, parts_tear_down);
}
