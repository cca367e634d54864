/*
 * setup.c - see setup.h.
 */
#include "setup.h"

#include "cashew.h"
#include "settings.h"
#include <stdarg.h>
#include <stdio.h>

struct cashew_setup {
	const struct settings *settings;
	char reason[SETUP_REASON_SIZE];
};

const char *cashew_setup_setting(const cashew_setup *setup, const char *name)
{
	return settings_own_value(setup->settings, name);
}

int cashew_setup_failed(cashew_setup *setup, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(setup->reason, sizeof(setup->reason), format, arguments);
	va_end(arguments);
	return -1;
}

static void tell(const cashew_setup *setup, const char *what, int returned, char *ret_reason)
{
	if (setup->reason[0])
		snprintf(ret_reason, SETUP_REASON_SIZE, "%s", setup->reason);
	else
		snprintf(ret_reason, SETUP_REASON_SIZE, "%s returned %d and gave no reason", what, returned);
}

int setup_load(const struct cashew_handler *handler, const struct settings *settings,
	char ret_reason[static SETUP_REASON_SIZE])
{
	cashew_setup setup = {.settings = settings};
	const int error = handler->load ? handler->load(&setup) : 0;
	if (error != 0)
		tell(&setup, ".load", error, ret_reason);
	return error;
}

int setup_init(const struct cashew_handler *handler, const struct settings *settings, void **ret_state,
	char ret_reason[static SETUP_REASON_SIZE])
{
	cashew_setup setup = {.settings = settings};
	void *state = NULL;
	const int error = handler->init ? handler->init(&setup, &state) : 0;
	if (error != 0) {
		tell(&setup, ".init", error, ret_reason);
		return error;
	}
	*ret_state = state;
	return 0;
}

void setup_fini(const struct cashew_handler *handler, void *state)
{
	if (handler->init && handler->fini)
		handler->fini(state);
}
