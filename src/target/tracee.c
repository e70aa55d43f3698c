// Stopping a process with PTRACE_SEIZE and PTRACE_INTERRUPT, and borrowing one of its threads. See
// tracee.h.
//
// A seized thread that is interrupted reports PTRACE_EVENT_STOP from inside the kernel's signal
// code, where the decision about restarting an interrupted system call is still to come: its
// registers can be saved, changed and put back without the call noticing.
#include "target/tracee.h"

#include "base/units.h"
#include "target/procfs.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

// A thread that has not stopped after SETTLE_NS is looked at: asleep where no signal reaches it, it
// counts as stuck. One that could run and does not (no CPU for it) gets until GIVE_UP_NS.
static const uint64_t SETTLE_NS = 50 * UINT64_C(1000000);
static const uint64_t GIVE_UP_NS = 2000 * UINT64_C(1000000);

// In rax of a thread that is about to leave the kernel: the system call starts again unless a
// handler is to run (ERESTARTNOHAND in the kernel's include/linux/errno.h).
enum { RESTART_NOHAND = 514 };

void failure_set(struct failure *failure, enum error_kind kind, const char *format, ...)
{
	va_list arguments;

	failure->kind = kind;
	va_start(arguments, format);
	vsnprintf(failure->message, sizeof(failure->message), format, arguments);
	va_end(arguments);
}

// The end of a process's first thread is not announced before all its other threads are waited for.
static bool is_dead(pid_t tid)
{
	struct process_status status;

	if (!procfs_status(tid, tid, &status))
		return errno == ENOENT || errno == ESRCH;
	return status.state == 'Z' || status.state == 'X';
}

// A traced thread that has ended is there until its tracer has waited for it, and so is who waits for its end.
static void reap(pid_t tid)
{
	siginfo_t info;

	waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | __WALL);
}

enum wait_result tracee_wait(pid_t tid, uint64_t deadline_ns, int *status)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		siginfo_t info = {0};

		// Not consumed: a signal that the thread is about to take would otherwise be lost
		// if we died now.
		if (waitid(P_PID, (id_t)tid, &info,
			    WSTOPPED | WEXITED | WNOWAIT | WNOHANG | __WALL))
			return WAIT_GONE;
		if (info.si_pid == tid && info.si_code == CLD_TRAPPED) {
			*status = info.si_status;
			return WAIT_STOPPED;
		}
		if (info.si_pid == tid) {
			reap(tid);
			return WAIT_GONE;
		}
		uint64_t now = clock_ns();
		if (now >= deadline_ns)
			return WAIT_TIMEOUT;
		uint64_t left = deadline_ns - now;
		// SIGCHLDs coalesce; the state is looked at after each, and at least this often.
		if (left > 20000000)
			left = 20000000;
		struct timespec timeout = {0, (long)left};
		if (sigtimedwait(&child, NULL, &timeout) < 0 && is_dead(tid)) {
			reap(tid);
			return WAIT_GONE;
		}
	}
}

static bool is_event_stop(int status)
{
	return status >> 8 == PTRACE_EVENT_STOP;
}

// Brings a thread that has been interrupted to PTRACE_EVENT_STOP. A signal that it was about to
// take is delivered first: the thread then stops before the first instruction of its handler.
static enum wait_result settle(pid_t tid, uint64_t deadline_ns)
{
	for (;;) {
		int status;
		enum wait_result result = tracee_wait(tid, deadline_ns, &status);

		if (result != WAIT_STOPPED || is_event_stop(status))
			return result;
		long signal = status >> 8 || status & 0x80 ? 0 : status;
		if (ptrace(PTRACE_CONT, tid, NULL, signal) && errno == ESRCH)
			return WAIT_GONE;
	}
}

static bool known(const struct tracees *tracees, pid_t tid)
{
	return tracees->known[tid / 64] >> tid % 64 & 1;
}

static void set_known(struct tracees *tracees, pid_t tid, bool value)
{
	uint64_t bit = UINT64_C(1) << tid % 64;

	if (value)
		tracees->known[tid / 64] |= bit;
	else
		tracees->known[tid / 64] &= ~bit;
}

static void tracee_gone(struct tracees *tracees, struct tracee *tracee)
{
	tracee->state = TRACEE_GONE;
	set_known(tracees, tracee->tid, false);
}

// Attaching takes a lock (cred_guard_mutex, fs/exec.c in the kernel) that a thread which starts another program holds
// until every other thread of its process has ended, and one that is traced has ended when its tracer has waited for
// it: they would wait for each other. So SIGCHLD is let in while we attach, and its handler waits for the dead.
static struct tracees *attaching;

