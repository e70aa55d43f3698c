// The spans of Go's heap and the slots in them.
//
// Every slot of every span in use has an object_id: ids are dense and ascend with the address, so
// an array or bitmap indexed by id covers the heap. A slot is free, or allocated; which of the
// allocated ones are reachable is for graph/ to say.
//
// The heap's contents are never held: they are streamed span by span through a heap_reader's
// buffer, which several threads can do side by side, each with its own reader.
#ifndef GORUNTIME_HEAP_H
#define GORUNTIME_HEAP_H

#include "goruntime/heap_index.h"
#include "goruntime/runtime.h"

typedef uint32_t object_id;
#define OBJECT_NONE UINT32_MAX

enum { GO_PAGE_SIZE = 8192, GO_PAGE_SHIFT = 13 };

enum span_state {
	SPAN_DEAD = 0,
	SPAN_IN_USE = 1,
	SPAN_MANUAL = 2
}; // manual: stacks and the runtime's own

struct span {
	remote_addr base;
	uint64_t elem_size;       // bytes of a slot; manual: of a stack, 0 for anything else
	remote_addr limit;        // end of the slots
	uint32_t pages;           // of 8 KiB
	object_id first;          // id of slot 0
	uint32_t count;           // slots; 0 unless in use
	uint32_t divide_magic;    // for address -> slot
	uint32_t free_index;      // slots below it are allocated or were when the span was swept
	uint32_t free_index_scan; // as the collector's conservative scan sees it
	uint32_t sweepgen;
	uint8_t size_class;    // 0: one large object
	bool noscan;           // no pointers in it
	bool faulted_arena;    // a user arena that was freed: its memory is gone
	uint8_t state;         // enum span_state
	uint8_t header_bytes;  // before an object's contents: 8 with a malloc header, else 0
	uint16_t rounding_max; // bytes that an allocation may leave of a slot
	remote_addr address;   // of the mspan
	remote_addr alloc_bits, mark_bits;
	remote_addr specials;   // list of runtime.special
	remote_addr large_type; // type of a large object's contents (header mechanism), or 0
};

struct heap {
	struct go_runtime *runtime;
	struct span *spans; // in use and manual, by address
	uint32_t span_count;
	object_id object_count; // slots in all spans in use
	uint64_t in_use_bytes;  // spans in use
	uint64_t *allocated;    // a bit for each slot: allocated at the time of capture
	uint64_t *marked; // a bit for each slot: marked by the last finished collection (the truth
			  // to compare with)
	uint64_t *fresh;  // a bit for each slot: allocated since that collection
	uint64_t allocated_bytes,
		allocated_count; // with the dead below: MemStats.HeapAlloc and its count of slots
	uint64_t dead_bytes, dead_count; // not marked by the last collection and not yet swept: no
					 // longer allocated
	uint64_t in_flight; // slots being handed out at the capture: neither allocated nor readable
	uint64_t absent_bytes;   // of spans and global variables, that a core does not hold
	uint32_t skipped_spans;  // implausible ones: torn while they changed hands, or damaged
	struct heap_index index; // address -> slot
	size_t span_capacity;
	uint32_t *span_hints; // span of id n << SPAN_HINT_SHIFT, for heap_span_of()
	struct kept_bits {    // heap_keep_pointer_bits(); both NULL: none
		uint64_t *words;
		size_t bytes;
		uint32_t *first; // for each span: where its bits begin; 0: it has none
	} kept;
};

enum { SPAN_HINT_SHIFT = 6 };

struct error *heap_open(struct go_runtime *runtime, struct heap **out);
void heap_close(struct heap *heap); // accepts NULL

// The span in use that holds `address`, or NULL. O(1).
static inline const struct span *heap_span(const struct heap *heap, remote_addr address)
{
	if (address >> INDEX_ADDRESS_BITS)
		return NULL;
	const struct heap_page *page = heap_index_page(&heap->index, address);
	return page->count ? &heap->spans[page->span] : NULL;
}

// The span that holds object `id`. O(log spans); cheap when asked in ascending order.
const struct span *heap_span_of(const struct heap *heap, object_id id);

