// Asks an executable everything that can be asked, and checks only that the answers keep their
// promises. For damaged files, by test_debuginfo.c and the fuzzer.
#ifndef TESTS_EXECUTABLE_EXERCISE_H
#define TESTS_EXECUTABLE_EXERCISE_H

#include <stdbool.h>
#include <stddef.h>

// `bytes` are the file. True when it could be opened as an executable.
bool executable_exercise(const void *bytes, size_t size);

#endif
