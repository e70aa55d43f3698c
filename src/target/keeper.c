// The keeper's life, and how heapwhy talks to it. See keeper.h.
//
// Results travel in shared memory, descriptors and the news that there is a result over a socket.
// The socket has a second duty: when heapwhy dies, however it dies, the kernel closes its end and
// the keeper sees that.
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
#include <sys/wait.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

enum { KEEPER_SOCKET = 3, COPY_FDS = 3 };

// Copying the page tables of a process of a terabyte takes about 20 s.
static const uint64_t COPY_LIMIT_NS = 30 * UINT64_C(1000000000);
static const uint64_t RELEASE_LIMIT_NS = 5 * UINT64_C(1000000000);

// How many threads are asked to reap the copy before giving up, and for how long each.
enum { REAPERS_MAX = 8 };
static const uint64_t REAPER_LIMIT_NS = 50 * UINT64_C(1000000);

static uint64_t known_tids[PID_COUNT_MAX / 64];

// The keeper's side, from here to keeper_main.

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

static void settle_in(struct keeper *keeper, pid_t pid, int socket)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	setsid();
	// Whoever started us may ignore SIGCHLD, and then stops would not be announced.
	sigaction(SIGCHLD, &action, NULL);
	drop_descriptors(socket);
	disguise(pid);
	if (chdir("/")) {
		// Then a directory stays busy for a moment longer.
	}
	// Without memory heapwhy may go; the keeper, who holds next to none, must not.
	write_text("/proc/self/oom_score_adj", "-1000");
	mlock(keeper->result, sizeof(*keeper->result));
	mlock(keeper->threads, keeper->thread_capacity * sizeof(*keeper->threads));
	madvise(keeper->bytes, keeper->byte_capacity, MADV_POPULATE_WRITE);
}

