// Errors as values. See error.h.
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error {
	enum error_kind kind;
	char message[];
};

// Handed out when there is no memory left to build a message in; never freed.
static const struct {
	struct error error;
	char message[sizeof("out of memory")];
} no_memory = {{ERROR_INTERNAL}, "out of memory"};

struct error *error_no_memory(void)
{
	return (struct error *)&no_memory.error;
}

static struct error *error_join(enum error_kind kind, const char *before, const char *after)
{
	size_t head = strlen(before), tail = after ? strlen(after) : 0;
	struct error *err = malloc(sizeof(*err) + head + tail + 3);

	if (!err)
		return error_no_memory();
	err->kind = kind;
	memcpy(err->message, before, head + 1);
	if (after) {
		memcpy(err->message + head, ": ", 2);
		memcpy(err->message + head + 2, after, tail + 1);
	}
	return err;
}

static struct error *error_vcreate(
	enum error_kind kind, const char *after, const char *format, va_list arguments)
{
	char *before;

	if (vasprintf(&before, format, arguments) < 0)
		return error_no_memory();
	struct error *err = error_join(kind, before, after);
	free(before);
	return err;
}

struct error *error_create(enum error_kind kind, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	struct error *err = error_vcreate(kind, NULL, format, arguments);
	va_end(arguments);
	return err;
}

struct error *error_errno(enum error_kind kind, const char *format, ...)
{
	char buffer[128];
	const char *reason = strerror_r(errno, buffer, sizeof(buffer));
	va_list arguments;

	va_start(arguments, format);
	struct error *err = error_vcreate(kind, reason, format, arguments);
	va_end(arguments);
	return err;
}

struct error *error_wrap(struct error *err, const char *format, ...)
{
	va_list arguments;

	if (!err || err == error_no_memory())
		return err;
	va_start(arguments, format);
	struct error *wrapped = error_vcreate(err->kind, err->message, format, arguments);
	va_end(arguments);
	error_destroy(err);
	return wrapped;
}

enum error_kind error_kind(const struct error *err)
{
	return err->kind;
}

const char *error_message(const struct error *err)
{
	return err->message;
}

void error_destroy(struct error *err)
{
	if (err != error_no_memory())
		free(err);
}

void bug(const char *file, int line, const char *condition)
{
	fprintf(stderr, "heapwhy: a fault of heapwhy itself at %s:%d: %s\n", file, line, condition);
	abort();
}
