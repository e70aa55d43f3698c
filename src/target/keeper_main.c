// What the keeper does. See keeper.h.
//
// Whatever happens to it, ending is safe: the kernel then detaches and resumes every thread of the
// target, and kills the copy.
#include "target/keeper.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "target/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

enum { KEEPER_SOCKET = 3 };

// Copying the page tables of a process of a terabyte takes about 20 s.
static const uint64_t COPY_LIMIT_NS = 30 * UINT64_C(1000000000);
static const uint64_t RELEASE_LIMIT_NS = 5 * UINT64_C(1000000000);

// How many threads are asked in turn to reap an orphan, for how long each, and when that is given up.
enum { REAPERS_MAX = 8, REAPING_PAUSE_US = 10000 };
static const uint64_t REAPER_LIMIT_NS = 50 * UINT64_C(1000000);
static const uint64_t REAPING_LIMIT_NS = 5 * UINT64_C(1000000000);

// A command line that `pkill -f` does not take for heapwhy's.
static void disguise(pid_t pid)
{
	char text[1024], *at = text;

	prctl(PR_SET_NAME, "hw-keeper");
	if (file_read_text("/proc/self/stat", text, sizeof(text)) < 0)
		return;
	// The name may contain anything; the fields after its ')' do not. 48 and 49 are arg_start
	// and arg_end.
	at = strrchr(text, ')');
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return;
	uintptr_t start = strtoull(at, &at, 10), end = strtoull(at, NULL, 10);
	if (start && end > start) {
		memset((void *)start, 0, end - start);
		snprintf((char *)start, end - start, "hw-keeper %d", pid);
	}
}

static void write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		return; // not permitted: as before
}

// Nothing of heapwhy's may stay open because of the keeper: a reader of heapwhy's output waits for
// its end.
static void drop_descriptors(int socket)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (socket != KEEPER_SOCKET)
		dup3(socket, KEEPER_SOCKET, O_CLOEXEC);
	for (int fd = 0; fd < KEEPER_SOCKET && null >= 0; fd++)
		dup2(null, fd);
	if (syscall(SYS_close_range, KEEPER_SOCKET + 1, ~0u, 0)) {
		for (int fd = KEEPER_SOCKET + 1; fd < 65536; fd++)
			close(fd);
	}
}

static int open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void settle_in(struct keeper *keeper, int socket)
{
	struct sigaction action = {.sa_handler = tracees_bury, .sa_flags = SA_RESTART};

	// Not a session of its own: with sched_autogroup that would also be a scheduling group of
	// its own, one that a busy machine may leave waiting for seconds.
	setpgid(0, 0);
	// Whoever started us may ignore SIGCHLD, and then stops would not be announced. All signals are blocked.
	sigaction(SIGCHLD, &action, NULL);
	drop_descriptors(socket);
	disguise(keeper->request.pid);
	if (chdir("/")) {
		// Then a directory stays busy for a moment longer.
	}
	// Without memory heapwhy may go; the keeper, who holds next to none, must not.
	write_text("/proc/self/oom_score_adj", "-1000");
	mlock(keeper->result, sizeof(*keeper->result));
	madvise(keeper->threads, keeper->thread_capacity * sizeof(*keeper->threads),
		MADV_POPULATE_WRITE);
	madvise(keeper->bytes, keeper->byte_capacity, MADV_POPULATE_WRITE);
}

// While the target stands still nothing is more urgent than to let it go: a busy machine could keep
// us waiting for longer than all the rest takes. Not permitted to everybody: then as before. `pid` 0
// is the keeper; threads of the target are never changed.
static void hurry(pid_t pid, bool on)
{
	struct sched_param parameter = {.sched_priority = on};

	sched_setscheduler(pid, on ? SCHED_FIFO | SCHED_RESET_ON_FORK : SCHED_OTHER, &parameter);
}