static bool tracees_open(struct tracees *tracees, struct keeper *keeper, pid_t pid)
{
	char path[64];
	size_t capacity = keeper->thread_capacity;
	// Out of the same allocation as everything else that must not fail later.
	struct tracee *items = mmap(NULL, capacity * sizeof(*items), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	*tracees = (struct tracees){
		.pid = pid, .items = items, .capacity = capacity, .known = known_tids};
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tracees->task_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	tracees->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
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

static bool fork_failed(struct keeper *keeper, pid_t pid, long result)
{
	struct failure *failure = &keeper->result->failure;

	failure->number = (int)-result;
	if (result == -ESRCH) {
		failure_set(failure, ERROR_TARGET, "process %d exited during the capture", pid);
		return false;
	}
	keeper->result->fork_refused = true;
	failure_set(failure, ERROR_TARGET, "process %d may not fork (%s)", pid,
		strerrordesc_np((int)-result));
	return false;
}

// The middle process's only task: to be the parent of the copy.
static long middle_fork(pid_t middle, const struct borrowed *parent, pid_t *copy)
{
	const unsigned long arguments[4] = {CLONE_FILES};
	struct borrowed borrowed;

	if (!borrowed_begin(middle, parent->options | PTRACE_O_EXITKILL, parent->syscall_address,
		    &borrowed))
		return -EAGAIN;
	borrowed.deadline_ns = clock_ns() + COPY_LIMIT_NS;
	long result = borrowed_call(&borrowed, SYS_clone, arguments, copy);
	// The middle process gone, or late: killed by somebody, or by us in a moment.
	return result > 0 && *copy ? result : result < 0 && result != -ESRCH ? result : -EAGAIN;
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
static bool fork_copy(
	struct keeper *keeper, struct tracees *tracees, const struct keeper_request *request)
{
	const unsigned long unusable_stack = 16;
	const unsigned long create[4] = {CLONE_VM | CLONE_FILES, unusable_stack};
	struct keeper_result *result = keeper->result;
	struct process_status status;
	struct borrowed thread;
	pid_t middle = 0, copy = 0;

	if (!tracees_borrow(tracees, request->syscall_address, &thread))
		return fork_failed(keeper, request->pid, -ESRCH);
	if (procfs_status(request->pid, thread.tid, &status) && status.seccomp &&
		!borrowed_suspend_seccomp(&thread)) {
		borrowed_end(&thread);
		return fork_failed(keeper, request->pid, -EPERM);
	}
	long made = borrowed_call(&thread, SYS_clone, create, &middle);
	long copied = made < 0 ? made : middle ? middle_fork(middle, &thread, &copy) : -EAGAIN;
	if (middle) {
		int unused;

		kill(middle, SIGKILL);
		while (tracee_wait(middle, UINT64_MAX, &unused) == WAIT_STOPPED)
			continue;
	}
	if (made > 0) {
		const unsigned long reap[4] = {(unsigned long)made, 0, __WALL | WNOHANG};

		borrowed_call(&thread, SYS_wait4, reap, NULL);
	}
	borrowed_end(&thread);
	if (thread.gone)
		copied = -ESRCH;
	if (copied < 0)
		return fork_failed(keeper, request->pid, copied);
	result->child = copy;
	result->child_in_namespace = (pid_t)copied;
	return true;
}

static int open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
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

// The target itself is the one to reap the copy when it is init of its container, or a subreaper:
// it adopted it.
static void reap_copy(struct tracees *tracees, const struct keeper_request *request, pid_t child)
{
	const unsigned long reap[4] = {(unsigned long)child, 0, __WALL | WNOHANG};
	bool reaped = false;

	for (size_t i = 0; i < tracees->count && i < REAPERS_MAX && !reaped; i++) {
		struct borrowed thread;

		if (!tracees_stop_one(tracees, i, REAPER_LIMIT_NS))
			continue;
		if (tracees_borrow(tracees, request->syscall_address, &thread)) {
			borrowed_suspend_seccomp(&thread);
			reaped = borrowed_call(&thread, SYS_wait4, reap, NULL) != -EINTR;
			borrowed_end(&thread);
		}
		tracees_resume(tracees);
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

static void let_go(
	struct tracees *tracees, struct keeper *keeper, const struct keeper_request *request)
{
	struct process_status status = {0};
	pid_t copy = keeper->result->child;
	int unused;

	procfs_status(copy, copy, &status);
	kill(copy, SIGKILL);
	uint64_t deadline = clock_ns() + RELEASE_LIMIT_NS;
	while (tracee_wait(copy, deadline, &unused) == WAIT_STOPPED)
		continue;
	if (status.ppid == request->pid)
		reap_copy(tracees, request, keeper->result->child_in_namespace);
}

// The whole life of the keeper. Ending is always safe: the kernel then resumes every thread and
// kills the copy.
static void __attribute__((noreturn))
keeper_main(struct keeper *keeper, const struct keeper_request *request, int socket)
{
	struct keeper_result *result = keeper->result;
	static struct tracees tracees;
	int fds[COPY_FDS] = {-1, -1, -1}, maps_fd = -1, pagemap_fd = -1;

	settle_in(keeper, request->pid, socket);
	if (request->method == CAPTURE_STOP) {
		maps_fd = open_proc(request->pid, "maps");
		pagemap_fd = open_proc(request->pid, "pagemap");
	}
	bool fine = tracees_open(&tracees, keeper, request->pid) &&
		    tracees_stop(&tracees, &result->failure) &&
		    tracees_registers(
			    &tracees, keeper->threads, &result->thread_count, &result->failure);
	if (fine && request->method == CAPTURE_FORK)
		fine = fork_copy(keeper, &tracees, request);
	else if (fine)
		fine = keeper_copy(keeper, &tracees, pagemap_fd, maps_fd, KEEPER_SOCKET);
	tracees_resume(&tracees);
	uint64_t end = clock_ns();
	result->pause_ns = tracees.stop_ns ? end - tracees.stop_ns : 0;
	result->total_ns = end - tracees.attach_ns;

	if (!fine || request->method == CAPTURE_STOP) {
		send_result(NULL, 0);
		_exit(0);
	}
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", result->child);
	write_text(path, "1000");
	fds[0] = open_proc(result->child, "mem");
	fds[1] = open_proc(result->child, "maps");
	fds[2] = open_proc(result->child, "pagemap");
	if (fds[0] < 0 || fds[1] < 0 || fds[2] < 0) {
		failure_set(&result->failure, ERROR_TARGET,
			"the copy of process %d was killed during the capture", request->pid);
		send_result(NULL, 0);
	} else if (send_result(fds, COPY_FDS)) {
		for (size_t i = 0; i < COPY_FDS; i++)
			close(fds[i]);
		hold(&tracees);
	}
	let_go(&tracees, keeper, request);
	_exit(0);
}

// Heapwhy's side.

static size_t page_align(size_t size)
{
	return (size + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

// One mapping, cut into the pieces of struct keeper. Memory that turns out not to be needed is
// never touched.
static struct error *keeper_allocate(struct keeper *keeper, const struct keeper_request *request)
{
	bool copies = request->method == CAPTURE_STOP;

	keeper->thread_capacity = request->thread_count + request->thread_count / 4 + 1024;
	keeper->maps_capacity = copies ? 32 * MIB : 0;
	keeper->byte_capacity = copies ? page_align(request->copy_bytes) : 0;
	// At worst every other page is there.
	keeper->extent_capacity = keeper->byte_capacity / PAGE_BYTES;
	size_t sizes[] = {page_align(sizeof(*keeper->result)),
		page_align(keeper->thread_capacity * sizeof(*keeper->threads)),
		keeper->maps_capacity, page_align(keeper->extent_capacity * sizeof(struct extent)),
		keeper->byte_capacity};
	void **pieces[] = {(void **)&keeper->result, (void **)&keeper->threads,
		(void **)&keeper->maps, (void **)&keeper->extents, (void **)&keeper->bytes};

	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
		keeper->shared_size += sizes[i];
	void *shared = mmap(NULL, keeper->shared_size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED)
		return error_no_memory();
	keeper->shared = shared;
	char *at = shared;
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		*pieces[i] = at;
		at += sizes[i];
	}
	// If there is not enough, it should turn out now, not while the target stands still.
	if (copies && madvise(keeper->bytes, keeper->byte_capacity, MADV_POPULATE_WRITE) &&
		errno == ENOMEM)
		return error_no_memory();
	return NULL;
}

static struct error *keeper_fork(struct keeper *keeper, const struct keeper_request *request)
{
	sigset_t all, before;
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return error_errno(ERROR_INTERNAL, "cannot create a socket");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t process = fork();
	if (process == 0)
		keeper_main(keeper, request, sockets[1]);
	int number = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(sockets[1]);
	keeper->socket = sockets[0];
	keeper->process = process;
	errno = number;
	return process < 0 ? error_errno(ERROR_INTERNAL, "cannot start a process") : NULL;
}

// Receives the news and the descriptors. False when the keeper died.
static bool receive_result(struct keeper *keeper)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int) * COPY_FDS)];
		struct cmsghdr alignment;
	} control;
	char done;
	struct iovec vector = {&done, 1};
	struct msghdr message = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control.buffer,
		.msg_controllen = sizeof(control.buffer)};
	ssize_t length;

	do {
		length = recvmsg(keeper->socket, &message, MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	if (length != 1)
		return false;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof(int) * COPY_FDS)) {
		int fds[COPY_FDS];

		memcpy(fds, CMSG_DATA(header), sizeof(fds));
		keeper->memory_fd = fds[0];
		keeper->maps_fd = fds[1];
		keeper->pagemap_fd = fds[2];
	}
	return true;
}

