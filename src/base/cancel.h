// "Stop what you are doing": set by a signal handler, looked at between phases and in long loops.
//
// One flag for the whole process, because that is what Ctrl-C means. Whoever sees it unwinds as
// after any other error, so that the target is let go; the command line then ends by the signal
// that asked.
//
//	if (cancel_requested())
//		return error_cancelled();
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdbool.h>

#include "base/error.h"

// Async-signal-safe. `signal_number` is remembered; the first one wins.
void cancel_request(int signal_number);

// Cheap enough for every few thousand iterations of a loop. Thread-safe.
bool cancel_requested(void);

// The signal that asked, or 0.
int cancel_signal(void);

struct error *error_cancelled(void) __attribute__((returns_nonnull, warn_unused_result));

#endif