static bool tracees_open(struct tracees *tracees, struct keeper *keeper)
{
	static uint64_t known_tids[PID_COUNT_MAX / 64];
	pid_t pid = keeper->request.pid;
	size_t capacity = keeper->thread_capacity;
	struct tracee *items = mmap(NULL, capacity * sizeof(*items), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	*tracees = (struct tracees){.pid = pid,
		.items = items,
		.capacity = capacity,
		.known = known_tids,
		.task_fd = open_proc(pid, "task"),
		.mem_fd = open_proc(pid, "mem")};
	if (items != MAP_FAILED && tracees->task_fd >= 0 && tracees->mem_fd >= 0)
		return true;
	struct failure *failure = &keeper->result->failure;
	if (errno == ENOENT)
		failure_set(failure, ERROR_TARGET, "there is no process %d", pid);
	else if (errno == ENOMEM)
		failure_set(failure, ERROR_INTERNAL, "out of memory");
	else
		failure_set(failure, ERROR_TARGET,
			"reading process %d is not permitted: run as its user or as root, in a "
			"container with CAP_SYS_PTRACE",
			pid);
	return false;
}

static bool fork_failed(struct keeper *keeper, long result)
{
	pid_t pid = keeper->request.pid;
	struct failure *failure = &keeper->result->failure;

	if (result == -ESRCH) {
		failure_set(failure, ERROR_TARGET, "process %d exited during the capture", pid);
		return false;
	}
	keeper->result->refusal = REFUSAL_FORK;
	if (result == -ETIMEDOUT)
		failure_set(failure, ERROR_TARGET,
			"process %d does not get to fork: its control group may be frozen", pid);
	else
		failure_set(failure, ERROR_TARGET, "process %d may not fork (%s)", pid,
			strerrordesc_np((int)-result));
	return false;
}

// The middle process's only task: to be the parent of the copy.
static long middle_fork(pid_t middle, const struct borrowed *parent, pid_t *copy)
{
	struct borrowed borrowed;

	if (!borrowed_begin(middle, parent->options | PTRACE_O_EXITKILL, parent->syscall_address,
		    &borrowed))
		return -EAGAIN;
	hurry(middle, true);
	borrowed.expendable = true;
	borrowed.deadline_ns = clock_ns() + COPY_LIMIT_NS;
	long result = borrowed_clone(&borrowed, CLONE_FILES, 0, copy);
	// Gone or late: killed by somebody else, or by us in a moment.
	return result == -ESRCH ? -EAGAIN : result;
}

static void end_process(pid_t pid)
{
	uint64_t deadline = clock_ns() + RELEASE_LIMIT_NS;
	int unused;

	kill(pid, SIGKILL);
	while (tracee_wait(pid, deadline, &unused) == WAIT_STOPPED)
		continue;
}

// The copy is a grandchild. A thread of the target creates the middle process, which shares its
// memory and files: that takes microseconds, however big the target is. The middle process then
// does the long work of creating the copy, is killed, and is reaped by the thread. What this buys:
// while page tables are copied no thread of the target is in a state of ours, everything that
// exists for our sake dies with the keeper (PTRACE_O_EXITKILL), and the copy is init's to reap, so
// that nothing remains in the target to be tidied up later.
//
// The files are shared, not copied, because copies would keep connections open that the target
// closes. The middle process gets a stack pointer that cannot be used: should it ever run, it ends
// there.
static bool fork_copy(struct keeper *keeper, struct tracees *tracees)
{
	const struct keeper_request *request = &keeper->request;
	const remote_addr unusable_stack = 16;
	struct keeper_result *result = keeper->result;
	struct process_status status;
	struct borrowed thread;

	if (!tracees_borrow(tracees, request->syscall_address, &thread))
		return fork_failed(keeper, -ESRCH);
	if (procfs_status(request->pid, thread.tid, &status) && status.seccomp &&
		!borrowed_suspend_seccomp(&thread)) {
		borrowed_end(&thread);
		result->refusal = REFUSAL_FORK;
		failure_set(&result->failure, ERROR_TARGET,
			"the seccomp filter of process %d could forbid it to fork, and only "
			"CAP_SYS_ADMIN may suspend it",
			request->pid);
		return false;
	}
	long made =
		borrowed_clone(&thread, CLONE_VM | CLONE_FILES, unusable_stack, &result->orphan);
	pid_t middle = result->orphan;
	long copied = made < 0 ? made
		      : middle ? middle_fork(middle, &thread, &result->child)
			       : -EAGAIN;
	// The rest concerns this one thread.
	tracees_resume(tracees, thread.tid);
	if (middle)
		end_process(middle);
	if (made > 0 && borrowed_wait4(&thread, (pid_t)made) == made)
		result->orphan = 0;
	borrowed_end(&thread);
	if (thread.gone)
		copied = -ESRCH;
	return copied > 0 || fork_failed(keeper, copied);
}

// Tells heapwhy that there is a result; false when it is gone.
static bool send_result(const int *fds, size_t fd_count)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int) * COPY_FDS)];
		struct cmsghdr alignment;
	} control = {0};
	char done = 1;
	struct iovec vector = {&done, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd_count) {
		message.msg_control = control.buffer;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	return sendmsg(KEEPER_SOCKET, &message, MSG_NOSIGNAL) == 1;
}

// Has one thread of the target reap its child. False: it could not, or the child is not dead yet.
static bool reap_by(struct keeper *keeper, struct tracees *tracees, size_t index, pid_t child)
{
	struct borrowed thread;
	long reaped = 0;

	if (!tracees_stop_one(tracees, index, REAPER_LIMIT_NS))
		return false;
	if (tracees_borrow(tracees, keeper->request.syscall_address, &thread)) {
		borrowed_suspend_seccomp(&thread);
		reaped = borrowed_wait4(&thread, child);
		borrowed_end(&thread);
	}
	tracees_resume(tracees, 0);
	return reaped == child || reaped == -ECHILD; // the target may wait for all its children
}

