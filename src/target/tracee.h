// The threads of a process, seen by the one process that traces them: stopping, saving registers,
// borrowing a thread to run a system call in it, resuming.
//
// Nothing here allocates. If the tracer dies at any moment, the kernel detaches and resumes every
// thread; only a thread that is inside borrowed_call() at that moment is not in its own state
// (docs/capture.md says what then). Stops are looked at without being consumed, so that a signal a
// thread was about to take is not lost either.
#ifndef TARGET_TRACEE_H
#define TARGET_TRACEE_H

#include "base/error.h"
#include "target/target.h"

#include <sys/user.h>

// An error as words in memory that the keeper shares with the process that started it.
struct failure {
	enum error_kind kind;
	char message[240];
};

void failure_set(struct failure *failure, enum error_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

enum tracee_state {
	TRACEE_SEIZED,  // attached, runs or is about to stop
	TRACEE_STOPPED, // in PTRACE_EVENT_STOP, registers as they were
	TRACEE_STUCK,   // attached, but asleep in the kernel where nothing wakes it: its registers
			// cannot change
	TRACEE_GONE
};

struct tracee {
	pid_t tid;
	enum tracee_state state;
};

struct tracees {
	pid_t pid;
	int task_fd; // /proc/PID/task
	int mem_fd;  // /proc/PID/mem
	struct tracee *items;
	size_t count, capacity;
	uint64_t *known; // a bit for every tid that is in `items` and not gone
	uint64_t attach_ns;
	uint64_t stop_ns; // when the first thread was told to stop; 0: none yet
	char directory[32768];
};

// Linux never hands out a higher pid on 64-bit machines (PID_MAX_LIMIT).
enum { PID_COUNT_MAX = 4 << 20 };

// The handler that SIGCHLD, blocked, must have: it waits for threads that have died. It runs only while others are
// being attached to.
void tracees_bury(int signal);

// Stops every thread, those that appear meanwhile included. On failure some may be stopped: the caller resumes in
// any case.
bool tracees_stop(struct tracees *tracees, struct failure *failure);

// Lets every stopped thread but `except` (0: none) go. Stuck ones stay attached; tracees_service
// lets go of those that have come to a stop.
void tracees_resume(struct tracees *tracees, pid_t except);
void tracees_service(struct tracees *tracees);

// Lists the threads without attaching to them, for tracees_stop_one.
bool tracees_list(struct tracees *tracees, struct failure *failure);

// Stops the one thread `index`, which is not attached any more, or was not stopped in time by a call before.
bool tracees_stop_one(struct tracees *tracees, size_t index, uint64_t limit_ns);

// Fills `out` with one entry for each thread that is stopped or stuck and returns how many these
// are. False when a thread is not a 64-bit one.
bool tracees_registers(
	struct tracees *tracees, struct target_thread *out, size_t *count, struct failure *failure);

// A stopped thread that runs system calls for us. Signals that it takes
// meanwhile it takes in its own state.
struct borrowed {
	pid_t tid;
	remote_addr syscall_address;       // of a `syscall` instruction
	struct user_regs_struct registers; // its own
	unsigned long options;             // PTRACE_O_*
	uint64_t deadline_ns;              // of a call; by default there is none
	bool expendable;                   // ours to kill: its registers are never put back
	bool gone;
};

// Chooses the thread that is hurt least if we die while it is borrowed, and borrows it.
// `syscall_address` is used when no thread is in a system call.
bool tracees_borrow(struct tracees *tracees, remote_addr syscall_address, struct borrowed *out);

// Borrows a given stopped thread. `options` are PTRACE_O_* to keep set on it.
bool borrowed_begin(
	pid_t tid, unsigned long options, remote_addr syscall_address, struct borrowed *out);

// While suspended, the thread's seccomp filter is not asked. False when the kernel refuses (it
// wants CAP_SYS_ADMIN).
bool borrowed_suspend_seccomp(struct borrowed *borrowed);

// Both run one system call in the thread, put its registers back and return what the call returned,
// or -ESRCH with `borrowed->gone` when the thread died.
//
// borrowed_wait4 reaps a dead child of the target without waiting. borrowed_clone creates a process
// that is traced from birth and has PTRACE_O_EXITKILL. An expendable thread is left inside the
// call.
long borrowed_wait4(struct borrowed *borrowed, pid_t pid);
long borrowed_clone(
	struct borrowed *borrowed, unsigned long flags, remote_addr stack, pid_t *child);

void borrowed_end(struct borrowed *borrowed);

// Waits until `tid` stops (`*status`: the signal, with a ptrace event in the bits above 8), or is
// gone.
enum wait_result { WAIT_STOPPED, WAIT_GONE, WAIT_TIMEOUT };
enum wait_result tracee_wait(pid_t tid, uint64_t deadline_ns, int *status);

#endif
