// Remarks for the curious. See log.h.
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static log_sink current_sink;
static void *current_context;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

void log_set_sink(log_sink sink, void *context)
{
	current_sink = sink;
	current_context = context;
}

void log_remark(const char *format, ...)
{
	char line[500];
	va_list arguments;

	if (!current_sink)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	pthread_mutex_lock(&one_at_a_time);
	current_sink(current_context, line);
	pthread_mutex_unlock(&one_at_a_time);
}
