// Which way of capturing endangers a process least.
#ifndef TARGET_METHOD_H
#define TARGET_METHOD_H

#include "target/procfs.h"

// CAPTURE_FORK, or CAPTURE_STOP with a sentence in `reason` that says why not the former.
enum capture_method method_choose(
	pid_t pid, const struct process_status *status, char *reason, size_t reason_size);

// Bytes that a process may still take: the least of what its control groups and the machine have
// left. UINT64_MAX when nothing limits it.
uint64_t method_memory_left(pid_t pid);

#endif
