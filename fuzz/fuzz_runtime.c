// The runtime model on a real process in which arbitrary words are overwritten. The input says
// which image and which words: byte 0 chooses the image, then every 14 bytes are one overwrite
// (struct overwrite).
//
// Overwritten is what heapwhy believes in: span and goroutine records, their lists, module data,
// specials, queues, types, stacks, headers of objects. The places come from the undamaged image.
// Seeds: fuzz/corpus/runtime.
#include "captured.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "goruntime/goroutine.h"
#include "goruntime/specials.h"
#include "heapwhy/vector.h"
#include "runtime_exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { OVERWRITE_BYTES = 14, OVERWRITES_MAX = 32 };

struct place {
	remote_addr start;
	uint64_t size;
};

struct image {
	struct captured *captured;
	HW_VECTOR(struct place) places;
};

static const char *const image_names[] = {"go1.19", "go1.21", "go1.24", "go1.27"};
static struct image images[ARRAY_COUNT(image_names)];

static void must(struct error *err)
{
	if (err) {
		fprintf(stderr, "fuzz_runtime: %s\n", error_message(err));
		abort();
	}
}

static void place_add(struct image *image, remote_addr start, uint64_t size)
{
	if (start && size)
		hw_vector_push(&image->places, ((struct place){start, size}));
}

static bool special_place(void *context, const struct special *special)
{
	place_add(context, special->address, 64);
	return true;
}

static void heap_places(struct image *image, struct heap *heap)
{
	struct go_runtime *runtime = heap->runtime;
	struct goroutine_list *goroutines;

	place_add(image,
		memory_u64(&runtime->memory,
			runtime->mheap + (uint32_t)runtime->layout.at.mheap_allspans),
		(uint64_t)heap->span_count * 8);
	place_add(image, memory_u64(&runtime->memory, runtime->allgs), 100);
	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];

		place_add(image, span->address, 168);
		place_add(image, span->base, (uint64_t)span->pages * GO_PAGE_SIZE);
		place_add(image, span->alloc_bits, 16);
		if (span->specials)
			specials_walk(heap, span, special_place, image);
	}
	must(goroutines_read(heap, &goroutines));
	for (uint32_t i = 0; i < goroutines->count; i++) {
		const struct goroutine *goroutine = &goroutines->goroutines[i];

		place_add(image, goroutine->address, 440);
		place_add(image, goroutine->sp, goroutine->stack_high - goroutine->sp);
	}
	goroutines_destroy(goroutines);
}

static void image_open(struct image *image, const char *name)
{
	struct go_runtime *runtime;
	struct heap *heap;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.hwi", IMAGE_DIRECTORY, name);
	must(captured_load(path, &image->captured));
	must(go_runtime_open(captured_target(image->captured), &runtime));
	const struct go_module *module = &runtime->modules[0];
	must(heap_open(runtime, &heap));
	// Single structures count as much as thousands of spans: they come several times.
	for (int i = 0; i < 50; i++) {
		place_add(image, module->address, (uint64_t)runtime->layout.at.moduledata_size);
		place_add(image, runtime->mheap + (uint32_t)runtime->layout.at.mheap_sweepgen, 160);
		place_add(image, runtime->allgs, 24);
		place_add(image, runtime->gcphase, 4);
		place_add(image, memory_u64(&runtime->memory, runtime->allfin), 512);
		place_add(image, module->types, module->etypes - module->types);
		place_add(image, module->data, module->edata - module->data);
		place_add(image, module->bss, module->ebss - module->bss);
		place_add(image, module->gofunc, 1 << 16);
	}
	heap_places(image, heap);
	heap_close(heap);
	go_runtime_close(runtime);
	captured_forget(image->captured);
}

struct overwrite {
	uint8_t *bytes;
	unsigned size;
	uint64_t before;
};

// Byte 0: how (bits 0-1: log2 of the size, bit 2: add to what is there, bit 3: the value is an
// address in another place); 1: unused; 2-3: which place; 4-5: where in it; 6-13: the value.
static bool overwrite_do(struct image *image, const uint8_t *input, struct overwrite *out)
{
	uint16_t which, where;
	uint64_t value, now = 0;

	memcpy(&which, input + 2, sizeof(which));
	memcpy(&where, input + 4, sizeof(where));
	memcpy(&value, input + 6, sizeof(value));
	const struct place *place = &image->places.items[which % image->places.count];
	struct overwrite overwrite = {.size = 1U << (input[0] & 3)};
	remote_addr address = place->start + where * UINT64_C(8) % place->size;
	overwrite.bytes = captured_bytes(image->captured, address);
	if (!overwrite.bytes || address % CAPTURED_PAGE + overwrite.size > CAPTURED_PAGE)
		return false;
	memcpy(&overwrite.before, overwrite.bytes, overwrite.size);
	if (input[0] & 8) {
		const struct place *to = &image->places.items[value % image->places.count];

		value = to->start + (value >> 32) % to->size;
	}
	memcpy(&now, overwrite.bytes, overwrite.size);
	if (input[0] & 4)
		value += now;
	memcpy(overwrite.bytes, &value, overwrite.size);
	*out = overwrite;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct overwrite overwrites[OVERWRITES_MAX];
	struct runtime_outcome outcome;
	unsigned count = 0;

	if (!size)
		return 0;
	struct image *image = &images[bytes[0] % ARRAY_COUNT(images)];
	if (!image->captured)
		image_open(image, image_names[image - images]);
	for (size_t at = 1; at + OVERWRITE_BYTES <= size && count < OVERWRITES_MAX;
		at += OVERWRITE_BYTES)
		count += overwrite_do(image, bytes + at, &overwrites[count]);
	error_destroy(runtime_exercise(captured_target(image->captured), &outcome));
	captured_forget(image->captured);
	while (count--)
		memcpy(overwrites[count].bytes, &overwrites[count].before, overwrites[count].size);
	return 0;
}
