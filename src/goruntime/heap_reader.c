// Objects are read through a window, a buffer that holds a stretch of the heap and, where the
// runtime keeps pointer bits apart in its arenas (go 1.19 to 1.21), the bits of that stretch.
// Scanning spans in order loads many neighbours at once; a single object loads its own span; a
// large object passes through the window piece by piece.
#include "goruntime/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "goruntime/bits.h"
#include "goruntime/gc_mask.h"
#include "goruntime/runtime_private.h"

enum {
	WINDOW_BYTES = 1 << 20,
	WINDOW_GAP_MAX =
		4 *
		GO_PAGE_SIZE, // read over less than this between two spans rather than read twice
	WINDOW_WORDS = WINDOW_BYTES / 8,
	READER_CACHE_BYTES = 1 << 20,
	ARENA_BYTES = 1 << ARENA_SHIFT,
	// Spans of objects up to HEAP_BITS_OBJECT_MAX have one page to 1.26, up to four from 1.27 on.
	KEPT_WORDS_MAX = 16 * GO_PAGE_SIZE / 8 / 64,
};

struct heap_reader {
	const struct heap *heap;
	struct memory memory; // types, arenas, and whatever heap_read() is asked for
	struct gc_masks masks;
	uint64_t *window; // the bytes of [start, end)
	remote_addr start, end;
	uint64_t *pointers; // arena bits: a bit for each word of the window
	uint64_t *scans;    // ... go 1.19: "there may be more pointers in this object"
	uint64_t faults;
};

struct error *heap_reader_create(const struct heap *heap, struct heap_reader **out)
{
	struct heap_reader *reader = calloc(1, sizeof(*reader));
	struct error *err = NULL;

	if (!reader)
		return error_no_memory();
	reader->heap = heap;
	gc_masks_init(&reader->masks, heap->runtime, &reader->memory);
	// Bits are extracted 64 at a time at any position, so there is a word beyond the last.
	reader->window = malloc(WINDOW_BYTES);
	reader->pointers = calloc(WINDOW_WORDS / 64 + 1, sizeof(uint64_t));
	reader->scans = calloc(WINDOW_WORDS / 64 + 1, sizeof(uint64_t));
	if (!reader->window || !reader->pointers || !reader->scans)
		err = error_no_memory();
	if (!err)
		err = memory_init(&reader->memory, heap->runtime->target, READER_CACHE_BYTES);
	if (err) {
		heap_reader_destroy(reader);
		return err;
	}
	*out = reader;
	return NULL;
}

void heap_reader_destroy(struct heap_reader *reader)
{
	if (!reader)
		return;
	gc_masks_deinit(&reader->masks);
	memory_deinit(&reader->memory);
	free(reader->window);
	free(reader->pointers);
	free(reader->scans);
	free(reader);
}

uint64_t heap_reader_faults(const struct heap_reader *reader)
{
	return reader->faults + reader->memory.faults;
}

// The lower halves of 8 bytes, side by side: 32 bits.
static uint64_t gather_low_nibble_bits(uint64_t value)
{
	uint64_t gathered = 0;

	// Each byte of go 1.19's bitmap has 4 words: pointer bits in its lower half, scan bits in
	// the upper one.
	value &= UINT64_C(0x0f0f0f0f0f0f0f0f);
	value = (value | value >> 4) & UINT64_C(0x00ff00ff00ff00ff);
	value = (value | value >> 8) & UINT64_C(0x0000ffff0000ffff);
	gathered = (value | value >> 16) & UINT64_C(0x00000000ffffffff);
	return gathered;
}

// Loads the arena's two-bit entries of [address, address + bytes), which lie in one arena, to bit
// `at` (go 1.19).
static bool two_bit_load(struct heap_reader *reader, remote_addr bitmap, remote_addr address,
	uint64_t bytes, uint64_t at)
{
	remote_addr from = bitmap + (address & (ARENA_BYTES - 1)) / 32;

	// 8 bytes of the bitmap speak of 32 words, 256 bytes; pages are multiples of that.
	for (uint64_t done = 0; done < bytes; done += 256, from += 8, at += 32) {
		uint64_t value;

		if (!memory_read(&reader->memory, from, &value, sizeof(value)))
			return false;
		bits_or(reader->pointers, at, gather_low_nibble_bits(value), 32);
		bits_or(reader->scans, at, gather_low_nibble_bits(value >> 4), 32);
	}
	return true;
}

