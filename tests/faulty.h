// An allocator for tests: counts what is out, checks that what comes back has the size it was given with, and fails
// when told to. Thread-safe.
//
//	struct faulty faulty;
//	faulty_init(&faulty);
//	faulty.fail_at = 3;                     // the third allocation from now on fails, and only that one
//	thing_create(&faulty.allocator);
//	assert_int_equal(faulty_out(&faulty), 0);
#ifndef TESTS_FAULTY_H
#define TESTS_FAULTY_H

#include <stdatomic.h>
#include <stddef.h>

#include "heapwhy/allocator.h"

struct faulty {
	struct hw_allocator allocator;
	_Atomic long fail_at; // counts down; below 1: nothing fails
	atomic_size_t bytes;  // out
	atomic_size_t count;  // allocations ever
};

void faulty_init(struct faulty *faulty);
size_t faulty_out(const struct faulty *faulty);

#endif