// Not for all in one call: that would take the stops of the living.
void tracees_bury(int signal)
{
	int number = errno, status;

	for (size_t i = 0; i < attaching->count; i++)
		tracee_wait(attaching->items[i].tid, 0, &status);
	errno = number;
}

static void attach_begin(struct tracees *tracees)
{
	sigset_t child;

	attaching = tracees;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &child, NULL);
	tracees_bury(SIGCHLD); // whose signals tracee_wait has taken
}

static void attach_end(void)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
}

// True when the thread was attached or needs no attaching (it is dead).
static bool seize(struct tracees *tracees, pid_t tid, struct failure *failure)
{
	struct process_status status;

	if (tracees->count == tracees->capacity) {
		failure_set(failure, ERROR_TARGET,
			"process %d keeps creating threads (%zu so far); try again", tracees->pid,
			tracees->count);
		return false;
	}
	tracees->items[tracees->count++] = (struct tracee){tid, TRACEE_SEIZED};
	if (!ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD)) {
		set_known(tracees, tid, true);
		return true;
	}
	int number = errno;
	tracees->count--;
	if (number == ESRCH || !procfs_status(tracees->pid, tid, &status) || status.state == 'Z' ||
		status.state == 'X')
		return true;
	if (status.tracer) {
		failure_set(failure, ERROR_TARGET,
			"process %d is already traced by process %d (a debugger or strace?); "
			"end that first",
			tracees->pid, status.tracer);
	} else {
		failure_set(failure, ERROR_TARGET,
			"attaching to process %d is not permitted: run as its user or as root, in "
			"a container with CAP_SYS_PTRACE; "
			"/proc/sys/kernel/yama/ptrace_scope may forbid it too",
			tracees->pid);
	}
	return false;
}

struct directory_entry {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

// Applies `visit` to all threads that are not known yet. `*added` counts how many more are known
// then.
static bool each_new(struct tracees *tracees,
	bool (*visit)(struct tracees *tracees, pid_t tid, struct failure *failure), size_t *added,
	struct failure *failure)
{
	size_t before = tracees->count;

