/*
 * view.c - see view.h.
 */
#include "view.h"

#include "board.h"
#include "clock.h"

void view_init(struct view *view, const struct board *board)
{
	*view = (struct view){
		.board = board, .version = CASHEW_VERSION, .started_ms = clock_ms(), .turned_ms = clock_ms()};
	pthread_mutex_init(&view->mutex, NULL);
}

void view_destroy(struct view *view)
{
	pthread_mutex_destroy(&view->mutex);
}

void view_tell_loggly(struct view *view, struct loggly *loggly)
{
	struct loggly_figures figures;
	if (loggly)
		loggly_read(loggly, &figures);
	pthread_mutex_lock(&view->mutex);
	view->shipping = loggly;
	if (loggly)
		view->loggly = figures;
	pthread_mutex_unlock(&view->mutex);
}

bool view_loggly(struct view *view, struct loggly_figures *ret)
{
	pthread_mutex_lock(&view->mutex);
	const bool shipping = view->shipping;
	*ret = view->loggly;
	pthread_mutex_unlock(&view->mutex);
	return shipping;
}
