// The flag behind Ctrl-C. See cancel.h.
#include "base/cancel.h"

#include <stdatomic.h>

// Lock-free atomics are what a signal handler may touch besides sig_atomic_t, and other threads see
// them too.
static _Atomic int asked_by;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler needs lock-free integers");

void cancel_request(int signal_number)
{
	int none = 0;

	atomic_compare_exchange_strong(&asked_by, &none, signal_number);
}

bool cancel_requested(void)
{
	return atomic_load_explicit(&asked_by, memory_order_relaxed) != 0;
}

int cancel_signal(void)
{
	return atomic_load_explicit(&asked_by, memory_order_relaxed);
}

struct error *error_cancelled(void)
{
	return error_create(ERROR_CANCELLED, "interrupted");
}