	lseek(tracees->task_fd, 0, SEEK_SET);
	for (;;) {
		long length = syscall(SYS_getdents64, tracees->task_fd, tracees->directory,
			sizeof(tracees->directory));

		if (length < 0) {
			failure_set(failure, ERROR_TARGET, "process %d has exited", tracees->pid);
			return false;
		}
		if (length == 0)
			break;
		for (long at = 0; at < length;) {
			struct directory_entry *entry = (void *)(tracees->directory + at);
			long tid = strtol(entry->name, NULL, 10);

			at += entry->length;
			if (tid <= 0 || tid >= PID_COUNT_MAX || known(tracees, (pid_t)tid))
				continue;
			if (!visit(tracees, (pid_t)tid, failure))
				return false;
		}
	}
	*added = tracees->count - before;
	return true;
}

static bool note(struct tracees *tracees, pid_t tid, struct failure *failure)
{
	if (tracees->count < tracees->capacity)
		tracees->items[tracees->count++] = (struct tracee){tid, TRACEE_GONE};
	return true;
}

bool tracees_list(struct tracees *tracees, struct failure *failure)
{
	size_t added;

	return each_new(tracees, note, &added, failure);
}

static bool seize_new(struct tracees *tracees, size_t *added, struct failure *failure)
{
	attach_begin(tracees);
	bool fine = each_new(tracees, seize, added, failure);
	attach_end();
	return fine;
}

// What became of a thread that does not stop. False: it should have.
static bool classify(struct tracees *tracees, struct tracee *tracee)
{
	struct process_status status;

	if (!procfs_status(tracees->pid, tracee->tid, &status) || status.state == 'Z' ||
		status.state == 'X') {
		reap(tracee->tid);
		tracee_gone(tracees, tracee);
	} else if (status.state == 'D') {
		tracee->state = TRACEE_STUCK;
	} else {
		return false;
	}
	return true;
}

static bool interrupt_new(struct tracees *tracees, size_t first, struct failure *failure)
{
	uint64_t start = clock_ns();

	if (!tracees->stop_ns)
		tracees->stop_ns = start;
	for (size_t i = first; i < tracees->count; i++)
		ptrace(PTRACE_INTERRUPT, tracees->items[i].tid, NULL, NULL);
	for (size_t i = first; i < tracees->count; i++) {
		struct tracee *tracee = &tracees->items[i];
		enum wait_result result = settle(tracee->tid, start + SETTLE_NS);

		if (result == WAIT_TIMEOUT && classify(tracees, tracee))
			continue;
		if (result == WAIT_TIMEOUT)
			result = settle(tracee->tid, start + GIVE_UP_NS);
		if (result == WAIT_STOPPED) {
			tracee->state = TRACEE_STOPPED;
		} else if (result == WAIT_GONE) {
			tracee_gone(tracees, tracee);
		} else if (!classify(tracees, tracee)) {
			failure_set(failure, ERROR_TARGET,
				"thread %d of process %d does not come to a stop; try again",
				tracee->tid, tracees->pid);
			return false;
		}
	}
	return true;
}

bool tracees_stop(struct tracees *tracees, struct failure *failure)
{
	size_t added, first = 0, alive = 0;

	tracees->attach_ns = clock_ns();
	// Attach to all first, then stop all: attaching does not stop anything, so it is not part
	// of the pause.
	do {
		if (!seize_new(tracees, &added, failure))
			return false;
	} while (added);
	// A thread that was not attached yet may have created others. Once a listing shows nothing
	// new, every thread that could create one is stopped.
	do {
		if (!interrupt_new(tracees, first, failure))
			return false;
		first = tracees->count;
		if (!seize_new(tracees, &added, failure))
			return false;
	} while (added);
	for (size_t i = 0; i < tracees->count; i++)
		alive += tracees->items[i].state == TRACEE_STOPPED;
	if (!alive) {
		failure_set(failure, ERROR_TARGET,
			"no thread of process %d can be stopped: it has exited, is frozen, or "
			"hangs in the kernel",
			tracees->pid);
		return false;
	}
	return true;
}

bool tracees_stop_one(struct tracees *tracees, size_t index, uint64_t limit_ns)
{
	struct tracee *tracee = &tracees->items[index];

	if (tracee->state == TRACEE_GONE) {
		attach_begin(tracees);
		if (!ptrace(PTRACE_SEIZE, tracee->tid, NULL, PTRACE_O_TRACESYSGOOD)) {
			tracee->state = TRACEE_SEIZED;
			ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL);
		}
		attach_end();
	}
	if (tracee->state != TRACEE_SEIZED) // or seized before, and too slow then
		return false;
	if (settle(tracee->tid, clock_ns() + limit_ns) != WAIT_STOPPED)
		return false;
	tracee->state = TRACEE_STOPPED;
	return true;
}

void tracees_resume(struct tracees *tracees, pid_t except)
{
	for (size_t i = 0; i < tracees->count; i++) {
		struct tracee *tracee = &tracees->items[i];

		if (tracee->state != TRACEE_STOPPED || tracee->tid == except)
			continue;
		ptrace(PTRACE_DETACH, tracee->tid, NULL, 0L);
		tracee_gone(tracees, tracee);
	}
}

void tracees_service(struct tracees *tracees)
{
	for (size_t i = 0; i < tracees->count; i++) {
		struct tracee *tracee = &tracees->items[i];
		int status;

		if (tracee->state != TRACEE_STUCK)
			continue;
		enum wait_result result = tracee_wait(tracee->tid, 0, &status);
		if (result == WAIT_STOPPED) {
			long signal = status >> 8 ? 0 : status;

			ptrace(PTRACE_DETACH, tracee->tid, NULL, signal);
		}
		if (result != WAIT_TIMEOUT)
			tracee_gone(tracees, tracee);
	}
}

// The words of a vector register file in an XSAVE area, in the layout that ptrace hands out (Intel
// SDM vol. 1, 13.4: the standard format). A component that is in its initial state is all zeros and
// left out.
static void xstate_words(struct registers *registers, const uint8_t *area, size_t size)
{
	enum { XMM_OFFSET = 160, XMM_BYTES = 256, HEADER_OFFSET = 512, HEADER_BYTES = 64 };
	// YMM upper halves, opmasks, ZMM0-15 upper halves, ZMM16-31.
	static const unsigned components[] = {2, 5, 6, 7};
	uint64_t present;

	if (size < XMM_OFFSET + XMM_BYTES)
		return;
	memcpy(&registers->words[registers->word_count], area + XMM_OFFSET, XMM_BYTES);
	registers->word_count += XMM_BYTES / 8;
	if (size < HEADER_OFFSET + HEADER_BYTES)
		return;
	memcpy(&present, area + HEADER_OFFSET, sizeof(present));
	for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++) {
		unsigned length, offset, c, d;

		if (!(present >> components[i] & 1) ||
			!__get_cpuid_count(0xd, components[i], &length, &offset, &c, &d))
			continue;
		if (offset > size || length > size - offset ||
			length / 8 > REGISTER_WORDS_MAX - registers->word_count)
			continue;
		memcpy(&registers->words[registers->word_count], area + offset, length & ~7u);
		registers->word_count += length / 8;
	}
}

