// The same work in several threads, each with a job of its own.
//
//	struct worker workers[4];
//	together(count_run, workers, 4, sizeof(*workers));    // count_run(&workers[0]), ...
#ifndef BASE_TOGETHER_H
#define BASE_TOGETHER_H

#include <stddef.h>

enum { TOGETHER_MAX = 16 };

// Runs all `count` jobs, up to TOGETHER_MAX, which lie `stride` bytes apart, and returns when the last is done. The calling
// thread does the first one, and afterwards those for which no thread could be started.
void together(void (*run)(void *job), void *jobs, size_t count, size_t stride);

#endif
