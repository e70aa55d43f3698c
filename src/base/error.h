// Errors: NULL is success, anything else is a sentence and the exit code it leads to.
//
// A fallible function returns `struct error *`; its results come back through its last parameters,
// which stay untouched on failure. Whoever receives an error returns it, wraps it (adding its own
// context once) or destroys it. Errors are heap objects except error_no_memory(), which is static
// and safe to destroy.
//
//	struct error *err = target_read(target, address, &word, sizeof(word));
//	if (err)
//		return error_wrap(err, "goroutine %" PRIu64, goid);
//
// Thread safety: an error belongs to one thread at a time.
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

// The value is the process's exit code (docs of the command line promise them).
enum error_kind {
	ERROR_USAGE = 2,       // the user asked for something that makes no sense
	ERROR_TARGET = 3,      // not there, not Go, refused, unsupported, damaged
	ERROR_INTERNAL = 4,    // a fault of heapwhy: out of memory, a full disk
	ERROR_CANCELLED = 130, // interrupted (base/cancel.h): we end by that signal
};

struct error;

struct error *error_create(enum error_kind kind, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull, warn_unused_result));

// "FORMAT: strerror(errno)"
struct error *error_errno(enum error_kind kind, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull, warn_unused_result));

// Puts "FORMAT: " before the message of `err`, which it consumes. NULL stays NULL.
struct error *error_wrap(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3), warn_unused_result));

struct error *error_no_memory(void) __attribute__((returns_nonnull, warn_unused_result));

enum error_kind error_kind(const struct error *err);
const char *error_message(const struct error *err);

// Accepts NULL.
void error_destroy(struct error *err);

static inline void cleanup_error(struct error **err)
{
	error_destroy(*err);
}
#define _cleanup_error_ __attribute__((cleanup(cleanup_error)))

// For our own mistakes, never for bytes from the target: prints where and what, then aborts.
#define BUG_ON(condition)                                    \
	do {                                                 \
		if (__builtin_expect(!!(condition), 0))      \
			bug(__FILE__, __LINE__, #condition); \
	} while (0)

void bug(const char *file, int line, const char *condition) __attribute__((noreturn));

#endif
