// Reports of mistakes, poison, and what valgrind and the address sanitizer are told. See heapwhy/debug.h.
#include "heapwhy/debug.h"

#include <pthread.h>
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
#define VALGRIND_CREATE_MEMPOOL(owner, redzone, zeroed) ((void)0)
#define VALGRIND_DESTROY_MEMPOOL(owner) ((void)0)
#define VALGRIND_MEMPOOL_ALLOC(owner, piece, bytes) ((void)0)
#define VALGRIND_MEMPOOL_FREE(owner, piece) ((void)0)
#define VALGRIND_MEMPOOL_CHANGE(owner, from, to, bytes) ((void)0)
#endif

// The sanitizer's own functions (sanitizer/asan_interface.h): there in programs that were built with it, NULL in others.
#pragma weak __asan_poison_memory_region
#pragma weak __asan_unpoison_memory_region
#pragma weak __asan_set_error_report_callback
#pragma weak __asan_get_report_address
void __asan_poison_memory_region(const volatile void *memory, size_t bytes);
void __asan_unpoison_memory_region(const volatile void *memory, size_t bytes);
void __asan_set_error_report_callback(void (*callback)(const char *report));
void *__asan_get_report_address(void);

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
static struct hw_debug_witness *witnesses;
static pthread_mutex_t witnesses_lock = PTHREAD_MUTEX_INITIALIZER;

static bool sanitizer_is_there(void)
{
	return __asan_poison_memory_region && __asan_unpoison_memory_region;
}

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
		bool on = sanitizer_is_there() || RUNNING_ON_VALGRIND ||
			  (wanted && !strcmp(wanted, "1"));
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
		[HW_USED_AFTER_FREE] = "used after it was freed",
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

	hw_debug_allow(memory, bytes);
	VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
	for (size_t i = 0; i < bytes; i++)
		same &= byte[i] == POISON;
	hw_debug_forbid(memory, bytes);
	return same;
}

void hw_debug_forbid(const void *memory, size_t bytes)
{
	VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
	if (sanitizer_is_there())
		__asan_poison_memory_region(memory, bytes);
}

void hw_debug_allow(const void *memory, size_t bytes)
{
	if (sanitizer_is_there())
		__asan_unpoison_memory_region(memory, bytes);
	VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
}

void hw_debug_owner(const void *owner)
{
	VALGRIND_CREATE_MEMPOOL(owner, 0, 0);
}

void hw_debug_goodbye(const void *owner)
{
	VALGRIND_DESTROY_MEMPOOL(owner);
}

void hw_debug_given(const void *owner, void *piece, size_t bytes)
{
	hw_debug_allow(piece, bytes);
	VALGRIND_MEMPOOL_ALLOC(owner, piece, bytes);
}

// The pattern is for those who look without valgrind and the sanitizer.
void hw_debug_given_back(const void *owner, void *piece, size_t bytes)
{
	hw_debug_poison(piece, bytes);
	VALGRIND_MEMPOOL_FREE(owner, piece);
	hw_debug_forbid(piece, bytes);
}

void hw_debug_moved(const void *owner, void *from, void *to, size_t bytes)
{
	hw_debug_allow(to, bytes);
	memcpy(to, from, bytes);
	VALGRIND_MEMPOOL_CHANGE(owner, from, to, bytes);
	hw_debug_forbid(from, bytes);
}

// Who knows what.

bool hw_debug_find(const void *memory, struct hw_violation *known)
{
	bool found = false;

	pthread_mutex_lock(&witnesses_lock);
	for (struct hw_debug_witness *witness = witnesses; witness && !found;
		witness = witness->next)
		found = witness->find(witness, memory, known);
	pthread_mutex_unlock(&witnesses_lock);
	return found;
}

// The sanitizer has printed what it knows and is about to end the process.
static void sanitizer_reported(const char *report)
{
	struct hw_violation known;
	char text[512];

	if (!__asan_get_report_address || !hw_debug_find(__asan_get_report_address(), &known) ||
		!known.before)
		return;
	known.mistake = HW_USED_AFTER_FREE;
	hw_violation_print(&known, text, sizeof(text));
	fprintf(stderr, "heapwhy: %s\n", text);
}

void hw_debug_witness_add(struct hw_debug_witness *witness)
{
	pthread_mutex_lock(&witnesses_lock);
	if (!witnesses && __asan_set_error_report_callback)
		__asan_set_error_report_callback(sanitizer_reported);
	witness->previous = NULL;
	witness->next = witnesses;
	if (witnesses)
		witnesses->previous = witness;
	witnesses = witness;
	pthread_mutex_unlock(&witnesses_lock);
}

void hw_debug_witness_remove(struct hw_debug_witness *witness)
{
	pthread_mutex_lock(&witnesses_lock);
	if (witness->previous)
		witness->previous->next = witness->next;
	else
		witnesses = witness->next;
	if (witness->next)
		witness->next->previous = witness->previous;
	pthread_mutex_unlock(&witnesses_lock);
}
