// Numbers for people: bytes, counts, durations.
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

// Each writes into `buffer` (24 bytes are always enough) and returns it.
char *format_bytes(char *buffer, size_t size, uint64_t bytes); // "0 B", "17.3 MiB"
char *format_count(char *buffer, size_t size, uint64_t count); // "1,234,567"
char *format_duration(
	char *buffer, size_t size, uint64_t ns); // "840 ns", "2.4 ms", "3m12s", "4h05m", "6d02h"

// Parses "64", "64K", "1.5MiB", "2GB" (all powers of 1024). Returns 0 on success, -1 on anything
// else.
int parse_bytes(const char *string, uint64_t *bytes);

// Monotonic clock, in nanoseconds.
uint64_t clock_ns(void);

#endif
