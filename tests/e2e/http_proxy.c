/* http_proxy.c - see http_proxy.h. */
#include "http_proxy.h"

#include "harness_private.h"
#include "port.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct http_proxy {
	struct harness *harness;
	struct harness_process process;
	int port;
	size_t starts;
	const char *folder, *output;
};

struct http_proxy *http_proxy_new(struct harness *h, const char *login)
{
	static unsigned number;
	struct http_proxy *proxy = harness_alloc(h, sizeof(*proxy));
	*proxy = (struct http_proxy){.harness = h, .process.name = "the proxy", .port = port_reserve()};
	if (proxy->port < 0)
		harness_fail("no port for the proxy: %s", strerror(-proxy->port));
	proxy->folder = harness_path(h, "proxy-%u", ++number);
	proxy->output = harness_format(h, "%s/tinyproxy.log", proxy->folder);
	if (mkdir(proxy->folder, 0700) != 0)
		harness_fail("%s could not be made: %s", proxy->folder, strerror(errno));
	harness_write_file(h, harness_format(h, "%s/tinyproxy.conf", proxy->folder),
		harness_format(h,
			"Port %d\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nLogLevel Info\n%s%s\n",
			proxy->port, login ? "BasicAuth " : "", login ? login : ""));
	harness_add_process(h, &proxy->process);
	harness_watch_folder(h, proxy->folder);
	return proxy;
}

static size_t count_lines(const struct http_proxy *proxy, const char *text)
{
	FILE *file = fopen(proxy->output, "re");
	char *line = NULL;
	size_t room = 0, count = 0;
	while (file && getline(&line, &room, file) >= 0)
		count += strstr(line, text) != NULL;
	free(line);
	if (file)
		fclose(file);
	return count;
}

static bool listens(void *context)
{
	const struct http_proxy *proxy = context;
	return count_lines(proxy, "Accepting connections.") == proxy->starts;
}

void http_proxy_start(struct http_proxy *proxy)
{
	const struct process_options options = {
		.argv = (const char *const[]){TINYPROXY_PATH, "-d", "-c", "tinyproxy.conf", NULL},
		.environment = process_environment(),
		.folder = proxy->folder,
		.output = proxy->output,
		.death_signal = SIGKILL};
	proxy->starts++;
	if (process_start(&proxy->process.process, &options) != 0)
		harness_fail("%s could not be started", TINYPROXY_PATH);
	harness_wait(proxy->harness, listens, proxy, "the proxy to listen");
}

void http_proxy_kill(struct http_proxy *proxy)
{
	proxy->process.process.awaited = true;
	process_signal(&proxy->process.process, SIGKILL);
	if (!process_reap(&proxy->process.process, HARNESS_TIMEOUT_MS))
		harness_fail("the proxy did not end");
}

unsigned http_proxy_port(const struct http_proxy *proxy)
{
	return (unsigned)proxy->port;
}

const char *http_proxy_url(const struct http_proxy *proxy, const char *login)
{
	return harness_format(
		proxy->harness, "http://%s%s127.0.0.1:%d", login ? login : "", login ? "@" : "", proxy->port);
}

size_t http_proxy_count(const struct http_proxy *proxy, const char *place)
{
	return count_lines(proxy, harness_format(proxy->harness, "CONNECT %s HTTP/1.1", place));
}