// The same of the one-bit bitmap (go 1.20, 1.21). noMorePtrs only lets the collector stop earlier:
// where it is set the rest of the object's bits are zero (runtime/mbitmap.go, writeHeapBits.flush).
static bool one_bit_load(struct heap_reader *reader, remote_addr bitmap, remote_addr address,
	uint64_t bytes, uint64_t at)
{
	return memory_read(&reader->memory, bitmap + (address & (ARENA_BYTES - 1)) / 64,
		reader->pointers + at / 64, bytes / 64);
}

// Loads the arena bits of the window.
static void arena_bits_load(struct heap_reader *reader)
{
	const struct layout *layout = &reader->heap->runtime->layout;
	uint64_t words = bits_words((reader->end - reader->start) / 8);

	memset(reader->pointers, 0, (words + 1) * sizeof(uint64_t));
	memset(reader->scans, 0, (words + 1) * sizeof(uint64_t));
	for (remote_addr address = reader->start; address < reader->end;) {
		remote_addr next = (address | (ARENA_BYTES - 1)) + 1;
		uint64_t bytes = (next < reader->end ? next : reader->end) - address;
		remote_addr arena = go_arena(reader->heap->runtime, &reader->memory, address);
		uint64_t at = (address - reader->start) / 8;
		bool good = false;

		if (arena && layout->pointer_bits == POINTER_BITS_TWO_BIT_ARENA)
			good = two_bit_load(
				reader, arena + layout->at.heapArena_bitmap, address, bytes, at);
		else if (arena)
			good = one_bit_load(
				reader, arena + layout->at.heapArena_bitmap, address, bytes, at);
		reader->faults += !good;
		address += bytes;
	}
}

// Makes the window hold [start, end), whole pages, at most WINDOW_BYTES.
static void window_load(struct heap_reader *reader, remote_addr start, remote_addr end)
{
	struct target *target = reader->heap->runtime->target;

	if (target_read_sparse(target, start, reader->window, end - start))
		reader->faults++;
	reader->start = start;
	reader->end = end;
	if (reader->heap->runtime->layout.pointer_bits != POINTER_BITS_HEADER)
		arena_bits_load(reader);
}

static bool window_has(const struct heap_reader *reader, remote_addr start, remote_addr end)
{
	return start >= reader->start && end <= reader->end;
}

static remote_addr span_end(const struct span *span)
{
	return span->base + ((uint64_t)span->pages << GO_PAGE_SHIFT);
}

// Loads a span of small objects and, when `ahead`, the ones behind it that will be wanted next.
static void window_load_small(struct heap_reader *reader, const struct span *span, bool ahead)
{
	const struct heap *heap = reader->heap;
	const struct span *last = heap->spans + heap->span_count;
	remote_addr end = span_end(span);

	for (const struct span *next = span + 1; ahead && next < last; next++) {
		if (next->base - end > WINDOW_GAP_MAX || span_end(next) - span->base > WINDOW_BYTES)
			break;
		if (next->count && !next->noscan && next->size_class)
			end = span_end(next);
	}
	window_load(reader, span->base, end);
}

static const uint64_t *window_words(const struct heap_reader *reader, remote_addr address)
{
	return reader->window + (address - reader->start) / 8;
}

static const uint64_t *small_span_bits(const struct heap_reader *reader, const struct span *span)
{
	uint64_t bytes = (uint64_t)span->pages << GO_PAGE_SHIFT;
	remote_addr bits = span->base + bytes - bytes / 64;

	// runtime/mbitmap.go, spanHeapBitsRange.
	if (reader->heap->runtime->layout.inline_mark_bits && span->elem_size >= INLINE_MARKS_MIN)
		bits -= INLINE_MARKS_BYTES;
	return window_words(reader, bits);
}

// How the pointer words of one object are told.
struct bit_source {
	const uint64_t *bits; // a bit for each word from `first` on, or
	uint64_t first;
	const struct gc_pattern *pattern; // a pattern from word `header` of the slot on
	uint64_t header;
	const uint64_t *scans; // go 1.19: no more pointers from the first clear bit on
	bool ended;
};

// The pointer bits of words [word, word + count) of the object's slot; asked in ascending order.
static uint64_t source_bits(struct bit_source *source, uint64_t word, unsigned count)
{
	uint64_t bits;

	if (source->pattern) {
		if (word >= source->header)
			return gc_pattern_bits(source->pattern, word - source->header) &
			       bits_low(count);
		return gc_pattern_bits(source->pattern, 0) << source->header & bits_low(count);
	}
	if (source->ended)
		return 0;
	bits = bits_extract(source->bits, source->first + word);
	if (source->scans) {
		uint64_t dead =
			~bits_extract(source->scans, source->first + word) & bits_low(count);

		if (dead) {
			source->ended = true;
			count = __builtin_ctzll(dead);
		}
	}
	return bits & bits_low(count);
}

