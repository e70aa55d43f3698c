// Running system calls in a thread of the target. See tracee.h.
#include "target/tracee.h"

#include "base/units.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What rax holds when an interrupted system call is to be started again: -ERESTARTSYS to
// -ERESTART_RESTARTBLOCK (the kernel's include/linux/errno.h).
enum { RESTART_FIRST = 512, RESTART_BLOCK = 516 };

// How often a call is tried again because of signals, and how long it may take to get into it.
enum { ATTEMPTS_MAX = 64 };
static const uint64_t ENTRY_LIMIT_NS = 2 * UINT64_C(1000000000);

enum { SYSCALL_STOP = SIGTRAP | 0x80 };

// What would happen to a thread if we died while it is borrowed, the best first.
enum suitability {
	// Asleep in Go's own futex call: it would see a wake-up without a cause, which Go's
	// contract allows
	// (futexsleep, src/runtime/os_linux.go, Go 1.19 to 1.27).
	SUITS_GO_FUTEX,
	// In a system call: it would see a strange result.
	SUITS_SYSCALL,
	SUITS_TIMED_SYSCALL,
	// In its own code, perhaps in the middle of a restartable sequence (rseq).
	SUITS_USER_CODE,
	SUITS_NOT
};

static enum suitability suitability(int mem_fd, pid_t tid, struct user_regs_struct *regs)
{
	// syscall; mov %eax,0x30(%rsp); ret - runtime.futex, src/runtime/sys_linux_amd64.s, Go 1.19
	// to 1.27.
	static const uint8_t go_futex[] = {0x0f, 0x05, 0x89, 0x44, 0x24, 0x30, 0xc3};
	uint8_t code[sizeof(go_futex)];

	if (ptrace(PTRACE_GETREGS, tid, NULL, regs))
		return SUITS_NOT;
	if ((long)regs->orig_rax < 0)
		return SUITS_USER_CODE;
	if (pread(mem_fd, code, sizeof(code), (off_t)regs->rip - 2) != sizeof(code) ||
		memcmp(code, go_futex, 2))
		return SUITS_USER_CODE;
	if (regs->orig_rax == SYS_futex && !memcmp(code, go_futex, sizeof(code)))
		return SUITS_GO_FUTEX;
	return (long)regs->rax == -RESTART_BLOCK ? SUITS_TIMED_SYSCALL : SUITS_SYSCALL;
}

bool borrowed_begin(
	pid_t tid, unsigned long options, remote_addr syscall_address, struct borrowed *out)
{
	struct borrowed borrowed = {.tid = tid,
		.syscall_address = syscall_address,
		.options = options | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE,
		.deadline_ns = UINT64_MAX};

	if (ptrace(PTRACE_GETREGS, tid, NULL, &borrowed.registers) ||
		ptrace(PTRACE_SETOPTIONS, tid, NULL, borrowed.options))
		return false;
	*out = borrowed;
	return true;
}

bool borrowed_suspend_seccomp(struct borrowed *borrowed)
{
	unsigned long options = borrowed->options | PTRACE_O_SUSPEND_SECCOMP;

	if (ptrace(PTRACE_SETOPTIONS, borrowed->tid, NULL, options))
		return false;
	borrowed->options = options;
	return true;
}

void borrowed_end(struct borrowed *borrowed)
{
	ptrace(PTRACE_SETOPTIONS, borrowed->tid, NULL, PTRACE_O_TRACESYSGOOD);
}

bool tracees_borrow(struct tracees *tracees, remote_addr syscall_address, struct borrowed *out)
{
	enum suitability best = SUITS_NOT;
	pid_t tid = 0;

	for (size_t i = 0; i < tracees->count && best != SUITS_GO_FUTEX; i++) {
		struct user_regs_struct regs;

		if (tracees->items[i].state != TRACEE_STOPPED)
			continue;
		enum suitability suits = suitability(tracees->mem_fd, tracees->items[i].tid, &regs);
		if (suits >= best)
			continue;
		best = suits;
		tid = tracees->items[i].tid;
		if (suits < SUITS_USER_CODE)
			syscall_address = regs.rip - 2;
	}
	return best != SUITS_NOT && borrowed_begin(tid, 0, syscall_address, out);
}

// Waits for the next stop; false when the thread is gone, or late. Threads of the target have no
// deadline: the calls made in them do not block, and leaving one with our registers is not a
// choice.
static bool next_stop(struct borrowed *borrowed, int *status)
{
	if (tracee_wait(borrowed->tid, borrowed->deadline_ns, status) == WAIT_STOPPED)
		return true;
	borrowed->gone = true;
	return false;
}

// The process that the thread, stopped in PTRACE_EVENT_CLONE, has just created. It inherits
// PTRACE_O_EXITKILL from an expendable thread; if the thread is the target's, it gets it here.
static void adopt_child(const struct borrowed *parent, pid_t *child)
{
	unsigned long message = 0;
	int status;

	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &message))
		return;
	// Noted first, should we die in the next moment.
	*child = (pid_t)message;
	if (parent->expendable)
		return;
	if (tracee_wait(*child, UINT64_MAX, &status) == WAIT_STOPPED)
		ptrace(PTRACE_SETOPTIONS, *child, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
}

static void set_call(struct borrowed *borrowed, long number, const unsigned long arguments[3])
{
	struct user_regs_struct regs = borrowed->registers;

	regs.rip = borrowed->syscall_address;
	regs.rax = (unsigned long)number;
	// Not in a system call: nothing to restart.
	regs.orig_rax = (unsigned long)-1;
	regs.rdi = arguments[0];
	regs.rsi = arguments[1];
	regs.rdx = arguments[2];
	regs.r10 = 0;
	ptrace(PTRACE_SETREGS, borrowed->tid, NULL, &regs);
}

