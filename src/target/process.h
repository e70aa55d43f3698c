// Capturing a live process. See docs/capture.md for the guarantees and how each is kept.
//
// CAPTURE_FORK stops every thread, saves its registers, has one thread run clone() on our behalf,
// lets everything go and reads the frozen copy: the pause is milliseconds. CAPTURE_STOP copies the
// resident writable memory while the process stands still: no second process, no copy-on-write
// charges, a pause of about a second a gigabyte. CAPTURE_AUTO takes fork unless it would be refused
// or would endanger the process (seccomp, cgroup limit, no overcommit), and says why in
// capture.reason.
#ifndef TARGET_PROCESS_H
#define TARGET_PROCESS_H

#include "target/target.h"

struct capture_options {
	enum capture_method method;
};

// Whatever happens from here to target_destroy (an error, SIGKILL to us, a crash), the process goes
// on with its registers, signals and children as they were. Errors are sentences with what to do:
// no such process, no permission, a process that exits meanwhile, one that somebody else traces.
struct error *process_capture(
	pid_t pid, const struct capture_options *options, struct target **out);

#endif
