// Captured images: what heapwhy reads of a small Go process, in a file, so that tests and fuzzers
// work on the real thing without Go and without a process.
//
//	struct captured *captured;
//	struct error *err = captured_load("images/go1.27.hwi", &captured);
//	go_runtime_open(captured_target(captured), &runtime);
//	captured_destroy(captured);
//
// The file, compressed with zstd: struct captured_header, its regions, its threads, the addresses
// of its pages, and the pages. Pages of zeros are left out, and so is most of the code.
// images/capture.sh makes them.
#ifndef TESTS_CAPTURED_H
#define TESTS_CAPTURED_H

#include "target/target.h"

enum { CAPTURED_PAGE = 4096 };

struct captured;

struct error *captured_load(const char *path, struct captured **out);
void captured_destroy(struct captured *captured); // accepts NULL

// Owned by the captured; any number of users, one after the other.
struct target *captured_target(struct captured *captured);

// What MemStats.HeapAlloc was.
uint64_t captured_heap_alloc(const struct captured *captured);

// Our copy of the target's bytes at `address`, up to the end of its page, to be changed; NULL when
// they are not kept.
uint8_t *captured_bytes(struct captured *captured, remote_addr address);

// Frees what target_map() copied, so that it is read anew after changes.
void captured_forget(struct captured *captured);

// Writes what `target` holds, code only where a page of it is in `code` (`code_count` addresses).
struct error *captured_save(const char *path, struct target *target, uint64_t heap_alloc,
	const remote_addr *code, size_t code_count);

#endif
