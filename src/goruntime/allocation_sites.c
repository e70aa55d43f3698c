// A sampled object has a special of kind profile, which points to the bucket of its stack
// (runtime/mprof.go, setprofilebucket; 1.19 to 1.27). The stack follows the bucket: return addresses,
// one for each call, inlined ones included (runtime.callers).
#include "goruntime/allocation_sites.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "goruntime/specials.h"
#include "heapwhy/map.h"

enum {
	DEPTH_MAX = 1024,     // maxProfStackDepth; 32 to 1.22
	BUCKET_TYPE = 16,     // runtime.bucket.typ, behind two pointers
	TYPE_MEM_PROFILE = 1, // memProfile
};

struct allocation_sites {
	struct heap *heap;
	struct hw_map buckets; // object -> address of its bucket
	bool no_memory;
};

static bool site_add(void *context, const struct special *special)
{
	struct allocation_sites *sites = context;
	const struct layout *layout = &sites->heap->runtime->layout;

	if (special->kind != layout->special_profile)
		return true;
	remote_addr bucket = memory_u64(&sites->heap->runtime->memory,
		special->address + (uint32_t)layout->at.specialprofile_b);
	sites->no_memory |= !hw_map_put(&sites->buckets, special->object, bucket);
	return !sites->no_memory;
}

struct error *allocation_sites_open(struct heap *heap, struct allocation_sites **out)
{
	struct allocation_sites *sites = calloc(1, sizeof(*sites));

	if (!sites)
		return error_no_memory();
	sites->heap = heap;
	hw_map_init(&sites->buckets);
	for (uint32_t i = 0; i < heap->span_count && !sites->no_memory; i++)
		if (heap->spans[i].count && heap->spans[i].specials)
			specials_walk(heap, &heap->spans[i], site_add, sites);
	if (sites->no_memory) {
		allocation_sites_close(sites);
		return error_no_memory();
	}
	*out = sites;
	return NULL;
}

void allocation_sites_close(struct allocation_sites *sites)
{
	if (!sites)
		return;
	hw_map_deinit(&sites->buckets);
	free(sites);
}

bool allocation_is_sampled(const struct allocation_sites *sites, object_id id)
{
	return sites && hw_map_get(&sites->buckets, id, NULL);
}

// The innermost call at the return address `pc`.
static bool position_of(const struct go_runtime *runtime, remote_addr pc, struct pcln_position *out)
{
	const struct go_module *module;
	struct pcln_function function;

	return go_find_function(runtime, pc - 1, &module, &function) &&
	       pclntab_positions(module->pclntab, &function, pc - 1, out, 1) == 1;
}

size_t allocation_stack(
	const struct allocation_sites *sites, object_id id, struct pcln_position *out, size_t max)
{
	struct go_runtime *runtime = sites->heap->runtime;
	const struct layout_offsets *at = &runtime->layout.at;
	struct memory *memory = &runtime->memory;
	uint64_t bucket;
	size_t written = 0;

	if (!hw_map_get(&sites->buckets, id, &bucket) ||
		memory_u64(memory, bucket + BUCKET_TYPE) != TYPE_MEM_PROFILE)
		return 0;
	uint64_t depth = memory_u64(memory, bucket + (uint32_t)at->bucket_nstk);
	for (uint64_t i = 0; i < depth && i < DEPTH_MAX && written < max; i++) {
		struct pcln_position position;
		if (!position_of(runtime,
			    memory_u64(memory, bucket + (uint32_t)at->bucket_bytes + i * 8),
			    &position))
			break;
		// Of the runtime is how it allocates, not who asked for it.
		if (written || strncmp(position.function, "runtime.", strlen("runtime.")) != 0)
			out[written++] = position;
	}
	return written;
}
