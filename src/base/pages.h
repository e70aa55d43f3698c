// Big arrays, straight from the kernel: zeroed, taking memory only where they are touched, given
// back at once.
//
// An array can also live in an unlinked temporary file: then the kernel may write it out when
// memory is short, and a graph that is too big for the machine gets slow instead of killed.
// Those of some megabytes are made of huge pages where the kernel has them: arrays that are read in
// random order then miss the processor's address cache much less.
//
//	uint32_t *numbers = pages_alloc(spill, count * sizeof(*numbers));
//	if (!numbers)
//		...                            // no memory, or no space: see errno
//	numbers = pages_resize(numbers, old_bytes, new_bytes);
//	pages_free(numbers, new_bytes);
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

struct error;

// `directory`: where the temporary file goes; NULL: plain memory.
void *pages_alloc(const char *directory, size_t bytes);

// Moves the array if it must, in plain memory only: an array in a file can shrink but not grow.
void *pages_resize(void *array, size_t old_bytes, size_t new_bytes);

// All of a plain array is in memory from here on, so that no later store to it waits for the kernel. For
// threads that have nothing better to do; where the kernel cannot do it, nothing happens.
void pages_populate(void *array, size_t bytes);

void pages_free(void *array, size_t bytes); // accepts NULL

// Why pages_alloc(directory, ...) has just failed.
struct error *pages_error(const char *directory)
	__attribute__((returns_nonnull, warn_unused_result));

#endif
