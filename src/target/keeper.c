// Heapwhy's side of the keeper. See keeper.h.
//
// Results travel in shared memory, descriptors and the news that there is a result over a socket.
// The socket has a second duty: when heapwhy dies, however it dies, the kernel closes its end and
// the keeper sees that.
#include "target/keeper.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "target/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

enum { END_LIMIT_MS = 10000 };

static size_t page_align(size_t size)
{
	return (size + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

// One mapping, cut into the pieces of struct keeper. Memory that turns out not to be needed is
// never touched.
static struct error *keeper_allocate(struct keeper *keeper)
{
	const struct keeper_request *request = &keeper->request;
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

static struct error *keeper_fork(struct keeper *keeper)
{
	sigset_t all, before;
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return error_errno(ERROR_INTERNAL, "cannot create a socket");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t process = fork();
	if (process == 0)
		keeper_main(keeper, sockets[1]);
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

static void cleanup_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static void keeper_init(struct keeper *keeper, const struct keeper_request *request)
{
	*keeper = (struct keeper){.request = *request,
		.socket = -1,
		.memory_fd = -1,
		.maps_fd = -1,
		.pagemap_fd = -1};
}

// Starts the process and waits for its answer.
static struct error *keeper_run(struct keeper *keeper)
{
	struct error *err = keeper_allocate(keeper);

	if (!err)
		err = keeper_fork(keeper);
	if (err)
		return err;
	if (!receive_result(keeper))
		return error_create(ERROR_INTERNAL, "the process that held process %d was killed",
			keeper->request.pid);
	const struct failure *failure = &keeper->result->failure;
	return *failure->message ? error_create(failure->kind, "%s", failure->message) : NULL;
}

// Waits until the process has ended; false when something killed it.
static bool keeper_end(struct keeper *keeper)
{
	struct pollfd fd = {.fd = keeper->socket, .events = POLLIN};

	int status = 0;

	if (keeper->socket < 0)
		return true;
	// It answers when all is done, at the latest by closing its own end.
	shutdown(keeper->socket, SHUT_WR);
	bool ended = keeper->process > 0 && poll(&fd, 1, END_LIMIT_MS) > 0;
	close(keeper->socket);
	keeper->socket = -1;
	while (ended && waitpid(keeper->process, &status, 0) < 0 && errno == EINTR)
		continue;
	return !WIFSIGNALED(status);
}

static void keeper_deinit(struct keeper *keeper)
{
	if (keeper->shared)
		munmap(keeper->shared, keeper->shared_size);
}

struct error *keeper_start(
	const struct keeper_request *request, struct keeper **out, enum keeper_refusal *refusal)
{
	struct keeper *keeper = malloc(sizeof(*keeper));

	*refusal = REFUSAL_NONE;
	if (!keeper)
		return error_no_memory();
	keeper_init(keeper, request);
	struct error *err = keeper_run(keeper);
	if (!err) {
		*out = keeper;
		return NULL;
	}
	if (keeper->result)
		*refusal = keeper->result->refusal;
	keeper_destroy(keeper);
	return err;
}

// A child of the target that the keeper has made: its exit signal is 0, which nobody else uses, or
// it is the copy, adopted by the target. 0: there is none.
static pid_t find_orphan(const struct keeper *keeper, char *state)
{
	_cleanup_(cleanup_directory) DIR *directory = opendir("/proc");
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		pid_t pid = atoi(entry->d_name);
		int parent, exit_signal = -1;
		char text[1024];

		if (pid <= 0 || procfs_read(pid, "stat", text, sizeof(text)) < 0)
			continue;
		char *at = strrchr(text, ')');
		if (!at || sscanf(at + 1, " %c %d", state, &parent) != 2 ||
			parent != keeper->request.pid)
			continue;
		for (int field = 2; at && field < 38; field++)
			at = strchr(at + 1, ' ');
		if (at)
			exit_signal = atoi(at + 1);
		if (exit_signal == 0 || pid == keeper->result->child)
			return pid;
	}
	return 0;
}

// After the keeper was killed, a process that it had created may be a zombie in the target. Another
// keeper has it reaped. It may also be about to come into being: look for a while.
static void keeper_tidy(const struct keeper *killed)
{
	struct keeper_request request = killed->request;

	request.method = CAPTURE_FORK;
	for (int i = 0; i < 50; i++) {
		struct keeper keeper;
		char state;

		request.reap = find_orphan(killed, &state);
		if (!request.reap || state != 'Z') {
			usleep(10000);
			continue;
		}
		keeper_init(&keeper, &request);
		error_destroy(keeper_run(&keeper));
		keeper_end(&keeper);
		keeper_deinit(&keeper);
	}
}

void keeper_release(struct keeper *keeper)
{
	if (keeper->memory_fd >= 0) {
		close(keeper->memory_fd);
		close(keeper->maps_fd);
		close(keeper->pagemap_fd);
		keeper->memory_fd = keeper->maps_fd = keeper->pagemap_fd = -1;
	}
	if (!keeper_end(keeper))
		keeper_tidy(keeper);
}

void keeper_destroy(struct keeper *keeper)
{
	if (!keeper)
		return;
	keeper_release(keeper);
	keeper_deinit(keeper);
	free(keeper);
}
