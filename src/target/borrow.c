// Running system calls in a thread of the target. See tracee.h.
#include "target/tracee.h"

#include "base/units.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

// What rax holds when an interrupted system call is to be started again: -ERESTARTSYS to
// -ERESTART_RESTARTBLOCK (the kernel's include/linux/errno.h).
enum { RESTART_FIRST = 512, RESTART_BLOCK = 516 };

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
	uint64_t all = ~UINT64_C(0);

	if (ptrace(PTRACE_GETREGS, tid, NULL, &borrowed.registers) ||
		ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(borrowed.signal_mask),
			&borrowed.signal_mask) ||
		ptrace(PTRACE_SETOPTIONS, tid, NULL, borrowed.options) ||
		ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(all), &all))
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
	ptrace(PTRACE_SETSIGMASK, borrowed->tid, (void *)sizeof(borrowed->signal_mask),
		&borrowed->signal_mask);
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

// A new process, at the moment of its birth. It dies when we do.
static pid_t adopt_child(pid_t parent)
{
	unsigned long message = 0;
	int status;

	if (ptrace(PTRACE_GETEVENTMSG, parent, NULL, &message))
		return 0;
	pid_t child = (pid_t)message;
	if (tracee_wait(child, UINT64_MAX, &status) != WAIT_STOPPED)
		return 0;
	ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
	return child;
}

// From a thread with our registers in PTRACE_EVENT_STOP to the end of its system call.
static bool run_to_exit(struct borrowed *borrowed, pid_t *child)
{
	bool entered = false;

	for (;;) {
		int status;

		if (!next_stop(borrowed, &status))
			return false;
		if (status == SYSCALL_STOP && entered)
			return true;
		if (status == SYSCALL_STOP)
			entered = true;
		else if (status >> 8 == PTRACE_EVENT_CLONE && child)
			*child = adopt_child(borrowed->tid);
		// Only SIGKILL, SIGSTOP and faults are not blocked: the first needs no help, the
		// second must not be lost, the third means that the instruction is not there.
		else if (status == SIGSEGV || status == SIGBUS || status == SIGILL)
			return false;
		long signal = status == SIGSTOP ? SIGSTOP : 0;
		ptrace(PTRACE_SYSCALL, borrowed->tid, NULL, signal);
	}
}

// Back to PTRACE_EVENT_STOP, without an instruction in between, and the thread's own registers into
// place: only there the kernel will look at them when it decides about restarting the call they may
// stand in.
static void restore(struct borrowed *borrowed)
{
	ptrace(PTRACE_INTERRUPT, borrowed->tid, NULL, NULL);
	ptrace(PTRACE_CONT, borrowed->tid, NULL, 0L);
	for (;;) {
		int status;

		if (!next_stop(borrowed, &status))
			return;
		if (status >> 8 == PTRACE_EVENT_STOP)
			break;
		long signal = status == SIGSTOP ? SIGSTOP : 0;
		ptrace(PTRACE_CONT, borrowed->tid, NULL, signal);
	}
	ptrace(PTRACE_SETREGS, borrowed->tid, NULL, &borrowed->registers);
}

long borrowed_call(
	struct borrowed *borrowed, long number, const unsigned long arguments[4], pid_t *child)
{
	struct user_regs_struct regs = borrowed->registers;
	long result = -EINTR;

	regs.rip = borrowed->syscall_address;
	regs.rax = (unsigned long)number;
	// Not in a system call: nothing to restart.
	regs.orig_rax = (unsigned long)-1;
	regs.rdi = arguments[0];
	regs.rsi = arguments[1];
	regs.rdx = arguments[2];
	regs.r10 = arguments[3];
	// A process-wide stop that arrives just now makes clone() start over.
	for (int attempt = 0; attempt < 16 && !borrowed->gone; attempt++) {
		struct user_regs_struct after;

		if (ptrace(PTRACE_SETREGS, borrowed->tid, NULL, &regs) ||
			ptrace(PTRACE_SYSCALL, borrowed->tid, NULL, 0L)) {
			borrowed->gone = true;
			break;
		}
		if (!run_to_exit(borrowed, child)) {
			result = -EFAULT;
		} else {
			ptrace(PTRACE_GETREGS, borrowed->tid, NULL, &after);
			result = (long)after.rax;
		}
		if (!borrowed->gone)
			restore(borrowed);
		if (result > -RESTART_FIRST || result < -RESTART_BLOCK)
			break;
	}
	return borrowed->gone ? -ESRCH : result;
}
