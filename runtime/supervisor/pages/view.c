/*
 * view.c - see supervisor_view.h.
 */
#include "view.h"

#include "board.h"
#include "clock.h"

void supervisor_view_init(struct supervisor_view *view, const struct board *board)
{
	*view = (struct supervisor_view){
		.board = board, .version = CASHEW_VERSION, .started_ms = clock_ms(), .turned_ms = clock_ms()};
	pthread_mutex_init(&view->mutex, NULL);
}

void supervisor_view_destroy(struct supervisor_view *view)
{
	pthread_mutex_destroy(&view->mutex);
}

void supervisor_view_tell_loggly(struct supervisor_view *view, struct loggly *loggly)
{
	struct loggly_figures figures;
	if (loggly != NULL)
		loggly_read(loggly, &figures);
	pthread_mutex_lock(&view->mutex);
	view->shipping = loggly != NULL;
	if (loggly != NULL)
		view->loggly = figures;
	pthread_mutex_unlock(&view->mutex);
}

bool supervisor_view_loggly(struct supervisor_view *view, struct loggly_figures *ret)
{
	pthread_mutex_lock(&view->mutex);
	const bool shipping = view->shipping;
	*ret = view->loggly;
	pthread_mutex_unlock(&view->mutex);
	return shipping;
}
