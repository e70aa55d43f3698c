// A process that notices everything a careless tracer would do to it. Its threads hold known values
// in all registers, sleep in interruptible system calls, count every signal, and create other
// threads; each tells of its progress in shared memory, and of the first thing that went wrong.
#ifndef TESTS_VICTIM_H
#define TESTS_VICTIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum victim_beat {
	BEAT_REGISTERS, // two threads
	BEAT_NANOSLEEP,
	BEAT_PIPE,
	BEAT_POLL,
	BEAT_EPOLL,
	BEAT_FUTEX,
	BEAT_SIGNALS,
	BEAT_THREADS,
	BEAT_SPAWN,
	BEAT_VFORK,
	BEAT_COUNT
};

struct victim_state {
	_Atomic uint64_t beats[BEAT_COUNT];
	_Atomic uint64_t sent, received; // queued signals
	_Atomic bool failed;
	char message[256];
};

struct victim {
	pid_t pid;
	struct victim_state *state; // shared with it
	uint8_t *memory; // where it has `memory_bytes` bytes, byte i being i / 4096 * 31 + i
	uint64_t memory_bytes;
};

struct victim_options {
	bool threads; // keep creating threads
	bool spawn;   // keep spawning children
	bool vfork;   // a thread that cannot be stopped most of the time
	bool init;    // be init of a pid namespace of its own
	bool reaper;  // adopt orphaned descendants
	bool seccomp; // be killed when creating a process
	bool lenient; // epoll_wait may fail with EINTR, as after SIGSTOP and SIGCONT (signal(7))
	uint64_t memory_bytes;
};

void victim_start(struct victim *victim, const struct victim_options *options);
uint8_t victim_byte(uint64_t index);

// Fails the test unless the victim has made progress everywhere, has nothing to complain about, and
// is as untouched as if nobody had ever looked at it.
void victim_check(const struct victim *victim, const struct victim_options *options);

void victim_stop(struct victim *victim);

#endif