// Where the bits of the object at `address` come from; its span, or for a large object the piece
// from `address` on, is in the window. False when its type makes no sense.
static bool source_open(struct heap_reader *reader, const struct span *span, remote_addr address,
	struct bit_source *out)
{
	const struct layout *layout = &reader->heap->runtime->layout;
	struct bit_source source = {0};

	if (layout->pointer_bits != POINTER_BITS_HEADER) {
		source.bits = reader->pointers;
		// The window may begin inside a large object: modulo 2^64, `first` plus a word in
		// the window is right then, too.
		source.first = address / 8 - reader->start / 8;
		if (layout->pointer_bits == POINTER_BITS_TWO_BIT_ARENA)
			source.scans = reader->scans;
	} else if (span->elem_size <= HEAP_BITS_OBJECT_MAX) {
		source.bits = small_span_bits(reader, span);
		source.first = (address - span->base) / 8;
	} else {
		source.header = span->size_class ? 1 : 0;
		remote_addr type =
			span->size_class ? *window_words(reader, address) : span->large_type;
		// A slot whose memory was not cleared yet, or a large object before its type is
		// set, has no type.
		if (!type)
			return false;
		source.pattern =
			gc_pattern(&reader->masks, type, span->elem_size - source.header * 8);
		if (!source.pattern) {
			reader->faults++;
			return false;
		}
	}
	*out = source;
	return true;
}

// Visits words [from, to) of the slot; `words` is where word `from` lies in the window.
static bool words_visit(struct bit_source *source, object_id id, uint64_t from, uint64_t to,
	const uint64_t *words, word_group_visit visit, void *context)
{
	for (uint64_t word = from; word < to; word += 64, words += 64) {
		unsigned count = to - word < 64 ? to - word : 64;
		uint64_t pointers = source_bits(source, word, count);

		if (pointers && !visit(context, &(struct word_group){
							.object = id,
							.offset = word * 8,
							.words = words,
							.count = count,
							.pointers = pointers,
						}))
			return false;
	}
	return true;
}

static bool small_scan(struct heap_reader *reader, const struct span *span, object_id id,
	word_group_visit visit, void *context)
{
	remote_addr address = span_object(span, id);
	struct bit_source source;

	if (!source_open(reader, span, address, &source))
		return true;
	return words_visit(
		&source, id, 0, span->elem_size / 8, window_words(reader, address), visit, context);
}

// Whether any of words [from, to) is a pointer, so that pieces without are not even read.
static bool pattern_has_pointers(const struct gc_pattern *pattern, uint64_t from, uint64_t to)
{
	for (uint64_t word = from; word < to; word += 64) {
		if (gc_pattern_bits(pattern, word) & bits_low(to - word))
			return true;
	}
	return false;
}

static bool large_scan(
	struct heap_reader *reader, const struct span *span, word_group_visit visit, void *context)
{
	struct bit_source source = {0};
	bool header = reader->heap->runtime->layout.pointer_bits == POINTER_BITS_HEADER;
	uint64_t words = span->elem_size / 8;

	if (header && !source_open(reader, span, span->base, &source))
		return true;
	for (uint64_t from = 0; from < words; from += WINDOW_WORDS) {
		uint64_t to = words - from < WINDOW_WORDS ? words : from + WINDOW_WORDS;
		remote_addr start = span->base + from * 8;
		remote_addr end =
			(span->base + to * 8 + GO_PAGE_SIZE - 1) & ~(remote_addr)(GO_PAGE_SIZE - 1);

		if (header && !pattern_has_pointers(source.pattern, from, to))
			continue;
		if (!window_has(reader, start, end))
			window_load(reader, start, end);
		if (!header) {
			bool ended = source.ended;

			source_open(reader, span, start, &source);
			source.first -= from;
			source.ended = ended;
		}
		if (!words_visit(&source, span->first, from, to, window_words(reader, start), visit,
			    context))
			return false;
	}
	return true;
}

// The pointer bits of one object of a small span, put in their place (go 1.19, where they end
// early).
static void ending_bits_keep(
	struct bit_source *source, uint64_t first, uint64_t words, uint64_t *to)
{
	for (uint64_t word = 0; word < words && !source->ended; word += 64) {
		unsigned count = words - word < 64 ? words - word : 64;

		bits_or(to, first + word, source_bits(source, word, count), count);
	}
}