static bool is_fault(pid_t tid, int signal)
{
	siginfo_t info;

	return (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL) &&
	       (ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) || info.si_code > 0);
}

// A signal came first. The thread takes it in its own state, as if we were not there, and is then
// borrowed again, from wherever that has led it: before the first instruction of a handler, mostly.
static bool take_signal(struct borrowed *borrowed, int signal)
{
	bool fault = is_fault(borrowed->tid, signal);
	int status = signal;

	ptrace(PTRACE_SETREGS, borrowed->tid, NULL, &borrowed->registers);
	ptrace(PTRACE_INTERRUPT, borrowed->tid, NULL, NULL);
	// There is no `syscall` instruction where we thought: our fault, not the target's.
	if (fault)
		status = 0;
	do {
		ptrace(PTRACE_CONT, borrowed->tid, NULL, (long)status);
		if (!next_stop(borrowed, &status))
			return false;
	} while (status >> 8 != PTRACE_EVENT_STOP);
	ptrace(PTRACE_GETREGS, borrowed->tid, NULL, &borrowed->registers);
	return !fault;
}

// The next stop on the way into a call. A thread that does not get there (its control group is frozen,
// say) is stopped again where it is. False when it is gone.
static bool next_stop_of_entry(struct borrowed *borrowed, int *status)
{
	enum wait_result result = tracee_wait(borrowed->tid, clock_ns() + ENTRY_LIMIT_NS, status);

	if (result == WAIT_TIMEOUT) {
		ptrace(PTRACE_INTERRUPT, borrowed->tid, NULL, NULL);
		result = tracee_wait(borrowed->tid, borrowed->deadline_ns, status);
	}
	borrowed->gone = result != WAIT_STOPPED;
	return !borrowed->gone;
}

// Takes the thread into a system call. False: it is as it was before, or gone.
static bool enter_call(struct borrowed *borrowed, long number, const unsigned long arguments[3])
{
	uint64_t give_up_ns = clock_ns() + ENTRY_LIMIT_NS;

	set_call(borrowed, number, arguments);
	do {
		int status;

		ptrace(PTRACE_SYSCALL, borrowed->tid, NULL, 0L);
		if (!next_stop_of_entry(borrowed, &status))
			return false;
		if (status == SYSCALL_STOP)
			return true;
		// A stop of the whole process, or a signal to a process that will not live to see it.
		if (status >> 8 || borrowed->expendable)
			continue;
		if (!take_signal(borrowed, status))
			return false;
		set_call(borrowed, number, arguments);
	} while (clock_ns() < give_up_ns);
	ptrace(PTRACE_SETREGS, borrowed->tid, NULL, &borrowed->registers);
	return false;
}

// From inside its call to PTRACE_EVENT_STOP, without an instruction of the thread's own in between,
// and its registers into place: only there the kernel will look at them when it decides about
// restarting the call they may stand in.
static long leave_call(struct borrowed *borrowed)
{
	struct user_regs_struct after = {.rax = (unsigned long)-ESRCH};
	int status;

	ptrace(PTRACE_INTERRUPT, borrowed->tid, NULL, NULL);
	do {
		// Asked to stop, it stops before it looks at signals.
		ptrace(PTRACE_CONT, borrowed->tid, NULL, 0L);
		if (!next_stop(borrowed, &status))
			return -ESRCH;
	} while (status >> 8 != PTRACE_EVENT_STOP);
	ptrace(PTRACE_GETREGS, borrowed->tid, NULL, &after);
	ptrace(PTRACE_SETREGS, borrowed->tid, NULL, &borrowed->registers);
	return (long)after.rax;
}

long borrowed_wait4(struct borrowed *borrowed, pid_t pid)
{
	const unsigned long arguments[3] = {(unsigned long)pid, 0, __WALL | WNOHANG};

	if (!enter_call(borrowed, SYS_wait4, arguments))
		return borrowed->gone ? -ESRCH : -ETIMEDOUT;
	return leave_call(borrowed);
}

static long clone_once(
	struct borrowed *borrowed, unsigned long flags, remote_addr stack, pid_t *child)
{
	const unsigned long arguments[3] = {flags, stack};
	int status;

	if (!enter_call(borrowed, SYS_clone, arguments))
		return borrowed->gone ? -ESRCH : -ETIMEDOUT;
	ptrace(PTRACE_SYSCALL, borrowed->tid, NULL, 0L);
	if (!next_stop(borrowed, &status))
		return -ESRCH;
	if (status >> 8 == PTRACE_EVENT_CLONE) {
		adopt_child(borrowed, child);
		if (borrowed->expendable)
			return *child;
	} else if (borrowed->expendable) {
		struct user_regs_struct after;

		return ptrace(PTRACE_GETREGS, borrowed->tid, NULL, &after) ? -ESRCH
									   : (long)after.rax;
	}
	return leave_call(borrowed);
}

long borrowed_clone(struct borrowed *borrowed, unsigned long flags, remote_addr stack, pid_t *child)
{
	long result = -EAGAIN;

	// A signal that arrives during clone() makes it start over.
	for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		result = clone_once(borrowed, flags, stack, child);
		if (result > -RESTART_FIRST || result < -RESTART_BLOCK)
			break;
	}
	return result;
}
