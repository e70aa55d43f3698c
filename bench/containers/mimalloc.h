// mimalloc beside malloc: linked in the ordinary way it would take malloc's place.
#ifndef BENCH_CONTAINERS_MIMALLOC_H
#define BENCH_CONTAINERS_MIMALLOC_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void *(*mi_malloc)(size_t bytes);
static void (*mi_free)(void *memory);

// What else the library has. Ends the program when it is not installed: it is a package of the benchmarks.
static inline void *mimalloc_symbol(const char *name)
{
	void *library = dlopen("libmimalloc.so.2", RTLD_NOW | RTLD_LOCAL);
	void *symbol = library ? dlsym(library, name) : NULL;

	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return symbol;
}

static inline void mimalloc_load(void)
{
	mi_malloc = (void *(*)(size_t))mimalloc_symbol("mi_malloc");
	mi_free = (void (*)(void *))mimalloc_symbol("mi_free");
}

#endif
