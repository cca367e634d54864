/* broker_log.c - see broker_log.h. */
#include "broker_log.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 2048 };

bool broker_log_open(struct broker_log *log, const char *path, const char *client)
{
	*log = (struct broker_log){.file = fopen(path, "re"), .client = client};
	return log->file;
}

/* The number behind `mark`, in a line that begins its message with `verb` and the client's name; 0: another
 * line. */
static unsigned mid_of(const struct broker_log *log, const char *line, const char *verb, const char *mark)
{
	const char *place = strstr(line, verb);
	const size_t size = strlen(log->client);
	if (!place)
		return 0;
	place += strlen(verb);
	if (strncmp(place, log->client, size) != 0 || place[size] != ' ')
		return 0;
	place = strstr(place + size, mark);
	const unsigned long mid = place ? strtoul(place + strlen(mark), NULL, 10) : 0;
	return mid < sizeof(log->mids) ? (unsigned)mid : 0;
}

static void read_line(struct broker_log *log, const char *line)
{
	unsigned mid;
	if ((mid = mid_of(log, line, ": Sending PUBLISH to ", ", m")) != 0) {
		log->sent++;
		log->in_flight += !log->mids[mid];
		log->mids[mid] = true;
	} else if ((mid = mid_of(log, line, ": Received PUBACK from ", "(Mid: ")) != 0) {
		log->acknowledged++;
		log->in_flight -= log->mids[mid];
		log->mids[mid] = false;
	} else if (strstr(line, ": mosquitto version ") && strstr(line, " starting")) {
		memset(log->mids, 0, sizeof(log->mids));
		log->in_flight = 0;
	}
}

void broker_log_read(struct broker_log *log)
{
	char line[LINE_SIZE];
	clearerr(log->file);
	for (;;) {
		const long at = ftell(log->file);
		if (!fgets(line, sizeof(line), log->file))
			return;
		/* The rest of this line is not written yet, or the broker was killed before it was. */
		if (!strchr(line, '\n') && strlen(line) < sizeof(line) - 1) {
			fseek(log->file, at, SEEK_SET);
			return;
		}
		read_line(log, line);
	}
}

void broker_log_close(struct broker_log *log)
{
	if (log->file)
		fclose(log->file);
	log->file = NULL;
}