// Has the target reap a child that it does not know of. No thread of the target is touched before the child is dead, and
// they are asked one after the other, with time to work in between.
static void reap_orphan(struct keeper *keeper, struct tracees *tracees)
{
	struct keeper_result *result = keeper->result;
	size_t count = tracees->count < REAPERS_MAX ? tracees->count : REAPERS_MAX, next = 0;
	uint64_t deadline = clock_ns() + REAPING_LIMIT_NS;
	struct process_status status;

	while (count && clock_ns() < deadline &&
		procfs_status(result->orphan, result->orphan, &status)) {
		if (status.state == 'Z' &&
			reap_by(keeper, tracees, next++ % count, status.namespace_pid)) {
			result->orphan = 0;
			return;
		}
		usleep(REAPING_PAUSE_US);
	}
}

// Waits for the word to let go (or for heapwhy's end, which is the same), looking after stuck
// threads meanwhile.
static void hold(struct tracees *tracees)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	int events = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	for (;;) {
		struct signalfd_siginfo info;
		struct pollfd fds[2] = {
			{KEEPER_SOCKET, POLLIN | POLLRDHUP, 0}, {events, POLLIN, 0}};

		tracees_service(tracees);
		if (poll(fds, 2, -1) > 0 && fds[0].revents)
			return;
		while (read(events, &info, sizeof(info)) > 0)
			continue;
	}
}

static void let_go(struct keeper *keeper, struct tracees *tracees)
{
	struct keeper_result *result = keeper->result;
	struct process_status status;

	// Init of a container, or a subreaper: then the target itself has adopted the copy.
	if (result->child && procfs_status(result->child, result->child, &status) &&
		status.ppid == keeper->request.pid)
		result->orphan = result->child;
	if (result->child)
		end_process(result->child);
	result->child = 0;
	if (result->orphan)
		reap_orphan(keeper, tracees);
}

static bool capture(struct keeper *keeper, struct tracees *tracees)
{
	struct keeper_result *result = keeper->result;
	bool copies = keeper->request.method == CAPTURE_STOP;
	pid_t pid = keeper->request.pid;
	int maps_fd = copies ? open_proc(pid, "maps") : -1;
	int pagemap_fd = copies ? open_proc(pid, "pagemap") : -1;

	hurry(0, true);
	bool fine = tracees_stop(tracees, &result->failure) &&
		    tracees_registers(
			    tracees, keeper->threads, &result->thread_count, &result->failure);
	if (fine && copies)
		fine = keeper_copy(keeper, tracees, pagemap_fd, maps_fd, KEEPER_SOCKET);
	else if (fine)
		fine = fork_copy(keeper, tracees);
	tracees_resume(tracees, 0);
	uint64_t end = clock_ns();
	hurry(0, false);
	result->pause_ns = tracees->stop_ns ? end - tracees->stop_ns : 0;
	result->total_ns = end - tracees->attach_ns;
	return fine;
}

// Descriptors of the copy travel with the news; heapwhy alone might not be permitted to open them.
static bool announce_copy(struct keeper *keeper)
{
	pid_t copy = keeper->result->child;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", copy);
	write_text(path, "1000");
	int fds[COPY_FDS] = {
		open_proc(copy, "mem"), open_proc(copy, "maps"), open_proc(copy, "pagemap")};
	if (fds[0] < 0 || fds[1] < 0 || fds[2] < 0) {
		failure_set(&keeper->result->failure, ERROR_TARGET,
			"the copy of process %d was killed during the capture",
			keeper->request.pid);
		return false;
	}
	bool sent = send_result(fds, COPY_FDS);
	for (size_t i = 0; i < COPY_FDS; i++)
		close(fds[i]);
	return sent;
}

void keeper_main(struct keeper *keeper, int socket)
{
	static struct tracees tracees;
	struct failure *failure = &keeper->result->failure;

	settle_in(keeper, socket);
	if (!tracees_open(&tracees, keeper)) {
		send_result(NULL, 0);
		_exit(0);
	}
	if (keeper->request.reap) {
		keeper->result->orphan = keeper->request.reap;
		if (tracees_list(&tracees, failure))
			let_go(keeper, &tracees);
		_exit(0);
	}
	bool holds = capture(keeper, &tracees) && keeper->result->child;
	if (holds && announce_copy(keeper))
		hold(&tracees);
	// Ending resumes threads that are still attached and kills a copy that is still there.
	let_go(keeper, &tracees);
	send_result(NULL, 0);
	_exit(0);
}