static void general_words(struct registers *out, const struct user_regs_struct *regs)
{
	const uint64_t words[] = {regs->rax, regs->rbx, regs->rcx, regs->rdx, regs->rsi, regs->rdi,
		regs->rbp, regs->rsp, regs->r8, regs->r9, regs->r10, regs->r11, regs->r12,
		regs->r13, regs->r14, regs->r15, regs->fs_base, regs->eflags};

	out->pc = regs->rip;
	out->sp = regs->rsp;
	memcpy(out->words, words, sizeof(words));
	out->word_count = sizeof(words) / sizeof(words[0]);
}

// A thread that sleeps in the kernel: /proc/PID/task/TID/syscall has its sp and pc, and the arguments
// of the call it is in ("NR ARG0 .. ARG5 SP PC"), if it is in one ("-1 SP PC"). Its other registers
// cannot be had.
static bool stuck_registers(pid_t pid, pid_t tid, struct registers *out)
{
	enum { VALUES_MAX = 8 };
	char name[48], text[256];
	uint64_t values[VALUES_MAX];
	unsigned count = 0;

	snprintf(name, sizeof(name), "task/%d/syscall", tid);
	if (procfs_read(pid, name, text, sizeof(text)) < 0)
		return false;
	for (char *at = strchr(text, ' '), *end; at && count < VALUES_MAX; at = end) {
		values[count] = strtoull(at, &end, 16);
		if (end == at)
			break;
		count++;
	}
	if (count != 2 && count != VALUES_MAX)
		return false;
	out->sp = values[count - 2];
	out->pc = values[count - 1];
	out->word_count = count - 1;
	memcpy(out->words, values, out->word_count * sizeof(values[0]));
	return true;
}

// Calls that fail with EINTR when a thread is merely stopped and resumed (signal(7)). One that
// would have waited for ever is told to start again, as the kernel does for all the others. One
// with a time limit is left to fail: starting again would begin the whole wait anew.
static bool must_restart(const struct user_regs_struct *regs)
{
	if ((long)regs->rax != -EINTR)
		return false;
	switch (regs->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)regs->r10 < 0;
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		return regs->r10 == 0;
	case SYS_semop:
		return true;
	case SYS_rt_sigtimedwait:
		return regs->rdx == 0;
	case SYS_io_getevents:
		return regs->r8 == 0;
	default:
		return false;
	}
}

static bool stopped_registers(pid_t pid, pid_t tid, struct registers *out, struct failure *failure)
{
	enum { USER_CS_64 = 0x33 };
	static uint8_t area[16384] __attribute__((aligned(64)));
	struct iovec vector = {area, sizeof(area)};
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs)) {
		failure_set(failure, ERROR_TARGET, "process %d exited during the capture", pid);
		return false;
	}
	if (regs.cs != USER_CS_64) {
		failure_set(failure, ERROR_TARGET,
			"process %d runs 32-bit code; only 64-bit Go programs are supported", pid);
		return false;
	}
	if (must_restart(&regs)) {
		regs.rax = (unsigned long)-RESTART_NOHAND;
		ptrace(PTRACE_SETREGS, tid, NULL, &regs);
	}
	general_words(out, &regs);
	if (!ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &vector))
		xstate_words(out, area, vector.iov_len);
	return true;
}

bool tracees_registers(
	struct tracees *tracees, struct target_thread *out, size_t *count, struct failure *failure)
{
	size_t done = 0;

	for (size_t i = 0; i < tracees->count; i++) {
		struct tracee *tracee = &tracees->items[i];
		struct target_thread *thread = &out[done];

		thread->tid = tracee->tid;
		if (tracee->state == TRACEE_STOPPED) {
			if (!stopped_registers(
				    tracees->pid, tracee->tid, &thread->registers, failure))
				return false;
			done++;
		} else if (tracee->state == TRACEE_STUCK) {
			done += stuck_registers(tracees->pid, tracee->tid, &thread->registers);
		}
	}
	*count = done;
	return true;
}
