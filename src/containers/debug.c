// Reports of mistakes, poison, and what valgrind and the address sanitizer are told. See heapwhy/debug.h.
#include "heapwhy/debug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_NOACCESS(memory, bytes) ((void)0)
#define VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes) ((void)0)
#define VALGRIND_MAKE_MEM_DEFINED(memory, bytes) ((void)0)
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { SANITIZED = 1 };
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) ((void)0)
enum { SANITIZED = 0 };
#endif

enum { POISON = 0xdb };

static void abort_with_words(const struct hw_violation *violation)
{
	char text[512];

	hw_violation_print(violation, text, sizeof(text));
	fprintf(stderr, "heapwhy: %s\n", text);
	abort();
}

static hw_debug_handler *handler = abort_with_words;
static enum { UNDECIDED, OFF, ON } mode;

hw_debug_handler *hw_debug_set_handler(hw_debug_handler *wanted)
{
	return __atomic_exchange_n(&handler, wanted ? wanted : abort_with_words, __ATOMIC_SEQ_CST);
}

void hw_debug_enable(bool on)
{
	__atomic_store_n(&mode, on ? ON : OFF, __ATOMIC_RELAXED);
}

bool hw_debug_enabled(void)
{
	int known = __atomic_load_n(&mode, __ATOMIC_RELAXED);

	if (known == UNDECIDED) {
		const char *wanted = getenv("HEAPWHY_DEBUG");
		bool on = SANITIZED || RUNNING_ON_VALGRIND || (wanted && !strcmp(wanted, "1"));
		known = on ? ON : OFF;
		__atomic_store_n(&mode, known, __ATOMIC_RELAXED);
	}
	return known == ON;
}

int hw_violation_print(const struct hw_violation *violation, char *text, size_t size)
{
	static const char *const mistakes[] = {
		[HW_FREED_TWICE] = "freed twice",
		[HW_WRITTEN_AFTER_FREE] = "written to after it was freed",
		[HW_NOT_FROM_HERE] = "freed into a container that it does not come from",
		[HW_STALE_HANDLE] = "a handle used after its object was freed",
		[HW_CHANGED_MEANWHILE] = "a container changed under an iterator",
	};
	const char *unknown = "unknown";

	return snprintf(text, size, "%s: %p (%zu bytes), here: %s, before: %s, allocated: %s",
		mistakes[violation->mistake], violation->memory, violation->bytes,
		violation->here ? violation->here : unknown,
		violation->before ? violation->before : unknown,
		violation->allocated ? violation->allocated : unknown);
}

void hw_debug_report(const struct hw_violation *violation)
{
	__atomic_load_n(&handler, __ATOMIC_SEQ_CST)(violation);
}

void hw_debug_poison(void *memory, size_t bytes)
{
	memset(memory, POISON, bytes);
}

// The look at forbidden memory is ours to take: valgrind and the sanitizer are told before and after.
bool hw_debug_is_poisoned(const void *memory, size_t bytes)
{
	const unsigned char *byte = memory;
	bool same = true;

	ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
	VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
	for (size_t i = 0; i < bytes; i++)
		same &= byte[i] == POISON;
	hw_debug_forbid(memory, bytes);
	return same;
}

void hw_debug_forbid(const void *memory, size_t bytes)
{
	VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
	ASAN_POISON_MEMORY_REGION(memory, bytes);
}

void hw_debug_allow(const void *memory, size_t bytes)
{
	ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
	VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
}