struct error *keeper_start(const struct keeper_request *request, struct keeper **out, bool *refused)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));

	if (!keeper)
		return error_no_memory();
	keeper->socket = keeper->memory_fd = keeper->maps_fd = keeper->pagemap_fd = -1;
	struct error *err = keeper_allocate(keeper, request);
	if (!err)
		err = keeper_fork(keeper, request);
	if (!err && !receive_result(keeper))
		err = error_create(ERROR_INTERNAL, "the process that held process %d was killed",
			request->pid);
	if (!err && *keeper->result->failure.message)
		err = error_create(
			keeper->result->failure.kind, "%s", keeper->result->failure.message);
	if (!err) {
		*out = keeper;
		return NULL;
	}
	if (refused && keeper->result)
		*refused = keeper->result->fork_refused;
	keeper_release(keeper);
	keeper_destroy(keeper);
	return err;
}

void keeper_release(struct keeper *keeper)
{
	if (keeper->memory_fd >= 0) {
		close(keeper->memory_fd);
		close(keeper->maps_fd);
		close(keeper->pagemap_fd);
		keeper->memory_fd = keeper->maps_fd = keeper->pagemap_fd = -1;
	}
	if (keeper->socket < 0)
		return;
	// It answers by closing its own end, when all is done.
	struct pollfd fd = {.fd = keeper->socket, .events = POLLIN};
	shutdown(keeper->socket, SHUT_WR);
	bool ended = keeper->process > 0 && poll(&fd, 1, 2 * RELEASE_LIMIT_NS / 1000000) > 0;
	close(keeper->socket);
	keeper->socket = -1;
	if (ended) {
		while (waitpid(keeper->process, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
}

void keeper_destroy(struct keeper *keeper)
{
	if (!keeper)
		return;
	keeper_release(keeper);
	if (keeper->shared)
		munmap(keeper->shared, keeper->shared_size);
	free(keeper);
}