// Leaves the pointer bits of the span, which is in the window, behind. Two threads may come to the
// same span, both with the same bits.
static void span_bits_keep(struct heap_reader *reader, const struct span *span)
{
	const struct kept_bits *kept = &reader->heap->kept;
	uint64_t bits[KEPT_WORDS_MAX + 1] = {0};
	uint64_t words = span->elem_size / 8, total = span->count * words;
	struct bit_source source;

	if (!kept->words || !kept->first[span - reader->heap->spans] ||
		bits_words(total) > KEPT_WORDS_MAX ||
		!source_open(reader, span, span->base, &source))
		return;
	if (source.scans) {
		for (uint64_t first = 0; first < total; first += words) {
			struct bit_source object = source;

			object.first += first;
			ending_bits_keep(&object, first, words, bits);
		}
	} else {
		for (uint64_t first = 0; first < total; first += 64)
			bits[first / 64] = bits_extract(source.bits, source.first + first);
	}
	uint64_t *to = kept->words + kept->first[span - reader->heap->spans];
	for (uint64_t i = 0; i < bits_words(total); i++)
		__atomic_store_n(&to[i], bits[i], __ATOMIC_RELAXED);
}

static bool span_has_pointers(const struct span *span)
{
	return span->count && !span->noscan;
}

bool heap_scan_span(struct heap_reader *reader, const struct span *span, const uint64_t *only,
	word_group_visit visit, void *context)
{
	const uint64_t *allocated = reader->heap->allocated;
	bool loaded = false;

	if (!span_has_pointers(span))
		return true;
	for (uint32_t slot = 0; slot < span->count; slot += 64) {
		unsigned count = span->count - slot < 64 ? span->count - slot : 64;
		uint64_t wanted = bits_extract_some(allocated, span->first + slot, count);

		if (only)
			wanted &= bits_extract_some(only, span->first + slot, count);
		if (!wanted)
			continue;
		if (!span->size_class)
			return large_scan(reader, span, visit, context);
		if (!loaded && !window_has(reader, span->base, span_end(span)))
			window_load_small(reader, span, true);
		if (!loaded)
			span_bits_keep(reader, span);
		loaded = true;
		for (; wanted; wanted &= wanted - 1) {
			object_id id = span->first + slot + (uint32_t)__builtin_ctzll(wanted);

			if (!small_scan(reader, span, id, visit, context))
				return false;
		}
	}
	return true;
}

bool heap_scan_object(
	struct heap_reader *reader, object_id id, word_group_visit visit, void *context)
{
	const struct span *span = heap_span_of(reader->heap, id);

	if (!span_has_pointers(span) || !heap_bit(reader->heap->allocated, id))
		return true;
	if (!span->size_class)
		return large_scan(reader, span, visit, context);
	if (!window_has(reader, span->base, span_end(span)))
		window_load_small(reader, span, false);
	return small_scan(reader, span, id, visit, context);
}

uint64_t heap_pointer_bits(
	struct heap_reader *reader, const struct span *span, object_id id, uint64_t first_word)
{
	remote_addr address = span_object(span, id);
	uint64_t words = span->elem_size / 8;
	struct bit_source source;

	if (!span_has_pointers(span) || first_word >= words)
		return 0;
	unsigned count = words - first_word < 64 ? words - first_word : 64;
	if (reader->heap->kept.words && reader->heap->kept.first[span - reader->heap->spans]) {
		const uint64_t *kept = reader->heap->kept.words +
				       reader->heap->kept.first[span - reader->heap->spans];

		return bits_extract(kept, (id - span->first) * words + first_word) &
		       bits_low(count);
	}
	if (span->size_class) {
		if (!window_has(reader, span->base, span_end(span)))
			window_load_small(reader, span, false);
	} else {
		// The page of the first word and the next one hold all 64.
		remote_addr start = (address + first_word * 8) & ~(remote_addr)(GO_PAGE_SIZE - 1);
		remote_addr end = start + 2 * GO_PAGE_SIZE < span_end(span)
					  ? start + 2 * GO_PAGE_SIZE
					  : span_end(span);

		if (!window_has(reader, start, end))
			window_load(reader, start, end);
	}
	if (!source_open(reader, span, address, &source))
		return 0;
	// An object whose pointers ended before `first_word` has to be followed from its start
	// (go 1.19).
	for (uint64_t word = 0; source.scans && span->size_class && word < first_word; word += 64)
		source_bits(&source, word, first_word - word < 64 ? first_word - word : 64);
	return source_bits(&source, first_word, count);
}

bool heap_read(struct heap_reader *reader, remote_addr address, void *buffer, size_t size)
{
	if (size <= WINDOW_BYTES && address <= UINT64_MAX - size &&
		window_has(reader, address, address + size)) {
		memcpy(buffer, (const uint8_t *)reader->window + (address - reader->start), size);
		return true;
	}
	return memory_read(&reader->memory, address, buffer, size);
}
