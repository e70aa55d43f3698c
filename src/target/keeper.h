// The keeper: a small process that traces the target on our behalf and outlives us.
//
// Whatever kills heapwhy (SIGKILL, out of memory, a fault of its own) cannot leave the target half
// stopped, because heapwhy never holds it: the keeper does. It sits in a session of its own with
// all signals blocked, allocates nothing while the target stands still, and when its end of the
// socket reports that heapwhy is gone it puts everything back and exits.
//
//	err = keeper_start(&request, &keeper);     // the target has been stopped and resumed, or an
// error
//	... read keeper->memory_fd ...
//	keeper_release(keeper);                    // the frozen copy is gone
//	keeper_destroy(keeper);
#ifndef TARGET_KEEPER_H
#define TARGET_KEEPER_H

#include "target/tracee.h"

// A run of pages copied in CAPTURE_STOP.
struct extent {
	remote_addr start;
	uint64_t size;
	uint64_t offset; // in keeper->bytes
};

struct keeper_request {
	pid_t pid;
	pid_t reap; // not 0: capture nothing, only have the target reap this process
	enum capture_method method;  // CAPTURE_FORK or CAPTURE_STOP
	remote_addr syscall_address; // of a `syscall` instruction in the target, for CAPTURE_FORK
	size_t thread_count;         // about as many
	uint64_t copy_bytes;         // CAPTURE_STOP: about as much to copy
};

// How many descriptors of the frozen copy are sent: mem, maps, pagemap.
enum { COPY_FDS = 3 };

// A failure after which another request may succeed.
enum keeper_refusal {
	REFUSAL_NONE,
	REFUSAL_FORK,  // the target's system does not let it clone(): try CAPTURE_STOP
	REFUSAL_GROWN, // the target has grown beyond copy_bytes
};

// The part of the shared memory that has a fixed size.
struct keeper_result {
	struct failure failure; // message "" on success
	enum keeper_refusal refusal;
	uint64_t pause_ns, total_ns;
	pid_t child;  // the frozen copy; 0 when it is gone
	pid_t orphan; // a process that the target must reap, but does not know of; 0: none
	size_t thread_count;
	size_t extent_count;
	uint64_t byte_count;
	size_t maps_length;
};

// Everything behind a pointer is shared by the two processes.
struct keeper {
	struct keeper_request request;
	pid_t process;
	int socket;
	int memory_fd, maps_fd, pagemap_fd; // of the frozen copy; -1 in CAPTURE_STOP
	struct keeper_result *result;
	struct target_thread *threads;
	size_t thread_capacity;
	char *maps; // CAPTURE_STOP: the text of /proc/PID/maps
	size_t maps_capacity;
	struct extent *extents; // by address
	size_t extent_capacity;
	uint8_t *bytes;
	uint64_t byte_capacity;
	void *shared;
	size_t shared_size;
};

// Captures the process. `refusal` says more about a failure.
struct error *keeper_start(
	const struct keeper_request *request, struct keeper **out, enum keeper_refusal *refusal);

// Kills the frozen copy and waits until the keeper is gone. Idempotent.
void keeper_release(struct keeper *keeper);

void keeper_destroy(struct keeper *keeper);

// The rest runs in the keeper.

void keeper_main(struct keeper *keeper, int socket) __attribute__((noreturn));

// Copies what is resident of the stopped process's private memory.
bool keeper_copy(
	struct keeper *keeper, struct tracees *tracees, int pagemap_fd, int maps_fd, int socket);

#endif
