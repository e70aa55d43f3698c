// Numbers for people. See units.h.
#include "base/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

char *format_bytes(char *buffer, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	// 1023.95 would print as "1024.0": step to the next unit where rounding would reach it.
	while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(buffer, size, "%" PRIu64 " B", bytes);
	else
		snprintf(buffer, size, "%.1f %s", value, units[unit]);
	return buffer;
}

char *format_count(char *buffer, size_t size, uint64_t count)
{
	char digits[24], grouped[32];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, count), out = 0;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			grouped[out++] = ',';
		grouped[out++] = digits[i];
	}
	grouped[out] = '\0';
	snprintf(buffer, size, "%s", grouped);
	return buffer;
}

char *format_duration(char *buffer, size_t size, uint64_t ns)
{
	uint64_t seconds = ns / 1000000000;

	if (ns < 1000)
		snprintf(buffer, size, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		snprintf(buffer, size, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buffer, size, "%.1f ms", (double)ns / 1e6);
	else if (seconds < 60)
		snprintf(buffer, size, "%.1f s", (double)ns / 1e9);
	else if (seconds < 3600)
		snprintf(buffer, size, "%" PRIu64 "m%02" PRIu64 "s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(buffer, size, "%" PRIu64 "h%02" PRIu64 "m", seconds / 3600,
			seconds / 60 % 60);
	else
		snprintf(buffer, size, "%" PRIu64 "d%02" PRIu64 "h", seconds / 86400,
			seconds / 3600 % 24);
	return buffer;
}

int parse_bytes(const char *string, uint64_t *bytes)
{
	static const char letters[] = "KMGTPE";
	char *end;

	if (*string < '0' || *string > '9')
		return -1;
	double value = strtod(string, &end);
	while (*end == ' ')
		end++;
	double factor = 1;
	if (*end && *end != 'B' && *end != 'b') {
		const char *letter = letters;
		while (*letter && strncasecmp(letter, end, 1))
			letter++;
		if (!*letter)
			return -1;
		factor = ldexp(1, (int)(letter - letters + 1) * 10);
		end++;
		if (*end == 'i' || *end == 'I')
			end++;
	}
	if (*end == 'B' || *end == 'b')
		end++;
	value *= factor;
	if (*end || !isfinite(value) || value >= 18446744073709551616.0)
		return -1;
	*bytes = (uint64_t)value;
	return 0;
}

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