// The same where it may well be `near` (NULL: no idea): the span of an object close by.
static inline const struct span *heap_span_near(
	const struct heap *heap, const struct span *near, object_id id)
{
	return near && id - near->first < near->count ? near : heap_span_of(heap, id);
}

// Whether the sweeper has yet to free what the last collection did not mark: dead objects of the
// span are not allocated any more, but not free either.
bool span_is_unswept(const struct heap *heap, const struct span *span);

// The slot that holds `address`, allocated or not; OBJECT_NONE outside. O(1).
static inline object_id heap_find(const struct heap *heap, remote_addr address)
{
	if (address >> INDEX_ADDRESS_BITS)
		return OBJECT_NONE;
	const struct heap_page *page = heap_index_page(&heap->index, address);
	uint32_t slot = heap_page_slot(page, address);
	if (slot >= page->count)
		return OBJECT_NONE;
	// The end of a large object is not a multiple of its size, which is rounded up to pages.
	if (!page->magic && address >= heap->spans[page->span].limit)
		return OBJECT_NONE;
	return page->first + slot;
}

static inline bool heap_bit(const uint64_t *bits, object_id id)
{
	return bits[id >> 6] >> (id & 63) & 1;
}

static inline remote_addr span_object(const struct span *span, object_id id)
{
	return span->base + (uint64_t)(id - span->first) * span->elem_size;
}

remote_addr heap_address(const struct heap *heap, object_id id);
uint64_t heap_size(const struct heap *heap, object_id id); // bytes of its slot

// Fills in header_bytes and rounding_max of a span whose class and slots are known.
void span_measure(const struct heap *heap, struct span *span);

// Would an allocation of `bytes` land in the span's size class?
static inline bool span_fits(const struct span *span, uint64_t bytes)
{
	return span->elem_size - span->header_bytes - bytes <= span->rounding_max;
}

// The slot that an allocation of `bytes` gets.
uint64_t slot_bytes(const struct heap *heap, uint64_t bytes, bool noscan);

// One thread's window onto the contents of the heap.
struct heap_reader;
struct error *heap_reader_create(const struct heap *heap, struct heap_reader **out);
void heap_reader_destroy(struct heap_reader *reader);

// A group of up to 64 consecutive words of one object, at least one of them a pointer word.
struct word_group {
	object_id object;
	uint64_t offset;       // bytes from the object's slot to words[0]
	const uint64_t *words; // `count` of them, valid during the call
	unsigned count;
	uint64_t pointers; // bit i: words[i] is a pointer word by Go's own metadata
};
typedef bool (*word_group_visit)(void *context, const struct word_group *group); // false stops

// Visits the pointer words of the allocated objects of `span` whose bit in `only` is set (NULL: of
// all allocated objects), ascending. Large objects are windowed. Bytes that cannot be read are
// skipped and counted. Returns false when a visit stopped it. Until then `visit` must leave the reader alone.
bool heap_scan_span(struct heap_reader *reader, const struct span *span, const uint64_t *only,
	word_group_visit visit, void *context);

// The same for one object.
bool heap_scan_object(
	struct heap_reader *reader, object_id id, word_group_visit visit, void *context);

// From here on heap_scan_span() leaves the pointer bits of the spans it reads behind, those of
// objects of up to 512 bytes: 1/64 of the spans' bytes. So the heap need not be read again for them.
struct error *heap_keep_pointer_bits(struct heap *heap);
void heap_forget_pointer_bits(struct heap *heap);

// The bits of up to 64 words of object `id` of `span` from word `first_word` on: 1 = pointer word. For
// typing's checks. Fast where they were kept.
uint64_t heap_pointer_bits(
	struct heap_reader *reader, const struct span *span, object_id id, uint64_t first_word);

// Reads from an object's contents through the reader's window.
bool heap_read(struct heap_reader *reader, remote_addr address, void *buffer, size_t size);

// What the reader could not make sense of: unreadable pages, damaged type masks.
uint64_t heap_reader_faults(const struct heap_reader *reader);

#endif
